"""Losses on output distributions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


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
    """
    student = _upcast(student_logits) / temperature
    teacher = _upcast(teacher_logits.detach()) / temperature
    log_student = functional.log_softmax(student, dim=-1)
    log_teacher = functional.log_softmax(teacher, dim=-1)
    divergence = (log_teacher.exp() * (log_teacher - log_student)).sum(dim=-1)
    return masked_mean(divergence, mask) * temperature**2


def masked_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """The mean over positions where `mask` is True; 0, not NaN, when there are none.

    Args:
        values: Any shape.
        mask: Boolean of the same shape, or None for all positions.
    """
    if mask is None:
        return values.mean() if values.numel() else values.sum()
    weights = mask.to(values.dtype)
    kept = torch.where(mask, values, torch.zeros_like(values))
    return kept.sum() / weights.sum().clamp_min(1.0)


def _upcast(logits: Tensor) -> Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()
