"""What holds for every loss: identity, precision, huge inputs, one sample, and no gradient for the teacher."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch

from kdstudio.engine import losses
from tests.engine.losses.kit import numbers

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Case(NamedTuple):
    """A loss as a function of student and teacher, and the shape of both."""

    loss: Loss
    shape: tuple[int, ...]


LOGITS, MAPS, ROWS = (8, 10), (8, 6, 5, 4), (8, 12)
SCORES, VALUES = (4, 2, 5, 5), (4, 2, 5, 3)
TARGETS = torch.arange(8) % 10
CASES = {
    "soft_target_loss": Case(lambda s, t: losses.soft_target_loss(s, t, 4.0), LOGITS),
    "reverse_kl_loss": Case(losses.reverse_kl_loss, LOGITS),
    "generalized_jsd_loss": Case(losses.generalized_jsd_loss, LOGITS),
    "decoupled_loss": Case(lambda s, t: losses.decoupled_loss(s, t, TARGETS[: len(s)]), LOGITS),
    "correlation_loss": Case(losses.correlation_loss, LOGITS),
    "logit_matching_loss": Case(losses.logit_matching_loss, LOGITS),
    "hint_loss": Case(losses.hint_loss, MAPS),
    "partial_l2_loss": Case(lambda s, t: losses.partial_l2_loss(s, t, -torch.ones(6)), MAPS),
    "cosine_loss": Case(losses.cosine_loss, ROWS),
    "attention_transfer_loss": Case(losses.attention_transfer_loss, MAPS),
    "neuron_selectivity_loss": Case(losses.neuron_selectivity_loss, MAPS),
    "flow_loss": Case(lambda s, t: losses.flow_loss(s, s.flip(1), t, t.flip(1)), MAPS),
    "hierarchical_context_loss": Case(losses.hierarchical_context_loss, MAPS),
    "factor_loss": Case(losses.factor_loss, MAPS),
    "variational_loss": Case(lambda s, t: losses.variational_loss(s, t, torch.ones(6)), MAPS),
    "attention_distribution_loss": Case(losses.attention_distribution_loss, SCORES),
    "value_relation_loss": Case(losses.value_relation_loss, VALUES),
    "attention_score_loss": Case(losses.attention_score_loss, SCORES),
    "patient_loss": Case(losses.patient_loss, ROWS),
    "relational_distance_loss": Case(losses.relational_distance_loss, ROWS),
    "relational_angle_loss": Case(losses.relational_angle_loss, ROWS),
    "similarity_preserving_loss": Case(losses.similarity_preserving_loss, ROWS),
    "probabilistic_transfer_loss": Case(losses.probabilistic_transfer_loss, ROWS),
    "correlation_congruence_loss": Case(losses.correlation_congruence_loss, ROWS),
}
every_loss = pytest.mark.parametrize("name", CASES)


def sides(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    return numbers(*shape, dtype=dtype), numbers(*shape, seed=1, scale=2, dtype=dtype)


def test_every_loss_is_here() -> None:
    # Equal sides are not what they ask for: see test_trained.py and test_chunked.py
    elsewhere = {"boundary_loss", "contrastive_loss", "hard_target_loss"}
    by_chunks = {name for name in losses.__all__ if name.endswith("_chunked")}  # see test_chunked.py
    helpers = {"attention_map", "attention_scores", "chunk_positions", "in_chunks"}
    assert set(CASES) == set(losses.__all__) - helpers - elsewhere - by_chunks


@every_loss
def test_equal_sides_give_zero(name: str) -> None:
    case = CASES[name]
    side = numbers(*case.shape)
    assert float(case.loss(side, side.clone())) == pytest.approx(0, abs=1e-12)
    assert float(case.loss(*sides(case.shape))) > 1e-5


@every_loss
@pytest.mark.parametrize("autocast", [False, True])
def test_half_precision_is_computed_in_float32(name: str, autocast: bool) -> None:
    case = CASES[name]
    student, teacher = sides(case.shape)
    full = float(case.loss(student, teacher))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        inside = case.loss(student, teacher)
        half = case.loss(student.bfloat16(), teacher.bfloat16())
    assert inside.dtype == half.dtype == torch.float32
    assert float(inside) == full
    assert float(half) == pytest.approx(full, rel=1e-2, abs=1e-2)
    assert case.loss(student.double(), teacher.double()).dtype == torch.float64


@every_loss
def test_only_the_student_gets_a_gradient_and_nothing_is_changed(name: str) -> None:
    case = CASES[name]
    student, teacher = (side.requires_grad_() for side in sides(case.shape))
    before = student.detach().clone(), teacher.detach().clone()
    loss = case.loss(student, teacher)
    assert loss.ndim == 0
    loss.backward()
    assert teacher.grad is None
    assert torch.isfinite(student.grad).all()
    assert float(student.grad.norm()) > 0
    assert torch.equal(student, before[0])
    assert torch.equal(teacher, before[1])


@every_loss
def test_gradients_are_those_of_the_loss(name: str) -> None:
    case = CASES[name]
    student, teacher = sides((3, *case.shape[1:]), torch.float64)
    assert torch.autograd.gradcheck(lambda side: case.loss(side, teacher), (student.requires_grad_(),))


@every_loss
@pytest.mark.parametrize("size", [1e4, -1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_huge_values_stay_finite(name: str, size: float, dtype: torch.dtype) -> None:
    case = CASES[name]
    signs = torch.where(numbers(*case.shape) > 0, 1.0, 0.0)
    for student, teacher in ((signs, 1 - signs), (signs, signs), (signs, torch.zeros_like(signs))):
        side = (size * student).to(dtype).requires_grad_()
        loss = case.loss(side, (size * teacher).to(dtype))
        loss.backward()
        assert torch.isfinite(loss.detach())
        assert torch.isfinite(side.grad).all()


@every_loss
def test_zeros_stay_finite(name: str) -> None:
    case = CASES[name]
    for teacher in (torch.zeros(case.shape), numbers(*case.shape, dtype=torch.float32)):
        student = torch.zeros(case.shape, requires_grad=True)
        loss = case.loss(student, teacher)
        loss.backward()
        assert torch.isfinite(loss.detach())
        assert torch.isfinite(student.grad).all()


@every_loss
def test_one_sample_works(name: str) -> None:
    case = CASES[name]
    student, teacher = sides((1, *case.shape[1:]))
    student.requires_grad_()
    loss = case.loss(student, teacher)
    loss.backward()
    assert torch.isfinite(loss.detach())
    assert torch.isfinite(student.grad).all()


MEANS = [
    name for name, case in CASES.items() if case.shape != ROWS and name not in ("decoupled_loss", "partial_l2_loss")
]


@pytest.mark.parametrize("name", [*MEANS, "cosine_loss", "patient_loss"])
def test_a_batch_twice_is_the_same_mean(name: str) -> None:
    case = CASES[name]
    twice = [torch.cat([side, side]) for side in sides(case.shape, torch.float64)]
    assert float(case.loss(*twice)) == pytest.approx(float(case.loss(*sides(case.shape, torch.float64))), abs=1e-10)
