"""The frozen teacher."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from kdstudio.engine.arithmetic import laid_out
from kdstudio.engine.taps import Taps


class Numbers(NamedTuple):
    """The numbers of samples in their split.

    Attributes:
        there: int64 (B) on the device.
        here: The same on the CPU.
    """

    there: Tensor
    here: Tensor


class Teacher:
    """A frozen network that hands out logits and tapped features.

    Not a module on purpose: as no part of the student's tree, `train()` cannot reach it and no optimizer or
    checkpoint can hold it. It is put into eval mode again at every call, whatever happened to it in between.

    Args:
        model: The network; its parameters stop to take gradients.
        layers: Layers that may be tapped.

    Attributes:
        compiled: Answers in the place of the network: `CompiledTeacher`.
    """

    def __init__(self, model: nn.Module, layers: list[str]) -> None:
        self.model = laid_out(model.requires_grad_(False).eval())
        self._modules = list(model.modules())
        self.taps = Taps(model, layers, "the teacher")
        self.taps.__enter__()
        self.compiled: Callable[[Tensor], Tensor] | None = None

    def __call__(self, inputs: Tensor, numbers: Numbers | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits (B, C) and features by layer name, without a gradient. The samples' numbers do not matter to it.

        `no_grad`, not `inference_mode`: losses save these tensors for their backward pass.
        """
        if any(module.training for module in self._modules):  # asking is ten times quicker than telling
            self.model.eval()
        with torch.no_grad():
            logits = self.model(inputs) if self.compiled is None else self.compiled(inputs)
        return logits, self.taps.take()

    def close(self) -> None:
        """Removes the hooks, and what was compiled with them."""
        self.compiled = None
        self.taps.close()
