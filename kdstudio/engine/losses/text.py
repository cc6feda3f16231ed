"""Losses on what attention blocks and hidden states of text networks hold."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from kdstudio.engine.losses.common import both, check_same_shape, direction, in_full_precision, masked_mean, upcast

SAME_HEADS = "choose blocks with the same number of heads and the same tokens, or compare hidden states"


@in_full_precision
def attention_scores(query: Tensor, key: Tensor) -> Tensor:
    """Scores of attention before the softmax: q k' / sqrt(d).

    Vaswani et al. 2017 (1706.03762), equation 1. With grouped queries, where several query heads share a key head, each
    key head stands for as many neighbouring query heads as there are to one.

    Args:
        query: (B, H, S, d).
        key: (B, H, S, d), or with fewer heads of which H is a multiple.

    Returns:
        (B, H, S, S): query positions, then key positions.

    Raises:
        ValueError: The shapes do not fit.
    """
    fits = query.ndim == key.ndim == 4 and 0 not in query.shape and 0 not in key.shape
    if not fits or query.shape[0] != key.shape[0] or query.shape[2:] != key.shape[2:] or query.shape[1] % key.shape[1]:
        raise ValueError(
            f"attention_scores: the queries are {tuple(query.shape)} and the keys {tuple(key.shape)}; both have to be "
            "(B, heads, S, d) of one attention block, with as many heads of queries as of keys or a multiple of that"
        )
    grouped = upcast(query).unflatten(1, (key.shape[1], -1))
    scores = grouped @ upcast(key).unsqueeze(2).transpose(-1, -2)
    return scores.flatten(1, 2) / math.sqrt(query.shape[-1])


@in_full_precision
def attention_distribution_loss(
    student_scores: Tensor, teacher_scores: Tensor, mask: Tensor | None = None, causal: bool = False
) -> Tensor:
    """Attention distributions: KL(A_t || A_s) with A = softmax(scores), as a mean over heads and query positions.

    Wang et al. 2020, MiniLM (2002.10957), section 3.1, L_AT: for each head and each position of a text, the divergence
    between what the two networks attend to. Padding gets no attention and asks for none.

    Args:
        student_scores: (B, H, S, S) before the softmax: query positions, then key positions.
        teacher_scores: The same shape; no gradient flows into it.
        mask: Boolean (B, S), True where a token is real; None for all.
        causal: Whether a position attends to itself and those before it only.

    Returns:
        Scalar; 0 where no token is real.

    Raises:
        ValueError: The shapes differ, as with another number of heads, or are no scores.
    """
    name = "attention_distribution_loss"
    _check_scores(name, student_scores, teacher_scores)
    student, teacher = both(student_scores, teacher_scores)
    return _relation_divergence(name, student, teacher, mask, causal)


@in_full_precision
def value_relation_loss(
    student_values: Tensor, teacher_values: Tensor, mask: Tensor | None = None, causal: bool = False
) -> Tensor:
    """Value relations: KL(R_t || R_s) with R = softmax(V V' / sqrt(d)), as a mean over heads and positions.

    Wang et al. 2020, MiniLM (2002.10957), section 3.2, L_VR: how the values of the tokens of a text relate to each
    other, which needs no common width.

    Args:
        student_values: (B, H, S, d).
        teacher_values: (B, H, S, d'), of any width; no gradient flows into it.
        mask: Boolean (B, S), True where a token is real; None for all.
        causal: Whether a position is related to itself and those before it only.

    Returns:
        Scalar; 0 where no token is real.

    Raises:
        ValueError: The numbers of heads or the tokens differ, or these are no values.
    """
    name = "value_relation_loss"
    shapes = student_values.shape, teacher_values.shape
    if any(len(shape) != 4 or 0 in shape for shape in shapes) or shapes[0][:3] != shapes[1][:3]:
        raise ValueError(
            f"{name}: the student's values are {tuple(shapes[0])} and the teacher's {tuple(shapes[1])}; both have to "
            f"be (B, heads, S, d), where the widths d alone may differ: {SAME_HEADS}"
        )
    relations = []
    for side in both(student_values, teacher_values):
        if mask is not None:
            _check_mask(name, mask, side)
            # A product with padding would bring its gradient, were it not finite, to the tokens that count
            side = torch.where(mask[:, None, :, None], side, 0.0)
        relations.append(side @ side.transpose(-1, -2) / math.sqrt(side.shape[-1]))
    return _relation_divergence(name, relations[0], relations[1], mask, causal)


@in_full_precision
def attention_score_loss(
    student_scores: Tensor, teacher_scores: Tensor, mask: Tensor | None = None, causal: bool = False
) -> Tensor:
    """Attention scores: the mean squared difference of the scores before the softmax.

    Jiao et al. 2020, TinyBERT (1909.10351), equation 7: the mean over heads of the MSE of the unnormalised attention
    matrices; over pairs of positions of which both are real.

    Args:
        student_scores: (B, H, S, S) before the softmax.
        teacher_scores: The same shape; no gradient flows into it.
        mask: Boolean (B, S), True where a token is real; None for all.
        causal: Whether a position attends to itself and those before it only: the other scores have no meaning.

    Returns:
        Scalar; 0 where no token is real.

    Raises:
        ValueError: The shapes differ, as with another number of heads, or are no scores.
    """
    name = "attention_score_loss"
    _check_scores(name, student_scores, teacher_scores)
    student, teacher = both(student_scores, teacher_scores)
    if mask is None and not causal:
        return (student - teacher).square().mean()
    kept = torch.ones(student.shape[-2:], dtype=torch.bool, device=student.device)[None, None]
    if causal:
        kept = kept.tril()
    if mask is not None:
        _check_mask(name, mask, student)
        kept = kept & (mask[:, :, None] & mask[:, None])[:, None]
    pairs = kept.expand_as(student)
    return masked_mean(torch.where(pairs, student - teacher, 0.0).square(), pairs)


@in_full_precision
def patient_loss(student_hidden: Tensor, teacher_hidden: Tensor, mask: Tensor | None = None) -> Tensor:
    """Patient distillation: |s / |s| - t / |t||^2 of the hidden states of the first token, [CLS].

    Sun et al. 2019, PKD (1908.09355), equation 7, as a mean over texts and layers where the paper adds up. It is
    2 - 2 cos(s, t) where both have a direction; a vector of zeros stays zeros.

    Args:
        student_hidden: (B, D), or (B, L, D) of L layers.
        teacher_hidden: The same shape; no gradient flows into it.
        mask: Boolean, the shape without D; True where a text's layer counts.

    Returns:
        Scalar; 0 where nothing counts.

    Raises:
        ValueError: The shapes differ.
    """
    check_same_shape(
        "patient_loss", "hidden states", student_hidden, teacher_hidden, "it needs as many layers, of one width"
    )
    student, teacher = both(student_hidden, teacher_hidden)
    return masked_mean((direction(student, -1) - direction(teacher, -1)).square().sum(dim=-1), mask)


def _relation_divergence(loss: str, student: Tensor, teacher: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """KL(teacher || student) of the rows of scores (B, H, S, S); the mean over the rows of real tokens."""
    if mask is None and not causal:
        log_student, log_teacher = (functional.log_softmax(side, dim=-1) for side in (student, teacher))
        return masked_mean((log_teacher.exp() * (log_teacher - log_student)).sum(dim=-1), None)
    kept = torch.ones(student.shape[-2:], dtype=torch.bool, device=student.device)[None, None]
    if causal:
        kept = kept.tril()
    rows = None
    if mask is not None:
        _check_mask(loss, mask, student)
        kept = kept & (mask[:, :, None] & mask[:, None])[:, None]
        rows = mask[:, None].expand(student.shape[:3])
    # Finite, as -inf would give NaN in the rows of padding, where nothing is kept
    low = torch.finfo(student.dtype).min / 2
    log_student, log_teacher = (
        functional.log_softmax(torch.where(kept, side, low), dim=-1) for side in (student, teacher)
    )
    each = torch.where(kept, log_teacher.exp() * (log_teacher - log_student), 0.0)
    return masked_mean(each.sum(dim=-1), rows)


def _check_scores(loss: str, student: Tensor, teacher: Tensor) -> None:
    """Raises ValueError for what are no scores (B, H, S, S), and where heads or tokens differ."""
    check_same_shape(loss, "scores", student, teacher, SAME_HEADS)
    if student.ndim != 4 or 0 in student.shape or student.shape[2] != student.shape[3]:
        raise ValueError(
            f"{loss}: {tuple(student.shape)} are no scores of attention; they have to be (B, heads, S, S), as "
            "attention_scores gives them"
        )


def _check_mask(loss: str, mask: Tensor, side: Tensor) -> None:
    """Raises ValueError where the mask is not (B, S) of these scores or values (B, H, S, ...)."""
    if mask.shape != (side.shape[0], side.shape[2]):
        raise ValueError(
            f"{loss}: the mask is {tuple(mask.shape)}; for {tuple(side.shape)} it has to be (B, S), True where a token "
            "is real"
        )
