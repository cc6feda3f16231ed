"""Losses on maps against slow references written from the papers' equations."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from kdstudio.engine.losses import (
    attention_map,
    attention_transfer_loss,
    flow_loss,
    hierarchical_context_loss,
    neuron_selectivity_loss,
)
from tests.engine.losses.kit import average_pool, dot, flat, mean, norm, numbers

Maps = list[list[list[list[float]]]]


def pooled(maps: Maps, height: int, width: int) -> Maps:
    return [[average_pool(channel, height, width) for channel in sample] for sample in maps]


def attention(sample: list[list[list[float]]], power: float = 2) -> list[float]:
    channels = [flat(channel) for channel in sample]
    energy = [mean([abs(channel[place]) ** power for channel in channels]) for place in range(len(channels[0]))]
    return [value / norm(energy) for value in energy]


@pytest.mark.parametrize("power", [1, 2, 4])
def test_attention_maps(power: int) -> None:
    features = numbers(3, 5, 4, 2)
    found = attention_map(features, power)
    assert found.shape == (3, 8)
    for row, sample in zip(found.tolist(), features.tolist()):
        assert row == pytest.approx(attention(sample, power), abs=1e-10)


@pytest.mark.parametrize("size", [(4, 6), (8, 6), (3, 2), (8, 3), (5, 7)])
def test_attention_transfer(size: tuple[int, int]) -> None:
    """The larger features are pooled to the smaller; channels may differ."""
    student, teacher = numbers(3, 5, 4, 6), numbers(3, 2, *size, seed=1)
    height, width = min(4, size[0]), min(6, size[1])
    found = []
    for s, t in zip(pooled(student.tolist(), height, width), pooled(teacher.tolist(), height, width)):
        found += [(a - b) ** 2 for a, b in zip(attention(s), attention(t))]
    assert float(attention_transfer_loss(student, teacher)) == pytest.approx(mean(found), abs=1e-10)


def test_attention_is_about_places_only() -> None:
    student, teacher = numbers(3, 5, 4, 4), numbers(3, 6, 4, 4, seed=1)
    expected = float(attention_transfer_loss(student, teacher))
    assert float(attention_transfer_loss(-9 * student.flip(1), 0.1 * teacher)) == pytest.approx(expected, abs=1e-12)
    assert float(attention_transfer_loss(teacher, student)) == pytest.approx(expected, abs=1e-12)
    assert float(attention_transfer_loss(student, student.repeat(1, 2, 1, 1))) == pytest.approx(0, abs=1e-12)


def unit_channels(sample: list[list[list[float]]]) -> list[list[float]]:
    channels = [flat(channel) for channel in sample]
    return [[value / norm(channel) for value in channel] for channel in channels]


@pytest.mark.parametrize("size", [(4, 6), (8, 12), (2, 3)])
def test_neuron_selectivity(size: tuple[int, int]) -> None:
    student, teacher = numbers(3, 5, 4, 6), numbers(3, 4, *size, seed=1)
    height, width = min(4, size[0]), min(6, size[1])
    found = []
    for sample, other in zip(pooled(student.tolist(), height, width), pooled(teacher.tolist(), height, width)):
        s, t = unit_channels(sample), unit_channels(other)
        kernels = [mean([dot(a, b) ** 2 for a in first for b in second]) for first, second in ((t, t), (s, s), (s, t))]
        found.append(kernels[0] + kernels[1] - 2 * kernels[2])
    assert float(neuron_selectivity_loss(student, teacher)) == pytest.approx(mean(found), abs=1e-10)


def test_selectivity_compares_distributions() -> None:
    """The order, the scale and the number of the channels do not count; it is a squared distance."""
    student, teacher = numbers(3, 5, 4, 4), numbers(3, 6, 4, 4, seed=1)
    expected = float(neuron_selectivity_loss(student, teacher))
    scaled = 3 * student[:, torch.randperm(5, generator=torch.Generator().manual_seed(0))]
    assert float(neuron_selectivity_loss(scaled, teacher.flip(1))) == pytest.approx(expected, abs=1e-12)
    assert float(neuron_selectivity_loss(teacher, student)) == pytest.approx(expected, abs=1e-12)
    assert expected > 0
    assert float(neuron_selectivity_loss(student, student.repeat(1, 2, 1, 1))) == pytest.approx(0, abs=1e-12)


def flow(first: list[Any], second: list[Any]) -> list[float]:
    """G of one sample, row by row."""
    places = len(flat(first[0]))
    return [dot(flat(a), flat(b)) / places for a in first for b in second]


def test_flow() -> None:
    """Sizes differ within the student, and between the networks."""
    student = numbers(2, 3, 6, 4), numbers(2, 5, 3, 2, seed=1)
    teacher = numbers(2, 3, 4, 4, seed=2), numbers(2, 5, 4, 4, seed=3)
    found = []
    for index in range(2):
        one = flow(pooled(student[0].tolist(), 3, 2)[index], student[1].tolist()[index])
        other = flow(teacher[0].tolist()[index], teacher[1].tolist()[index])
        found += [(a - b) ** 2 for a, b in zip(one, other)]
    assert float(flow_loss(*student, *teacher)) == pytest.approx(mean(found), abs=1e-10)
    assert float(flow_loss(*teacher, *student)) == pytest.approx(mean(found), abs=1e-10)
    with pytest.raises(ValueError, match="as many channels"):
        flow_loss(*student, teacher[0][:, :2], teacher[1])


@pytest.mark.parametrize("size", [(8, 8), (9, 6), (4, 4), (7, 3), (2, 2), (1, 1), (1, 5)])
def test_hierarchical_context(size: tuple[int, int]) -> None:
    student, teacher = numbers(2, 3, *size), numbers(2, 3, *size, seed=1)

    def error(height: int, width: int) -> float:
        one, other = (flat(pooled(side.tolist(), height, width)) for side in (student, teacher))
        return mean([(a - b) ** 2 for a, b in zip(one, other)])

    levels = [(error(*size), 1.0)]
    levels += [(error(n, n), weight) for n, weight in ((4, 0.5), (2, 0.25), (1, 0.125)) if n < min(size)]
    expected = sum(value * weight for value, weight in levels) / sum(weight for _, weight in levels)
    assert float(hierarchical_context_loss(student, teacher)) == pytest.approx(expected, abs=1e-10)
    assert float(hierarchical_context_loss(teacher, student)) == pytest.approx(expected, abs=1e-10)


def test_what_cannot_be_is_refused() -> None:
    maps, vectors = numbers(3, 4, 2, 2), numbers(3, 4)
    for loss in (attention_transfer_loss, neuron_selectivity_loss, hierarchical_context_loss):
        with pytest.raises(ValueError, match=rf"{loss.__name__}: \(3, 4\) is no batch of maps"):
            loss(maps, vectors)
        with pytest.raises(ValueError, match=f"{loss.__name__}: the student's features"):
            loss(maps, maps[:2])
    with pytest.raises(ValueError, match="no batch of maps"):
        attention_map(vectors)
    with pytest.raises(ValueError, match="1 or more"):
        attention_map(maps, 0.5)
    with pytest.raises(ValueError, match="use a regressor"):
        hierarchical_context_loss(maps, maps[:, :2])
    with pytest.raises(ValueError, match="same samples"):
        flow_loss(maps, maps[:2], maps, maps[:2])
