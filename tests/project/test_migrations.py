"""Files of older versions are read in today's form; the files themselves are not touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kdstudio.project.errors import InputError, SpecError
from kdstudio.project.folder import Project, load_experiment
from kdstudio.project.migrations import EXPERIMENT_STEPS, PROJECT_STEPS, migrate
from kdstudio.project.spec import SPEC_VERSION

OLD = """\
# written long ago
version: 0
name: old
teacher: {model: mlp}
student: {model: mlp}
alpha: 0.3        # share of the labels
temperature: 2.5
"""


def test_version_0_has_an_alpha(tmp_path: Path) -> None:
    path = tmp_path / "old.yaml"
    path.write_text(OLD)
    experiment = load_experiment(path)
    assert [(term.term, term.weight) for term in experiment.objective] == [("hard", 0.3), ("soft", 0.7)]
    assert experiment.objective[1].temperature == 2.5  # type: ignore[union-attr]
    assert experiment.version == SPEC_VERSION
    assert path.read_text() == OLD


@pytest.mark.parametrize(
    ("old", "objective"),
    [
        ({"alpha": 1}, [{"term": "hard", "weight": 1}, {"term": "soft", "weight": 0, "temperature": 4.0}]),
        ({"alpha": 0.1}, [{"term": "hard", "weight": 0.1}, {"term": "soft", "weight": 0.9, "temperature": 4.0}]),
        ({"temperature": 8}, [{"term": "hard", "weight": 0.1}, {"term": "soft", "weight": 0.9, "temperature": 8}]),
        ({"objective": [{"term": "hard"}]}, [{"term": "hard"}]),
    ],
)
def test_alpha_and_temperature(old: dict[str, Any], objective: list[dict[str, Any]]) -> None:
    found = migrate({"version": 0, **old}, EXPERIMENT_STEPS, 1, "a.yaml")
    assert found == {"version": 1, "objective": objective}


def test_without_alpha_nothing_is_made_up() -> None:
    assert migrate({"version": 0, "name": "a"}, EXPERIMENT_STEPS, 1, "a.yaml") == {"version": 1, "name": "a"}


@pytest.mark.parametrize("alpha", ["high", None, True, 1.5, -0.1, float("nan"), [0.5]])
def test_an_alpha_that_is_no_share(alpha: Any) -> None:
    with pytest.raises(SpecError, match=r"^a.yaml: alpha: should be a number from 0 to 1 .*; for example 0.1$"):
        migrate({"version": 0, "alpha": alpha}, EXPERIMENT_STEPS, 1, "a.yaml")


def test_the_data_given_are_not_changed() -> None:
    data = {"version": 0, "alpha": 0.5}
    migrate(data, EXPERIMENT_STEPS, 1, "a.yaml")
    assert data == {"version": 0, "alpha": 0.5}


def test_several_steps_follow_each_other() -> None:
    steps = {0: lambda data: {**data, "seen": [0]}, 1: lambda data: {**data, "seen": [*data["seen"], 1]}}
    assert migrate({"version": 0}, steps, 2, "a") == {"version": 2, "seen": [0, 1]}
    assert migrate({"version": 2}, steps, 2, "a") == {"version": 2}


def test_no_version_means_today() -> None:
    assert migrate({}, EXPERIMENT_STEPS, 1, "a") == {"version": 1}
    assert migrate({"alpha": 0.5}, EXPERIMENT_STEPS, 1, "a") == {"alpha": 0.5, "version": 1}


def test_a_newer_version_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        migrate({"version": 2}, EXPERIMENT_STEPS, 1, "experiments/a.yaml")
    assert caught.value.kind == "version"
    assert caught.value.what == "experiments/a.yaml: version: 2 is newer than this program understands (1)"
    assert caught.value.fix == "update KD Studio"


@pytest.mark.parametrize("version", ["1", "new", 1.0, True, None, -1, [1]])
def test_what_is_no_version(version: Any) -> None:
    with pytest.raises(InputError) as caught:
        migrate({"version": version}, EXPERIMENT_STEPS, 1, "a.yaml")
    assert caught.value.what == f"a.yaml: version: {version!r} is not a version"
    assert caught.value.fix == "write version: 1"


@pytest.mark.parametrize(("data", "found"), [(None, "empty"), ([], "a list"), ("text", "a str"), (5, "a int")])
def test_what_is_no_mapping(data: Any, found: str) -> None:
    with pytest.raises(InputError, match=f"a.yaml: expected keys and values, found {found}"):
        migrate(data, EXPERIMENT_STEPS, 1, "a.yaml")


def test_every_version_has_its_step() -> None:
    for steps in (EXPERIMENT_STEPS, PROJECT_STEPS):
        assert sorted(steps) == list(range(SPEC_VERSION))


def test_a_project_of_version_0(tmp_path: Path) -> None:
    (tmp_path / "project.yaml").write_text("version: 0\nname: Old\n")
    assert Project.open(tmp_path).title == "Old"
    assert (tmp_path / "project.yaml").read_text() == "version: 0\nname: Old\n"
