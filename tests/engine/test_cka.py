"""Linear CKA against a slow reference, and its invariances."""

from __future__ import annotations

import pytest
import torch

from kdstudio.engine.cka import cka_matrix, gram, linear_cka


def reference_hsic(k: torch.Tensor, m: torch.Tensor) -> float:
    """Equation 3 of 2010.15327 with loops; k and m have zero diagonals."""
    n = len(k)
    trace = sum(float(k[i, j] * m[j, i]) for i in range(n) for j in range(n))
    totals = float(k.sum()) * float(m.sum()) / ((n - 1) * (n - 2))
    cross = sum(float(k[i, j] * m[j, q]) for i in range(n) for j in range(n) for q in range(n)) * 2 / (n - 2)
    return (trace + totals - cross) / (n * (n - 3))


def test_matches_the_equation() -> None:
    first, second = torch.randn(9, 6), torch.randn(9, 4)
    second[:, :2] = first[:, :2]
    k, m = gram(first), gram(second)
    expected = reference_hsic(k, m) / (reference_hsic(k, k) * reference_hsic(m, m)) ** 0.5
    assert linear_cka(first, second) == pytest.approx(min(max(expected, 0), 1), abs=1e-6)


def test_identity_rotation_and_scale() -> None:
    features = torch.randn(32, 8)
    rotation, _ = torch.linalg.qr(torch.randn(8, 8))
    assert linear_cka(features, features) == pytest.approx(1, abs=1e-6)
    assert linear_cka(features, 3 * features @ rotation) == pytest.approx(1, abs=1e-4)


def test_independent_features_are_near_zero_and_constants_are_zero() -> None:
    torch.manual_seed(0)
    assert linear_cka(torch.randn(256, 16), torch.randn(256, 16)) < 0.1
    assert linear_cka(torch.ones(8, 4), torch.randn(8, 4)) == 0.0


def test_the_map_is_teacher_by_student() -> None:
    layers = [torch.randn(8, 5), torch.randn(8, 3, 2, 2), torch.randn(8, 7)]
    table = cka_matrix([gram(layer) for layer in layers[:2]], [gram(layer) for layer in layers])
    assert table.shape == (2, 3)
    assert table[1, 1] == pytest.approx(1, abs=1e-6)
