"""Losses on relations between the samples of a batch. The widths of the two networks may differ."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from kdstudio.engine.losses.common import both, check_batches, direction, in_full_precision, upcast

#: Most entries of the (B, B, B) table of angles that are held at once.
MOST_ANGLES = 2**22


@in_full_precision
def relational_distance_loss(student_embeddings: Tensor, teacher_embeddings: Tensor) -> Tensor:
    """Relational distances: smooth L1 between the pairwise distances, each network's divided by their own mean.

    Park et al. 2019, RKD (1904.05068), section 3.2.1: the mean, over all B x B entries, of the Huber loss (delta 1).
    The mean distance is taken over positive entries. 0 for a batch of one.

    Args:
        student_embeddings: (B, ...), flattened for each sample.
        teacher_embeddings: (B, ...), of any width; no gradient flows into it.

    Raises:
        ValueError: They are not of the same samples.
    """
    check_batches("relational_distance_loss", "embeddings", student_embeddings, teacher_embeddings)
    student, teacher = (_scaled(_distances(*_gram(side))) for side in _flat(student_embeddings, teacher_embeddings))
    return functional.smooth_l1_loss(student, teacher)


@in_full_precision
def relational_angle_loss(student_embeddings: Tensor, teacher_embeddings: Tensor) -> Tensor:
    """Relational angles: smooth L1 between the cosines of the angle at j in all triplets (i, j, k).

    Park et al. 2019, RKD (1904.05068), section 3.2.2: the mean, over all B^3 entries, of the Huber loss (delta 1);
    where two of the samples coincide the cosine is 0. 0 for a batch of one. All triplets count, whatever the batch; the
    table is made in pieces of 4 million entries at most, so memory stays small. It can be differentiated once.

    Args:
        student_embeddings: (B, ...), flattened for each sample.
        teacher_embeddings: (B, ...), of any width; no gradient flows into it.

    Raises:
        ValueError: They are not of the same samples.
    """
    check_batches("relational_angle_loss", "embeddings", student_embeddings, teacher_embeddings)
    tables = []
    for side in _flat(student_embeddings, teacher_embeddings):
        gram, floor = _gram(side)
        distances = _distances(gram, floor)
        there = distances > 0
        tables += [gram, torch.where(there, 1 / torch.where(there, distances, 1.0), 0.0)]
    total: Tensor = _Angles.apply(*tables)
    return total / len(student_embeddings) ** 3


@in_full_precision
def similarity_preserving_loss(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Similarity preserving: ||R(F_t F_t') - R(F_s F_s')||_F^2 / B^2, where R divides each row by its L2 norm.

    Tung and Mori 2019, SP (1907.09682), section 3. 0 for a batch of one.

    Args:
        student_features: (B, ...), flattened for each sample.
        teacher_features: (B, ...), of any width; no gradient flows into it.

    Raises:
        ValueError: They are not of the same samples.
    """
    check_batches("similarity_preserving_loss", "features", student_features, teacher_features)
    student, teacher = (direction(side @ side.t(), 1) for side in _flat(student_features, teacher_features))
    return (teacher - student).square().mean()


@in_full_precision
def probabilistic_transfer_loss(student_embeddings: Tensor, teacher_embeddings: Tensor) -> Tensor:
    """Probabilistic knowledge transfer: the mean over B x B of p_t log(p_t / p_s).

    Passalis and Tefas 2018, PKT (1803.10837), section 3, with the cosine kernel: p are the rows of
    (cos(x_i, x_j) + 1) / 2, divided by their sum. Opposite samples count with the smallest number that 1 can be told
    apart from, so that the logarithm is finite. 0 for a batch of one.

    Args:
        student_embeddings: (B, ...), flattened for each sample.
        teacher_embeddings: (B, ...), of any width; no gradient flows into it.

    Raises:
        ValueError: They are not of the same samples.
    """
    check_batches("probabilistic_transfer_loss", "embeddings", student_embeddings, teacher_embeddings)
    sides = []
    for side in _flat(student_embeddings, teacher_embeddings):
        units = direction(side, 1)
        kernel = ((units @ units.t() + 1) / 2).clamp_min(torch.finfo(side.dtype).eps)
        sides.append(kernel / kernel.sum(dim=1, keepdim=True))
    student, teacher = sides
    return (teacher * (teacher.log() - student.log())).mean()


@in_full_precision
def correlation_congruence_loss(student_embeddings: Tensor, teacher_embeddings: Tensor) -> Tensor:
    """Correlation congruence: with d = s - t, the mean over i of <|d_i|, |d_{i+1}|>.

    Peng et al. 2019, CC (1904.01802), in the form of the benchmark that compares it (1910.10699): neighbours in the
    batch stand for pairs. 0 for a batch of one.

    Args:
        student_embeddings: (B, ...), flattened for each sample.
        teacher_embeddings: (B, ...), of the same width; no gradient flows into it.

    Raises:
        ValueError: They are not of the same samples, or the widths differ.
    """
    check_batches("correlation_congruence_loss", "embeddings", student_embeddings, teacher_embeddings)
    student, teacher = _flat(student_embeddings, teacher_embeddings)
    if student.shape != teacher.shape:
        raise ValueError(
            f"correlation_congruence_loss: the student's embeddings are {student.shape[1]} wide and the teacher's "
            f"{teacher.shape[1]}; it needs layers of one width"
        )
    difference = (student - teacher).abs()
    return (difference[:-1] * difference[1:]).sum() / max(1, len(difference) - 1)


