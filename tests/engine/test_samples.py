"""What the evaluation leaves for the quality panel; and its sums in NumPy, which are those of the engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from kdstudio.engine.evaluate import classification_metrics, fidelity
from kdstudio.engine.run import data_of
from kdstudio.engine.samples import LARGEST_SIDE, thumbnails
from kdstudio.project.runs.evaluation import (
    EVALUATION_FILE,
    Evaluations,
    classification_facts,
    fidelity_facts,
    read_samples,
    reliability,
)
from kdstudio.project.runs.folder import RunFolder
from tests.engine.conftest import Lab

SHARED = ("count", "accuracy", "nll", "ece", "reliability", "per_class", "confusion", "worst")


def logits(count: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=3, size=(count, width)).astype(np.float32)


def same(found: Any, expected: Any) -> None:
    """Equal, but for rounding."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            same(found[key], expected[key])
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected):
            same(one, other)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True)
    else:
        assert found == expected


@pytest.mark.parametrize(("count", "width"), [(1, 2), (7, 3), (400, 10), (300, 100)])
def test_the_window_counts_as_the_engine_does(count: int, width: int) -> None:
    given, labels = logits(count, width), np.random.default_rng(1).integers(0, width, count)
    classes = [f"c{number}" for number in range(width)]
    expected = classification_metrics(torch.from_numpy(given), torch.from_numpy(labels), classes)
    same(classification_facts(given, labels, classes), {key: expected[key] for key in SHARED})


@pytest.mark.parametrize(("count", "width"), [(1, 2), (400, 10), (300, 100)])
def test_agreement_is_counted_as_the_engine_does(count: int, width: int) -> None:
    student, teacher = logits(count, width), logits(count, width, 2)
    same(fidelity_facts(student, teacher), fidelity(torch.from_numpy(student), torch.from_numpy(teacher)))


def test_outputs_that_are_no_distribution_count_as_wrong_in_both() -> None:
    given, labels = logits(50, 4), np.arange(50) % 4
    given[3] = np.nan
    given[7, 2] = np.inf
    classes = list("abcd")
    expected = classification_metrics(torch.from_numpy(given), torch.from_numpy(labels), classes)
    found = classification_facts(given, labels, classes)
    for key in ("accuracy", "ece", "nll", "per_class", "confusion", "reliability"):
        same(found[key], expected[key])
    assert set(found["worst"][:2]) == {3, 7}
    teacher = logits(50, 4, 5)
    both = fidelity_facts(given, teacher), fidelity(torch.from_numpy(given), torch.from_numpy(teacher))
    same(both[0]["agreement"], both[1]["agreement"])
    same(both[0]["confusion"], both[1]["confusion"])


def test_bins_are_open_on_the_left() -> None:
    bins, error = reliability(np.array([1 / 15, 1 / 15 + 1e-9, 1.0]), np.array([True, False, True]))
    assert [found["count"] for found in bins] == [1, 1, *[0] * 12, 1]
    assert error == pytest.approx(((1 - 1 / 15) + 1 / 15) / 3)


def test_the_evaluation_keeps_the_samples_that_the_scorecard_lists(lab: Lab) -> None:
    run = lab.run()
    card, samples = run.scorecard(), read_samples(run)
    assert card is not None
    assert samples is not None
    split = card["reported_split"]
    measured = card["networks"]["student"][split]
    assert samples.split == split
    assert samples.classes == card["classes"]
    assert samples.indices[samples.lists["worst"]].tolist() == measured["worst"]
    assert samples.indices[samples.lists["disagreeing"]].tolist() == measured["fidelity"]["disagreeing"]
    source = data_of(run).splits[split]
    assert samples.labels.tolist() == source.labels[samples.indices].tolist()
    assert samples.images is not None
    assert np.array_equal(samples.images, source.images[samples.indices].permute(0, 2, 3, 1).numpy())
    assert set(samples.predicted) == set(samples.confidence) == set(card["networks"])
    wrong = sum(row["count"] for row in measured["per_class"]) * (1 - measured["accuracy"])
    listed = samples.predicted["student"][samples.lists["worst"]] != samples.labels[samples.lists["worst"]]
    assert listed.sum() == pytest.approx(min(wrong, len(listed)), abs=0.01) or listed.sum() > 0


def test_a_run_without_a_teacher_keeps_its_worst(lab: Lab) -> None:
    run = lab.run(teacher=None, objective=[{"term": "hard"}])
    samples = read_samples(run)
    assert samples is not None
    assert len(samples.lists["worst"]) > 0
    assert len(samples.lists["disagreeing"]) == 0
    assert set(samples.predicted) == {"student"}


@pytest.mark.parametrize("size", [(8, 8), (128, 128), (224, 224), (300, 100), (1, 900)])
def test_pictures_are_made_small(size: tuple[int, int]) -> None:
    images = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
    small = thumbnails(images)
    assert small.dtype == torch.uint8
    assert max(small.shape[-2:]) == min(max(size), LARGEST_SIDE)
    if max(size) <= LARGEST_SIDE:
        assert torch.equal(small, images)
    else:
        assert abs(float(small.float().mean()) - float(images.float().mean())) < 8


def test_files_are_read_again_only_when_they_change(lab: Lab) -> None:
    run = lab.run()
    evaluations = Evaluations()
    card, samples = evaluations.scorecard(run), evaluations.samples(run)
    assert card is not None
    assert evaluations.scorecard(run) is card
    assert evaluations.samples(run) is samples
    run.scorecard_path.write_text("{}")
    (run.path / EVALUATION_FILE).write_bytes(b"cut off")
    assert evaluations.scorecard(run) is None
    assert evaluations.samples(run) is None
    empty = RunFolder(run.path.parent / "none")
    assert Evaluations().scorecard(empty) is None
    assert Evaluations().samples(empty) is None
