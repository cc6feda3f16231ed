"""`--set a.b=c`."""

from __future__ import annotations

from typing import Any

import pytest

from kdstudio.project.errors import InputError, SpecError
from kdstudio.project.overrides import apply_overrides
from kdstudio.project.spec import Experiment, validate


@pytest.fixture
def experiment() -> Experiment:
    return validate(
        Experiment,
        {
            "name": "a",
            "data": {"source": "fashion-mnist", "folder": "files", "download": False, "batch_size": 32},
            "teacher": {"model": "mlp", "widths": [64]},
            "student": {"model": "mlp", "args": {"depth": 2}},
            "objective": [
                {"term": "hard", "weight": 0.1},
                {"term": "soft", "weight": 0.9, "temperature": 8},
                {"term": "hint", "pairs": [{"teacher": "hidden1", "student": "hidden1"}]},
            ],
        },
    )


def value_at(experiment: Experiment, path: str) -> Any:
    found: Any = experiment.model_dump()
    for key in path.split("."):
        found = found[int(key)] if isinstance(found, list) else found[key]
    return found


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("train.epochs=5", 5),
        ("train.lr=0.01", 0.01),
        ("train.lr=1e-3", 1e-3),
        ("train.nesterov=true", True),
        ("train.optimizer=adamw", "adamw"),
        ("train.milestones=[3, 5]", [3, 5]),
        ("train.clip_norm=5", 5.0),
        ("data.augment=[crop, flip]", ["crop", "flip"]),
        ("data.train_limit=null", None),
        ("notes=a=b", "a=b"),
        ("notes='no'", "no"),
        (" train.epochs = 5", 5),
        ("student.args.depth=3", 3),
        ("student.args.width=1e-1", 0.1),
        ("student.args={drop: 0.5}", {"drop": 0.5}),
        ("objective.1.temperature=2", 2.0),
        ("objective.2.pairs.0.teacher=hidden2", "hidden2"),
        ("teacher.train.epochs=3", 3),
        ("monitor.every_seconds=10", 10.0),
        ("baseline=true", True),
        ("name=other", "other"),
    ],
)
def test_a_value(experiment: Experiment, change: str, value: Any) -> None:
    path = change.partition("=")[0].strip()
    found = value_at(apply_overrides(experiment, [change]), path)
    assert found == value
    assert type(found) is type(value)


def test_the_experiment_itself_stays(experiment: Experiment) -> None:
    before = experiment.model_dump()
    apply_overrides(experiment, ["train.epochs=5", "objective.0.weight=0.5", "student.args.depth=9"])
    assert experiment.model_dump() == before


def test_no_changes(experiment: Experiment) -> None:
    assert apply_overrides(experiment, []) == experiment


def test_changes_come_in_their_order(experiment: Experiment) -> None:
    assert apply_overrides(experiment, ["train.epochs=5", "train.epochs=7"]).train.epochs == 7


def test_only_the_end_is_checked(experiment: Experiment) -> None:
    """In between a spec may be wrong, as here after the first change."""
    changes = ["train.schedule=multistep", "train.milestones=[2]"]
    assert apply_overrides(experiment, changes).train.milestones == [2]


def test_a_whole_part(experiment: Experiment) -> None:
    changed = apply_overrides(experiment, ["objective=[{term: hard}]", "data={source: digits}"])
    assert [term.term for term in changed.objective] == ["hard"]
    assert changed.data.batch_size == 128


def test_an_item_is_replaced_added_and_taken_out(experiment: Experiment) -> None:
    changed = apply_overrides(experiment, ["objective.0={term: hard, weight: 2}"])
    assert changed.objective[0].weight == 2
    changed = apply_overrides(experiment, ["objective.3={term: soft, temperature: 1}"])
    assert [term.term for term in changed.objective] == ["hard", "soft", "hint", "soft"]
    changed = apply_overrides(experiment, ["objective.2=", "objective.0="])
    assert [term.term for term in changed.objective] == ["soft"]


def test_an_empty_value_is_the_default(experiment: Experiment) -> None:
    changed = apply_overrides(experiment, ["data.batch_size=", "objective.1.temperature= ", "student.args="])
    assert changed.data.batch_size == 128
    assert changed.objective[1].temperature == 4.0  # type: ignore[union-attr]
    assert changed.student.args == {}
    assert apply_overrides(experiment, ["data="]).data.source == "digits"  # type: ignore[union-attr]


