"""Losses against slow references written from the papers' equations."""

from __future__ import annotations

import math

import pytest
import torch

from kdstudio.engine.losses import hint_loss, soft_target_loss


def softmax(row: list[float], temperature: float) -> list[float]:
    weights = [math.exp(value / temperature) for value in row]
    return [weight / sum(weights) for weight in weights]


def reference_soft(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> float:
    total = 0.0
    for s_row, t_row in zip(student.tolist(), teacher.tolist()):
        p_s, p_t = softmax(s_row, temperature), softmax(t_row, temperature)
        total += sum(t * math.log(t / s) for s, t in zip(p_s, p_t))
    return temperature**2 * total / len(student)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
def test_soft_targets_match_the_equation(temperature: float) -> None:
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(7, 5, generator=generator, dtype=torch.float64)
    teacher = torch.randn(7, 5, generator=generator, dtype=torch.float64) * 3
    assert float(soft_target_loss(student, teacher, temperature)) == pytest.approx(
        reference_soft(student, teacher, temperature), abs=1e-10
    )


def test_soft_targets_of_tokens_are_a_mean_over_unmasked_positions() -> None:
    student, teacher = torch.randn(2, 3, 4, dtype=torch.float64), torch.randn(2, 3, 4, dtype=torch.float64)
    mask = torch.tensor([[True, False, True], [False, False, True]])
    picked = soft_target_loss(student[mask], teacher[mask], 2.0)
    assert float(soft_target_loss(student, teacher, 2.0, mask)) == pytest.approx(float(picked), abs=1e-12)
    assert float(soft_target_loss(student, teacher, 2.0, torch.zeros(2, 3, dtype=torch.bool))) == 0.0


def test_identity_gives_zero() -> None:
    logits = torch.randn(4, 6)
    assert float(soft_target_loss(logits, logits, 3.0)) == pytest.approx(0.0, abs=1e-7)
    features = torch.randn(4, 3, 5, 5)
    assert float(hint_loss(features, features)) == 0.0


@pytest.mark.parametrize("size", [1e4, -1e4])
@pytest.mark.parametrize("autocast", [False, True])
def test_gradients_stay_finite_for_huge_logits(size: float, autocast: bool) -> None:
    student = torch.tensor([[size, 0.0, 1.0], [0.0, -size, 2.0]], requires_grad=True)
    teacher = torch.tensor([[0.0, size, 1.0], [size, 0.0, 0.0]])
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        loss = soft_target_loss(student, teacher, 1.0)
    loss.backward()
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)
    assert torch.isfinite(student.grad).all()


def test_half_precision_logits_are_computed_in_float32() -> None:
    student, teacher = torch.randn(8, 10), torch.randn(8, 10)
    full = soft_target_loss(student, teacher, 4.0)
    half = soft_target_loss(student.bfloat16(), teacher.bfloat16(), 4.0)
    assert float(half) == pytest.approx(float(full), rel=1e-2, abs=1e-2)


def test_the_squared_temperature_keeps_the_gradient() -> None:
    teacher = torch.randn(64, 10) * 3
    norms = []
    for temperature in (4.0, 8.0, 16.0, 32.0):
        student = torch.zeros(64, 10, requires_grad=True)
        soft_target_loss(student, teacher, temperature).backward()
        norms.append(float(student.grad.norm()))
    assert max(norms) / min(norms) < 1.6  # without the factor it would be about 64


def test_no_gradient_reaches_the_teacher() -> None:
    teacher = torch.randn(3, 4, requires_grad=True)
    student = torch.randn(3, 4, requires_grad=True)
    (soft_target_loss(student, teacher, 2.0) + hint_loss(student, teacher)).backward()
    assert teacher.grad is None


def test_hint_loss_is_the_mean_square() -> None:
    student, teacher = torch.randn(3, 4, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    expected = sum((s - t) ** 2 for s, t in zip(student.flatten().tolist(), teacher.flatten().tolist())) / 12
    assert float(hint_loss(student, teacher)) == pytest.approx(expected, abs=1e-12)
    with pytest.raises(ValueError, match="regressor"):
        hint_loss(student, teacher[:, :2])
