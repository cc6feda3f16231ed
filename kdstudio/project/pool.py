"""Which samples of a pool are kept, by what the teacher said of them; and the report that tells it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from kdstudio.project.errors import InputError
from kdstudio.project.spec import PoolSpec

BINS = 50


@dataclass
class AskedPool:
    """What a teacher said of a pool.

    Attributes:
        confidence, predicted: (N), see `kept_of`.
        truth: (N), -1 where the label is not known.
        classes: Names in label order.
        least, most: Positions of the samples that it is least and most sure of.
        images: Their pictures, uint8 (M, H, W, C), by `least` and `most`; empty where samples are none.
        texts: Their texts, alike.
    """

    confidence: np.ndarray
    predicted: np.ndarray
    truth: np.ndarray
    classes: list[str]
    least: np.ndarray
    most: np.ndarray
    images: dict[str, np.ndarray]
    texts: dict[str, list[str]]

    def report(self, spec: PoolSpec) -> PoolReport:
        """What becomes of the pool under a threshold and a balance."""
        return PoolReport.of(self.confidence, self.predicted, self.truth, spec, self.classes)


def read_pool(path: Path) -> AskedPool:
    """Reads `pool/STAGE.safetensors` of a run.

    Raises:
        InputError: It is damaged.
    """
    try:
        with safe_open(path, "np") as file:
            meta = file.metadata() or {}
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        sides = ("least", "most")
        return AskedPool(
            confidence=arrays["confidence"],
            predicted=arrays["predicted"],
            truth=arrays["truth"],
            classes=list(json.loads(meta["classes"])),
            least=arrays["least_indices"],
            most=arrays["most_indices"],
            images={side: arrays[f"{side}_images"] for side in sides if f"{side}_images" in arrays},
            texts=json.loads(meta.get("texts", "{}")),
        )
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise InputError(
            f"{path}: what was said of the pool cannot be read", why=str(error)[:200], fix="run the experiment again"
        ) from None


def kept_of(confidence: np.ndarray, predicted: np.ndarray, spec: PoolSpec, classes: int) -> np.ndarray:
    """Positions of the samples to learn from, rising; a position stands several times where its class is small.

    Of each class the teacher's surest answers come first (Xie et al. 2020, Noisy Student, 1911.04252, section 3.1).

    Args:
        confidence: (N), of the teacher's answer.
        predicted: (N), that answer.
        spec: Threshold and balance.
        classes: Number of classes.

    Returns:
        int64 (M).
    """
    sure = np.flatnonzero(confidence >= spec.threshold)
    if not spec.balance or not len(sure):
        return sure.astype(np.int64)
    counts = np.bincount(predicted[sure], minlength=classes)
    wanted = spec.per_class or max(1, int(np.median(counts[counts > 0])))
    found = []
    for label in np.flatnonzero(counts):
        members = sure[predicted[sure] == label]
        members = members[np.argsort(-confidence[members], kind="stable")][:wanted]
        found.append(np.resize(members, wanted))
    return np.sort(np.concatenate(found)).astype(np.int64)


@dataclass
class PoolReport:
    """What became of a pool.

    Attributes:
        total: Samples in it.
        sure: Those at or above the threshold.
        learned: Samples that are learned from, repeated ones counted each time.
        threshold, labels, balance: As in the spec.
        answered: Per class, how often the teacher gave it; `kept` those that were sure; `used` those learned from.
        histogram: How many samples have a confidence in each of `BINS` equal parts of 0..1.
        known: Samples whose label was hidden on purpose; `right` the share of these that the teacher got right, and
            `right_sure` of those among them that were sure. None where there are none.
    """

    total: int
    sure: int
    learned: int
    threshold: float
    labels: str
    balance: bool
    answered: dict[str, int]
    kept: dict[str, int]
    used: dict[str, int]
    histogram: list[int]
    known: int
    right: float | None
    right_sure: float | None

    @classmethod
    def of(
        cls, confidence: np.ndarray, predicted: np.ndarray, truth: np.ndarray, spec: PoolSpec, classes: list[str]
    ) -> PoolReport:
        """The report on what a teacher said.

        Args:
            confidence, predicted: (N), see `kept_of`.
            truth: (N), -1 where the label is not known.
            spec: Threshold and balance.
            classes: Names in label order.
        """
        width = len(classes)
        sure = confidence >= spec.threshold
        used = kept_of(confidence, predicted, spec, width)
        known = truth >= 0
        hits = predicted == truth

        def count(labels: np.ndarray) -> dict[str, int]:
            return dict(zip(classes, np.bincount(labels, minlength=width).tolist()))

        def share(where: np.ndarray) -> float | None:
            return float(hits[where].mean()) if where.any() else None

        return cls(
            total=len(confidence),
            sure=int(sure.sum()),
            learned=len(used),
            threshold=spec.threshold,
            labels=spec.labels,
            balance=spec.balance,
            answered=count(predicted),
            kept=count(predicted[sure]),
            used=count(predicted[used]),
            histogram=np.histogram(confidence, BINS, (0.0, 1.0))[0].tolist(),
            known=int(known.sum()),
            right=share(known),
            right_sure=share(known & sure),
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        """The report for a terminal."""
        found = [
            f"{self.total:,} samples without labels; the teacher is sure of {self.sure:,} (at least {self.threshold:g})"
        ]
        words = "its answers as labels" if self.labels == "hard" else "its distributions"
        found.append(f"{self.learned:,} are learned from, with {words}" + (", balanced" if self.balance else ""))
        wide = max(map(len, self.answered), default=5)
        found.append(f"{'class':{wide}}  {'answered':>9} {'sure':>9} {'learned':>9}")
        found += [
            f"{name:{wide}}  {self.answered[name]:>9,} {self.kept[name]:>9,} {self.used[name]:>9,}"
            for name in self.answered
        ]
        if self.right is not None:
            sure = f", and of {self.right_sure:.1%} of those that it is sure of" if self.right_sure is not None else ""
            found.append(f"It is right about {self.right:.1%} of the {self.known:,} whose labels were hidden{sure}.")
        return found