def test_a_part_that_was_empty(experiment: Experiment) -> None:
    alone = apply_overrides(experiment, ["objective=[{term: hard}]", "teacher="])
    assert alone.teacher is None
    changed = apply_overrides(alone, ["teacher.model=cnn", "teacher.train={epochs: 2}"])
    assert changed.teacher is not None
    assert (changed.teacher.model, changed.teacher.train.epochs) == ("cnn", 2)
    scheduled = apply_overrides(experiment, ["objective.0.schedule.kind=cosine"])
    assert scheduled.objective[0].schedule is not None


def test_another_source_drops_what_only_the_earlier_one_had(experiment: Experiment) -> None:
    changed = apply_overrides(experiment, ["data.source=digits"])
    assert changed.data.model_dump() == {**changed.data.model_dump(), "source": "digits", "batch_size": 32}
    changed = apply_overrides(experiment, ["data.source=npz", "data.path=x.npz"])
    assert changed.data.path == "x.npz"  # type: ignore[union-attr]
    changed = apply_overrides(experiment, ["data.source=mnist"])
    assert changed.data.folder == "files"  # type: ignore[union-attr]


def test_another_term_drops_what_only_the_earlier_one_had(experiment: Experiment) -> None:
    changed = apply_overrides(experiment, ["objective.1.term=hard"])
    assert (changed.objective[1].term, changed.objective[1].weight) == ("hard", 0.9)
    with pytest.raises(SpecError, match=r"objective\.1\.pairs: a required key is missing"):
        apply_overrides(experiment, ["objective.1.term=hint"])


@pytest.mark.parametrize(
    ("change", "what", "fix"),
    [
        ("train.epochs", "--set train.epochs: expected PATH=VALUE", "for example --set train.epochs=5"),
        ("=5", "--set =5: expected PATH=VALUE", "for example --set train.epochs=5"),
        ("", "--set : expected PATH=VALUE", "for example --set train.epochs=5"),
        ("trian.epochs=5", "--set trian.epochs=5: there is no 'trian'", "did you mean 'train'?"),
        ("xyz.epochs=5", "--set xyz.epochs=5: there is no 'xyz'", "there are: version, name"),
        ("train..epochs=5", "--set train..epochs=5: there is no ''", "there are: epochs"),
        ("train.epochs.x=5", "--set train.epochs.x=5: 'train.epochs' has no parts", "shorten the path"),
        ("notes.x=5", "--set notes.x=5: 'notes' has no parts", "shorten the path"),
        ("teacher.args.a.b=5", "--set teacher.args.a.b=5: there is no 'a'", "shorten the path"),
        ("objective.x.weight=1", "--set objective.x.weight=1: 'x' is no place in 'objective'", "use 0 to 2"),
        ("objective.-1.weight=1", "--set objective.-1.weight=1: '-1' is no place in 'objective'", "use 0 to 2"),
        ("objective.3.weight=1", "--set objective.3.weight=1: '3' is no place in 'objective'", "use 0 to 2"),
        ("objective.4={term: hard}", "--set objective.4={term: hard}: '4' is no place in 'objective'", "use 0 to 3"),
        ("objective.3=", "--set objective.3=: '3' is no place in 'objective'", "use 0 to 2"),
        ("objective.².weight=1", "--set objective.².weight=1: '²' is no place in 'objective'", "use 0 to 2"),
        ("train.milestones.0.x=1", "--set train.milestones.0.x=1: '0' is no place in 'train.milestones'", "is empty"),
    ],
)
def test_a_path_that_leads_nowhere(experiment: Experiment, change: str, what: str, fix: str) -> None:
    with pytest.raises(InputError) as caught:
        apply_overrides(experiment, [change])
    assert caught.value.what == what
    assert fix in caught.value.fix
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("train.epochs=many", "--set: train.epochs: should be a whole number (it is 'many'); for example 10"),
        ("train.epochs=0", "--set: train.epochs: should be greater than or equal to 1 (it is 0); for example 10"),
        ("train.epoch=5", "--set: train.epoch: unknown key 'epoch'; did you mean 'epochs'?"),
        ("student=", "--set: student: a required key is missing; add it: The student."),
        ("data.source=digit", "--set: data: unknown source 'digit'; did you mean 'digits'?"),
        ("objective=", None),
    ],
)
def test_a_spec_that_is_wrong_after_it(experiment: Experiment, change: str, line: str | None) -> None:
    if line is None:  # the default objective needs a teacher, and there is one
        assert len(apply_overrides(experiment, [change]).objective) == 2
        return
    with pytest.raises(SpecError) as caught:
        apply_overrides(experiment, [change])
    assert str(caught.value) == line


def test_a_value_that_is_no_yaml(experiment: Experiment) -> None:
    with pytest.raises(InputError, match=r"^--set train.milestones: this is not valid YAML"):
        apply_overrides(experiment, ["train.milestones=[1, 2"])
