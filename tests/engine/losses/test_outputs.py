"""Losses on outputs against slow references written from the papers' equations."""

from __future__ import annotations

import math

import pytest
import torch

from kdstudio.engine.losses import (
    correlation_loss,
    decoupled_loss,
    generalized_jsd_loss,
    logit_matching_loss,
    reverse_kl_loss,
    soft_target_loss,
)
from tests.engine.losses.kit import kl, mean, numbers, softmax

STUDENT, TEACHER = numbers(7, 5), numbers(7, 5, seed=1, scale=3)
TARGETS = torch.tensor([0, 4, 2, 2, 1, 3, 0])
TEMPERATURES = [0.5, 1.0, 4.0, 20.0]


def rows(temperature: float) -> list[tuple[list[float], list[float]]]:
    """The distributions of student and teacher, sample by sample."""
    pairs = zip(STUDENT.tolist(), TEACHER.tolist())
    return [(softmax(student, temperature), softmax(teacher, temperature)) for student, teacher in pairs]


# -- the equations ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_soft_targets(temperature: float) -> None:
    expected = temperature**2 * mean([kl(t, s) for s, t in rows(temperature)])
    assert float(soft_target_loss(STUDENT, TEACHER, temperature)) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_reverse_kl(temperature: float) -> None:
    expected = temperature**2 * mean([kl(s, t) for s, t in rows(temperature)])
    assert float(reverse_kl_loss(STUDENT, TEACHER, temperature)) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("beta", [0.01, 0.1, 0.5, 0.9])
def test_generalized_jsd(beta: float, temperature: float) -> None:
    found = []
    for student, teacher in rows(temperature):
        mixture = [beta * t + (1 - beta) * s for s, t in zip(student, teacher)]
        found.append(beta * kl(teacher, mixture) + (1 - beta) * kl(student, mixture))
    loss = generalized_jsd_loss(STUDENT, TEACHER, beta, temperature)
    assert float(loss) == pytest.approx(mean(found), abs=1e-10)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 8.0), (0.0, 1.0), (2.0, 0.0)])
def test_decoupled(alpha: float, beta: float, temperature: float) -> None:
    found = []
    for (student, teacher), target in zip(rows(temperature), TARGETS.tolist()):
        s, t = student[target], teacher[target]
        target_part = t * math.log(t / s) + (1 - t) * math.log((1 - t) / (1 - s))
        others = [c for c in range(5) if c != target]
        other_part = kl([teacher[c] / (1 - t) for c in others], [student[c] / (1 - s) for c in others])
        found.append(temperature**2 * (alpha * target_part + beta * other_part))
    loss = decoupled_loss(STUDENT, TEACHER, TARGETS, alpha, beta, temperature)
    assert float(loss) == pytest.approx(mean(found), abs=1e-10)


def pearson(a: list[float], b: list[float]) -> float:
    a, b = [x - mean(a) for x in a], [x - mean(b) for x in b]
    top = sum(x * y for x, y in zip(a, b))
    return top / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize(("inter", "intra"), [(1.0, 1.0), (2.0, 0.0), (0.0, 3.0)])
def test_correlation(inter: float, intra: float, temperature: float) -> None:
    table = rows(temperature)
    across = mean([pearson(s, t) for s, t in table])
    down = mean([pearson([s[c] for s, _ in table], [t[c] for _, t in table]) for c in range(5)])
    expected = temperature**2 * (inter * (1 - across) + intra * (1 - down))
    assert float(correlation_loss(STUDENT, TEACHER, inter, intra, temperature)) == pytest.approx(expected, abs=1e-10)


def test_logit_matching() -> None:
    pairs = zip(STUDENT.flatten().tolist(), TEACHER.flatten().tolist())
    expected = mean([(s - t) ** 2 for s, t in pairs])
    assert float(logit_matching_loss(STUDENT, TEACHER)) == pytest.approx(expected, abs=1e-10)


# -- what the papers claim -------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [soft_target_loss, reverse_kl_loss])
def test_tokens_are_a_mean_over_unmasked_positions(loss: object) -> None:
    student, teacher = numbers(2, 3, 4), numbers(2, 3, 4, seed=1)
    mask = torch.tensor([[True, False, True], [False, False, True]])
    picked = loss(student[mask], teacher[mask], 2.0)
    assert float(loss(student, teacher, 2.0, mask)) == pytest.approx(float(picked), abs=1e-12)
    assert float(loss(student, teacher, 2.0, torch.zeros(2, 3, dtype=torch.bool))) == 0.0
    with pytest.raises(ValueError, match="the mask is"):
        loss(student, teacher, 2.0, mask[0])


def test_tokens_of_the_jsd_are_masked_too() -> None:
    student, teacher = numbers(2, 3, 4), numbers(2, 3, 4, seed=1)
    mask = torch.tensor([[True, False, True], [False, False, True]])
    for beta in (0.0, 0.3, 1.0):
        picked = generalized_jsd_loss(student[mask], teacher[mask], beta)
        assert float(generalized_jsd_loss(student, teacher, beta, mask=mask)) == pytest.approx(float(picked), abs=1e-12)


