"""Findings about a person's own data that are worth a warning before any training."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np

from kdstudio.engine.data.base import ArraySplit


def content_of(sample: np.ndarray) -> str:
    """Stands for the contents of a sample: 32 hexadecimal digits."""
    return hashlib.blake2b(np.ascontiguousarray(sample).data, digest_size=16).hexdigest()


def duplicates(splits: dict[str, ArraySplit], name: str) -> list[str]:
    """Warnings about samples with identical contents: in general, under two labels, and in two given splits."""
    return repeated(
        {key: (map(content_of, split.images.numpy()), split.labels.tolist()) for key, split in splits.items()}, name
    )


def repeated(contents: Mapping[str, tuple[Iterable[str], Iterable[int]]], name: str) -> list[str]:
    """As `duplicates`.

    Args:
        contents: By split, what stands for the contents of each sample, and the labels.
        name: Of the source.
    """
    seen: dict[str, tuple[str, int]] = {}
    again = contradictory = across = 0
    for split, (samples, labels) in contents.items():
        for key, label in zip(samples, labels):
            if key not in seen:
                seen[key] = (split, label)
                continue
            first_split, first_label = seen[key]
            again += 1
            contradictory += first_label != label
            across += first_split != split
    found: list[str] = []
    if again:
        found.append(f"{name}: {again} samples repeat the contents of an earlier one; scores may look too good.")
    if contradictory:
        found.append(f"{name}: {contradictory} samples repeat an earlier one under another label.")
    if across:
        found.append(f"{name}: {across} samples are also in another split, so its score is not on unseen data.")
    return found
