"""One dummy sample through a model: does it run, and what comes out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from kdstudio.engine.text.network import TextNetwork
from kdstudio.project.errors import ModelError


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode and no gradients; each module gets its own mode back afterwards."""
    modes = {module: module.training for module in model.modules()}
    fast = torch.backends.mha.get_fastpath_enabled()
    # The fused path of transformer layers skips the submodules, so hooks and counters would see nothing.
    torch.backends.mha.set_fastpath_enabled(False)
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for module, training in modes.items():
            module.training = training


def dummy(model: nn.Module, input_shape: tuple[int, ...], batch: int = 1) -> torch.Tensor:
    """float32 zeros [batch, *input_shape] on the model's device; token ids for networks that take these."""
    parameter = next(model.parameters(), None)
    device = parameter.device if parameter is not None else torch.device("cpu")
    if isinstance(model, TextNetwork):
        return model.dummy(batch, input_shape[0], device)
    return torch.zeros(batch, *input_shape, device=device)


def check_output(model: nn.Module, shown: str, input_shape: tuple[int, ...], num_classes: int) -> None:
    """Runs two samples.

    Raises:
        ModelError: It fails, or does not give one score per class and sample.
    """
    with evaluating(model):
        try:
            output = model(dummy(model, input_shape, 2))
        except Exception as error:
            lines = str(error).strip().splitlines() or [""]
            raise ModelError(
                f"model: {shown} fails on a sample of shape {input_shape}", f"{type(error).__name__}: {lines[0]}"
            ) from error
    if not isinstance(output, torch.Tensor):
        raise ModelError(
            f"model: {shown} gives a {type(output).__name__}, not a tensor",
            "Training and scoring need one tensor of scores (logits) per class.",
            "Let forward return the logits only.",
        )
    if tuple(output.shape) != (2, num_classes):
        raise ModelError(
            f"model: {shown} gives outputs of shape {tuple(output.shape)[1:]} for each sample",
            f"The data has {num_classes} classes, so it should give ({num_classes},).",
            "Make the last layer as wide as num_classes, and flatten what comes before it.",
        )
