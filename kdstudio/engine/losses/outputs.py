"""Losses on output distributions."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from kdstudio.engine.losses.common import (
    both,
    check_same_shape,
    check_temperature,
    direction,
    in_full_precision,
    masked_mean,
    upcast,
)

CLASSES = "both networks have to tell the same classes apart"


@in_full_precision
def hard_target_loss(
    student_logits: Tensor, targets: Tensor, label_smoothing: float = 0.0, ignored: int = -100
) -> Tensor:
    """Hard targets: cross entropy with the labels, as a mean over positions that have one.

    Args:
        student_logits: (B, C), (P, C) or (B, S, C).
        targets: Labels, the shape without the class dimension; `ignored` where there is none.
        label_smoothing: The share of each target that is spread evenly over all classes, from 0 to 1.
        ignored: The label that stands for none.

    Returns:
        Scalar; 0, where `cross_entropy` gives NaN, without a single label.

    Raises:
        ValueError: The shapes do not fit.
    """
    if targets.shape != student_logits.shape[:-1]:
        raise ValueError(
            f"hard_target_loss: the logits are {tuple(student_logits.shape)} and the targets {tuple(targets.shape)}; "
            "there has to be one target for each position"
        )
    each = functional.cross_entropy(
        upcast(student_logits).flatten(0, -2),
        targets.flatten(),
        reduction="none",
        ignore_index=ignored,
        label_smoothing=label_smoothing,
    )
    return masked_mean(each, targets.flatten() != ignored)


@in_full_precision
def soft_target_loss(
    student_logits: Tensor, teacher_logits: Tensor, temperature: float, mask: Tensor | None = None
) -> Tensor:
    """Soft targets: T^2 KL(p_t || p_s) with p = softmax(z / T).

    Hinton, Vinyals and Dean 2015 (1503.02531), section 2: the factor T^2 keeps the gradient's size when T changes.
    With p_t = softmax(z_t / T) and p_s = softmax(z_s / T), L = T^2 sum_c p_t log(p_t / p_s), summed over classes and
    averaged over the other positions.

    Args:
        student_logits: (B, C) or (B, S, C).
        teacher_logits: The same shape; no gradient flows into it.
        temperature: T > 0.
        mask: Boolean, the shape without the class dimension; True where a position counts.

    Returns:
        Scalar in float32 (float64 for float64 input); 0 where no position counts.

    Raises:
        ValueError: The shapes differ, or T is not above 0.
    """
    log_student, log_teacher = _log_softmax("soft_target_loss", student_logits, teacher_logits, temperature)
    return masked_mean(_divergence(log_teacher, log_student), mask) * temperature**2


@in_full_precision
def reverse_kl_loss(
    student_logits: Tensor, teacher_logits: Tensor, temperature: float = 1.0, mask: Tensor | None = None
) -> Tensor:
    """Reverse KL: T^2 KL(p_s || p_t), which seeks one of the teacher's modes where the forward one covers all.

    Gu et al. 2023, MiniLLM (2306.08543), equation 1, per position; with the factor T^2 of soft targets.

    Args:
        student_logits: (B, C) or (B, S, C).
        teacher_logits: The same shape; no gradient flows into it.
        temperature: T > 0.
        mask: Boolean, the shape without the class dimension; True where a position counts.

    Raises:
        ValueError: The shapes differ, or T is not above 0.
    """
    log_student, log_teacher = _log_softmax("reverse_kl_loss", student_logits, teacher_logits, temperature)
    return masked_mean(_divergence(log_student, log_teacher), mask) * temperature**2


@in_full_precision
def generalized_jsd_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    beta: float = 0.5,
    temperature: float = 1.0,
    mask: Tensor | None = None,
) -> Tensor:
    """Generalised Jensen-Shannon divergence: b KL(p_t || m) + (1 - b) KL(p_s || m) with m = b p_t + (1 - b) p_s.

    Agarwal et al. 2024, GKD (2306.13649), equation 1. At the ends, where that is 0, stand the limits of JSD / b and
    JSD / (1 - b): b = 0 is KL(p_t || p_s) and b = 1 is KL(p_s || p_t). There is no factor T^2.

    Args:
        student_logits: (B, C) or (B, S, C).
        teacher_logits: The same shape; no gradient flows into it.
        beta: b, from 0 to 1. Near the ends the loss shrinks towards 0: at 0.01 it is about 100 times smaller than at 0.
        temperature: T > 0.
        mask: Boolean, the shape without the class dimension; True where a position counts.

    Raises:
        ValueError: The shapes differ, T is not above 0, or beta is not in [0, 1].
    """
    if not 0 <= beta <= 1:
        raise ValueError(f"generalized_jsd_loss: beta is {beta}; it has to be from 0 to 1")
    log_student, log_teacher = _log_softmax("generalized_jsd_loss", student_logits, teacher_logits, temperature)
    if beta == 0:
        return masked_mean(_divergence(log_teacher, log_student), mask)
    if beta == 1:
        return masked_mean(_divergence(log_student, log_teacher), mask)
    log_mixture = torch.logaddexp(log_teacher + math.log(beta), log_student + math.log1p(-beta))
    from_teacher = _divergence(log_teacher, log_mixture)
    from_student = _divergence(log_student, log_mixture)
    return masked_mean(beta * from_teacher + (1 - beta) * from_student, mask)


@in_full_precision
def decoupled_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    targets: Tensor,
    alpha: float = 1.0,
    beta: float = 8.0,
    temperature: float = 4.0,
) -> Tensor:
    """Decoupled distillation: T^2 (alpha TCKD + beta NCKD).

    Zhao et al. 2022, DKD (2203.08679), equation 7. TCKD is the KL of (p_target, 1 - p_target); NCKD that of the other
    classes, renormalised without the target. KL(p_t || p_s) = TCKD + (1 - p_t,target) NCKD.

    Args:
        student_logits: (B, C).
        teacher_logits: The same shape; no gradient flows into it.
        targets: (B) labels.
        alpha, beta: Weights of the two parts.
        temperature: T > 0.

    Raises:
        ValueError: The shapes do not fit, T is not above 0, or there are two classes and beta is above 0: a single
            class beside the target carries nothing.
    """
    log_student, log_teacher = _log_softmax("decoupled_loss", student_logits, teacher_logits, temperature)
    if student_logits.ndim != 2 or targets.shape != student_logits.shape[:1]:
        raise ValueError(
            f"decoupled_loss: the logits are {tuple(student_logits.shape)} and the targets {tuple(targets.shape)}; "
            "they have to be (B, C) and (B)"
        )
    classes = student_logits.shape[1]
    if classes < 2 or (classes == 2 and beta > 0):
        raise ValueError(
            f"decoupled_loss: with {classes} classes there is nothing beside the target to learn from; "
            "set beta to 0, or use soft targets"
        )
    # The places of the other classes: indexing by a mask would break torch.compile
    places = torch.arange(classes - 1, device=targets.device).expand(len(targets), -1)
    places = places + (places >= targets[:, None])
    target = [side.gather(1, targets[:, None]) for side in (log_student, log_teacher)]
    others = [side.gather(1, places) for side in (log_student, log_teacher)]
    student_pair, teacher_pair = (
        torch.cat([one, rest.logsumexp(1, keepdim=True)], dim=1) for one, rest in zip(target, others)
    )
    target_part = _divergence(teacher_pair, student_pair)
    other_part = _divergence(functional.log_softmax(others[1], 1), functional.log_softmax(others[0], 1))
    return masked_mean(alpha * target_part + beta * other_part, None) * temperature**2


@in_full_precision
def correlation_loss(
    student_logits: Tensor, teacher_logits: Tensor, inter: float = 1.0, intra: float = 1.0, temperature: float = 1.0
) -> Tensor:
    """DIST: T^2 [inter (1 - mean Pearson of the rows) + intra (1 - mean Pearson of the columns)] of softmax(z / T).

    Huang et al. 2022 (2205.10536), section 3: only the order and the spacing of the teacher's outputs have to
    be met, not their values. The paper calls the two weights beta and gamma. A row or column that is constant has no
    correlation and counts as 0; a batch of one has no columns to compare, so its second part is 0.

    Args:
        student_logits: (B, C).
        teacher_logits: The same shape; no gradient flows into it.
        inter: Weight of the part between classes (rows).
        intra: Weight of the part within a class (columns).
        temperature: T > 0.

    Raises:
        ValueError: The shapes do not fit, or T is not above 0.
    """
    log_student, log_teacher = _log_softmax("correlation_loss", student_logits, teacher_logits, temperature)
    if student_logits.ndim != 2:
        raise ValueError(f"correlation_loss: the logits are {tuple(student_logits.shape)}; they have to be (B, C)")
    student, teacher = log_student.exp(), log_teacher.exp()
    loss = inter * (1 - _pearson(student, teacher, dim=1).mean())
    if len(student) > 1:
        loss = loss + intra * (1 - _pearson(student, teacher, dim=0).mean())
    return loss * temperature**2


@in_full_precision
def logit_matching_loss(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Logit matching: the mean squared difference of the logits.

    Ba and Caruana 2014 (1312.6184), equation 1, up to a constant factor. For logits of zero mean, soft targets become
    half of it when T goes to infinity (Hinton et al. 2015, equation 4).

    Args:
        student_logits: (B, C) or (B, S, C).
        teacher_logits: The same shape; no gradient flows into it.

    Raises:
        ValueError: The shapes differ.
    """
    check_same_shape("logit_matching_loss", "logits", student_logits, teacher_logits, CLASSES)
    student, teacher = both(student_logits, teacher_logits)
    return masked_mean((student - teacher).square(), None)


def _log_softmax(
    loss: str, student_logits: Tensor, teacher_logits: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Log probabilities of both sides at temperature T; the teacher's without a gradient."""
    check_same_shape(loss, "logits", student_logits, teacher_logits, CLASSES)
    check_temperature(loss, temperature)
    student, teacher = (
        functional.log_softmax(side / temperature, dim=-1) for side in both(student_logits, teacher_logits)
    )
    return student, teacher


def _divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) over the last dimension."""
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1)


def _pearson(student: Tensor, teacher: Tensor, dim: int) -> Tensor:
    """Pearson's correlation along a dimension; 0 where one side is constant but for rounding."""
    sides = []
    for side in (student, teacher):
        floor = (8 * torch.finfo(side.dtype).eps) ** 2 * side.detach().square().sum(dim=dim, keepdim=True)
        sides.append(direction(side - side.mean(dim=dim, keepdim=True), dim, floor))
    return (sides[0] * sides[1]).sum(dim=dim)
