"""Optimizers."""

from __future__ import annotations

from inspect import unwrap

import torch
from torch import nn

from kdstudio.project.spec import TrainSpec


class _Plain(torch.optim.Optimizer):
    """Without torch's marks for its compiler: the first mark that is met loads it, which takes a third of a short run.

    They only matter where steps of an optimizer are compiled themselves, which none is here.
    """

    add_param_group = unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = unwrap(torch.optim.Optimizer.zero_grad)
    state_dict = unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = unwrap(torch.optim.Optimizer.load_state_dict)


class SGD(_Plain, torch.optim.SGD):
    """Stochastic gradient descent with momentum."""

    step = torch.no_grad()(unwrap(torch.optim.SGD.step))


class AdamW(_Plain, torch.optim.AdamW):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101)."""

    step = torch.no_grad()(unwrap(torch.optim.AdamW.step))


def build_optimizer(module: nn.Module, spec: TrainSpec, fused: bool = True) -> torch.optim.Optimizer:
    """The spec's optimizer over all trainable parameters; biases and norms are not decayed.

    Args:
        module, spec: What is trained, and how.
        fused: Whether it may take its fused form, which some kinds of tensors have not.
    """
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
    form = None
    if fused:  # one pass over the weights in place of one for each of the optimizer's operations
        form = all(parameter.device.type in ("cpu", "cuda") for parameter in (*decayed, *plain))
    if spec.optimizer == "adamw":
        return AdamW(groups, lr=spec.lr, fused=form)
    nesterov = spec.nesterov and spec.momentum > 0
    optimizer = SGD(groups, lr=spec.lr, momentum=spec.momentum, nesterov=nesterov, fused=form)
    if form and spec.momentum > 0:
        begin_momentum(optimizer)
    return optimizer


def begin_momentum(optimizer: torch.optim.Optimizer) -> None:
    """Begins the momentum of SGD with zeros: a first step from zero is the same as one from nothing.

    The fused form fails where some weights get their first gradient later than others, as a late term's do.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
