"""Which samples of a pool are kept, and what is told of it."""

from __future__ import annotations

import numpy as np
import pytest

from kdstudio.project.errors import SpecError
from kdstudio.project.pool import PoolReport, kept_of
from kdstudio.project.spec import Experiment, PoolSpec, validate

CONFIDENCE = np.array([0.9, 0.8, 0.7, 0.6, 0.2, 0.95, 0.5, 0.99], np.float32)
PREDICTED = np.array([0, 0, 0, 0, 1, 1, 1, 2])


def spec(**fields: object) -> PoolSpec:
    return PoolSpec.model_validate({"threshold": 0.5, **fields})


def test_without_balance_the_threshold_decides() -> None:
    assert kept_of(CONFIDENCE, PREDICTED, spec(balance=False), 3).tolist() == [0, 1, 2, 3, 5, 6, 7]
    assert kept_of(CONFIDENCE, PREDICTED, spec(balance=False, threshold=0), 3).tolist() == list(range(8))
    assert kept_of(CONFIDENCE, PREDICTED, spec(threshold=1), 3).tolist() == []


def test_classes_are_made_even_by_the_surest_and_by_repeating() -> None:
    # four, two and one are sure: the middle is two
    assert kept_of(CONFIDENCE, PREDICTED, spec(), 3).tolist() == [0, 1, 5, 6, 7, 7]
    assert kept_of(CONFIDENCE, PREDICTED, spec(per_class=3), 3).tolist() == [0, 1, 2, 5, 5, 6, 7, 7, 7]


def test_a_class_that_is_never_answered_has_none() -> None:
    assert kept_of(CONFIDENCE, PREDICTED, spec(), 9).tolist() == [0, 1, 5, 6, 7, 7]


def test_the_report() -> None:
    truth = np.array([0, 0, 1, -1, 1, 1, 2, 2])
    report = PoolReport.of(CONFIDENCE, PREDICTED, truth, spec(), ["a", "b", "c"])
    assert (report.total, report.sure, report.learned) == (8, 7, 6)
    assert report.answered == {"a": 4, "b": 3, "c": 1}
    assert report.kept == {"a": 4, "b": 2, "c": 1}
    assert report.used == {"a": 2, "b": 2, "c": 2}
    assert sum(report.histogram) == 8
    assert report.known == 7
    assert report.right == pytest.approx(5 / 7)
    assert report.right_sure == pytest.approx(4 / 6)
    assert any("5" in line for line in report.lines())


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"unlabelled": {}}, "the pool is empty; set data.labelled"),
        ({"unlabelled": {"noise": 5}, "teacher": None, "objective": [{"term": "hard"}]}, "no teacher to label it"),
        ({"unlabelled": {"noise": 5}, "objective": [{"term": "hard"}]}, "no term looks at the teacher"),
        (
            {"unlabelled": {"noise": 5}, "objective": [{"term": "soft"}, {"term": "decoupled"}]},
            "'decoupled' needs a label",
        ),
    ],
)
def test_pools_that_cannot_be(fields: dict[str, object], said: str) -> None:
    plain = {"name": "x", "teacher": {"model": "mlp"}, "student": {"model": "mlp"}, **fields}
    with pytest.raises(SpecError, match=said):
        validate(Experiment, plain)
