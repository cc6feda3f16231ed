"""The student's forward pass, compiled by torch.compile, with its taps in it.

The terms are not: they change with the epochs, and each change would compile anew. Batches of another size than the
usual one (an epoch's last) take the plain way, for the same reason.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from kdstudio.engine.device import random_states, restore_random_states
from kdstudio.engine.objective import DistillationModule
from kdstudio.engine.taps import Taps
from kdstudio.project.spec import TrainSpec

logger = logging.getLogger("kdstudio")

#: Steps of a stage from which compiling is worth its time on an accelerator.
LEAST_STEPS = 2000


def against(spec: TrainSpec, device: torch.device, steps: int, texts: bool, ranks: int = 1) -> str:
    """Why the student of a stage is not compiled; empty where it is.

    Args:
        spec: Says what is asked for.
        device: Where it trains.
        steps: Of the whole stage, so that a resumed one decides alike.
        texts: Whether samples have many lengths.
        ranks: Processes that share the steps: what joins their gradients would count the warm-up's.
    """
    if spec.compile == "off":
        return "train.compile is off"
    if texts:
        return "texts have many lengths, and each would be compiled"
    if ranks > 1:
        return "several devices share the steps"
    if spec.compile == "on":
        return ""
    if device.type != "cuda":
        return "on a processor it takes about a minute and saves a tenth of a step at most"
    return "" if steps >= LEAST_STEPS else f"it pays from about {LEAST_STEPS:,} steps on"


class CompiledStudent:
    """Runs the student, compiled, on batches of one shape.

    Args:
        student: The network; it stays as it is for everybody else.
        shape: Of the usual batch.
    """

    def __init__(self, student: nn.Module, shape: tuple[int, ...]) -> None:
        self.student = student
        self.shape = shape
        self._made: dict[tuple[str, ...], tuple[Taps, Callable[[Tensor], Tensor]]] = {}

    def __call__(self, inputs: Tensor, layers: list[str]) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits and the tapped layers' outputs by name."""
        key = tuple(layers)
        if key not in self._made:
            # the compiled code has the hooks of these taps in it, so they stay the same
            self._made[key] = Taps(self.student, layers, "the student"), torch.compile(self.student, dynamic=False)
        taps, compiled = self._made[key]
        with taps:
            logits = compiled(inputs) if tuple(inputs.shape) == self.shape else self.student(inputs)
            return logits, taps.take()

    def warm_up(self, inputs: Tensor, layers: list[str], autocast: Callable[[], AbstractContextManager[Any]]) -> str:
        """Compiles forward and backward pass with a batch that leaves no trace.

        Returns:
            Why that failed; empty where it went well.
        """
        buffers = {name: buffer.clone() for name, buffer in self.student.named_buffers()}
        states, begin = random_states(), time.monotonic()
        try:
            with autocast():
                logits, features = self(inputs, layers)
            sum(each.float().sum() for each in (logits, *features.values()) if each.requires_grad).backward()  # type: ignore[union-attr]
        except Exception as error:  # whatever the compiler stumbles over, the plain way is still there
            return _reason(error)
        finally:
            self.student.zero_grad(set_to_none=True)
            with torch.no_grad():
                for name, buffer in self.student.named_buffers():
                    buffer.copy_(buffers[name])
            restore_random_states(states)
        logger.info("compiled the student in %.1f s", time.monotonic() - begin)
        return ""


def compile_student(
    module: DistillationModule, inputs: Tensor, layers: list[str], autocast: Callable[[], AbstractContextManager[Any]]
) -> str:
    """Compiles the student of a module that is in train mode.

    Args:
        module: Runs it compiled from now on, if that goes well.
        inputs: A batch of the usual size.
        layers: The layers that are tapped.
        autocast: Makes the context of the forward pass.

    Returns:
        Why that failed; empty where it went well.
    """
    compiled = CompiledStudent(module.student, tuple(inputs.shape))
    why = compiled.warm_up(inputs, layers, autocast)
    module.compiled = None if why else compiled
    return why


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {(lines or ['no reason given'])[0][:200]}"
