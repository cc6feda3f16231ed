"""Evaluation: quality, fidelity and calibration from logits. Vectorised, in float64 where it matters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdstudio.engine.data import ArraySplit, Preprocess

ECE_BINS = 15
SHOWN_SAMPLES = 24


def predict(
    model: nn.Module,
    preprocess: Preprocess,
    split: ArraySplit,
    device: torch.device | str,
    batch_size: int = 512,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """The logits of a whole split, in eval mode and float32.

    Args:
        model: On the device; it is left in eval mode.
        preprocess: On the device.
        split: The samples, N of them.
        device: Where to compute.
        batch_size: Samples at once.
        progress: Called as `progress(done, total)`.

    Returns:
        (N, C) float32 on the CPU.
    """
    model.eval()
    parts = []
    done = 0
    with torch.no_grad():
        for images in split.images.split(batch_size):
            parts.append(model(preprocess(images.to(device))).float().cpu())
            done += len(images)
            if progress is not None:
                progress(done, len(split))
    return torch.cat(parts)


def classification_metrics(logits: Tensor, labels: Tensor, classes: list[str]) -> dict[str, Any]:
    """Quality and calibration.

    Args:
        logits: (N, C).
        labels: (N) int64.
        classes: C names.

    Returns:
        Plain data: `accuracy`, `top5` (with more than five classes), `nll` (mean negative log-likelihood in nats),
        `ece` (15 equal-width bins on the top-1 confidence), `reliability` (per bin: confidence, accuracy, count),
        `per_class` (name, count, accuracy), `confusion` (rows: label, columns: prediction), `worst` (positions of
        the samples with the largest loss), `count`, and `not_finite`: the samples whose logits are no distribution
        (NaN or infinite). These count as wrong and stand in no column of the confusion; `nll` and `ece` are NaN then.
    """
    count, width = logits.shape
    wide = logits.double()
    log_probabilities = functional.log_softmax(wide, dim=1)
    sound = ~log_probabilities.isnan().any(dim=1)
    confidence, predicted = log_probabilities.exp().max(dim=1)
    right = (predicted == labels) & sound
    losses = -log_probabilities.gather(1, labels[:, None]).squeeze(1)
    confusion = table(labels[sound], predicted[sound], width)
    totals = torch.bincount(labels, minlength=width)
    bins, ece = reliability(confidence[sound], right[sound])
    metrics: dict[str, Any] = {
        "count": count,
        "not_finite": int(count - sound.sum()),
        "accuracy": float(right.double().mean()),
        "nll": float(losses.mean()),
        "ece": ece if bool(sound.all()) else float("nan"),
        "reliability": bins,
        "per_class": [
            {
                "class": name,
                "count": int(totals[index]),
                "accuracy": int(confusion[index, index]) / int(totals[index]) if totals[index] else None,
            }
            for index, name in enumerate(classes)
        ],
        "confusion": confusion.tolist(),
        "worst": losses.topk(min(SHOWN_SAMPLES, count)).indices.tolist(),
    }
    if width > 5:
        top = wide.topk(5, dim=1).indices
        metrics["top5"] = float(((top == labels[:, None]).any(dim=1) & sound).double().mean())
    return metrics


def table(rows: Tensor, columns: Tensor, width: int) -> Tensor:
    """(width, width) int64: how often each pair occurs among (N) row and (N) column numbers."""
    return torch.bincount(rows * width + columns, minlength=width * width).reshape(width, width)


def reliability(confidence: Tensor, right: Tensor) -> tuple[list[dict[str, float | int | None]], float]:
    """The reliability diagram and the expected calibration error.

    ECE = sum_b (n_b / N) |accuracy_b - confidence_b| over 15 equal-width bins of the top-1 confidence
    (Guo et al. 2017, 1706.04599, equation 3); bins are open on the left.

    Args:
        confidence: (N) float64 in 0..1.
        right: (N) bool.
    """
    place = (confidence * ECE_BINS).ceil().long().clamp(1, ECE_BINS) - 1
    counts = torch.bincount(place, minlength=ECE_BINS)
    sums = torch.zeros(2, ECE_BINS, dtype=torch.float64)
    sums[0].index_add_(0, place, confidence.double())
    sums[1].index_add_(0, place, right.double())
    bins: list[dict[str, float | int | None]] = []
    for index in range(ECE_BINS):
        n = int(counts[index])
        mean, share = (float(sums[0, index] / n), float(sums[1, index] / n)) if n else (None, None)
        bins.append({"low": index / ECE_BINS, "count": n, "confidence": mean, "accuracy": share})
    ece = float((sums[1] - sums[0]).abs().sum() / max(1, len(confidence)))
    return bins, ece


def fidelity(student_logits: Tensor, teacher_logits: Tensor) -> dict[str, Any]:
    """How well the student agrees with the teacher (Stanton et al. 2021, 2106.05945).

    Args:
        student_logits, teacher_logits: (N, C).

    Returns:
        `agreement` (share of equal top-1 classes), `kl` (mean KL(p_t || p_s) in nats at T = 1), `confusion` (rows:
        teacher's class, columns: student's), `disagreeing` (positions of the samples with the largest KL). Where
        logits are no distribution the two do not agree, and `kl` is NaN.
    """
    log_student = functional.log_softmax(student_logits.double(), dim=1)
    log_teacher = functional.log_softmax(teacher_logits.double(), dim=1)
    sound = ~(log_student.isnan() | log_teacher.isnan()).any(dim=1)
    probabilities = log_teacher.exp()
    # what the teacher rules out (a logit of -inf) adds nothing, whatever the student says of it
    parts = torch.where(probabilities == 0, 0.0, probabilities * (log_teacher - log_student))
    divergence = parts.sum(dim=1)
    student, teacher = student_logits.argmax(dim=1), teacher_logits.argmax(dim=1)
    return {
        "agreement": float(((student == teacher) & sound).double().mean()),
        "kl": float(divergence.mean()),
        "confusion": table(teacher[sound], student[sound], student_logits.shape[1]).tolist(),
        "disagreeing": divergence.topk(min(SHOWN_SAMPLES, len(divergence))).indices.tolist(),
    }
