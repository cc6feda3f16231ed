"""Losses on features against slow references written from the papers' equations."""

from __future__ import annotations

import pytest
import torch

from kdstudio.engine.losses import cosine_loss, hint_loss, partial_l2_loss
from tests.engine.losses.kit import dot, mean, norm, numbers


def test_hints() -> None:
    student, teacher = numbers(3, 4, 2), numbers(3, 4, 2, seed=1)
    expected = mean([(s - t) ** 2 for s, t in zip(student.flatten().tolist(), teacher.flatten().tolist())])
    assert float(hint_loss(student, teacher)) == pytest.approx(expected, abs=1e-10)
    with pytest.raises(ValueError, match="regressor"):
        hint_loss(student, teacher[:, :2])


@pytest.mark.parametrize("shape", [(4, 3, 2, 5), (6, 3)])
def test_partial_l2(shape: tuple[int, ...]) -> None:
    student, teacher, margin = numbers(*shape), numbers(*shape, seed=1), torch.tensor([-0.5, -0.1, -2.0]).double()
    expected, free = 0.0, 0
    for place in torch.cartesian_prod(*(torch.arange(size) for size in shape)).tolist():
        s = float(student[tuple(place)])
        t = max(float(teacher[tuple(place)]), float(margin[place[1]]))
        if s <= t <= 0:
            free += 1
        else:
            expected += (s - t) ** 2
    assert free > 0
    assert float(partial_l2_loss(student, teacher, margin)) == pytest.approx(expected, abs=1e-10)


def test_partial_l2_leaves_the_student_free_below_an_inactive_teacher() -> None:
    student = torch.tensor([[-3.0, -1.0, 0.5, -3.0]], requires_grad=True)
    teacher, margin = torch.tensor([[-1.0, -9.0, -1.0, 2.0]]), torch.tensor([-2.0])
    partial_l2_loss(student, teacher, margin).backward()
    # Below the teacher: free. Above the margin that a lower teacher is cut to: down to it. Active: always.
    assert student.grad.tolist() == [[0.0, 2.0, 3.0, -10.0]]
    with pytest.raises(ValueError, match="one number for each channel"):
        partial_l2_loss(student, teacher, torch.zeros(3))
    with pytest.raises(ValueError, match="connector"):
        partial_l2_loss(student, teacher[:, :2], margin)


def test_cosine() -> None:
    student, teacher = numbers(3, 4, 6), numbers(3, 4, 6, seed=1)
    found = [
        [1 - dot(s, t) / (norm(s) * norm(t)) for s, t in zip(some, others)]
        for some, others in zip(student.tolist(), teacher.tolist())
    ]
    assert float(cosine_loss(student, teacher)) == pytest.approx(mean([x for row in found for x in row]), abs=1e-10)
    mask = torch.tensor([[True, True, False, False], [False] * 4, [False, False, False, True]])
    kept = [found[0][0], found[0][1], found[2][3]]
    assert float(cosine_loss(student, teacher, mask)) == pytest.approx(mean(kept), abs=1e-10)
    assert float(cosine_loss(student, teacher, torch.zeros(3, 4, dtype=torch.bool))) == 0
    with pytest.raises(ValueError, match="one width"):
        cosine_loss(student, teacher[..., :5])


def test_cosine_is_about_directions_and_symmetric() -> None:
    student, teacher = numbers(5, 6), numbers(5, 6, seed=1)
    expected = float(cosine_loss(student, teacher))
    assert float(cosine_loss(7 * student, 0.1 * teacher)) == pytest.approx(expected, abs=1e-12)
    assert float(cosine_loss(teacher, student)) == pytest.approx(expected, abs=1e-12)
    assert float(cosine_loss(student, -student)) == pytest.approx(2, abs=1e-12)
