"""The learning rate as a pure function of the step, and what is decayed."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from kdstudio.engine.objective import DistillationModule, Objective
from kdstudio.engine.optim import build_optimizer
from kdstudio.project.schedules import learning_rate
from kdstudio.project.spec import HintTerm, LayerPair, TrainSpec


def rates(steps_per_epoch: int = 10, **fields: Any) -> list[float]:
    spec = TrainSpec(**{"epochs": 4, "lr": 1.0, **fields})
    return [learning_rate(spec, step, steps_per_epoch) for step in range(spec.epochs * steps_per_epoch)]


def test_constant() -> None:
    assert rates(schedule="constant") == [1.0] * 40


def test_cosine_falls_from_the_peak_to_almost_zero() -> None:
    found = rates(schedule="cosine")
    assert found[0] == 1.0
    assert found[20] == pytest.approx(0.5)
    assert found == sorted(found, reverse=True)
    assert found == pytest.approx([(1 + math.cos(math.pi * step / 40)) / 2 for step in range(40)])
    assert 0 < found[-1] < 0.01


def test_multistep_falls_at_the_first_step_of_each_milestone() -> None:
    found = rates(schedule="multistep", milestones=[1, 3], gamma=0.1)
    assert found == pytest.approx([1.0] * 10 + [0.1] * 20 + [0.01] * 10)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "multistep"])
def test_warm_up_rises_evenly_to_the_peak(schedule: str) -> None:
    found = rates(schedule=schedule, milestones=[3], warmup_epochs=1.5)
    assert found[:15] == pytest.approx([(step + 1) / 16 for step in range(15)])
    assert found[15] == 1.0
    assert max(found) == 1.0


def test_a_warm_up_as_long_as_the_training() -> None:
    found = rates(warmup_epochs=4)
    assert found == pytest.approx([(step + 1) / 41 for step in range(40)])


def test_one_step_in_all() -> None:
    assert rates(steps_per_epoch=1, epochs=1) == [1.0]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1)
        self.norm = nn.BatchNorm2d(2)
        self.fc = nn.Linear(2, 3)
        self.frozen = nn.Linear(3, 3).requires_grad_(False)


def module() -> DistillationModule:
    hint = HintTerm(pairs=[LayerPair(teacher="a", student="fc")])
    return DistillationModule(Net(), Objective([hint], 1, {"fc": (3,)}, {"a": (5,)}))


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_biases_and_norms_are_not_decayed_and_regressors_are_trained(kind: str) -> None:
    net = module()
    optimizer = build_optimizer(net, TrainSpec(optimizer=kind, weight_decay=0.3, lr=0.2))
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    decays = {names[id(p)]: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    regressor = "objective.terms.0.regressors.0.map"
    assert decays == {
        "student.conv.weight": 0.3,
        "student.fc.weight": 0.3,
        f"{regressor}.weight": 0.3,
        "student.conv.bias": 0.0,
        "student.norm.weight": 0.0,
        "student.norm.bias": 0.0,
        "student.fc.bias": 0.0,
        f"{regressor}.bias": 0.0,
    }
    assert {group["lr"] for group in optimizer.param_groups} == {0.2}


def test_momentum_and_its_nesterov_form() -> None:
    plain = build_optimizer(module(), TrainSpec(momentum=0.8))
    assert isinstance(plain, torch.optim.SGD)
    assert [(group["momentum"], group["nesterov"]) for group in plain.param_groups] == [(0.8, False)] * 2
    nesterov = build_optimizer(module(), TrainSpec(momentum=0.8, nesterov=True))
    assert nesterov.param_groups[0]["nesterov"]
    assert not build_optimizer(module(), TrainSpec(momentum=0, nesterov=True)).param_groups[0]["nesterov"]


def test_a_network_without_biases_has_one_group() -> None:
    assert len(build_optimizer(nn.Linear(2, 2, bias=False), TrainSpec()).param_groups) == 1


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_steps_are_those_of_pytorchs_own(kind: str) -> None:
    """Over a break in the middle, too, and with a hook before the step."""
    ours, theirs = nn.Linear(3, 4), nn.Linear(3, 4)
    theirs.load_state_dict(ours.state_dict())
    spec = TrainSpec(optimizer=kind, lr=0.1, momentum=0.9, weight_decay=0.2)
    first = build_optimizer(ours, spec)
    groups = [{"params": [theirs.weight], "weight_decay": 0.2}, {"params": [theirs.bias], "weight_decay": 0.0}]
    if kind == "sgd":
        second: torch.optim.Optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9, fused=True)
    else:
        second = torch.optim.AdamW(groups, lr=0.1, fused=True)
    seen: list[int] = []
    for step in range(6):
        if step == 3:
            state = first.state_dict()
            first = build_optimizer(ours, spec)
            first.load_state_dict(state)
            first.register_step_pre_hook(lambda *_: seen.append(1))
        inputs = torch.randn(5, 3)
        for network, optimizer in ((ours, first), (theirs, second)):
            optimizer.zero_grad()
            network(inputs).square().sum().backward()
            optimizer.step()
    assert torch.equal(ours.weight, theirs.weight)
    assert torch.equal(ours.bias, theirs.bias)
    assert len(seen) == 3
    assert ours.weight.requires_grad
