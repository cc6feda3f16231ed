"""Quality, fidelity and calibration against slow, obvious references."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from sklearn import metrics as reference

from kdstudio.engine.data import ArraySplit, Preprocess
from kdstudio.engine.evaluate import ECE_BINS, classification_metrics, fidelity, predict, reliability
from kdstudio.engine.scorecard import plain

NAN, INF = float("nan"), float("inf")


def names(count: int) -> list[str]:
    return [f"class {index}" for index in range(count)]


def sample(count: int = 300, classes: int = 7, scale: float = 2.0, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (count,), generator=generator)
    logits = torch.randn(count, classes, generator=generator) * scale
    logits[torch.arange(count), labels] += 2.0
    return logits, labels


def probabilities(row: list[float], temperature: float = 1.0) -> list[float]:
    largest = max(row)
    weights = [math.exp((value - largest) / temperature) for value in row]
    return [weight / sum(weights) for weight in weights]


def test_against_scikit_learn() -> None:
    logits, labels = sample()
    found = classification_metrics(logits, labels, names(7))
    softmax = np.array([probabilities(row) for row in logits.double().tolist()])
    predicted = softmax.argmax(axis=1)
    assert found["count"] == 300
    assert found["not_finite"] == 0
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(labels, predicted))
    assert found["nll"] == pytest.approx(reference.log_loss(labels, softmax, labels=range(7)))
    assert found["top5"] == pytest.approx(reference.top_k_accuracy_score(labels, softmax, k=5, labels=range(7)))
    assert found["confusion"] == reference.confusion_matrix(labels, predicted, labels=range(7)).tolist()
    recalls = reference.recall_score(labels, predicted, labels=range(7), average=None)
    assert [entry["accuracy"] for entry in found["per_class"]] == pytest.approx(recalls.tolist())
    assert [entry["class"] for entry in found["per_class"]] == names(7)
    assert sum(entry["count"] for entry in found["per_class"]) == 300


def test_calibration_error_against_loops() -> None:
    logits, labels = sample(500, 4)
    found = classification_metrics(logits, labels, names(4))
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(ECE_BINS)]
    for row, label in zip(logits.double().tolist(), labels.tolist()):
        sure = probabilities(row)
        confidence = max(sure)
        place = next(index for index in range(ECE_BINS) if confidence <= (index + 1) / ECE_BINS + 1e-15)
        bins[place].append((confidence, sure.index(confidence) == label))
    error = 0.0
    for index, members in enumerate(bins):
        entry = found["reliability"][index]
        assert entry["low"] == index / ECE_BINS
        assert entry["count"] == len(members)
        if not members:
            assert entry["confidence"] is None
            assert entry["accuracy"] is None
            continue
        confidence = sum(value for value, _ in members) / len(members)
        accuracy = sum(right for _, right in members) / len(members)
        assert entry["confidence"] == pytest.approx(confidence)
        assert entry["accuracy"] == pytest.approx(accuracy)
        error += len(members) / 500 * abs(accuracy - confidence)
    assert found["ece"] == pytest.approx(error)


def test_edges_of_bins() -> None:
    confidence = torch.tensor([0.0, 1 / 15, 1 / 15 + 1e-9, 0.5, 1.0], dtype=torch.float64)
    bins, ece = reliability(confidence, torch.ones(5, dtype=torch.bool))
    assert [entry["count"] for entry in bins] == [2, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1]
    assert 0 <= ece <= 1
    assert reliability(torch.zeros(0, dtype=torch.float64), torch.zeros(0, dtype=torch.bool))[1] == 0


def test_a_perfect_and_sure_network() -> None:
    labels = torch.arange(6)
    found = classification_metrics(torch.eye(6) * 100, labels, names(6))
    assert found["accuracy"] == found["top5"] == 1
    assert found["nll"] == pytest.approx(0, abs=1e-12)
    assert found["ece"] == pytest.approx(0, abs=1e-12)


def test_a_class_without_samples_has_no_accuracy() -> None:
    logits, labels = sample(100, 4)
    labels[labels == 2] = 3
    entry = classification_metrics(logits, labels, names(4))["per_class"][2]
    assert entry == {"class": "class 2", "count": 0, "accuracy": None}


def test_one_sample_and_few_classes() -> None:
    found = classification_metrics(torch.tensor([[0.0, 1.0]]), torch.tensor([1]), names(2))
    assert found["accuracy"] == 1
    assert found["nll"] == pytest.approx(math.log(1 + math.exp(-1)))
    assert found["worst"] == [0]
    assert "top5" not in found
    assert "top5" not in classification_metrics(torch.zeros(1, 5), torch.tensor([1]), names(5))
    assert "top5" in classification_metrics(torch.zeros(1, 6), torch.tensor([1]), names(6))


@pytest.mark.parametrize("size", [1e4, 1e30])
def test_huge_logits(size: float) -> None:
    logits = torch.tensor([[size, -size, 0.0], [-size, size, 0.0]])
    found = classification_metrics(logits, torch.tensor([0, 0]), names(3))
    assert found["accuracy"] == 0.5
    assert found["nll"] == pytest.approx(size)
    assert found["ece"] == pytest.approx(0.5)
    assert found["not_finite"] == 0


@pytest.mark.parametrize("spoiler", [NAN, INF])
def test_outputs_that_are_no_distribution_are_wrong_and_told(spoiler: float) -> None:
    """With NaN in it, torch's argmax names the NaN's class: here the right one, which must not count."""
    logits, labels = sample(20, 7)
    whole = classification_metrics(logits, labels, names(7))
    right = logits.argmax(1) == labels
    spoiled = [int(right.nonzero()[0]), int(right.nonzero()[1])]
    for place in spoiled:
        logits[place, labels[place]] = spoiler
    found = classification_metrics(logits, labels, names(7))
    assert found["not_finite"] == 2
    assert found["accuracy"] == pytest.approx(whole["accuracy"] - 2 / 20)
    assert found["top5"] == pytest.approx(whole["top5"] - 2 / 20)
    assert math.isnan(found["nll"])
    assert math.isnan(found["ece"])
    assert sum(map(sum, found["confusion"])) == 18
    assert sum(entry["count"] for entry in found["per_class"]) == 20
    assert sum(entry["count"] for entry in found["reliability"]) == 18
    assert set(found["worst"][:2]) == set(spoiled)
    cleaned = plain(found)
    assert cleaned["nll"] is None
    assert cleaned["ece"] is None
    json.dumps(cleaned, allow_nan=False)


def test_all_outputs_are_nan() -> None:
    found = classification_metrics(torch.full((9, 3), NAN), torch.arange(9) % 3, names(3))
    assert found["accuracy"] == 0
    assert found["not_finite"] == 9
    assert [entry["accuracy"] for entry in found["per_class"]] == [0, 0, 0]


def test_a_class_that_is_ruled_out() -> None:
    """A logit of minus infinity is a probability of zero."""
    found = classification_metrics(torch.tensor([[0.0, -INF], [0.0, -INF]]), torch.tensor([0, 1]), names(2))
    assert found["accuracy"] == 0.5
    assert found["not_finite"] == 0
    assert found["nll"] == INF
    assert plain(found)["nll"] is None


def test_worst_samples_have_the_largest_loss() -> None:
    logits, labels = sample(100, 4)
    losses = [-math.log(probabilities(row)[label]) for row, label in zip(logits.double().tolist(), labels.tolist())]
    order = sorted(range(100), key=lambda index: -losses[index])
    assert classification_metrics(logits, labels, names(4))["worst"] == order[:24]


def test_fidelity_against_loops() -> None:
    student, _ = sample(80, 5)
    teacher, _ = sample(80, 5, scale=5.0, seed=1)
    found = fidelity(student, teacher)
    same, total, table = 0, [], [[0] * 5 for _ in range(5)]
    for row, other in zip(student.double().tolist(), teacher.double().tolist()):
        p, q = probabilities(other), probabilities(row)
        total.append(sum(a * math.log(a / b) for a, b in zip(p, q)))
        first, second = p.index(max(p)), q.index(max(q))
        same += first == second
        table[first][second] += 1
    assert found["agreement"] == pytest.approx(same / 80)
    assert found["kl"] == pytest.approx(sum(total) / 80)
    assert found["confusion"] == table
    assert found["disagreeing"] == sorted(range(80), key=lambda index: -total[index])[:24]


def test_fidelity_to_itself() -> None:
    logits, _ = sample(30, 5)
    found = fidelity(logits, logits + 3.0)
    assert found["agreement"] == 1
    assert found["kl"] == pytest.approx(0, abs=1e-9)


def test_fidelity_with_huge_and_infinite_logits() -> None:
    huge = torch.tensor([[1e4, -1e4, 0.0]])
    assert fidelity(huge, huge)["kl"] == 0
    ruled_out = torch.tensor([[1.0, -INF, 0.0]])
    assert math.isfinite(fidelity(torch.zeros(1, 3), ruled_out)["kl"])
    assert fidelity(ruled_out, ruled_out)["kl"] == 0
    assert fidelity(ruled_out, torch.zeros(1, 3))["kl"] == INF


def test_fidelity_of_nan() -> None:
    """Two networks that both give NaN do not agree on anything."""
    student, _ = sample(10, 3)
    teacher = student.clone()
    student[4] = teacher[4] = NAN
    found = fidelity(student, teacher)
    assert found["agreement"] == pytest.approx(0.9)
    assert math.isnan(found["kl"])
    assert sum(map(sum, found["confusion"])) == 9
    assert found["disagreeing"][0] == 4


def test_predict_in_batches_and_modes() -> None:
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.5), torch.nn.Linear(4, 3)).train()
    images = torch.randint(0, 256, (11, 1, 2, 2), dtype=torch.uint8)
    split = ArraySplit(images, torch.zeros(11, dtype=torch.int64))
    preprocess = Preprocess([0.5], [0.25], (1, 2, 2))
    seen: list[tuple[int, int]] = []
    found = predict(model, preprocess, split, "cpu", 4, lambda done, total: seen.append((done, total)))
    assert seen == [(4, 11), (8, 11), (11, 11)]
    assert not model.training
    assert not found.requires_grad
    expected = model(((images.float() / 255) - 0.5) / 0.25)
    torch.testing.assert_close(found, expected.detach())
