"""What is allowed: rounding passes, whatever the size of the outputs; a real error does not, however small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from kdstudio.engine.data import DataBundle
from kdstudio.engine.data.base import statistics
from kdstudio.engine.evaluate import predict
from kdstudio.engine.export import check_artifact, export_student
from kdstudio.engine.export.tolerance import LEAST, MOST, UNKNOWN, relative_tolerance, rounding_error, scales
from kdstudio.engine.export.verify import compare
from kdstudio.engine.student_io import load_student
from tests.engine.export.conftest import make_data, make_student

LABELS = np.arange(40) % 4


def outputs(scale: float = 1.0) -> np.ndarray:
    return (np.random.default_rng(0).normal(size=(40, 4)) * scale).astype(np.float32)


@pytest.mark.parametrize("scale", [1e-6, 1e-2, 1.0, 1e4, 1e30])
def test_the_size_of_the_outputs_does_not_matter(scale: float) -> None:
    expected = outputs(scale)
    assert compare(expected * np.float32(1 + 1e-6), expected, LABELS, LEAST)["ok"]
    found = compare(expected * np.float32(1 + 1e-4), expected, LABELS, LEAST)
    assert not found["ok"]
    assert found["relative_difference"] == pytest.approx(1e-4, rel=0.01)


def test_one_huge_sample_hides_no_error_in_the_others() -> None:
    expected = outputs()
    expected[3] *= 1e6
    found = expected.copy()
    found[5, 2] += 0.01
    assert not compare(found, expected, LABELS, LEAST)["ok"]


def test_outputs_that_cancel_may_round_like_the_others() -> None:
    expected = outputs()
    expected[7] *= 1e-7
    found = expected.copy()
    found[7] += 1e-6
    assert compare(found, expected, LABELS, LEAST)["ok"]
    assert scales(expected)[7] == np.median(np.abs(expected).max(axis=1))


def test_outputs_of_zero() -> None:
    nothing = np.zeros((40, 4), np.float32)
    assert compare(nothing, nothing, LABELS, LEAST)["ok"]
    assert not compare(nothing + 1e-3, nothing, LABELS, LEAST)["ok"]


@pytest.mark.parametrize("spoiler", [np.nan, np.inf])
def test_outputs_that_are_not_finite(spoiler: float) -> None:
    found = outputs()
    found[1, 1] = spoiler
    result = compare(found, outputs(), LABELS, LEAST)
    assert not result["ok"]
    assert "1 of 40 samples are NaN or infinite" in result["problem"]


def test_figures() -> None:
    expected = outputs()
    found = expected.copy()
    found[0] = -found[0]
    result = compare(found, expected, LABELS, MOST)
    assert result["agreement"] == pytest.approx(39 / 40)
    assert result["accuracy"] == float((found.argmax(1) == LABELS).mean())
    assert result["expected_accuracy"] == float((expected.argmax(1) == LABELS).mean())
    assert result["max_difference"] == pytest.approx(2 * float(np.abs(expected[0]).max()))


def test_bounds() -> None:
    assert relative_tolerance(None) == UNKNOWN
    assert relative_tolerance(0.0) == LEAST
    assert relative_tolerance(1e-6) == pytest.approx(1.6e-5)
    assert relative_tolerance(1.0) == MOST


class Stubborn(nn.Module):
    """Makes float32 tensors of its own, so double precision fails."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(64, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(images.flatten(1).float())


def test_rounding_error(tmp_path: Path) -> None:
    bundle = make_data()
    student = load_student(make_student(tmp_path / "s", bundle, widths=[32]))
    expected = predict(student.model, student.preprocess, bundle.test, "cpu")
    error = rounding_error(student, bundle.test, expected)
    assert error is not None
    assert 0 < error < 2e-6
    spoiled = expected.clone()
    spoiled[0, 0] += 1
    assert (rounding_error(student, bundle.test, spoiled) or 0) > 0.01
    student.model = Stubborn()
    assert rounding_error(student, bundle.test, expected) is None
    assert next(student.model.parameters()).dtype is torch.float32


def hard_features() -> DataBundle:
    """Features of sizes between a thousandth and a million, some far from zero, one constant."""
    bundle = make_data((12,))
    size, place = torch.logspace(-3, 6, 12), torch.logspace(6, -3, 12)
    for split in bundle.splits.values():
        split.images = split.images * size + place
        split.images[:, 5] = 3.25
    bundle.mean, bundle.std = statistics(bundle.train.images)
    return bundle


GOOD: dict[str, dict[str, Any]] = {
    "logits of 1e6": {"widths": [16], "scale": 1e6},
    "logits of 1e-6": {"widths": [16], "scale": 1e-6},
    "dead": {"widths": [16], "scale": 0.0},
    "deep": {"model": "resnet20"},
    "deep and large": {"model": "resnet20", "scale": 1e5},
}


@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, "torch-export") for name in GOOD if name != "deep"] + [("logits of 1e6", "onnx"), ("deep", "onnx")],
)
def test_good_artifacts_pass(tmp_path: Path, name: str, kind: str, in_this_process: None) -> None:
    bundle = make_data(samples=300 if name == "deep" else 40)
    source = make_student(tmp_path / "student", bundle, **GOOD[name])
    parity = export_student(source, kind, tmp_path / "out", bundle).parity
    assert parity["relative_difference"] <= 4 * max(parity["rounding"], 1e-7)


def test_features_of_every_size(tmp_path: Path, in_this_process: None) -> None:
    bundle = hard_features()
    source = make_student(tmp_path / "student", bundle, widths=[16])
    assert export_student(source, "onnx", tmp_path / "out", bundle).parity["ok"]


def test_more_samples_than_a_batch_and_a_single_one(tmp_path: Path, in_this_process: None) -> None:
    for samples in (1, 2, 257, 258, 600):
        bundle = make_data(samples=samples)
        whole = make_data(samples=40)
        source = make_student(tmp_path / f"student{samples}", whole, widths=[8])
        result = export_student(source, "torch-export", tmp_path / f"out{samples}", bundle)
        assert result.parity["samples"] == samples


def test_a_student_that_overflows_is_to_blame_itself(tmp_path: Path) -> None:
    bundle = make_data()
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "metadata.json").write_text("{}")
    student = load_student(make_student(tmp_path / "student", bundle, widths=[16], scale=1e38))
    student.preprocess.std.fill_(1e-3)
    parity = check_artifact(folder, student, bundle.test)
    assert not parity["ok"]
    assert "the student itself gives NaN or infinite outputs" in parity["problem"]
