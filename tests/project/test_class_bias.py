"""Shifts of logits by class: what they do, how a prior chooses them, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from kdstudio.project.class_bias import (
    check_name,
    class_number,
    effect,
    prior_shares,
    shift_by_hand,
    shift_for_prior,
)
from kdstudio.project.errors import InputError

CLASSES = ["cat", "dog", "1"]


def made_up(count: int, width: int, scale: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=scale, size=(count, width)).astype(np.float32)


def softmax(row: np.ndarray) -> np.ndarray:
    raised = np.exp(row - row.max())
    return raised / raised.sum()


def test_an_effect_is_what_counting_gives() -> None:
    logits, labels = made_up(60, 3, 2.0), np.arange(60) % 3
    shift = np.array([0.0, 1.5, -0.5])
    found = effect(logits, labels, shift)
    rows = [softmax(row.astype(float) + shift) for row in logits]
    right = [int(row.argmax()) == label for row, label in zip(rows, labels)]
    assert found.accuracy == pytest.approx(np.mean(right))
    for place in range(3):
        assert found.per_class[place] == pytest.approx(
            np.mean([r for r, label in zip(right, labels) if label == place])
        )
        assert found.shares[place] == pytest.approx(np.mean([row[place] for row in rows]))


def test_a_class_without_samples_has_no_accuracy_and_broken_outputs_count_as_wrong() -> None:
    logits = np.array([[5.0, 0.0, 0.0], [np.nan, 0.0, 0.0]])
    found = effect(logits, np.array([0, 0]), np.zeros(3))
    assert found.accuracy == 0.5
    assert found.per_class == [0.5, None, None]
    assert sum(found.shares) == pytest.approx(1)


@pytest.mark.parametrize(("count", "width", "scale"), [(7, 2, 1.0), (200, 10, 3.0), (300, 10, 40.0), (150, 100, 5.0)])
@pytest.mark.parametrize("kind", ["uniform", "data"])
def test_the_mean_shares_are_the_prior_afterwards(count: int, width: int, scale: float, kind: str) -> None:
    logits = made_up(count, width, scale)
    logits[:, 1] -= 8.0  # as a class that the transfer set lacked
    prior = prior_shares(kind, np.random.default_rng(1).integers(0, width, count), width)
    shift = shift_for_prior(logits, prior)
    assert np.median(shift) == pytest.approx(0, abs=1e-3)
    # saturated outputs move in steps: few samples lie between two classes
    reached = effect(logits, np.zeros(count, int), shift).shares
    assert np.abs(np.array(reached) - prior).max() < (1e-4 if scale < 10 else 2e-2)
    if width > 2:
        assert shift.argmax() == 1


def test_outputs_that_are_right_already_are_left_alone() -> None:
    logits = np.log(np.array([[0.7, 0.2, 0.1], [0.1, 0.7, 0.2], [0.2, 0.1, 0.7]]))
    assert np.abs(shift_for_prior(logits, np.full(3, 1 / 3))).max() < 1e-4


def test_broken_outputs_give_no_shift() -> None:
    assert not shift_for_prior(np.full((4, 3), np.nan), np.full(3, 1 / 3)).any()


def test_priors() -> None:
    assert prior_shares("uniform", np.array([0]), 4).tolist() == [0.25] * 4
    assert prior_shares("data", np.array([0, 0, 0, 1]), 3) == pytest.approx([3 / 4.5, 1 / 4.5, 0.5 / 4.5])


def test_classes_by_name_and_by_number() -> None:
    assert [class_number(word, CLASSES) for word in ("dog", "0", "1", "3", "-1", "x", "²")] == [1, 0, 2, *[None] * 4]
    assert shift_by_hand([("dog", 2.0), ("0", -1.0), ("dog", 0.5)], CLASSES).tolist() == [-1.0, 2.5, 0.0]
    with pytest.raises(InputError, match="--class: there is no class 'dgo'") as caught:
        shift_by_hand([("dgo", 1.0)], CLASSES)
    assert caught.value.fix == "did you mean 'dog'?"
    with pytest.raises(InputError, match="--by: inf is not a number"):
        shift_by_hand([("dog", float("inf"))], CLASSES)


@pytest.mark.parametrize("name", ["", "../x", "a b", ".hidden", "x" * 65, "a/b"])
def test_names_that_are_no_folders(name: str) -> None:
    with pytest.raises(InputError, match="cannot be the name of a student"):
        check_name(name)