@in_full_precision
def contrastive_loss(positives: Tensor, negatives: Tensor, samples: int, kept: Tensor | None = None) -> Tensor:
    """Noise-contrastive estimation of one direction of CRD.

    Tian, Krishnan and Isola 2020, CRD (1910.10699), equations 17 and 18: with K negatives a sample and the noise
    distribution 1/N, h = g / (g + K/N); minus the sum of log h over the positives and of log(1 - h) over the negatives,
    as a mean over the batch.

    Args:
        positives: (B), log g of each sample with its positive: cosine / temperature - log Z.
        negatives: (B, K), log g of each sample with each of its negatives.
        samples: N, of the training set.
        kept: (B, K) boolean, False where a column is no negative of the row; None for all. K is then the row's count.

    Raises:
        ValueError: The shapes do not fit.
    """
    if positives.ndim != 1 or negatives.ndim != 2 or len(positives) != len(negatives):
        raise ValueError(
            f"contrastive_loss: positives {tuple(positives.shape)} and negatives {tuple(negatives.shape)} are not (B) "
            "and (B, K) of the same samples"
        )
    there, others = upcast(positives), upcast(negatives)
    if kept is None:
        kept = torch.ones_like(others, dtype=torch.bool)
    noise = (kept.sum(dim=1).to(there.dtype) / max(1, samples)).clamp_min(torch.finfo(there.dtype).tiny).log()
    own = functional.softplus(noise - there)  # -log of g / (g + K/N)
    rest = functional.softplus(others - noise[:, None])  # -log of (K/N) / (g + K/N)
    return (own.sum() + torch.where(kept, rest, 0.0).sum()) / max(1, len(there))


def _flat(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Both sides in full precision, one row a sample; the teacher's without a gradient."""
    student, teacher = both(student, teacher)
    return student.flatten(1), teacher.flatten(1)


def _gram(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Inner products (B, B) of the centred rows, and what squared distances are below for rounding alone.

    Distances by inner products are several times cheaper than by differences; centring keeps the rounding small.
    """
    rows = rows - rows.mean(dim=0, keepdim=True)
    gram = rows @ rows.t()
    norms = gram.detach().diagonal()
    return gram, 16 * torch.finfo(rows.dtype).eps * (norms[:, None] + norms[None])


def _distances(gram: Tensor, floor: Tensor) -> Tensor:
    """Pairwise distances (B, B); exactly 0, with a gradient of zero, where two samples coincide."""
    norms = gram.diagonal()
    squares = norms[:, None] + norms[None] - 2 * gram
    there = squares > floor
    return torch.where(there, torch.where(there, squares, 1.0).sqrt(), 0.0)


def _scaled(distances: Tensor) -> Tensor:
    """Distances divided by their mean over positive entries."""
    count = (distances > 0).sum()
    mean = distances.sum() / count.clamp_min(1)
    return distances / torch.where(count > 0, mean, 1.0)


class _Angles(torch.autograd.Function):
    """The summed loss of all angles, with its gradient made in the same pass.

    Left to autograd it would hold several tables of B^3. Here the table goes by in pieces, through the same buffers.
    With the inner products G and the inverse distances v, the cosine at j between i and k is v_ji v_jk P_jik, where
    P_jik = G_ik - G_ji - G_jk + G_jj.
    """

    @staticmethod
    def forward(
        ctx: Any, student_gram: Tensor, student_inverse: Tensor, teacher_gram: Tensor, teacher_inverse: Tensor
    ) -> Tensor:
        size = len(student_gram)
        rows = min(size, max(1, MOST_ANGLES // size**2))
        buffers = student_gram.new_empty(4, rows, size, size)
        total = student_gram.new_zeros(())
        gram_gradient, inverse_gradient = torch.zeros_like(student_gram), torch.zeros_like(student_inverse)
        for start in range(0, size, rows):
            piece = slice(start, start + rows)
            products, weights, error, slope = buffers[:, : len(student_gram[piece])]
            near, teacher_near = student_inverse[piece], teacher_inverse[piece]
            _products(teacher_gram, piece, error)
            error.mul_(teacher_near[:, :, None]).mul_(teacher_near[:, None]).neg_()
            _products(student_gram, piece, products)
            torch.mul(near[:, :, None], near[:, None], out=weights)
            error.addcmul_(products, weights)
            torch.clamp(error, -1, 1, out=slope)  # the derivative of smooth L1, which is slope (error - slope / 2)
            total += error.sub_(slope, alpha=0.5).mul_(slope).sum()
            if ctx.needs_input_grad[0]:
                # P and the slope are the same for (i, k) and (k, i)
                inverse_gradient[piece] = 2 * (products.mul_(slope) @ near[:, :, None]).squeeze(2)
                weights.mul_(slope)
                lines = weights.sum(2)
                gram_gradient += weights.sum(0)
                gram_gradient[piece] -= 2 * lines
                gram_gradient.diagonal()[piece] += lines.sum(1)
        ctx.save_for_backward(gram_gradient, inverse_gradient)
        return total

    @staticmethod
    @once_differentiable  # type: ignore[misc, untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        gram_gradient, inverse_gradient = ctx.saved_tensors
        return gradient * gram_gradient, gradient * inverse_gradient, None, None


def _products(gram: Tensor, piece: slice, out: Tensor) -> None:
    """Inner products (J, B, B) of x_i - x_j and x_k - x_j, written to `out`."""
    own = gram[piece]
    torch.sub(gram[None], own[:, :, None], out=out)
    out.sub_(own[:, None]).add_(gram.diagonal()[piece, None, None])
