"""How far an artifact's outputs may lie from the student's: as far as rounding carries them, and no farther."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor

from kdstudio.engine.data import ArraySplit
from kdstudio.engine.student_io import Student

#: An artifact computes in another order than the student, so both stray from the exact result by about the same.
#: Over 20 kinds of networks, from small to 110 layers, they differed by 0.9 to 1.8 times the student's own error.
MARGIN = 16.0
#: Never less than this (32 units in the last place), and never more, however badly a student rounds.
LEAST, MOST = 4e-6, 1e-3
#: For a student that cannot be computed in double precision.
UNKNOWN = 1e-4
SAMPLES = 512
#: Texts take longer, and a language model's give a row for each of their tokens.
TEXTS = 16


def rounding_error(student: Student, split: ArraySplit, expected: Tensor) -> float | None:
    """The student's own rounding error: its largest difference from double precision, as a share of `scales`.

    Args:
        student: The network.
        split: Samples; the first 512 are used.
        expected: (N, C) float32, the student's logits of the same samples.

    Returns:
        None for a network that cannot be computed in double precision, as one with fixed float32 tensors of its own.
    """
    single = expected[:SAMPLES]
    try:
        exact = copy.deepcopy(student.model).double().eval()
        count = len(single) if student.text is None else TEXTS
        with torch.no_grad():
            parts = [exact(_wide(student.preprocess(images))).double() for images in split.images[:count].split(128)]
        found = torch.cat(parts)
        single = expected[: len(found)]
        difference = (found - single.double()).abs().amax(dim=1).numpy()
    except Exception:  # it is a person's own network, which may raise anything here
        return None
    error = float((difference / scales(single.numpy())).max())
    return error if np.isfinite(error) else None


def _wide(inputs: Tensor) -> Tensor:
    """Numbers in double precision; token ids as they are."""
    return inputs.double() if inputs.is_floating_point() else inputs


def relative_tolerance(error: float | None) -> float:
    """The largest difference to allow, as a share of `scales`, for a student with this rounding error."""
    return UNKNOWN if error is None else min(MOST, max(LEAST, MARGIN * error))


def scales(logits: np.ndarray) -> np.ndarray:
    """(N) what differences are measured against: the largest logit of each sample, or the median of these if larger.

    The rounding of a sample whose logits happen to cancel is that of the others; and one sample with huge logits says
    nothing about the rest.
    """
    largest = np.abs(logits).max(axis=1).astype(np.float64)
    return np.maximum(largest, max(float(np.median(largest)), float(np.finfo(np.float32).tiny)))
