"""Losses of terms that learn parts of their own, against slow references written from the papers' equations."""

from __future__ import annotations

import math

import pytest
import torch

from kdstudio.engine.losses import boundary_loss, contrastive_loss, factor_loss, variational_loss
from tests.engine.losses.kit import mean, norm, numbers


@pytest.mark.parametrize("shape", [(4, 3, 2, 5), (6, 3), (2, 5, 3)])
def test_variational(shape: tuple[int, ...]) -> None:
    student, teacher = numbers(*shape), numbers(*shape, seed=1)
    variance = torch.tensor([0.5, 2.0, 7.0]).double()
    channel = 1 if len(shape) == 4 else len(shape) - 1
    found = []
    for place in torch.cartesian_prod(*(torch.arange(size) for size in shape)).tolist():
        v = float(variance[place[channel]])
        found.append(((float(teacher[tuple(place)]) - float(student[tuple(place)])) ** 2 / v + math.log(v)) / 2)
    assert float(variational_loss(student, teacher, variance)) == pytest.approx(mean(found), abs=1e-10)
    with pytest.raises(ValueError, match="one for each channel"):
        variational_loss(student, teacher, variance[:2])


def test_the_best_variance_is_that_of_the_errors() -> None:
    student, teacher = numbers(500, 2), numbers(500, 2, seed=1)
    variance = torch.ones(2).double().requires_grad_()
    for _ in range(400):
        (slope,) = torch.autograd.grad(variational_loss(student, teacher, variance), variance)
        variance = (variance.detach() - slope).requires_grad_()
    expected = (student - teacher).square().mean(dim=0)
    assert torch.allclose(variance.detach(), expected, rtol=1e-3)


@pytest.mark.parametrize("shape", [(4, 3, 2, 5), (6, 3)])
def test_boundaries(shape: tuple[int, ...]) -> None:
    student, teacher = numbers(*shape), numbers(*shape, seed=1)
    expected = 0.0
    for s, t in zip(student.flatten().tolist(), teacher.flatten().tolist()):
        if t <= 0 and s > -0.7:
            expected += (0.7 + s) ** 2
        if t > 0 and s < 0.7:
            expected += (0.7 - s) ** 2
    assert float(boundary_loss(student, teacher, 0.7)) == pytest.approx(expected / shape[0], abs=1e-10)


def test_boundaries_ask_for_the_side_and_no_more() -> None:
    student = torch.tensor([[-3.0, -0.5, 0.5, 3.0]], requires_grad=True)
    boundary_loss(student, torch.tensor([[-1.0, 0.0, 9.0, 0.1]])).backward()
    assert student.grad.tolist() == [[0.0, 1.0, -1.0, 0.0]]
    with pytest.raises(ValueError, match="connector"):
        boundary_loss(student, torch.zeros(1, 3))


def test_factors() -> None:
    student, teacher = numbers(3, 2, 2, 4), numbers(3, 2, 2, 4, seed=1)
    found = []
    for s, t in zip(student.flatten(1).tolist(), teacher.flatten(1).tolist()):
        found += [abs(a / norm(s) - b / norm(t)) for a, b in zip(s, t)]
    assert float(factor_loss(student, teacher)) == pytest.approx(mean(found), abs=1e-10)
    assert float(factor_loss(3 * student, student)) == pytest.approx(0, abs=1e-10)
    with pytest.raises(ValueError, match="translator"):
        factor_loss(student, teacher[:, :1])


def test_contrast() -> None:
    positives, negatives = numbers(4), numbers(4, 7, seed=1)  # logarithms
    expected = 0.0
    for there, others in zip(positives.exp().tolist(), negatives.exp().tolist()):
        expected -= math.log(there / (there + 7 / 50))
        expected -= sum(math.log(1 - other / (other + 7 / 50)) for other in others)
    assert float(contrastive_loss(positives, negatives, 50)) == pytest.approx(expected / 4, abs=1e-10)
    kept = torch.ones(4, 7, dtype=torch.bool)
    assert float(contrastive_loss(positives, negatives, 50, kept)) == float(contrastive_loss(positives, negatives, 50))
    kept[:, 5:] = False
    part = float(contrastive_loss(positives, negatives[:, :5], 50))
    assert float(contrastive_loss(positives, negatives, 50, kept)) == pytest.approx(part, abs=1e-10)
    with pytest.raises(ValueError, match="of the same samples"):
        contrastive_loss(positives[:3], negatives, 50)


@pytest.mark.parametrize("size", [0.0, -1e4, 1e4])
def test_contrast_stays_finite(size: float) -> None:
    positives, negatives = torch.full((2,), size), torch.full((2, 3), size)
    positives.requires_grad_()
    loss = contrastive_loss(positives, negatives, 10)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(positives.grad).all()


def test_half_precision_of_boundaries() -> None:
    student, teacher = numbers(4, 6, dtype=torch.float32), numbers(4, 6, seed=1, dtype=torch.float32)
    full = float(boundary_loss(student, teacher))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert float(boundary_loss(student, teacher)) == full
        assert float(boundary_loss(student.bfloat16(), teacher.bfloat16())) == pytest.approx(full, rel=1e-2)
