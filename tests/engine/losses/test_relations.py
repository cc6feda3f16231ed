"""Losses on relations between samples against slow references written from the papers' equations."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from kdstudio.engine.losses import (
    correlation_congruence_loss,
    probabilistic_transfer_loss,
    relational_angle_loss,
    relational_distance_loss,
    relations,
    similarity_preserving_loss,
)
from tests.engine.losses.kit import dot, flat, huber, mean, minus, norm, numbers

STUDENT, TEACHER = numbers(6, 4), numbers(6, 7, seed=1, scale=3)
TWINS = torch.cat([STUDENT[:4], STUDENT[:2]])  # samples 0 and 4, 1 and 5 coincide
SIX = range(6)
RELATIONS = [
    relational_distance_loss,
    relational_angle_loss,
    similarity_preserving_loss,
    probabilistic_transfer_loss,
]


def distances(rows: list[list[float]]) -> list[list[float]]:
    found = [[norm(minus(a, b)) for b in rows] for a in rows]
    middle = mean([d for line in found for d in line if d > 0])
    return [[d / middle for d in line] for line in found]


@pytest.mark.parametrize("student", [STUDENT, TWINS])
def test_relational_distances(student: torch.Tensor) -> None:
    s, t = distances(student.tolist()), distances(TEACHER.tolist())
    expected = mean([huber(s[i][j] - t[i][j]) for i in SIX for j in SIX])
    assert float(relational_distance_loss(student, TEACHER)) == pytest.approx(expected, abs=1e-10)


def angle(rows: list[list[float]], i: int, j: int, k: int) -> float:
    a, b = minus(rows[i], rows[j]), minus(rows[k], rows[j])
    lengths = norm(a) * norm(b)
    return dot(a, b) / lengths if lengths > 0 else 0.0


@pytest.mark.parametrize("most", [relations.MOST_ANGLES, 80, 1])
@pytest.mark.parametrize("student", [STUDENT, TWINS])
def test_relational_angles(student: torch.Tensor, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one piece, in pieces of two samples, in pieces of one."""
    monkeypatch.setattr(relations, "MOST_ANGLES", most)
    s, t = student.tolist(), TEACHER.tolist()
    expected = mean([huber(angle(s, i, j, k) - angle(t, i, j, k)) for i in SIX for j in SIX for k in SIX])
    assert float(relational_angle_loss(student, TEACHER)) == pytest.approx(expected, abs=1e-10)


def test_similarity_preserving() -> None:
    tables = []
    for rows in (STUDENT.tolist(), TEACHER.tolist()):
        products = [[dot(a, b) for b in rows] for a in rows]
        tables.append([[value / norm(line) for value in line] for line in products])
    expected = sum((tables[1][i][j] - tables[0][i][j]) ** 2 for i in SIX for j in SIX) / 36
    assert float(similarity_preserving_loss(STUDENT, TEACHER)) == pytest.approx(expected, abs=1e-10)


def test_probabilistic_transfer() -> None:
    tables = []
    for rows in (STUDENT.tolist(), TEACHER.tolist()):
        kernel = [[(dot(a, b) / (norm(a) * norm(b)) + 1) / 2 for b in rows] for a in rows]
        tables.append([[value / sum(line) for value in line] for line in kernel])
    s, t = tables
    expected = mean([t[i][j] * math.log(t[i][j] / s[i][j]) for i in SIX for j in SIX])
    assert float(probabilistic_transfer_loss(STUDENT, TEACHER)) == pytest.approx(expected, abs=1e-10)


def test_correlation_congruence() -> None:
    teacher = TEACHER[:, :4]
    differences = [[abs(x) for x in minus(s, t)] for s, t in zip(STUDENT.tolist(), teacher.tolist())]
    expected = mean([dot(differences[i], differences[i + 1]) for i in range(5)])
    assert float(correlation_congruence_loss(STUDENT, teacher)) == pytest.approx(expected, abs=1e-10)
    assert float(correlation_congruence_loss(teacher, STUDENT)) == pytest.approx(expected, abs=1e-10)
    with pytest.raises(ValueError, match="one width"):
        correlation_congruence_loss(STUDENT, TEACHER)


