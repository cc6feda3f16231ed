"""NumPy files: what is read, and every way in which one can be wrong."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kdstudio.engine.data import DataBundle, load_data
from kdstudio.project.errors import DataError
from kdstudio.project.spec import NumpyFile

LABELS = np.arange(30) % 3
RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (30, 6, 5), dtype=np.uint8)
COLOUR = RANDOM.integers(0, 256, (30, 6, 5, 3), dtype=np.uint8)
FEATURES = RANDOM.normal(size=(30, 4))


def load(tmp_path: Path, classes: list[str] | None = None, **arrays: Any) -> DataBundle:
    np.savez(tmp_path / "data.npz", **arrays)
    return load_data(NumpyFile(path="data.npz", classes=classes), tmp_path)


def everything(bundle: DataBundle) -> torch.Tensor:
    return torch.cat([split.images for split in bundle.splits.values()])


def test_grey_images(tmp_path: Path) -> None:
    bundle = load(tmp_path, images=GREY, labels=LABELS)
    assert bundle.input_shape == (1, 6, 5)
    assert bundle.classes == ["0", "1", "2"]
    assert sorted(everything(bundle)[:, 0].flatten(1).tolist()) == sorted(GREY.reshape(30, -1).tolist())


def test_colour_images_put_channels_first(tmp_path: Path) -> None:
    bundle = load(tmp_path, images=COLOUR, labels=LABELS, classes=["a", "b", "c"])
    assert bundle.input_shape == (3, 6, 5)
    assert bundle.classes == ["a", "b", "c"]
    expected = {image.transpose(2, 0, 1).tobytes() for image in COLOUR}
    assert {image.numpy().tobytes() for image in everything(bundle)} == expected


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_float_images_are_scaled(tmp_path: Path, dtype: str) -> None:
    bundle = load(tmp_path, images=(GREY / 255).astype(dtype), labels=LABELS)
    whole = load(tmp_path, images=GREY, labels=LABELS)
    difference = (bundle.train.images.int() - whole.train.images.int()).abs().max()
    assert difference <= (1 if dtype == "float16" else 0)


def test_wide_integers_and_booleans_are_images_too(tmp_path: Path) -> None:
    whole = load(tmp_path, images=GREY, labels=LABELS).fingerprint()
    assert load(tmp_path, images=GREY.astype(np.int64), labels=LABELS).fingerprint() == whole
    assert set(everything(load(tmp_path, images=GREY > 99, labels=LABELS)).unique().tolist()) == {0, 255}


def test_features_are_float32(tmp_path: Path) -> None:
    bundle = load(tmp_path, features=FEATURES, labels=LABELS)
    assert bundle.input_shape == (4,)
    assert bundle.train.images.dtype == torch.float32
    assert bundle.mean == pytest.approx(bundle.train.images.double().mean(0).tolist())
    assert len(bundle.std) == 4


def test_repeated_samples_are_reported(tmp_path: Path) -> None:
    images = GREY.copy()
    images[3], images[4] = images[0], images[0]
    bundle = load(tmp_path, images=images, labels=LABELS)
    assert any("2 samples repeat" in problem for problem in bundle.problems)
    assert any("1 samples repeat an earlier one under another label" in problem for problem in bundle.problems)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no labels": ({"images": GREY}, r"has no array 'labels'"),
    "no samples": ({"labels": LABELS, "x": GREY}, r"has no array 'images'"),
    "both": ({"images": GREY, "features": FEATURES, "labels": LABELS}, "has both"),
    "too few labels": ({"images": GREY, "labels": LABELS[:-1]}, "29 labels and 30 samples"),
    "one-hot labels": ({"images": GREY, "labels": np.eye(3)[LABELS]}, r"labels.argmax\(axis=1\)"),
    "column of labels": ({"images": GREY, "labels": LABELS[:, None]}, r"labels.ravel\(\)"),
    "float labels": ({"images": GREY, "labels": LABELS.astype(float)}, "float64"),
    "text labels": ({"images": GREY, "labels": np.array(["a", "b", "c"])[LABELS]}, "names in data.classes"),
    "negative labels": ({"images": GREY, "labels": LABELS - 2}, "label -2 is below 0"),
    "huge labels": ({"images": GREY, "labels": LABELS * 1000}, "label 2000 is out of range"),
    "gap in labels": ({"images": GREY, "labels": LABELS * 2}, "'1' has 0"),
    "channels first": ({"images": COLOUR.transpose(0, 3, 1, 2), "labels": LABELS}, r"transpose\(0, 2, 3, 1\)"),
    "alpha": ({"images": np.zeros((30, 6, 5, 4), np.uint8), "labels": LABELS}, "alpha channel"),
    "flat images": ({"images": GREY.reshape(30, -1), "labels": LABELS}, "name the array 'features'"),
    "empty images": ({"images": GREY[:0], "labels": LABELS[:0]}, "is empty"),
    "normalised images": ({"images": GREY / 128 - 1, "labels": LABELS}, r"floats from -1"),
    "16-bit images": ({"images": GREY.astype(np.uint16) * 257, "labels": LABELS}, "whole numbers from"),
    "complex images": ({"images": GREY.astype(complex), "labels": LABELS}, "type complex128"),
    "NaN image": ({"images": np.where(GREY > 250, np.nan, 0.5), "labels": LABELS}, "NaN"),
    "NaN feature": (
        {"features": np.where(np.arange(30)[:, None] == 7, np.nan, FEATURES), "labels": LABELS},
        "sample 7",
    ),
    "infinite": ({"features": FEATURES * 1e300, "labels": LABELS}, "too large for float32"),
    "deep features": ({"features": FEATURES[:, :, None], "labels": LABELS}, r"should be \(N, D\)"),
    "one class": ({"images": GREY, "labels": LABELS * 0}, "only one class"),
    "small class": ({"images": GREY, "labels": np.r_[np.zeros(28, int), 1, 1]}, "'1' has 2"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arrays_are_explained(tmp_path: Path, case: str) -> None:
    arrays, message = BAD[case]
    with pytest.raises(DataError, match=message) as caught:
        load(tmp_path, **arrays)
    assert "data.npz" in caught.value.what
    assert caught.value.fix


def test_labels_beyond_the_named_classes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="label 2 at sample 2 is out of range"):
        load(tmp_path, images=GREY, labels=LABELS, classes=["a", "b"])


def test_class_names_must_differ(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'a' twice"):
        load(tmp_path, images=GREY, labels=LABELS, classes=["a", "b", "a"])


class Malice:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


def test_pickled_objects_never_run(tmp_path: Path) -> None:
    mark = tmp_path / "it-ran"
    trap = np.array([Malice(mark)] * 30, dtype=object)
    with pytest.raises(DataError, match="Python objects") as caught:
        load(tmp_path, images=trap, labels=LABELS)
    assert caught.value.kind == "unsafe"
    assert not mark.exists()
    (tmp_path / "raw.npz").write_bytes(pickle.dumps(Malice(mark)))
    with pytest.raises(DataError):
        load_data(NumpyFile(path="raw.npz"), tmp_path)
    assert not mark.exists()


def test_missing_damaged_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        load_data(NumpyFile(path="none.npz"), tmp_path)
    with pytest.raises(DataError, match="is a folder"):
        load_data(NumpyFile(path="."), tmp_path)
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(DataError, match=r"text\.npz"):
        load_data(NumpyFile(path="text.npz"), tmp_path)
    (tmp_path / "empty.npz").write_bytes(b"")
    with pytest.raises(DataError, match=r"empty\.npz"):
        load_data(NumpyFile(path="empty.npz"), tmp_path)
    np.save(tmp_path / "single.npy", GREY)
    with pytest.raises(DataError, match="single array"):
        load_data(NumpyFile(path="single.npy"), tmp_path)
    np.savez_compressed(tmp_path / "cut.npz", images=GREY, labels=LABELS)
    whole = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cut\.npz"):
        load_data(NumpyFile(path="cut.npz"), tmp_path)
    spoiled = bytearray(whole)
    spoiled[200:260] = bytes(60)
    (tmp_path / "cut.npz").write_bytes(spoiled)
    with pytest.raises(DataError, match=r"cut\.npz"):
        load_data(NumpyFile(path="cut.npz"), tmp_path)
