"""What the evaluation left in a run folder, and the same sums over logits for panels that watch a run. NumPy only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.snapshots import read_header

EVALUATION_FILE = "evaluation.safetensors"
#: As the engine has it: equal-width bins of the top-1 confidence, open on the left.
ECE_BINS = 15
SHOWN_SAMPLES = 24
LISTS = ("worst", "disagreeing")


@dataclass(frozen=True)
class Samples:
    """The samples that are worth a look: the student's worst, and those on which it differs most from its teacher.

    Args:
        split: Where they come from.
        indices: (M) positions in that split.
        labels: (M).
        images: (M, H, W, C) uint8; None where the samples are no pictures.
        predicted, confidence: For each network (M) classes and how sure it is of them.
        lists: For each of `LISTS` the rows, the most remarkable first.
        texts: (M) where the samples are texts, else None.
    """

    split: str
    classes: list[str]
    indices: np.ndarray
    labels: np.ndarray
    images: np.ndarray | None
    predicted: dict[str, np.ndarray]
    confidence: dict[str, np.ndarray]
    lists: dict[str, np.ndarray]
    texts: list[str] | None = None


class Evaluations:
    """Reads a run's scorecard and samples again only when their files have changed."""

    def __init__(self) -> None:
        self._marks: dict[str, tuple[Path, int]] = {}
        self._card: dict[str, Any] | None = None
        self._samples: Samples | None = None

    def _fresh(self, what: str, path: Path) -> bool | None:
        """Whether a file is another one than last time; None where there is none."""
        try:
            mark = (path, path.stat().st_mtime_ns)
        except OSError:
            return None
        if mark == self._marks.get(what):
            return False
        self._marks[what] = mark
        return True

    def scorecard(self, run: RunFolder) -> dict[str, Any] | None:
        """The scorecard, None while there is none."""
        fresh = self._fresh("card", run.scorecard_path)
        if fresh:
            self._card = run.scorecard()
        return self._card if fresh is not None else None

    def samples(self, run: RunFolder) -> Samples | None:
        """The samples, None while there are none; runs of earlier versions have none."""
        fresh = self._fresh("samples", run.path / EVALUATION_FILE)
        if fresh:
            self._samples = read_samples(run)
        return self._samples if fresh is not None else None


def read_samples(run: RunFolder) -> Samples | None:
    """The samples of a run, None where there are none or the file is damaged."""
    from safetensors.numpy import load_file

    path = run.path / EVALUATION_FILE
    meta = read_header(path)
    try:
        arrays = load_file(path)
        per_network = {
            kind: {key.removeprefix(f"{kind}_"): array for key, array in arrays.items() if key.startswith(f"{kind}_")}
            for kind in ("predicted", "confidence")
        }
        return Samples(
            split=meta["split"],
            classes=list(json.loads(meta["classes"])),
            indices=arrays["indices"],
            labels=arrays["labels"],
            images=arrays.get("images"),
            lists={name: arrays[name] for name in LISTS if name in arrays},
            texts=list(json.loads(meta["texts"])) if "texts" in meta else None,
            **per_network,
        )
    except Exception:  # a file that is cut off or foreign: there is nothing to show
        return None


@dataclass(frozen=True)
class ValidationLogits:
    """What the student says of the validation samples.

    Args:
        classes: C names.
        logits: (N, C) float32.
        labels: (N) int64.
    """

    classes: list[str]
    logits: np.ndarray
    labels: np.ndarray


def read_validation_logits(run: RunFolder) -> ValidationLogits | None:
    """The student's logits of a run; None where there are none, as in runs of earlier versions, or they are damaged."""
    from safetensors import safe_open

    path = run.path / EVALUATION_FILE
    try:
        with safe_open(path, framework="np") as file:
            classes = list(json.loads(file.metadata()["classes"]))
            logits, labels = file.get_tensor("validation_logits"), file.get_tensor("validation_labels")
    except Exception:  # no such file, or one that is cut off, foreign or of an earlier version
        return None
    fits = logits.ndim == 2 and logits.shape == (len(labels), len(classes)) and len(labels) > 0
    return ValidationLogits(classes, logits, labels) if fits else None


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """log softmax over the last axis, in float64."""
    wide = np.asarray(logits, np.float64)
    with np.errstate(invalid="ignore"):
        wide = wide - wide.max(axis=-1, keepdims=True)
        return wide - np.log(np.exp(wide).sum(axis=-1, keepdims=True))


