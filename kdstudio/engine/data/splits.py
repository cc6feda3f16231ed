"""Splits that never change: stratified, and a function of the seed and the sample numbers only.

The order comes from a hash (splitmix64) and not from a library's random stream, because a library may change its stream
between releases and a split must not.
"""

from __future__ import annotations

import numpy as np
import torch

from kdstudio.engine.counters import mix
from kdstudio.engine.data.base import ArraySplit, DataBundle, statistics
from kdstudio.project.class_bias import class_number
from kdstudio.project.errors import DataError
from kdstudio.project.spec import DataBase, PixelData, SplitData, suggestion

_TEST, _VALIDATION, _LIMIT = 1, 2, 3


def sort_keys(count: int, *parts: int) -> np.ndarray:
    """uint64 [count]: a random-looking key per sample number; sorting by them is a shuffle."""
    value = np.arange(count, dtype=np.uint64) + np.uint64(mix(*parts))
    value += np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def hold_out(labels: np.ndarray, fraction: float, seed: int, purpose: int) -> tuple[np.ndarray, np.ndarray]:
    """Holds a share of every class out.

    Args:
        labels: int64 [N]; every class that occurs has at least 2 samples.
        fraction: Share to hold out, over all classes; each class gives at least 1 and keeps at least 1.
        seed, purpose: The choice is a function of these and of the labels.

    Returns:
        kept, held: rising int64 sample numbers.
    """
    keys = sort_keys(len(labels), seed, purpose)
    present, sizes = np.unique(labels, return_counts=True)
    exact = sizes * fraction
    numbers = np.floor(exact).astype(np.int64)
    # Largest remainders first, so that the total is right and not only each class.
    missing = round(len(labels) * fraction) - int(numbers.sum())
    for position in np.argsort(-(exact - numbers), kind="stable")[: max(missing, 0)]:
        numbers[position] += 1
    numbers = np.clip(numbers, 1, sizes - 1)
    held = np.zeros(len(labels), dtype=bool)
    for label, number in zip(present, numbers):
        members = np.flatnonzero(labels == label)
        held[members[np.argsort(keys[members], kind="stable")[:number]]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def limit_balanced(labels: np.ndarray, limit: int, seed: int) -> np.ndarray:
    """Rising numbers of at most `limit` samples with the classes as even as they can be.

    A smaller limit's choice is contained in a larger one's wherever the classes are large enough.
    """
    if limit >= len(labels):
        return np.arange(len(labels))
    keys = sort_keys(len(labels), seed, _LIMIT)
    order = np.argsort(keys, kind="stable")
    # The rank of each sample inside its class, in shuffled order: taking all of rank 0, then rank 1 ... is even.
    rank = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        rank[members] = np.arange(len(members))
    chosen = np.lexsort((keys, rank))[:limit]
    return np.sort(chosen)


def make_bundle(
    spec: DataBase,
    name: str,
    classes: list[str],
    train: ArraySplit,
    validation: ArraySplit | None = None,
    test: ArraySplit | None = None,
    problems: list[str] | None = None,
) -> DataBundle:
    """Completes the splits and measures the training samples.

    A missing test split is held out of the training samples first (`test_fraction`), then a missing
    validation split (`validation_fraction` of what is left); `train_limit` cuts the training samples last, so that runs
    with different limits are chosen and scored on the same samples.

    Raises:
        DataError: Too few classes, a class with too few samples, a limit below the number of classes, or a class to be
            left out that there is not.
    """
    problems = list(problems or [])
    if len(classes) < 2:
        raise DataError(
            f"{name}: there is only one class ('{classes[0]}')" if classes else f"{name}: there are no classes",
            "A classifier needs at least two classes to tell apart.",
            "Add samples of another class.",
        )
    needed = 1 + (validation is None) + (test is None)
    counts = np.bincount(train.labels.numpy(), minlength=len(classes))
    poor = [f"'{label}' has {count}" for label, count in zip(classes, counts) if count < needed]
    if poor:
        wanted = [part for part, own in (("validation", validation), ("test", test)) if own is None]
        reason = f"One sample is needed for training{''.join(f', one for {part}' for part in wanted)}."
        raise DataError(
            f"{name}: a class needs at least {needed} samples to be split, and {_listed(poor)}",
            reason,
            "Add samples to these classes or remove them.",
        )
    if test is None:
        assert isinstance(spec, SplitData), "the other sources have test samples"
        kept, held = hold_out(train.labels.numpy(), spec.test_fraction, spec.split_seed, _TEST)
        train, test = train.select(kept), train.select(held)
    if validation is None:
        kept, held = hold_out(train.labels.numpy(), spec.validation_fraction, spec.split_seed, _VALIDATION)
        train, validation = train.select(kept), train.select(held)
    if spec.train_limit is not None:
        if spec.train_limit < len(classes):
            raise DataError(
                f"{name}: data.train_limit is {spec.train_limit}, and there are {len(classes)} classes",
                "The limit is class-balanced, so it leaves some classes without a sample.",
                f"Set data.train_limit to at least {len(classes)}.",
            )
        train = train.select(limit_balanced(train.labels.numpy(), spec.train_limit, spec.split_seed))
    unlabelled = None
    if spec.labelled is not None:
        count = max(len(classes), round(spec.labelled * len(train)))
        kept = limit_balanced(train.labels.numpy(), count, spec.split_seed)
        rest = np.setdiff1d(np.arange(len(train)), kept)
        train, unlabelled = train.select(kept), train.select(rest)
    shape = tuple(int(size) for size in train.images.shape[1:])
    if isinstance(spec, PixelData):
        _check_views(spec, name, shape)
    tokens = train.images.dtype == torch.int32
    mean, std = ([], []) if tokens else statistics(train.images)
    bundle = DataBundle(name, train, validation, test, classes, shape, mean, std, problems)
    bundle.source = str(getattr(spec, "source", ""))
    bundle.unlabelled = unlabelled
    bundle.left_out = left_out(spec, name, classes)
    problems.extend(_imbalance(bundle))
    return bundle


def left_out(spec: DataBase, name: str, classes: list[str]) -> tuple[int, ...]:
    """The labels of the classes that `data.leave_out` names; a name counts before a number.

    Raises:
        DataError: There is no such class, or none is left.
    """
    found = set()
    for word in spec.leave_out:
        label = class_number(word, classes)
        if label is None:
            raise DataError(
                f"{name}: data.leave_out names '{word}', and there is no such class",
                f"The classes are {_listed(classes)}, or by number 0 to {len(classes) - 1}.",
                suggestion(word, classes) or "Name one of them, or remove it from data.leave_out.",
            )
        found.add(label)
    if len(found) == len(classes):
        raise DataError(
            f"{name}: data.leave_out names all {len(classes)} classes",
            "The student would have no training samples.",
            "Keep at least one class; two or more for hard labels to mean anything.",
        )
    return tuple(sorted(found))


def _check_views(spec: PixelData, name: str, shape: tuple[int, ...]) -> None:
    if len(shape) == 1:
        if spec.augment:
            raise DataError(
                f"{name}: data.augment asks for {', '.join(spec.augment)}, and the samples are features, not images",
                "Shifts and flips are made for pixels.",
                "Set data.augment to an empty list.",
            )
        return
    side = min(shape[1:])
    reaches = (("crop_padding", "crop", spec.crop_padding), ("jitter_pixels", "jitter", spec.jitter_pixels))
    for field, word, size in reaches:
        if word in spec.augment and size >= side:
            raise DataError(
                f"{name}: data.{field} is {size}, and the images are {shape[1]} x {shape[2]} pixels",
                "Such a shift can move the whole picture out of view.",
                f"Set data.{field} below {side}; {max(1, side // 8)} is usual for this size.",
            )


def _imbalance(bundle: DataBundle) -> list[str]:
    found: list[str] = []
    width = len(bundle.classes)
    counts = {key: torch.bincount(split.labels, minlength=width).tolist() for key, split in bundle.splits.items()}
    largest = max(counts["train"])
    small = [f"'{label}' ({count})" for label, count in zip(bundle.classes, counts["train"]) if count * 20 < largest]
    if small:
        found.append(
            f"Classes with less than a twentieth of the largest class's {largest} training samples: {_listed(small)}."
        )
    for split in ("validation", "test"):
        empty = [f"'{label}'" for label, count in zip(bundle.classes, counts[split]) if count == 0]
        if empty:
            found.append(f"No {split} samples of {_listed(empty)}: the {split} score says nothing about them.")
    return found


def _listed(words: list[str], most: int = 6) -> str:
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more
