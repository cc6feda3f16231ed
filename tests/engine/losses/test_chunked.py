"""The losses by chunks are the plain ones: values, gradients, masks, and no more than a chunk at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import functional

from kdstudio.engine.losses import (
    chunk_positions,
    generalized_jsd_loss,
    generalized_jsd_loss_chunked,
    hard_target_loss,
    hard_target_loss_chunked,
    in_chunks,
    logit_matching_loss,
    logit_matching_loss_chunked,
    reverse_kl_loss,
    reverse_kl_loss_chunked,
    soft_target_loss,
    soft_target_loss_chunked,
)
from tests.engine.losses.kit import mean, numbers, softmax

POSITIONS, WORDS = 11, 13
TARGETS = torch.tensor([3, -100, 12, 0, -100, -100, -100, 5, 7, 7, -100])
MASK = TARGETS != -100

Pair = tuple[Callable[..., torch.Tensor], Callable[..., torch.Tensor], Callable[..., tuple[Any, ...]]]
#: The plain loss, the one by chunks, and their arguments behind the student's logits.
LOSSES: dict[str, Pair] = {
    "soft": (soft_target_loss, soft_target_loss_chunked, lambda t, y, m: (t, 3.0, m)),
    "reverse": (reverse_kl_loss, reverse_kl_loss_chunked, lambda t, y, m: (t, 2.0, m)),
    "jsd": (generalized_jsd_loss, generalized_jsd_loss_chunked, lambda t, y, m: (t, 0.3, 2.0, m)),
    "jsd at the end": (generalized_jsd_loss, generalized_jsd_loss_chunked, lambda t, y, m: (t, 0, 1.0, m)),
    "logit": (logit_matching_loss, logit_matching_loss_chunked, lambda t, y, m: (t,)),
    "hard": (hard_target_loss, hard_target_loss_chunked, lambda t, y, m: (y,)),
    "hard, smoothed": (hard_target_loss, hard_target_loss_chunked, lambda t, y, m: (y, 0.1)),
}
every_loss = pytest.mark.parametrize("name", LOSSES)


def budget_of(rows: int) -> int:
    """A budget with which so many positions make a chunk."""
    budget = 9 * 4 * WORDS * rows
    assert chunk_positions(WORDS, budget) == rows
    return budget


def value_and_gradient(
    loss: Callable[..., torch.Tensor], student: torch.Tensor, *arguments: Any, **options: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    student = student.clone().requires_grad_()
    value = loss(student, *arguments, **options)
    (3.0 * value).backward()  # the factor: what comes down to the loss is used
    return value.detach(), student.grad


def inputs(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    return numbers(POSITIONS, WORDS, dtype=dtype), numbers(POSITIONS, WORDS, seed=1, scale=3, dtype=dtype)


@every_loss
@pytest.mark.parametrize("mask", [None, MASK])
@pytest.mark.parametrize("rows", [1, 4, 10, 11, 50])
def test_chunks_change_nothing(name: str, rows: int, mask: torch.Tensor | None) -> None:
    """Uneven last chunks, and chunks of 4 of which the second has one position that counts."""
    plain, chunked, arguments = LOSSES[name]
    student, teacher = inputs()
    rest = arguments(teacher, TARGETS, mask)
    expected = value_and_gradient(plain, student, *rest)
    found = value_and_gradient(chunked, student, *rest, budget=budget_of(rows))
    assert float(expected[0]) > 0.01
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


@every_loss
def test_texts_of_tokens(name: str) -> None:
    plain, chunked, arguments = LOSSES[name]
    student, teacher = numbers(3, 4, WORDS), numbers(3, 4, WORDS, seed=1)
    targets = torch.arange(12).reshape(3, 4)
    targets[1, :3] = -100
    rest = arguments(teacher, targets, targets != -100)
    expected = value_and_gradient(plain, student, *rest)
    found = value_and_gradient(chunked, student, *rest, budget=budget_of(5))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    # Logits that are no piece of memory of their own
    turned = arguments(teacher.transpose(0, 1), targets.t(), targets.t() != -100)
    found = value_and_gradient(chunked, student.transpose(0, 1), *turned, budget=budget_of(5))
    torch.testing.assert_close(found, (expected[0], expected[1].transpose(0, 1)), rtol=0, atol=1e-10)


@every_loss
def test_where_nothing_counts_there_is_nothing(name: str) -> None:
    if name == "logit":
        return
    plain, chunked, arguments = LOSSES[name]
    student, teacher = inputs()
    rest = arguments(teacher, torch.full_like(TARGETS, -100), torch.zeros_like(MASK))
    for loss, more in ((plain, {}), (chunked, {"budget": budget_of(4)})):
        value, gradient = value_and_gradient(loss, student, *rest, **more)
        assert float(value) == 0
        assert torch.equal(gradient, torch.zeros_like(student))


@every_loss
@pytest.mark.parametrize("autocast", [False, True])
def test_half_precision_is_computed_in_float32(name: str, autocast: bool) -> None:
    plain, chunked, arguments = LOSSES[name]
    student, teacher = inputs(torch.bfloat16)
    rest = arguments(teacher, TARGETS, MASK)
    full = value_and_gradient(plain, student.float(), *arguments(teacher.float(), TARGETS, MASK))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        value, gradient = value_and_gradient(chunked, student, *rest, budget=budget_of(4))
    assert (value.dtype, gradient.dtype) == (torch.float32, torch.bfloat16)
    torch.testing.assert_close(value, full[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient.float(), full[1], rtol=1e-2, atol=1e-4)


@every_loss
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_huge_values_stay_finite(name: str, size: float) -> None:
    _, chunked, arguments = LOSSES[name]
    student, teacher = (size * side.sign() for side in inputs(torch.float32))
    value, gradient = value_and_gradient(chunked, student, *arguments(teacher, TARGETS, MASK), budget=budget_of(4))
    assert torch.isfinite(value)
    assert torch.isfinite(gradient).all()


@every_loss
def test_only_the_student_gets_a_gradient_and_it_can_be_asked_for_again(name: str) -> None:
    _, chunked, arguments = LOSSES[name]
    student, teacher = (side.requires_grad_() for side in inputs())
    before = student.detach().clone(), teacher.detach().clone()
    value = chunked(student, *arguments(teacher, TARGETS, MASK), budget=budget_of(4))
    first = torch.autograd.grad(value, student, retain_graph=True)[0]
    value.backward()
    assert torch.equal(student.grad, first)
    assert teacher.grad is None
    assert torch.equal(student, before[0])
    assert torch.equal(teacher, before[1])
    with torch.no_grad():
        assert not chunked(student, *arguments(teacher, TARGETS, MASK), budget=budget_of(4)).requires_grad


@every_loss
def test_errors_are_those_of_the_plain_loss(name: str) -> None:
    plain, chunked, arguments = LOSSES[name]
    student, teacher = inputs()
    rest = arguments(teacher[:7], TARGETS[:7], MASK)
    said = []
    for loss, more in ((plain, {}), (chunked, {"budget": 1})):
        with pytest.raises(ValueError, match="logits are") as caught:
            loss(student, *rest, **more)
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_a_mask_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="the mask is"):
        soft_target_loss_chunked(*inputs(), 1.0, MASK[:7], budget=budget_of(4))


@pytest.mark.parametrize("mask", [None, MASK])
def test_a_chunk_at_a_time_and_each_once_more_for_the_gradient(mask: torch.Tensor | None) -> None:
    seen: list[int] = []

    def loss(student: torch.Tensor, teacher: torch.Tensor, kept: torch.Tensor | None) -> torch.Tensor:
        seen.append(len(student))
        assert len(teacher) == len(student)
        assert kept is None or len(kept) == len(student)
        return soft_target_loss(student, teacher, 1.0, kept)

    student, teacher = inputs()
    student.requires_grad_()
    value = in_chunks(loss, 4, student, teacher, mask=mask)
    assert seen == [4, 4, 3]
    value.backward()
    assert seen == [4, 4, 3] * 2
    seen.clear()
    in_chunks(loss, POSITIONS, student, teacher, mask=mask)
    assert seen == [POSITIONS]
    with pytest.raises(ValueError, match="it needs 1 or more"):
        in_chunks(loss, 0, student, teacher)


def test_what_is_kept_for_the_gradient_is_what_was_given() -> None:
    """Nothing that a chunk makes outlives it: the graph holds the logits themselves and the mask."""
    student, teacher = inputs()
    student.requires_grad_()
    kept: list[int] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.untyped_storage().data_ptr())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        soft_target_loss_chunked(student, teacher, 2.0, MASK, budget=budget_of(4))
    given = {side.untyped_storage().data_ptr() for side in (student, teacher)}
    small = [pointer for pointer in kept if pointer not in given]
    assert given <= set(kept)
    assert len(small) <= 2  # the mask, and the count that the sum is divided by


def test_the_size_of_a_chunk_keeps_to_the_budget() -> None:
    for words in (10, 30_522, 50_257, 250_000):
        rows = chunk_positions(words)
        assert rows * words * 4 * 9 <= 64 * 2**20
        assert (rows + 1) * words * 4 * 9 > 64 * 2**20
    assert chunk_positions(50_257, 128 * 2**20) in (2 * chunk_positions(50_257), 2 * chunk_positions(50_257) + 1)
    assert chunk_positions(10**9) == 1


# -- hard targets ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_hard_targets(smoothing: float) -> None:
    student = numbers(POSITIONS, WORDS, scale=2)
    found = []
    for row, target in zip(student.tolist(), TARGETS.tolist()):
        if target != -100:
            share = [(1 - smoothing) * (word == target) + smoothing / WORDS for word in range(WORDS)]
            found.append(-sum(part * math.log(p) for part, p in zip(share, softmax(row))))
    assert float(hard_target_loss(student, TARGETS, smoothing)) == pytest.approx(mean(found), abs=1e-10)
    expected = functional.cross_entropy(student, TARGETS, label_smoothing=smoothing)
    assert float(hard_target_loss(student, TARGETS, smoothing)) == pytest.approx(float(expected), abs=1e-10)
    with pytest.raises(ValueError, match="one target for each position"):
        hard_target_loss(student, TARGETS[1:])
