"""Findings about a person's own data that are worth a warning before any training."""

from __future__ import annotations

import hashlib

import numpy as np

from kdstudio.engine.data.base import ArraySplit


def duplicates(splits: dict[str, ArraySplit], name: str) -> list[str]:
    """Warnings about samples with identical contents: in general, under two labels, and in two given splits."""
    seen: dict[bytes, tuple[str, int]] = {}
    repeated = contradictory = across = 0
    for split_name, split in splits.items():
        samples = np.ascontiguousarray(split.images.numpy())
        for sample, label in zip(samples, split.labels.tolist()):
            key = hashlib.blake2b(sample.data, digest_size=16).digest()
            if key not in seen:
                seen[key] = (split_name, label)
                continue
            first_split, first_label = seen[key]
            repeated += 1
            contradictory += first_label != label
            across += first_split != split_name
    found: list[str] = []
    if repeated:
        found.append(f"{name}: {repeated} samples repeat the contents of an earlier one; scores may look too good.")
    if contradictory:
        found.append(f"{name}: {contradictory} samples repeat an earlier one under another label.")
    if across:
        found.append(f"{name}: {across} samples are also in another split, so its score is not on unseen data.")
    return found
