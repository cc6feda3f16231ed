"""Class bias: shifts of a student's logits, class by class, that suit another mix of classes. NumPy only.

A student whose transfer set lacks a class knows it from its teacher alone and says it too rarely; a shift of that
class's logit mends most of it (Hinton 2015, 1503.02531, section 3). A shift is chosen on validation samples, never on
test samples.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdstudio.project.errors import InputError
from kdstudio.project.runs.evaluation import log_softmax
from kdstudio.project.spec import suggestion

PRIORS = ("uniform", "data")
#: How near the mean shares come to the prior, and how many steps that may take.
NEAR, MOST_STEPS = 1e-6, 200
#: A step never shifts a class by more than this.
LONGEST = 2.0
#: Shifts are written with so many digits behind the point.
DIGITS = 4
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Effect:
    """What a shift makes of a student on one split.

    Attributes:
        accuracy: Over all samples.
        per_class: Accuracy of each class, None where it has no samples.
        shares: Mean predicted probability of each class.
    """

    accuracy: float
    per_class: list[float | None]
    shares: list[float]


def effect(logits: np.ndarray, labels: np.ndarray, shift: np.ndarray) -> Effect:
    """What the logits (N, C) of samples with these labels (N) say when `shift` (C) is added.

    Logits that are no distribution count as wrong and have no share.
    """
    width = logits.shape[1]
    logs = log_softmax(np.asarray(logits, np.float64) + shift)
    sound = np.isfinite(logs.max(axis=1))
    right = np.where(sound, np.nan_to_num(logs, nan=-np.inf).argmax(axis=1), -1) == labels
    totals = np.bincount(labels, minlength=width)
    hits = np.bincount(labels[right], minlength=width)
    shares = np.exp(logs[sound]).mean(axis=0) if sound.any() else np.full(width, np.nan)
    return Effect(
        float(right.mean()) if len(labels) else float("nan"),
        [float(hit / total) if total else None for hit, total in zip(hits, totals)],
        shares.tolist(),
    )


def prior_shares(kind: str, labels: np.ndarray, width: int) -> np.ndarray:
    """The shares (C) of the classes: `uniform`, or as among `data`'s labels (N).

    A class without a sample counts as half a sample: no shift makes a share zero.
    """
    if kind == "uniform":
        return np.full(width, 1 / width)
    counts = np.maximum(np.bincount(labels, minlength=width).astype(np.float64), 0.5)
    return counts / counts.sum()


def shift_for_prior(logits: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """The shift b with which the mean predicted shares are the prior: mean_i softmax(z_i + b) = prior.

    It is the minimum of the convex mean_i logsumexp(z_i + b) - prior . b, found by Newton's steps. It is defined up to
    a constant; the middle class (the median) is left where it is.

    Args:
        logits: (N, C).
        prior: (C), positive, of sum 1.
    """
    logs = log_softmax(logits)
    logs = logs[np.isfinite(logs).all(axis=1)]
    count, width = logs.shape
    shift = np.zeros(width)
    if not count:
        return shift

    def height(shift: np.ndarray) -> float:
        shifted = logs + shift
        top = shifted.max(axis=1)
        return float((top + np.log(np.exp(shifted - top[:, None]).sum(axis=1))).mean() - prior @ shift)

    here = height(shift)
    for _ in range(MOST_STEPS):
        shares = np.exp(log_softmax(logs + shift))
        mean = shares.mean(axis=0)
        gap = prior - mean
        if np.abs(gap).max() < NEAR:
            break
        curve = np.diag(mean) - shares.T @ shares / count
        step = np.linalg.solve(curve + 1e-9 * np.eye(width), gap)
        step -= np.median(step)
        step *= min(1.0, LONGEST / max(np.abs(step).max(), 1e-12))
        length, there = 1.0, height(shift + step)
        while there > here and length > 1e-6:
            length /= 2
            there = height(shift + length * step)
        if there > here:
            break
        shift, here = shift + length * step, there
    return np.round(shift - np.median(shift), DIGITS)


def class_number(word: str, classes: Sequence[str]) -> int | None:
    """The label of a class, by its name or by its number; a name counts before a number. None where there is none."""
    if word in classes:
        return list(classes).index(word)
    return int(word) if word.isascii() and word.isdigit() and int(word) < len(classes) else None


def shift_by_hand(pairs: Sequence[tuple[str, float]], classes: Sequence[str]) -> np.ndarray:
    """A shift from (class, amount), each class by name or number.

    Raises:
        InputError: There is no such class, or an amount is no number.
    """
    shift = np.zeros(len(classes))
    for word, amount in pairs:
        place = class_number(word, classes)
        if place is None:
            near = suggestion(word, classes)
            raise InputError(
                f"--class: there is no class '{word}'",
                fix=near or f"give a name, or a number from 0 to {len(classes) - 1}",
            )
        if not np.isfinite(amount):
            raise InputError(f"--by: {amount} is not a number to shift by", fix="usual are -5 to 5")
        shift[place] += amount
    return shift


def check_name(name: str) -> None:
    """Refuses what cannot be the name of a derived student.

    Raises:
        InputError: With what a name is made of.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"'{name}' cannot be the name of a student",
            why="it becomes the folder student-NAME in the run",
            fix="use letters, digits, dots, dashes and underscores, at most 64",
        )


def as_dict(found: Effect, classes: Sequence[str]) -> dict[str, Any]:
    """An effect with the classes' names, for JSON."""
    return {
        "accuracy": found.accuracy,
        "per_class": dict(zip(classes, found.per_class)),
        "shares": dict(zip(classes, found.shares)),
    }
