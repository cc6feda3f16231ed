"""Weights for chosen shares of the gradient."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdstudio.project.errors import InputError
from kdstudio.project.folder import create_project
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.spec import Experiment
from kdstudio.project.weight_balance import Shares, balanced, shares_of_run

MEASURED = Shares({"hard": 0.1, "soft": 0.3, "hint": 0.6}, {"hard": 0.2, "soft": 0.8, "hint": 100.0}, 40, "a/001")


def test_equal_shares() -> None:
    found = balanced(MEASURED, {"hard": 1, "soft": 1, "hint": 1})
    assert found == {"hard": 0.6667, "soft": 0.8889, "hint": 55.56}
    # gradients are in proportion to the weights: the new shares are the wanted ones
    norms = {name: MEASURED.shares[name] * found[name] / MEASURED.weights[name] for name in found}
    assert sum(norms.values()) == pytest.approx(1, rel=1e-3)
    assert list(norms.values()) == pytest.approx([1 / 3] * 3, rel=1e-3)


def test_the_shares_there_are_change_nothing() -> None:
    assert balanced(MEASURED, MEASURED.shares) == pytest.approx(MEASURED.weights)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"hard": 1, "soft": 1}, "the share of 'hint' is missing"),
        ({"hard": 1, "soft": 1, "hint": 1, "kl": 1}, "no share of a term 'kl'"),
        ({"hard": 1, "soft": 0, "hint": 1}, "the share of 'soft' is not above 0"),
        ({"hard": 1, "soft": float("inf"), "hint": 1}, "the share of 'soft' is no finite number"),
    ],
)
def test_what_is_refused(wanted: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        balanced(MEASURED, wanted)


def test_a_term_without_a_gradient_has_no_weight_that_helps() -> None:
    silent = Shares({"hard": 1.0, "hint": 0.0}, {"hard": 1.0, "hint": 1.0}, 0, "")
    with pytest.raises(InputError, match="'hint' does not move the student"):
        balanced(silent, {"hard": 1, "hint": 1})


def made(tmp_path: Path, lines: list[str]) -> RunFolder:
    project = create_project(tmp_path / "project", "empty")
    plain = {
        "name": "a",
        "teacher": {"model": "mlp"},
        "student": {"model": "mlp"},
        "objective": [
            {"term": "hard", "weight": 0.4, "schedule": {"start": 1, "end": 0}},
            {"term": "soft", "weight": 0.9},
            {"term": "soft", "weight": 0.5, "temperature": 9, "until_epoch": 1},
        ],
        "train": {"epochs": 3},
    }
    run = project.create_run(Experiment.model_validate(plain))
    run.metrics_path.write_text("".join(f"{line}\n" for line in lines))
    return run


def record(step: int, split: str, values: str) -> str:
    return f'{{"seq":1,"step":{step},"epoch":0,"stage":"student","time":1.0,"split":"{split}","values":{{{values}}}}}'


def test_the_last_shares_of_a_run(tmp_path: Path) -> None:
    run = made(
        tmp_path,
        [
            record(9, "validation", '"loss":1.0'),
            record(9, "gradient", '"term.hard":0.2,"term.soft":0.3,"term.soft-2":0.5'),
            record(19, "validation", '"loss":1.0'),
            record(19, "gradient", '"term.hard":0.25,"term.soft":0.75'),
        ],
    )
    found = shares_of_run(run)
    assert found is not None
    assert found.shares == {"hard": 0.25, "soft": 0.75}
    assert found.weights == {"hard": 0.4, "soft": 0.9}  # as written; the schedule stays and moves what is written
    assert (found.step, found.source) == (19, "a/001")


def test_a_run_without_shares(tmp_path: Path) -> None:
    assert shares_of_run(made(tmp_path, [record(9, "validation", '"loss":1.0')])) is None
