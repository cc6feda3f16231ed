"""Losses on intermediate features."""

from __future__ import annotations

import torch
from torch import Tensor


def hint_loss(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Hints: the mean of (t - g(s))^2 over all elements; the regressor g was already applied to the student's side.

    Romero et al. 2015, FitNets (1412.6550), equation 3, up to the constant factor that makes it a mean.

    Args:
        student_features: Any shape.
        teacher_features: The same shape; no gradient flows into it.

    Raises:
        ValueError: The shapes differ.
    """
    if student_features.shape != teacher_features.shape:
        raise ValueError(
            f"hint_loss: the student's features are {tuple(student_features.shape)} and the teacher's "
            f"{tuple(teacher_features.shape)}; use a regressor that joins them"
        )
    if student_features.dtype != torch.float64:
        student_features, teacher_features = student_features.float(), teacher_features.float()
    return (student_features - teacher_features.detach()).square().mean()
