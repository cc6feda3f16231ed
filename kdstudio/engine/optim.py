"""Optimizers."""

from __future__ import annotations

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
    # one pass over the weights in place of one for each of the optimizer's operations
    fused = all(parameter.device.type in ("cpu", "cuda") for parameter in (*decayed, *plain))
    if spec.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=spec.lr, fused=fused)
    nesterov = spec.nesterov and spec.momentum > 0
    optimizer = torch.optim.SGD(groups, lr=spec.lr, momentum=spec.momentum, nesterov=nesterov, fused=fused)
    if fused and spec.momentum > 0:
        # the fused form fails where some weights get their first gradient later than others, as a late term's do;
        # a first step from zero is the same as one from nothing
        for parameter in (*decayed, *plain):
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer
