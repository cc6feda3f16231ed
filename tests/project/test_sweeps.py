"""Sweeps: what they are asked for, what is wrong with it, and what their runs say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kdstudio.commands.sweep_search import falls_behind, next_values
from kdstudio.project.errors import InputError, KDStudioError, SpecError
from kdstudio.project.folder import Project, create_project
from kdstudio.project.runs.folder import write_bytes
from kdstudio.project.runs.state import RunState, encode_state
from kdstudio.project.spec import Experiment, HardTerm, SoftTerm, StudentSpec, TeacherSpec, validate
from kdstudio.project.spec.sweep import SweepSpec
from kdstudio.project.sweeps.fields import field_of
from kdstudio.project.sweeps.folder import Sweep, sweep_names
from kdstudio.project.sweeps.table import csv_table, markdown_table, rows_of, summary_of, text_table
from kdstudio.project.sweeps.trials import Known, Outcome, Trial, Trials, make_run, read_trials, say

T, W, H = "objective.1.temperature", "objective.1.weight", "objective.0.weight"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = create_project(tmp_path / "project", "empty")
    made.save(
        Experiment(
            name="soft",
            teacher=TeacherSpec(model="mlp", widths=[24]),
            student=StudentSpec(model="mlp", widths=[12]),
            objective=[HardTerm(weight=0.1), SoftTerm(weight=0.9)],
            baseline=True,
        )
    )
    return made


def spec(*fields: str, **said: Any) -> SweepSpec:
    listed = [field_of(text).model_dump(exclude_defaults=True) for text in fields]
    return validate(SweepSpec, {"experiment": "soft", "fields": listed, **said})


def make(project: Project, *fields: str, name: str = "s", **said: Any) -> Sweep:
    return Sweep.create(project, name, spec(*fields, **said), project.load("soft"))


def trained(sweep: Sweep, number: int, values: dict[str, Any], *scores: float, phase: str = "finished") -> None:
    """Runs as an engine leaves them."""
    for seed, score in zip(sweep.spec.seeds, scores):
        run = make_run(sweep, number, values, seed).run
        write_bytes(run.state_path, encode_state(RunState(phase=phase, best=score, step=5)))
        measured = {"test": {"accuracy": score - 0.1}}
        card = {"networks": {"student": measured}, "headline": {}, "reported_split": "test"}
        write_bytes(run.scorecard_path, json.dumps(card).encode())


def test_fields_are_read_from_a_line() -> None:
    assert field_of("train.lr=0.001..0.1:log:points=3").candidates() == pytest.approx([0.001, 0.01, 0.1])
    assert field_of("train.epochs=1..9:whole:points=5").candidates() == [1, 3, 5, 7, 9]
    assert field_of(f"{T}=1, 2,8").values == [1, 2, 8]
    assert field_of("train.schedule=cosine,constant").values == ["cosine", "constant"]
    assert field_of("student.widths=[[32], [64, 32]]").values == [[32], [64, 32]]
    assert field_of(f"{W}=0.1..0.9:rest={H}").changes(0.3) == {W: 0.3, H: 0.7}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train.lr", "expected FIELD=VALUES"),
        ("train.lr=", "expected FIELD=VALUES"),
        ("train.lr=a..b", "'a' is no number"),
        ("train.lr=2..1", "low (2) is not below high (1)"),
        ("train.lr=0..1:log", "has no logarithm"),
        ("train.lr=0.5..2:whole", "whole numbers"),
        ("train.lr=1..2:fast", "':fast' is no option"),
        ("train.lr=1,1", "a value stands there twice"),
        (f"{W}=0..2:rest={H}", "keep the values between 0 and 1"),
    ],
)
def test_wrong_fields_are_told(text: str, said: str) -> None:
    with pytest.raises(KDStudioError) as caught:
        field_of(text)
    assert said in str(caught.value)


def test_what_a_sweep_cannot_vary_is_told(project: Project) -> None:
    with pytest.raises(SpecError, match="cannot vary"):
        spec("train.seed=1,2")
    with pytest.raises(SpecError, match="varies twice"):
        spec(f"{W}=0.1,0.2:rest={H}", f"{H}=0.5,0.6")
    with pytest.raises(SpecError, match=r"fields\.0: the experiment has no 'objective.1.temp'; did you mean '" + T):
        make(project, "objective.1.temp=1,2")
    with pytest.raises(SpecError, match=r"fields\.0: .*greater than 0"):
        make(project, f"{T}=-1,2")
    with pytest.raises(InputError, match="an experiment has this name"):
        make(project, f"{T}=1,2", name="soft")
    with pytest.raises(InputError, match="cannot name a sweep"):
        make(project, f"{T}=1,2", name="../x")
    assert sweep_names(project) == []
    with pytest.raises(InputError, match="there is no sweep 'x'"):
        Sweep.open(project, "x")


def test_a_sweep_is_frozen_but_may_grow(project: Project) -> None:
    sweep = make(project, f"{T}=1,2", seeds=[0])
    assert Sweep.open(project, "s").spec == sweep.spec
    grown = make(project, f"{T}=1,2", seeds=[0, 1], prune="median")
    assert Sweep.open(project, "s").spec == grown.spec
    with pytest.raises(InputError, match="of other fields or of another experiment"):
        make(project, f"{T}=1,2,3")
    trial = sweep.experiment({T: 2}, 4)
    assert (trial.train.seed, trial.baseline, trial.evaluate.latency) == (4, False, False)
    assert trial.objective[1].model_dump()["temperature"] == 2


def test_a_grid_tries_every_combination_once(project: Project) -> None:
    sweep = make(project, f"{T}=1,2", f"{W}=0.2,0.8:rest={H}")
    assert sweep.spec.total == 4
    seen = []
    for number in range(5):
        values = next_values(sweep.spec, read_trials(sweep))
        if values is None:
            break
        seen.append(values)
        trained(sweep, number, values, 0.5)
    assert seen == [{T: t, W: w} for t in (1, 2) for w in (0.2, 0.8)]


@pytest.mark.parametrize("search", ["random", "tpe"])
def test_draws_are_new_within_bounds_and_the_same_again(project: Project, search: str) -> None:
    def drawn(name: str) -> list[dict[str, Any]]:
        sweep = make(project, "train.lr=0.001..0.1:log", f"{T}=1,2,4", name=name, search=search, trials=12, seed=3)
        found: list[dict[str, Any]] = []
        while (values := next_values(sweep.spec, read_trials(sweep))) is not None:
            assert 0.001 <= values["train.lr"] <= 0.1
            assert values[T] in (1, 2, 4)
            assert values not in found
            trained(sweep, len(found), values, 1 - abs(values["train.lr"] - 0.02))
            found.append(values)
        return found

    first = drawn("a")
    assert len(first) == 12
    assert drawn("b") == first


def test_tpe_goes_where_it_was_good(project: Project) -> None:
    sweep = make(project, f"{W}=0.0..1.0", search="tpe", trials=60)
    trials: list[Trial] = []
    for number in range(30):
        value = next_values(sweep.spec, Trials(trials, "accuracy", False))
        assert value is not None
        trials.append(_trial(number, value, 1 - (value[W] - 0.7) ** 2))
    late = [trial.values[W] for trial in trials[15:]]
    assert sum(abs(value - 0.7) < 0.2 for value in late) > 10


def _trial(number: int, values: dict[str, Any], score: float) -> Trial:
    class Done(Trial):
        outcome = Outcome.FINISHED  # type: ignore[assignment]
        scores = [score]  # type: ignore[assignment]

    return Done(number, values)


def test_what_falls_behind_is_pruned(project: Project) -> None:
    sweep = make(project, f"{T}=1,2,3,4,5,6", prune="median")
    for number in range(5):
        trained(sweep, number, {T: number + 1}, 0.9)
    trained(sweep, 5, {T: 6}, 0.2, phase="created")
    curves = {number: [0.5, 0.7, 0.9] for number in range(5)}

    def behind(*mine: float) -> bool:
        return falls_behind(sweep.spec, read_trials(sweep), 5, lambda trial: curves.get(trial.number, list(mine)))

    assert behind(0.2, 0.3)
    assert not behind(0.6, 0.8)
    assert not behind()
    never = sweep.spec.model_copy(update={"prune": "none"})
    assert not falls_behind(never, read_trials(sweep), 5, lambda trial: [0.0])


def test_trials_are_read_from_their_runs(project: Project) -> None:
    sweep = make(project, f"{T}=1,2,4,8", seeds=[0, 1])
    trained(sweep, 0, {T: 1}, 0.80, 0.84)
    trained(sweep, 1, {T: 2}, 0.90, 0.92)
    trained(sweep, 2, {T: 4}, 0.95)  # a seed is missing yet
    trained(sweep, 3, {T: 8}, 0.1, phase="stopped")
    known: Known = {}
    trials = read_trials(sweep, known)
    assert [trial.outcome for trial in trials.trials] == [
        Outcome.FINISHED,
        Outcome.FINISHED,
        Outcome.WAITING,
        Outcome.STOPPED,
    ]
    best = trials.best
    assert best is not None
    assert best.number == 1
    assert best.score == pytest.approx(0.91)
    assert trials.best_so_far() == [(0, pytest.approx(0.82)), (1, pytest.approx(0.91))]
    say(trials.trials[3].runs[0].run, pruned=True)
    assert read_trials(sweep, known).trials[3].outcome is Outcome.PRUNED
    say(trials.trials[2].runs[0].run, given_up="it ended")
    assert read_trials(sweep).trials[2].outcome is Outcome.FAILED
    assert [row["trial"] for row in rows_of(sweep, read_trials(sweep))] == [1, 0, 2, 3]
    found = summary_of(sweep, trials)
    assert found is not None
    assert found["test"] == pytest.approx(0.81)
    assert "91.00 ± 1.41" in text_table(sweep, trials)
    assert "its accuracy on test samples: 81.00 ± 1.41" in text_table(sweep, trials)
    assert markdown_table(sweep, trials).startswith(f"| trial | status | {T} |")
    assert csv_table(sweep, trials).splitlines()[1].startswith("1,finished,2,0.9")


def test_less_is_better_of_a_perplexity() -> None:
    trials = Trials([_trial(0, {}, 30.0), _trial(1, {}, 20.0), _trial(2, {}, 25.0)], "perplexity", True)
    assert trials.best is trials.trials[1]
    assert [score for _, score in trials.best_so_far()] == [30.0, 20.0, 20.0]


def test_a_folder_of_a_process_that_died_is_used_again(project: Project) -> None:
    sweep = make(project, f"{T}=1,2")
    left = project.create_run(sweep.experiment({T: 1}, 0))
    made = make_run(sweep, 0, {T: 2}, 0)
    assert made.run == left
    assert made.run.experiment().objective[1].model_dump()["temperature"] == 2
    assert make_run(sweep, 1, {T: 1}, 0).run.path.name == "002"


def test_a_damaged_trial_is_left_out(project: Project) -> None:
    sweep = make(project, f"{T}=1,2")
    trained(sweep, 0, {T: 1}, 0.5)
    trained(sweep, 1, {T: 2}, 0.6)
    (sweep.runs_dir / "001" / "trial.json").write_text("{")
    assert [trial.number for trial in read_trials(sweep).trials] == [1]
