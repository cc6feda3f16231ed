"""scikit-learn's handwritten digits: 1,797 images of 8 x 8 pixels that come with the library."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path

import numpy as np
import torch

from kdstudio.engine.data.base import ArraySplit, DataBundle, Progress
from kdstudio.engine.data.splits import make_bundle
from kdstudio.project.spec import Digits


def load_digits_data(spec: Digits, root: Path, progress: Progress | None = None) -> DataBundle:
    """The digits as uint8 [N, 1, 8, 8], their 0..16 scale stretched to 0..255."""
    pixels, labels = _read()
    images = np.rint(pixels.reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)
    everything = ArraySplit(torch.from_numpy(images), torch.from_numpy(labels))
    return make_bundle(spec, "digits", [str(digit) for digit in range(10)], everything)


def _read() -> tuple[np.ndarray, np.ndarray]:
    """Pixels (N, 64) in 0..16 and labels (N), from the file in the library's folder: importing it takes seconds."""
    found = importlib.util.find_spec("sklearn")
    folder = Path(found.origin).parent if found is not None and found.origin else Path()
    path = folder / "datasets" / "data" / "digits.csv.gz"
    if path.exists():
        with gzip.open(path) as file:
            table = np.loadtxt(file, delimiter=",", dtype=np.int64)
        return table[:, :-1], table[:, -1]
    from sklearn.datasets import load_digits  # a release that keeps them elsewhere

    source = load_digits()
    return source.data, source.target.astype(np.int64)
