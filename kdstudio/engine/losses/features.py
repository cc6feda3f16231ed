"""Losses on intermediate features, element by element or vector by vector."""

from __future__ import annotations

import torch
from torch import Tensor

from kdstudio.engine.losses.common import both, check_same_shape, direction, in_full_precision, masked_mean, upcast


@in_full_precision
def hint_loss(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Hints: the mean of (t - g(s))^2 over all elements; the regressor g was already applied to the student's side.

    Romero et al. 2015, FitNets (1412.6550), equation 3, up to the constant factor that makes it a mean.

    Args:
        student_features: Any shape.
        teacher_features: The same shape; no gradient flows into it.

    Raises:
        ValueError: The shapes differ.
    """
    check_same_shape("hint_loss", "features", student_features, teacher_features, "use a regressor that joins them")
    student, teacher = both(student_features, teacher_features)
    return (student - teacher).square().mean()


@in_full_precision
def partial_l2_loss(student_features: Tensor, teacher_features: Tensor, margin: Tensor) -> Tensor:
    """Partial L2: the sum of (s - t')^2 with t' = max(t, margin), without the positions where s <= t' <= 0.

    Heo et al. 2019, OFD (1904.01866), section 3: where the teacher, before its ReLU, is not active, the student
    need not be more negative than it. Summed over all elements and the batch.

    Args:
        student_features: (B, M) or (B, M, H, W), before the ReLU; a connector was already applied.
        teacher_features: The same shape; no gradient flows into it.
        margin: (M), or one number: a negative value for each channel.

    Raises:
        ValueError: The shapes do not fit.
    """
    check_same_shape(
        "partial_l2_loss", "features", student_features, teacher_features, "use a connector that joins them"
    )
    channels = student_features.shape[1] if student_features.ndim > 1 else 0
    if margin.numel() not in (1, channels):
        raise ValueError(
            f"partial_l2_loss: the margin is {tuple(margin.shape)}, and the features are "
            f"{tuple(student_features.shape)}; it needs one number for each channel (dimension 1)"
        )
    student, teacher = both(student_features, teacher_features)
    floor = upcast(margin.detach()).to(teacher.dtype).reshape(1, -1, *[1] * (teacher.ndim - 2))
    teacher = torch.maximum(teacher, floor)
    free = (student <= teacher) & (teacher <= 0)
    return torch.where(free, torch.zeros_like(student), (student - teacher).square()).sum()


@in_full_precision
def boundary_loss(student_features: Tensor, teacher_features: Tensor, margin: float = 1.0) -> Tensor:
    """Activation boundaries: a squared hinge that puts the student on the teacher's side of zero, by a margin.

    Heo et al. 2019, AB (1811.03233), equation 4: the sum over neurons of (m + s)^2 where the teacher is not active
    (t <= 0) and s > -m, and of (m - s)^2 where it is and s < m; the mean over the batch.

    Args:
        student_features: (B, ...), before the ReLU; a connector was already applied.
        teacher_features: The same shape, before or after the ReLU; no gradient flows into it.
        margin: m, above 0.

    Raises:
        ValueError: The shapes differ.
    """
    check_same_shape("boundary_loss", "features", student_features, teacher_features, "use a connector that joins them")
    student, teacher = both(student_features, teacher_features)
    missing = torch.where(teacher > 0, margin - student, margin + student).clamp_min(0)
    return missing.square().sum() / max(1, len(student))


@in_full_precision
def variational_loss(student_mean: Tensor, teacher_features: Tensor, variance: Tensor) -> Tensor:
    """Variational information: the negative log-likelihood of the teacher's features, without its constant.

    Ahn et al. 2019, VID (1904.05835), equation 4: the mean over all elements of ((t - mu(s))^2 / v + log v) / 2, with a
    variance v for each channel.

    Args:
        student_mean: mu(s): (B, M, H, W), or (B, ..., D) for vectors and tokens.
        teacher_features: The same shape; no gradient flows into it.
        variance: (M) for maps, (D) otherwise; above 0.

    Raises:
        ValueError: The shapes do not fit.
    """
    check_same_shape(
        "variational_loss", "features", student_mean, teacher_features, "use a predictor that gives the teacher's shape"
    )
    channel = 1 if student_mean.ndim == 4 else student_mean.ndim - 1
    if variance.shape != student_mean.shape[channel : channel + 1]:
        raise ValueError(
            f"variational_loss: there are {tuple(variance.shape)} variances for features {tuple(student_mean.shape)}; "
            "it needs one for each channel"
        )
    mean, teacher = both(student_mean, teacher_features)
    spread = upcast(variance).reshape([-1 if place == channel else 1 for place in range(mean.ndim)])
    return ((teacher - mean).square() / spread + spread.log()).mean() / 2


@in_full_precision
def cosine_loss(student_hidden: Tensor, teacher_hidden: Tensor, mask: Tensor | None = None) -> Tensor:
    """Cosine: the mean of 1 - cos(s, t) over positions.

    Sanh et al. 2019, DistilBERT (1910.01108), section 3: the directions of the hidden states are aligned, their
    lengths are free. A vector of zeros has no direction; its cosine counts as 0.

    Args:
        student_hidden: (B, D) or (B, S, D).
        teacher_hidden: The same shape; no gradient flows into it.
        mask: Boolean, the shape without D; True where a position counts.

    Raises:
        ValueError: The shapes differ.
    """
    check_same_shape("cosine_loss", "hidden states", student_hidden, teacher_hidden, "it needs layers of one width")
    student, teacher = both(student_hidden, teacher_hidden)
    return masked_mean(1 - (direction(student, -1) * direction(teacher, -1)).sum(-1), mask)
