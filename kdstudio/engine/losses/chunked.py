"""The losses on outputs for vocabularies: position by position, a few at a time, so that memory stays small.

With V words a loss makes several tensors as large as the logits, and keeps them until the backward pass: 8 texts of 512
tokens at 50,000 words are 0.8 GB for each. Here a chunk of positions goes by at a time. What it makes is dropped at
once, and made again in the backward pass, which writes the gradient of the chunk to its place; the gradient is the one
tensor of that size that is added. `torch.utils.checkpoint` around each chunk would hold the gradients of all chunks
beside the whole, and one of the logits' size for each chunk where they are slices.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from kdstudio.engine.losses.common import in_full_precision, upcast
from kdstudio.engine.losses.outputs import (
    generalized_jsd_loss,
    hard_target_loss,
    logit_matching_loss,
    reverse_kl_loss,
    soft_target_loss,
)

#: Bytes that the tensors of a chunk may take; the system's allocator may hold on to about twice as much.
BUDGET = 64 * 2**20
#: Tensors (positions, V) in float32 that a loss holds at its worst: 5 with soft targets, 9 with the JSD.
TENSORS = 9

#: A mean over positions: of (P, V) student logits, other tensors (P, ...), and a mask (P) or None.
PositionLoss = Callable[..., Tensor]


def chunk_positions(vocabulary: int, budget: int = BUDGET) -> int:
    """How many positions of V words a loss may take at once.

    Args:
        vocabulary: V.
        budget: Bytes for what a loss makes of them, in float32.

    Returns:
        1 or more, whatever the budget.
    """
    return max(1, budget // (TENSORS * 4 * max(1, vocabulary)))


@in_full_precision
def in_chunks(
    loss: PositionLoss, positions_per_chunk: int, student_logits: Tensor, *others: Tensor, mask: Tensor | None = None
) -> Tensor:
    """A loss that is a mean over positions, evaluated some positions at a time; value and gradient are the same.

    The gradient is made chunk by chunk in the backward pass. It can be differentiated once. With no more positions than
    a chunk has, the loss is simply called.

    Args:
        loss: Called as `loss(student, *others, mask)` with the positions of a chunk; gives the mean over those that
            count.
        positions_per_chunk: 1 or more.
        student_logits: (P, V) or (B, S, V).
        others: Of the same positions: the teacher's logits, targets; no gradient flows into them.
        mask: Boolean, the shape without the words; True where a position counts, None for all.

    Returns:
        Scalar; 0 where no position counts.

    Raises:
        ValueError: A chunk would be empty, or what the loss raises.
    """
    if positions_per_chunk < 1:
        raise ValueError(f"in_chunks: a chunk has {positions_per_chunk} positions; it needs 1 or more")
    places = student_logits.shape[:-1]
    fits = all(other.shape[: len(places)] == places for other in others) and (mask is None or mask.shape == places)
    if places.numel() <= positions_per_chunk or not fits:  # what does not fit, the loss itself explains
        return loss(student_logits, *others, mask)
    rows = [side.flatten(0, len(places) - 1) for side in (student_logits, *others)]
    flat_mask = None if mask is None else mask.flatten()
    total: Tensor = _Chunks.apply(loss, positions_per_chunk, flat_mask, *rows)
    return total / _count(len(rows[0]) if flat_mask is None else flat_mask.sum(), total)


def soft_target_loss_chunked(
    student_logits: Tensor,
    teacher_logits: Tensor,
    temperature: float,
    mask: Tensor | None = None,
    budget: int = BUDGET,
) -> Tensor:
    """`soft_target_loss` within a budget of bytes; see there."""
    size = chunk_positions(student_logits.shape[-1], budget)
    return in_chunks(
        lambda student, teacher, kept: soft_target_loss(student, teacher, temperature, kept),
        size,
        student_logits,
        teacher_logits,
        mask=mask,
    )


def reverse_kl_loss_chunked(
    student_logits: Tensor,
    teacher_logits: Tensor,
    temperature: float = 1.0,
    mask: Tensor | None = None,
    budget: int = BUDGET,
) -> Tensor:
    """`reverse_kl_loss` within a budget of bytes; see there."""
    size = chunk_positions(student_logits.shape[-1], budget)
    return in_chunks(
        lambda student, teacher, kept: reverse_kl_loss(student, teacher, temperature, kept),
        size,
        student_logits,
        teacher_logits,
        mask=mask,
    )


def generalized_jsd_loss_chunked(
    student_logits: Tensor,
    teacher_logits: Tensor,
    beta: float = 0.5,
    temperature: float = 1.0,
    mask: Tensor | None = None,
    budget: int = BUDGET,
) -> Tensor:
    """`generalized_jsd_loss` within a budget of bytes; see there."""
    size = chunk_positions(student_logits.shape[-1], budget)
    return in_chunks(
        lambda student, teacher, kept: generalized_jsd_loss(student, teacher, beta, temperature, kept),
        size,
        student_logits,
        teacher_logits,
        mask=mask,
    )


def logit_matching_loss_chunked(student_logits: Tensor, teacher_logits: Tensor, budget: int = BUDGET) -> Tensor:
    """`logit_matching_loss` within a budget of bytes; see there."""
    size = chunk_positions(student_logits.shape[-1], budget)
    return in_chunks(
        lambda student, teacher, _: logit_matching_loss(student, teacher), size, student_logits, teacher_logits
    )


def hard_target_loss_chunked(
    student_logits: Tensor, targets: Tensor, label_smoothing: float = 0.0, ignored: int = -100, budget: int = BUDGET
) -> Tensor:
    """`hard_target_loss` within a budget of bytes; see there."""
    size = chunk_positions(student_logits.shape[-1], budget)
    return in_chunks(
        lambda student, labels, _: hard_target_loss(student, labels, label_smoothing, ignored),
        size,
        student_logits,
        targets,
        mask=targets != ignored,
    )


def _count(positions: int | Tensor, like: Tensor) -> Tensor:
    """The number of positions that count, 1 at least, to divide by."""
    return torch.as_tensor(positions, dtype=like.dtype, device=like.device).clamp_min(1.0)


class _Chunks(torch.autograd.Function):
    """The sum over positions of a loss that is a mean over them; each chunk is made again in the backward pass."""

    @staticmethod
    def forward(
        ctx: Any, loss: PositionLoss, size: int, mask: Tensor | None, student: Tensor, *others: Tensor
    ) -> Tensor:
        ctx.loss, ctx.size = loss, size
        ctx.save_for_backward(mask, student, *others)
        total = torch.zeros((), dtype=upcast(student[:0]).dtype, device=student.device)
        for chunk in _chunks(size, mask, student, *others):
            total += _sum(loss, *chunk)
        return total

    @staticmethod
    @once_differentiable  # type: ignore[misc, untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        mask, student, *others = ctx.saved_tensors
        found = torch.empty_like(student)
        pieces = found.split(ctx.size)
        with torch.enable_grad(), torch.autocast(student.device.type, enabled=False):
            for piece, (kept, part, *rest) in zip(pieces, _chunks(ctx.size, mask, student, *others)):
                part = part.detach().requires_grad_()
                piece.copy_(torch.autograd.grad(_sum(ctx.loss, kept, part, *rest), part, gradient)[0])
        return None, None, None, found, *(None for _ in others)


def _chunks(size: int, mask: Tensor | None, *sides: Tensor) -> Any:
    """Mask and sides of one chunk after the other."""
    masks = [None] * -(-len(sides[0]) // size) if mask is None else mask.split(size)
    return zip(masks, *(side.split(size) for side in sides))


def _sum(loss: PositionLoss, mask: Tensor | None, student: Tensor, *others: Tensor) -> Tensor:
    """What the positions of a chunk that count add up to."""
    return loss(student, *others, mask) * (len(student) if mask is None else mask.sum())
