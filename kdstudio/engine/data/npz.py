"""A NumPy .npz file: arrays `images` or `features`, and `labels`."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch

from kdstudio.engine.data.base import ArraySplit, DataBundle, Progress
from kdstudio.engine.data.checks import duplicates
from kdstudio.engine.data.splits import make_bundle
from kdstudio.project.errors import DataError
from kdstudio.project.spec import NumpyFile

_FORM = "Save it with np.savez(path, images=..., labels=...), or features=... in place of images=..."


def load_npz_data(spec: NumpyFile, root: Path, progress: Progress | None = None) -> DataBundle:
    """Images as uint8 [N, C, H, W] (floats of 0..1 are scaled), or features as float32 [N, D].

    Raises:
        DataError: The file is missing or damaged, or its arrays do not have the form that the spec describes.
    """
    path = root / spec.path
    arrays = _read(path, spec.path)
    given = [key for key in ("images", "features") if key in arrays]
    keys = ", ".join(arrays) or "none"
    if len(given) != 1 or "labels" not in arrays:
        missing = "'labels'" if given else "'images' (or 'features')"
        what = "has both 'images' and 'features'" if len(given) == 2 else f"has no array {missing}"
        raise DataError(f"{spec.path}: the file {what}", f"The arrays in it are: {keys}.", _FORM)
    if given == ["images"]:
        samples = _images(arrays["images"], spec.path)
    else:
        samples = _features(arrays["features"], spec.path)
    labels, classes = _labels(arrays["labels"], len(samples), spec)
    every = ArraySplit(torch.from_numpy(samples), torch.from_numpy(labels))
    problems = duplicates({"file": every}, spec.path)
    without = labels < 0
    if not without.any():
        return make_bundle(spec, spec.path, classes, every, problems=problems)
    bundle = make_bundle(spec, spec.path, classes, every.select(np.flatnonzero(~without)), problems=problems)
    bundle.add_unlabelled(every.select(np.flatnonzero(without)))
    return bundle


def _read(path: Path, name: str) -> dict[str, np.ndarray]:
    if path.is_dir():
        raise DataError(
            f"{name}: this is a folder, not an .npz file", "", "Give a file, or set data.source to 'folder'."
        )
    if not path.exists():
        raise DataError(f"{name}: the file does not exist", f"It was looked for at {path}.", "Check data.path.")
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise DataError(f"{name}: this holds a single array, not an .npz archive", "", _FORM)
        with archive:
            wanted = [key for key in archive.files if key in ("images", "features", "labels")]
            arrays = {key: archive[key] for key in wanted}
            arrays.update({key: np.empty(0) for key in archive.files if key not in wanted})
            return arrays
    except ValueError as error:
        if "pickle" in str(error).lower() or "object array" in str(error).lower():
            raise DataError(
                f"{name}: the file holds Python objects, not plain arrays",
                "Objects are stored as pickles, which can run code when they are read, so they are never loaded.",
                "Save number arrays only; check that no array has dtype=object.",
                kind="unsafe",
            ) from None
        raise DataError(f"{name}: the file cannot be read", str(error), _FORM) from None
    except (OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise DataError(
            f"{name}: the file is damaged or is not an .npz file", str(error), "Write it again, or copy it again."
        ) from None


def _images(array: np.ndarray, name: str) -> np.ndarray:
    """uint8 [N, C, H, W], contiguous."""
    shape = array.shape
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or array.shape[-1] not in (1, 3):
        channels_first = array.ndim == 4 and shape[1] in (1, 3)
        fix = "Move the channels last: images.transpose(0, 2, 3, 1)." if channels_first else "Store it in that form."
        if array.ndim == 4 and shape[-1] == 4:
            fix = "Drop the alpha channel: images[..., :3]."
        if array.ndim == 2:
            fix = "If each row is a feature vector, name the array 'features'."
        raise DataError(
            f"{name}: 'images' has shape {shape}", "It should be (N, H, W), or (N, H, W, C) with 1 or 3 channels.", fix
        )
    if 0 in array.shape:
        raise DataError(f"{name}: 'images' is empty: its shape is {shape}", "", "Store at least 3 images per class.")
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * np.uint8(255)
    elif np.issubdtype(array.dtype, np.floating):
        _finite(array, name, "images")
        low, high = float(array.min()), float(array.max())
        if low < 0 or high > 1:
            raise DataError(
                f"{name}: 'images' has floats from {low:g} to {high:g}",
                "Float images are read on the scale 0 to 1.",
                "Scale them to 0..1 without normalising by mean and std, or store uint8 of 0..255.",
            )
        array = np.rint(array * 255).astype(np.uint8)
    elif np.issubdtype(array.dtype, np.integer):
        if array.dtype != np.uint8 and (array.min() < 0 or array.max() > 255):
            raise DataError(
                f"{name}: 'images' has whole numbers from {array.min()} to {array.max()}",
                "Whole-number images are read on the scale 0 to 255.",
                "Scale them and store them as uint8.",
            )
        array = array.astype(np.uint8)
    else:
        raise DataError(f"{name}: 'images' has the type {array.dtype}", "", "Store uint8, or floats of 0 to 1.")
    return np.ascontiguousarray(array.transpose(0, 3, 1, 2))


def _features(array: np.ndarray, name: str) -> np.ndarray:
    """float32 [N, D]."""
    if array.ndim != 2 or 0 in array.shape:
        raise DataError(
            f"{name}: 'features' has shape {array.shape}",
            "It should be (N, D): one row per sample.",
            "Reshape it, or name the array 'images' if it holds pictures.",
        )
    if not (np.issubdtype(array.dtype, np.number) or array.dtype == np.bool_) or np.iscomplexobj(array):
        raise DataError(f"{name}: 'features' has the type {array.dtype}", "", "Store real numbers, such as float32.")
    if np.issubdtype(array.dtype, np.floating):
        _finite(array, name, "features")
    with np.errstate(over="ignore"):
        result = np.ascontiguousarray(array, dtype=np.float32)
    _finite(result, name, "features")
    return result


def _finite(array: np.ndarray, name: str, key: str) -> None:
    bad = ~np.isfinite(array)
    if not bad.any():
        return
    rows = np.flatnonzero(bad.reshape(len(array), -1).any(axis=1))
    raise DataError(
        f"{name}: '{key}' has {int(bad.sum())} values that are NaN, infinite or too large for float32",
        f"They are in {len(rows)} of {len(array)} samples; the first is sample {rows[0]}.",
        "Remove these samples or fill the values in, then save the file again.",
    )


def _labels(array: np.ndarray, count: int, spec: NumpyFile) -> tuple[np.ndarray, list[str]]:
    """int64 [N] and the names of the classes."""
    name = spec.path
    if array.ndim == 2 and array.shape[0] == count and array.shape[1] > 1:
        raise DataError(
            f"{name}: 'labels' has shape {array.shape}",
            "It should be (N): one whole number per sample, not one column per class.",
            "Store labels.argmax(axis=1).",
        )
    if array.ndim != 1:
        fix = "Store labels.ravel()." if array.size == count else "Store one label per sample."
        raise DataError(f"{name}: 'labels' has shape {array.shape}", "It should be (N): one number per sample.", fix)
    if len(array) != count:
        raise DataError(
            f"{name}: there are {len(array)} labels and {count} samples",
            "Each sample needs exactly one label.",
            "Save arrays of the same length.",
        )
    if not (np.issubdtype(array.dtype, np.integer) or array.dtype == np.bool_):
        text = array.dtype.kind in "US"
        raise DataError(
            f"{name}: 'labels' has the type {array.dtype}",
            "Labels are whole numbers that count the classes from 0.",
            "Store the numbers in 'labels' and the names in data.classes."
            if text
            else "Store labels.astype(np.int64) once you have checked that they are whole.",
        )
    low, high = int(array.min()), int(array.max())
    if low < -1:
        at = int(np.flatnonzero(array < -1)[0])
        raise DataError(
            f"{name}: label {low} is below 0 (first at sample {at})",
            "",
            "Count the classes from 0; -1 is for samples without a label.",
        )
    if high < 0:
        raise DataError(f"{name}: no sample has a label", "", "Give some of them labels; -1 is for those without one.")
    if spec.classes is not None:
        classes = [str(label) for label in spec.classes]
        twice = sorted({label for label in classes if classes.count(label) > 1})
        if twice:
            raise DataError(f"{name}: data.classes has '{twice[0]}' twice", "", "Give each class its own name.")
        if high >= len(classes):
            at = int(np.flatnonzero(array >= len(classes))[0])
            raise DataError(
                f"{name}: label {int(array[at])} at sample {at} is out of range",
                f"data.classes names {len(classes)} classes, so labels go from 0 to {len(classes) - 1}.",
                "Name the missing classes, or correct the labels.",
            )
    else:
        if high >= count:
            raise DataError(
                f"{name}: label {high} is out of range",
                f"There are only {count} samples, so there cannot be {high + 1} classes.",
                "Renumber the classes from 0 without gaps: np.unique(labels, return_inverse=True)[1].",
            )
        classes = [str(label) for label in range(high + 1)]
    return array.astype(np.int64), classes
