"""Optimizers, and the learning rate as a function of the step."""

from __future__ import annotations

import math

import torch
from torch import nn

from kdstudio.project.spec import TrainSpec


def build_optimizer(module: nn.Module, spec: TrainSpec) -> torch.optim.Optimizer:
    """The spec's optimizer over all trainable parameters; biases and norms are not decayed."""
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for parameter in module.parameters():
        if parameter.requires_grad:
            (decayed if parameter.ndim > 1 else plain).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": spec.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if spec.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=spec.lr)
    nesterov = spec.nesterov and spec.momentum > 0
    return torch.optim.SGD(groups, lr=spec.lr, momentum=spec.momentum, nesterov=nesterov)


def learning_rate(spec: TrainSpec, step: int, steps_per_epoch: int) -> float:
    """The rate of a step (counted from 0). A pure function, so a resumed run needs no schedule state."""
    total = spec.epochs * steps_per_epoch
    warmup = spec.warmup_epochs * steps_per_epoch
    if step < warmup:
        return spec.lr * (step + 1) / (warmup + 1)
    if spec.schedule == "constant":
        return spec.lr
    if spec.schedule == "multistep":
        epoch = step // steps_per_epoch
        return spec.lr * spec.gamma ** sum(epoch >= milestone for milestone in spec.milestones)
    position = (step - warmup) / max(1.0, total - warmup)
    return spec.lr * (1 + math.cos(math.pi * min(1.0, position))) / 2
