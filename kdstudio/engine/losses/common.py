"""What all losses share: full precision inside, checked shapes, directions without a division by zero."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec

import torch
from torch import Tensor

P = ParamSpec("P")


def in_full_precision(loss: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Makes a loss compute in float32 (float64 for float64 input), also inside of autocast.

    Without this the matrix products of the relational losses would be in half precision, whatever was cast before.
    """

    @functools.wraps(loss)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        first = next(value for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
        kind = first.device.type
        if not torch.is_autocast_enabled(kind):  # entering it takes as long as a small loss
            return loss(*args, **kwargs)
        with torch.autocast(kind, enabled=False):
            return loss(*args, **kwargs)

    return wrapped


def upcast(values: Tensor) -> Tensor:
    """Float32, or float64 where it is that already."""
    return values if values.dtype == torch.float64 else values.float()


def both(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Student's and teacher's side in full precision; the teacher's without a gradient."""
    return upcast(student), upcast(teacher.detach())


def check_same_shape(loss: str, what: str, student: Tensor, teacher: Tensor, fix: str) -> None:
    """Raises ValueError where the shapes differ; nothing is broadcast in silence."""
    if student.shape != teacher.shape:
        raise ValueError(
            f"{loss}: the student's {what} are {tuple(student.shape)} and the teacher's {tuple(teacher.shape)}; {fix}"
        )


def check_batches(loss: str, what: str, student: Tensor, teacher: Tensor) -> None:
    """Raises ValueError where the two sides are not of the same samples, or are no batches of features."""
    if min(student.ndim, teacher.ndim) < 2 or len(student) != len(teacher) or len(student) == 0:
        raise ValueError(
            f"{loss}: the student's {what} are {tuple(student.shape)} and the teacher's {tuple(teacher.shape)}; "
            "both need the same samples as their first dimension, and features behind it"
        )


def check_maps(loss: str, *features: Tensor) -> None:
    """Raises ValueError for what is no batch of maps (B, M, H, W)."""
    for tensor in features:
        if tensor.ndim != 4 or 0 in tensor.shape:
            raise ValueError(f"{loss}: {tuple(tensor.shape)} is no batch of maps; choose layers that give (B, M, H, W)")


def check_temperature(loss: str, temperature: float) -> None:
    """Raises ValueError for a temperature that is not above 0."""
    if not temperature > 0:
        raise ValueError(f"{loss}: the temperature is {temperature}; it has to be above 0")


def direction(values: Tensor, dim: int, floor: float | Tensor = 1e-24) -> Tensor:
    """`values` divided by their norm along `dim`; zeros, with a gradient of zero, where there is no direction.

    Args:
        floor: Squared norms up to this are taken for zero.
    """
    squares = values.square().sum(dim=dim, keepdim=True)
    there = squares > floor
    return torch.where(there, values * torch.where(there, squares, 1.0).rsqrt(), 0.0)


def masked_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """The mean over positions where `mask` is True; 0, not NaN, when there are none.

    Args:
        values: Any shape.
        mask: Boolean of the same shape, or None for all positions.
    """
    if mask is None:
        return values.mean() if values.numel() else values.sum()
    if mask.shape != values.shape:
        raise ValueError(f"the mask is {tuple(mask.shape)}, and the positions are {tuple(values.shape)}")
    kept = torch.where(mask, values, torch.zeros_like(values))
    return kept.sum() / mask.to(values.dtype).sum().clamp_min(1.0)
