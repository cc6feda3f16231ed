"""scikit-learn's handwritten digits: 1,797 images of 8 x 8 pixels that come with the library."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from kdstudio.engine.data.base import ArraySplit, DataBundle, Progress
from kdstudio.engine.data.splits import make_bundle
from kdstudio.project.spec import Digits


def load_digits_data(spec: Digits, root: Path, progress: Progress | None = None) -> DataBundle:
    """The digits as uint8 [N, 1, 8, 8], their 0..16 scale stretched to 0..255."""
    from sklearn.datasets import load_digits

    source = load_digits()
    images = np.rint(source.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = source.target.astype(np.int64)
    everything = ArraySplit(torch.from_numpy(images), torch.from_numpy(labels))
    return make_bundle(spec, "digits", [str(digit) for digit in range(10)], everything)