def test_the_squared_temperature_keeps_the_gradient() -> None:
    """|grad| T^2 is nearly flat: without the factor these norms would differ 64 times."""
    teacher = numbers(64, 10, scale=3)
    norms = []
    for temperature in (4.0, 8.0, 16.0, 32.0):
        student = torch.zeros(64, 10, dtype=torch.float64, requires_grad=True)
        soft_target_loss(student, teacher, temperature).backward()
        norms.append(float(student.grad.norm()))
    assert max(norms) / min(norms) < 1.6


def test_the_ends_of_the_jsd_are_the_two_divergences() -> None:
    assert float(generalized_jsd_loss(STUDENT, TEACHER, 0)) == float(soft_target_loss(STUDENT, TEACHER, 1.0))
    assert float(generalized_jsd_loss(STUDENT, TEACHER, 1)) == float(reverse_kl_loss(STUDENT, TEACHER))
    near = float(generalized_jsd_loss(STUDENT, TEACHER, 1e-6)) / 1e-6
    assert near == pytest.approx(float(soft_target_loss(STUDENT, TEACHER, 1.0)), rel=1e-3)


def test_the_jsd_is_symmetric_in_the_middle_and_bounded() -> None:
    there, back = generalized_jsd_loss(STUDENT, TEACHER), generalized_jsd_loss(TEACHER, STUDENT)
    assert float(there) == pytest.approx(float(back), abs=1e-12)
    far = generalized_jsd_loss(1e4 * torch.eye(2), 1e4 * torch.eye(2).flip(0))
    assert float(far) == pytest.approx(math.log(2), rel=1e-6)


def test_the_decoupled_parts_make_up_the_whole() -> None:
    """KL = TCKD + (1 - p_t,target) NCKD, sample by sample."""
    for student, teacher, target in zip(STUDENT, TEACHER, TARGETS):
        one = student[None], teacher[None], target[None]
        rest = 1 - teacher.softmax(0)[target]
        parts = decoupled_loss(*one, 1, 0, 1) + rest * decoupled_loss(*one, 0, 1, 1)
        assert float(parts) == pytest.approx(float(soft_target_loss(one[0], one[1], 1.0)), abs=1e-12)


def test_two_classes_have_nothing_beside_the_target() -> None:
    two, targets = numbers(3, 2), torch.tensor([0, 1, 1])
    with pytest.raises(ValueError, match="set beta to 0"):
        decoupled_loss(two, two, targets)
    binary = decoupled_loss(two, 2 * two, targets, beta=0, temperature=1)
    assert float(binary) == pytest.approx(float(soft_target_loss(two, 2 * two, 1.0)), abs=1e-12)
    with pytest.raises(ValueError, match="nothing beside"):
        decoupled_loss(two[:, :1], two[:, :1], targets, beta=0)


def test_correlation_asks_for_order_and_spacing_only() -> None:
    """Rows a p + b: the part between classes is 0 for them."""
    p = numbers(6, 4, seed=3).softmax(1)
    moved = (0.3 * p + 0.7 / 4).log()
    assert float(correlation_loss(moved, p.log(), inter=1, intra=0)) == pytest.approx(0, abs=1e-12)
    assert float(correlation_loss(moved, p.log(), inter=0, intra=1)) == pytest.approx(0, abs=1e-12)
    assert float(soft_target_loss(moved, p.log(), 1.0)) > 0.01


def test_constant_rows_have_no_correlation() -> None:
    student = torch.zeros(4, 5, requires_grad=True)
    loss = correlation_loss(student, TEACHER[:4].float())
    loss.backward()
    assert float(loss.detach()) == pytest.approx(2)
    assert torch.equal(student.grad, torch.zeros(4, 5))


def test_one_sample_has_no_columns() -> None:
    assert float(correlation_loss(STUDENT[:1], TEACHER[:1], inter=0)) == 0


def test_logit_matching_is_the_limit_of_soft_targets() -> None:
    student, teacher = (side - side.mean(1, keepdim=True) for side in (STUDENT, TEACHER))
    limit = float(soft_target_loss(student, teacher, 1e4))
    assert limit == pytest.approx(0.5 * float(logit_matching_loss(student, teacher)), rel=1e-3)


@pytest.mark.parametrize("loss", [soft_target_loss, reverse_kl_loss, generalized_jsd_loss, correlation_loss])
def test_a_shift_of_all_logits_changes_nothing(loss: object) -> None:
    more = {"temperature": 2.0}
    found = loss(STUDENT + 7, TEACHER - 5, **more)
    assert float(found) == pytest.approx(float(loss(STUDENT, TEACHER, **more)), abs=1e-10)


def test_what_cannot_be_is_refused() -> None:
    for loss in (reverse_kl_loss, generalized_jsd_loss, correlation_loss, logit_matching_loss):
        with pytest.raises(ValueError, match=f"{loss.__name__}: the student's logits are"):
            loss(STUDENT, TEACHER[:, :1])
    with pytest.raises(ValueError, match="soft_target_loss: the temperature is 0"):
        soft_target_loss(STUDENT, TEACHER, 0.0)
    with pytest.raises(ValueError, match=r"beta is 1\.5"):
        generalized_jsd_loss(STUDENT, TEACHER, 1.5)
    with pytest.raises(ValueError, match=r"have to be \(B, C\) and \(B\)"):
        decoupled_loss(STUDENT, TEACHER, TARGETS[:3])
    with pytest.raises(ValueError, match=r"have to be \(B, C\)"):
        correlation_loss(numbers(2, 3, 4), numbers(2, 3, 4))
