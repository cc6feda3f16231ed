"""Losses of text networks against slow references written from the papers' equations."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from kdstudio.engine.losses import (
    attention_distribution_loss,
    attention_score_loss,
    attention_scores,
    patient_loss,
    value_relation_loss,
)
from tests.engine.losses.kit import dot, kl, mean, norm, numbers, softmax

TEXTS, HEADS, TOKENS = 3, 2, 5
SCORES = numbers(TEXTS, HEADS, TOKENS, TOKENS, scale=2), numbers(TEXTS, HEADS, TOKENS, TOKENS, seed=1, scale=3)
VALUES = numbers(TEXTS, HEADS, TOKENS, 4), numbers(TEXTS, HEADS, TOKENS, 7, seed=1, scale=2)
# Padding behind, in front, and a text that is nothing else
MASK = torch.tensor([[True, True, True, False, False], [False, True, True, True, True], [False] * 5])
MASKS = [None, MASK]


def real(mask: torch.Tensor | None, text: int, token: int) -> bool:
    return mask is None or bool(mask[text, token])


def divergences(student: Any, teacher: Any, mask: torch.Tensor | None, causal: bool) -> list[float]:
    """KL(teacher || student) of each row of real tokens, from nested lists of scores."""
    found = []
    for text in range(TEXTS):
        for head in range(HEADS):
            for query in range(TOKENS):
                if not real(mask, text, query):
                    continue
                keys = [key for key in range(TOKENS) if real(mask, text, key) and not (causal and key > query)]
                t = softmax([teacher[text][head][query][key] for key in keys])
                s = softmax([student[text][head][query][key] for key in keys])
                found.append(kl(t, s))
    return found


def relations(values: torch.Tensor) -> list[Any]:
    width = values.shape[-1]
    return [[[[dot(a, b) / math.sqrt(width) for b in head] for a in head] for head in text] for text in values.tolist()]


# -- the equations ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("mask", MASKS)
def test_attention_distributions(mask: torch.Tensor | None, causal: bool) -> None:
    expected = mean(divergences(SCORES[0].tolist(), SCORES[1].tolist(), mask, causal))
    assert float(attention_distribution_loss(*SCORES, mask, causal)) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("mask", MASKS)
def test_value_relations(mask: torch.Tensor | None, causal: bool) -> None:
    expected = mean(divergences(relations(VALUES[0]), relations(VALUES[1]), mask, causal))
    assert float(value_relation_loss(*VALUES, mask, causal)) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("mask", MASKS)
def test_attention_score_differences(mask: torch.Tensor | None, causal: bool) -> None:
    student, teacher = (side.tolist() for side in SCORES)
    found = [
        (student[text][head][query][key] - teacher[text][head][query][key]) ** 2
        for text in range(TEXTS)
        for head in range(HEADS)
        for query in range(TOKENS)
        for key in range(TOKENS)
        if real(mask, text, query) and real(mask, text, key) and not (causal and key > query)
    ]
    assert float(attention_score_loss(*SCORES, mask, causal)) == pytest.approx(mean(found), abs=1e-10)


@pytest.mark.parametrize("shape", [(6, 8), (6, 3, 8)])
def test_patient(shape: tuple[int, ...]) -> None:
    student, teacher = numbers(*shape), numbers(*shape, seed=1, scale=3)
    rows = zip(student.reshape(-1, 8).tolist(), teacher.reshape(-1, 8).tolist())
    found = [sum((x / norm(s) - y / norm(t)) ** 2 for x, y in zip(s, t)) for s, t in rows]
    assert float(patient_loss(student, teacher)) == pytest.approx(mean(found), abs=1e-10)
    mask = numbers(*shape[:-1], seed=2) > 0
    kept = [value for value, there in zip(found, mask.flatten().tolist()) if there]
    assert 0 < len(kept) < len(found)
    assert float(patient_loss(student, teacher, mask)) == pytest.approx(mean(kept), abs=1e-10)
    assert float(patient_loss(5 * student, 0.1 * teacher)) == pytest.approx(mean(found), abs=1e-10)


@pytest.mark.parametrize("key_heads", [1, 2, 4])
def test_scores_of_grouped_queries(key_heads: int) -> None:
    """Query heads 0 and 1 share key head 0 when there are 4 and 2."""
    query, key = numbers(2, 4, 3, 6), numbers(2, key_heads, 3, 6, seed=1)
    expected = [
        [
            [[dot(q, k) / math.sqrt(6) for k in keys[head // (4 // key_heads)]] for q in one]
            for head, one in enumerate(queries)
        ]
        for queries, keys in zip(query.tolist(), key.tolist())
    ]
    torch.testing.assert_close(
        attention_scores(query, key), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12
    )


def test_scores_are_in_full_precision() -> None:
    query, key = numbers(1, 2, 3, 8, dtype=torch.bfloat16), numbers(1, 2, 3, 8, seed=1, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = attention_scores(query, key)
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, attention_scores(query.float(), key.float()), rtol=0, atol=0)


# -- padding ---------------------------------------------------------------------------------------------------

Masked = Callable[..., torch.Tensor]
MASKED = [
    (attention_distribution_loss, SCORES),
    (lambda s, t, mask: attention_distribution_loss(s, t, mask, causal=True), SCORES),
    (value_relation_loss, VALUES),
    (lambda s, t, mask: value_relation_loss(s, t, mask, causal=True), VALUES),
    (attention_score_loss, SCORES),
]
every_masked = pytest.mark.parametrize(("loss", "sides"), MASKED)


def padded(side: torch.Tensor, content: float) -> torch.Tensor:
    """The same with other content in all that belongs to a padding token."""
    rows = MASK[:, None, :, None]
    kept = rows & MASK[:, None, None] if side.shape[2] == side.shape[3] else rows
    return torch.where(kept, side, content)


@every_masked
@pytest.mark.parametrize("content", [1e4, -1e30, math.inf, math.nan])
def test_what_is_in_padding_never_matters(loss: Masked, sides: Any, content: float) -> None:
    plain = sides[0].clone().requires_grad_()
    expected = loss(plain, sides[1], MASK)
    expected.backward()
    student = padded(sides[0], content).requires_grad_()
    found = loss(student, padded(sides[1], content), MASK)
    found.backward()
    assert float(found.detach()) == pytest.approx(float(expected.detach()), abs=1e-12)
    torch.testing.assert_close(student.grad, plain.grad, rtol=0, atol=1e-12)
    padding = ~MASK[:, None, :, None].expand_as(student.grad)
    assert not student.grad[padding].any()


@every_masked
def test_a_text_alone_is_what_it_is_in_a_batch(loss: Masked, sides: Any) -> None:
    """Cut to its own length, without a mask: padding neither takes attention nor counts in the mean."""
    square = sides[0].shape[2] == sides[0].shape[3]
    for text, span in ((0, slice(0, 3)), (1, slice(1, 5))):
        cut = [side[text : text + 1, :, span] for side in sides]
        cut = [side[..., span] for side in cut] if square else cut
        in_batch = loss(*(side[text : text + 1] for side in sides), MASK[text : text + 1])
        assert float(in_batch) == pytest.approx(float(loss(*cut, None)), abs=1e-12)


@every_masked
def test_without_a_real_token_there_is_nothing(loss: Masked, sides: Any) -> None:
    student = sides[0].clone().requires_grad_()
    found = loss(student, sides[1], torch.zeros_like(MASK))
    found.backward()
    assert float(found.detach()) == 0
    assert torch.equal(student.grad, torch.zeros_like(student))


@every_masked
def test_masked_and_equal_sides_give_zero(loss: Masked, sides: Any) -> None:
    assert float(loss(sides[1], sides[1].clone(), MASK)) == pytest.approx(0, abs=1e-12)


@every_masked
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_huge_values_stay_finite_beside_padding(loss: Masked, sides: Any, size: float) -> None:
    student = (size * sides[0].sign()).float().requires_grad_()
    found = loss(student, (size * sides[1].sign()).float(), MASK)
    found.backward()
    assert torch.isfinite(found.detach())
    assert torch.isfinite(student.grad).all()


def test_patient_without_anything_is_nothing() -> None:
    student = numbers(3, 2, 4).requires_grad_()
    found = patient_loss(student, numbers(3, 2, 4, seed=1), torch.zeros(3, 2, dtype=torch.bool))
    found.backward()
    assert float(found.detach()) == 0
    assert torch.equal(student.grad, torch.zeros_like(student))


def test_a_causal_loss_does_not_see_what_comes_after() -> None:
    later = torch.ones(TOKENS, TOKENS).triu(1).bool()
    moved = torch.where(later, 7.0, SCORES[0])
    expected = float(attention_distribution_loss(*SCORES, causal=True))
    assert float(attention_distribution_loss(moved, SCORES[1], causal=True)) == pytest.approx(expected, abs=1e-12)
    assert float(attention_distribution_loss(moved, SCORES[1])) != pytest.approx(expected, abs=1e-3)


# -- what is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [attention_distribution_loss, attention_score_loss])
def test_scores_that_do_not_fit_are_refused(loss: Masked) -> None:
    with pytest.raises(ValueError, match="same number of heads"):
        loss(SCORES[0], SCORES[1][:, :1])
    with pytest.raises(ValueError, match="no scores of attention"):
        loss(SCORES[0][..., :3], SCORES[1][..., :3])
    with pytest.raises(ValueError, match=r"has to be \(B, S\)"):
        loss(*SCORES, MASK[:, :3])


def test_values_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="same number of heads"):
        value_relation_loss(VALUES[0][:, :1], VALUES[1])
    with pytest.raises(ValueError, match="heads, S, d"):
        value_relation_loss(VALUES[0][0], VALUES[1][0])
    with pytest.raises(ValueError, match=r"has to be \(B, S\)"):
        value_relation_loss(*VALUES, MASK[0])
    with pytest.raises(ValueError, match="one width"):
        patient_loss(VALUES[0], VALUES[1])


def test_queries_and_keys_that_do_not_fit_are_refused() -> None:
    query = numbers(2, 4, 3, 6)
    for key in (query[:, :3], query[..., :5], query[:1], query[0]):
        with pytest.raises(ValueError, match="as many heads of queries as of keys"):
            attention_scores(query, key)