def classification_facts(logits: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """Quality and calibration in the form of a scorecard's entry.

    Args:
        logits: (N, C). Rows that are no distribution (NaN or infinite) count as wrong.
        labels: (N).
        classes: C names.

    Returns:
        `count`, `accuracy`, `nll`, `ece`, `reliability`, `per_class`, `confusion` and `worst`, as the engine's.
    """
    count, width = logits.shape
    logs = log_softmax(logits)
    sound = np.isfinite(logs.max(axis=1))
    predicted = np.where(sound, np.argmax(np.where(sound[:, None], logs, 0.0), axis=1), -1)
    right = predicted == labels
    losses = -logs[np.arange(count), labels]
    confusion = _pairs(labels[sound], predicted[sound], width)
    totals = np.bincount(labels, minlength=width)[:width]
    bins, ece = reliability(np.exp(logs.max(axis=1))[sound], right[sound])
    return {
        "count": count,
        "accuracy": float(right.mean()) if count else float("nan"),
        "nll": float(losses.mean()) if count else float("nan"),
        "ece": ece if sound.all() else float("nan"),
        "reliability": bins,
        "per_class": [
            {
                "class": name,
                "count": int(totals[index]),
                "accuracy": float(confusion[index, index] / totals[index]) if totals[index] else None,
            }
            for index, name in enumerate(classes)
        ],
        "confusion": confusion.tolist(),
        "worst": np.argsort(-np.nan_to_num(losses, nan=np.inf), kind="stable")[:SHOWN_SAMPLES].tolist(),
    }


def reliability(confidence: np.ndarray, right: np.ndarray) -> tuple[list[dict[str, Any]], float]:
    """The reliability diagram and the expected calibration error.

    ECE = sum_b (n_b / N) |accuracy_b - confidence_b| over 15 equal-width bins of the top-1 confidence
    (Guo et al. 2017, 1706.04599, equation 3); bins are open on the left.

    Args:
        confidence: (N) in 0..1.
        right: (N) bool.
    """
    place = np.clip(np.ceil(confidence * ECE_BINS), 1, ECE_BINS).astype(int) - 1
    counts = np.bincount(place, minlength=ECE_BINS)
    sure = np.bincount(place, weights=confidence, minlength=ECE_BINS)
    hits = np.bincount(place, weights=right, minlength=ECE_BINS)
    bins = []
    for index, count in enumerate(counts.tolist()):
        mean, share = (float(sure[index] / count), float(hits[index] / count)) if count else (None, None)
        bins.append({"low": index / ECE_BINS, "count": count, "confidence": mean, "accuracy": share})
    return bins, float(np.abs(hits - sure).sum() / max(1, len(confidence)))


def fidelity_facts(student: np.ndarray, teacher: np.ndarray) -> dict[str, Any]:
    """How well the student agrees with the teacher, in the form of a scorecard's entry.

    Args:
        student, teacher: Logits (N, C).

    Returns:
        `agreement`, `kl`, `confusion` (rows: teacher's class, columns: student's) and `disagreeing`, as the engine's.
    """
    log_student, log_teacher = log_softmax(student), log_softmax(teacher)
    sound = np.isfinite(log_student.max(axis=1)) & np.isfinite(log_teacher.max(axis=1))
    share = np.exp(log_teacher)
    with np.errstate(invalid="ignore"):
        divergence = np.where(share == 0, 0.0, share * (log_teacher - log_student)).sum(axis=1)
    own, taught = (np.nan_to_num(logs, nan=-np.inf).argmax(axis=1) for logs in (log_student, log_teacher))
    return {
        "agreement": float(((own == taught) & sound).mean()) if len(sound) else float("nan"),
        "kl": float(divergence.mean()) if len(sound) else float("nan"),
        "confusion": _pairs(taught[sound], own[sound], student.shape[1]).tolist(),
        "disagreeing": np.argsort(-np.nan_to_num(divergence, nan=np.inf), kind="stable")[:SHOWN_SAMPLES].tolist(),
    }


def _pairs(rows: np.ndarray, columns: np.ndarray, width: int) -> np.ndarray:
    return np.bincount(rows * width + columns, minlength=width * width).reshape(width, width)
