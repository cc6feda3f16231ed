"""Linear CKA between layers, in the unbiased form that few samples need."""

from __future__ import annotations

import torch
from torch import Tensor


def gram(features: Tensor) -> Tensor:
    """X X' of flattened features, with its diagonal set to 0 as the unbiased estimator wants it.

    Args:
        features: (n, ...), any float dtype.

    Returns:
        (n, n) float64 (float32 products: the features' own rounding is larger).
    """
    flat = features.flatten(1).float()
    flat = flat - flat.mean(dim=0, keepdim=True)
    matrix = (flat @ flat.T).double() if flat.device.type != "mps" else (flat @ flat.T).cpu().double()
    return matrix.fill_diagonal_(0.0)


def unbiased_hsic(first: Tensor, second: Tensor) -> Tensor:
    """HSIC_1 of Song et al. 2012 as used by Nguyen, Raghu and Kornblith 2021 (2010.15327), equation 3.

    Args:
        first: (a, n, n) Gram matrices with zero diagonals.
        second: (b, n, n).

    Returns:
        (a, b) estimates. n must be at least 4.
    """
    n = first.shape[-1]
    trace = torch.einsum("aij,bij->ab", first, second)
    sums_first, sums_second = first.sum(dim=-1), second.sum(dim=-1)
    totals = sums_first.sum(-1)[:, None] * sums_second.sum(-1)[None, :] / ((n - 1) * (n - 2))
    cross = torch.einsum("ai,bi->ab", sums_first, sums_second) * (2.0 / (n - 2))
    return (trace + totals - cross) / (n * (n - 3))


def cka_matrix(first: list[Tensor], second: list[Tensor]) -> Tensor:
    """Linear CKA of each of `first` with each of `second` (Kornblith et al. 2019, 1905.00414).

    Args:
        first, second: Gram matrices from `gram`, all over the same n samples.

    Returns:
        (len(first), len(second)) float64, clipped to 0..1 (the unbiased estimate can stray a little); 0 where a
        layer's output is constant over the samples.
    """
    a, b = torch.stack(first), torch.stack(second)
    self_a = torch.stack([unbiased_hsic(m[None], m[None])[0, 0] for m in a])
    self_b = torch.stack([unbiased_hsic(m[None], m[None])[0, 0] for m in b])
    scale = (self_a.clamp_min(0)[:, None] * self_b.clamp_min(0)[None, :]).sqrt()
    value = unbiased_hsic(a, b) / scale.clamp_min(1e-30)
    return torch.where(scale > 1e-30, value, torch.zeros_like(value)).clamp(0.0, 1.0)


def linear_cka(first: Tensor, second: Tensor) -> float:
    """Linear CKA of two layers' features over the same n >= 4 samples, each (n, ...)."""
    return float(cka_matrix([gram(first)], [gram(second)])[0, 0])