@pytest.mark.parametrize("loss", RELATIONS)
def test_maps_are_flattened(loss: Any) -> None:
    maps = numbers(6, 3, 2, 2)
    rows = torch.tensor([flat(sample) for sample in maps.tolist()], dtype=torch.float64)
    assert float(loss(maps, TEACHER)) == pytest.approx(float(loss(rows, TEACHER)), abs=1e-12)


@pytest.mark.parametrize("loss", RELATIONS)
def test_scale_and_rotation_of_a_network_do_not_count(loss: Any) -> None:
    turn = torch.linalg.qr(numbers(4, 4, seed=5))[0]
    expected = float(loss(STUDENT, TEACHER))
    assert expected > 0
    assert float(loss(3 * STUDENT @ turn, 0.2 * TEACHER)) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("loss", [relational_distance_loss, relational_angle_loss])
def test_a_shift_does_not_count_for_distances_and_angles(loss: Any) -> None:
    assert float(loss(STUDENT + 50, TEACHER)) == pytest.approx(float(loss(STUDENT, TEACHER)), abs=1e-10)


@pytest.mark.parametrize("loss", RELATIONS)
def test_the_order_of_samples_does_not_count(loss: Any) -> None:
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    assert float(loss(STUDENT[order], TEACHER[order])) == pytest.approx(float(loss(STUDENT, TEACHER)), abs=1e-12)


@pytest.mark.parametrize("loss", [relational_distance_loss, relational_angle_loss, similarity_preserving_loss])
def test_both_sides_count_alike(loss: Any) -> None:
    assert float(loss(TEACHER, STUDENT)) == pytest.approx(float(loss(STUDENT, TEACHER)), abs=1e-12)


def test_angles_in_pieces_have_the_same_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    gradients = []
    for most in (relations.MOST_ANGLES, 80):
        monkeypatch.setattr(relations, "MOST_ANGLES", most)
        student = STUDENT.clone().requires_grad_()
        relational_angle_loss(student, TEACHER).backward()
        gradients.append(student.grad)
    torch.testing.assert_close(*gradients)
    student = STUDENT.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda rows: relational_angle_loss(rows, TEACHER), (student,))


def test_angles_of_a_large_batch_are_never_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No tensor that is made, forward or backward, has more entries than a piece and its buffers."""
    largest = 0

    class Sizes(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal largest
            result = func(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                largest = max(largest, result.numel())
            return result

    monkeypatch.setattr(relations, "MOST_ANGLES", 2**16)
    student = numbers(128, 8, dtype=torch.float32).requires_grad_()
    with Sizes():
        relational_angle_loss(student, numbers(128, 5, seed=1, dtype=torch.float32)).backward()
    assert 2**16 <= largest <= 4 * 2**16 < 128**3
    assert torch.isfinite(student.grad).all()


@pytest.mark.parametrize("loss", [*RELATIONS, correlation_congruence_loss])
def test_coinciding_samples_and_zeros_have_finite_gradients(loss: Any) -> None:
    teacher = numbers(6, 4, seed=2, dtype=torch.float32)
    opposite = torch.cat([TEACHER[:3, :4], -TEACHER[:3, :4]]).float()
    for rows in (torch.zeros(6, 4), torch.ones(6, 4), TWINS.float(), opposite, 1e4 * TWINS.float()):
        for other in (teacher, rows):
            student = rows.clone().requires_grad_()
            value = loss(student, other)
            value.backward()
            assert torch.isfinite(value.detach())
            assert torch.isfinite(student.grad).all()


@pytest.mark.parametrize("loss", [*RELATIONS, correlation_congruence_loss])
def test_a_batch_of_one_has_no_relations(loss: Any) -> None:
    student = STUDENT[:1].clone().requires_grad_()
    value = loss(student, 5 * TEACHER[:1, :4])
    value.backward()
    assert float(value.detach()) == 0
    assert torch.isfinite(student.grad).all()


@pytest.mark.parametrize("loss", [*RELATIONS, correlation_congruence_loss])
def test_other_samples_are_refused(loss: Any) -> None:
    for other in (STUDENT[:5], STUDENT[0], STUDENT[:0]):
        with pytest.raises(ValueError, match=f"{loss.__name__}: the student's .* the same samples"):
            loss(STUDENT, other)
