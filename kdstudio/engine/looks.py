"""What the alignment panel shows of single probe samples: attention maps and distances, small enough to keep often."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from kdstudio.engine.losses import attention_map

#: At most so many pairs of layers, probe samples, and pixels at a side are kept: 72 kB a snapshot.
MOST_PAIRS, MOST_PROBES, MOST_SIDE = 4, 32, 16
Pair = tuple[str, str]


def is_map(features: Tensor) -> bool:
    """Whether a layer gives maps of more than one pixel."""
    return features.ndim == 4 and features.shape[2] * features.shape[3] > 1


def attention_of(features: Tensor) -> np.ndarray:
    """(P, h, w) float16: the mean over channels of f^2, L2-normalised per sample; averaged down to 16 x 16 at most.

    Args:
        features: (B, M, H, W) of the probe samples and others; the first are taken.
    """
    features = features[:MOST_PROBES]
    height, width = features.shape[2:]
    size = (min(height, MOST_SIDE), min(width, MOST_SIDE))
    maps = attention_map(features).reshape(-1, 1, height, width)
    return functional.adaptive_avg_pool2d(maps, size)[:, 0].half().cpu().numpy()


def relations_of(features: Tensor) -> np.ndarray:
    """(P, P) float16: Euclidean distances between samples, divided by their mean over those above 0."""
    rows = features[:MOST_PROBES].float().flatten(1)
    distances = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")
    there = distances > 0
    mean = distances[there].mean() if bool(there.any()) else distances.new_ones(())
    return (distances / mean).half().cpu().numpy()


def looked_at(
    pairs: Sequence[Pair], teacher: dict[str, Tensor], student: dict[str, Tensor]
) -> tuple[list[Pair], list[Pair]]:
    """The pairs whose attention, and those whose relations are kept: of the objective, else the last layers.

    Args:
        pairs: Of the objective's terms, teacher's layer first.
        teacher, student: Features by layer, in the order of the networks.
    """
    there = [pair for pair in dict.fromkeys(pairs) if pair[0] in teacher and pair[1] in student]
    maps = [pair for pair in there if is_map(teacher[pair[0]]) and is_map(student[pair[1]])]
    if not maps:
        last = [[name for name, features in side.items() if is_map(features)][-1:] for side in (teacher, student)]
        maps = [(last[0][0], last[1][0])] if all(last) else []
    related = there or [(_last_hidden(teacher), _last_hidden(student))]
    return maps[-MOST_PAIRS:], related[-MOST_PAIRS:]


def _last_hidden(features: dict[str, Tensor]) -> str:
    """The layer before the classifier."""
    names = list(features)
    return names[-2] if len(names) > 1 else names[-1]
