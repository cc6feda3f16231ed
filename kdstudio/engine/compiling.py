"""Forward passes, compiled by torch.compile with their taps in them: the student's, and that of a live teacher.

The terms are not: they change with the epochs, and each change would compile anew. Batches of another size than the
usual one (an epoch's last) take the plain way, for the same reason. On a CUDA device the student's passes are recorded
as CUDA graphs, which are replayed without the processor's launching each kernel.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from kdstudio.engine.cache import PlannedTeacher
from kdstudio.engine.device import random_states, restore_random_states
from kdstudio.engine.objective import DistillationModule
from kdstudio.engine.taps import Taps
from kdstudio.engine.teacher import Teacher
from kdstudio.project.spec import TrainSpec

if TYPE_CHECKING:
    from kdstudio.engine.trainer import Trainer

logger = logging.getLogger("kdstudio")

#: Steps of a stage from which compiling is worth its time on an accelerator.
LEAST_STEPS = 2000
#: CUDA graphs are made in the second pass, and replayed from the third on.
_GRAPH_PASSES = 3
#: Compiled answers may be off by this share of the largest one: bf16 rounds by 0.4 %, layer after layer.
_TOLERANCE = 0.05


def against(spec: TrainSpec, device: torch.device, steps: int, texts: bool) -> str:
    """Why the student of a stage is not compiled; empty where it is.

    Args:
        spec: Says what is asked for.
        device: Where it trains.
        steps: Of the whole stage, so that a resumed one decides alike.
        texts: Whether samples have many lengths.
    """
    if spec.compile == "off":
        return "train.compile is off"
    if texts:
        return "texts have many lengths, and each would be compiled"
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
        graphs: Whether its passes are CUDA graphs. Gradients lie in their memory until the next forward pass, so no
            step may have several.
    """

    def __init__(self, student: nn.Module, shape: tuple[int, ...], graphs: bool = False) -> None:
        self.student = student
        self.shape = shape
        self.graphs = graphs
        self._made: dict[tuple[str, ...], tuple[Taps, Callable[[Tensor], Tensor]]] = {}

    def __call__(self, inputs: Tensor, layers: list[str]) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits and the tapped layers' outputs by name."""
        key = tuple(layers)
        if key not in self._made:
            mode = "reduce-overhead" if self.graphs else "default"
            # the compiled code has the hooks of these taps in it, so they stay the same
            taps = Taps(self.student, layers, "the student")
            self._made[key] = taps, torch.compile(self.student, dynamic=False, mode=mode)
        taps, compiled = self._made[key]
        usual = tuple(inputs.shape) == self.shape
        with taps:
            if usual and self.graphs:
                torch.compiler.cudagraph_mark_step_begin()
            logits = compiled(inputs) if usual else self.student(inputs)
            # the metrics keep logits beyond the step, and a graph writes into the same memory each time
            return logits.clone() if self.graphs else logits, taps.take()

    def warm_up(self, inputs: Tensor, layers: list[str], autocast: Callable[[], AbstractContextManager[Any]]) -> str:
        """Compiles forward and backward pass with a batch that leaves no trace.

        Returns:
            Why that failed; empty where it went well.
        """
        buffers = {name: buffer.clone() for name, buffer in self.student.named_buffers()}
        states = random_states()
        weights = [parameter for parameter in self.student.parameters() if parameter.requires_grad]
        try:
            for _ in range(_GRAPH_PASSES if self.graphs else 1):
                with autocast():
                    logits, features = self(inputs, layers)
                answers = [each.float().sum() for each in (logits, *features.values()) if each.requires_grad]
                # not `backward`: where ranks share the steps, that would send gradients to the others
                torch.autograd.grad(torch.stack(answers).sum(), weights, allow_unused=True)
            return "" if _is_chancy(self.student) else self._misfit(inputs, layers, autocast)
        except Exception as error:  # whatever the compiler stumbles over, the plain way is still there
            return _reason(error)
        finally:
            with torch.no_grad():
                for name, buffer in self.student.named_buffers():
                    buffer.copy_(buffers[name])
            restore_random_states(states)

    def _misfit(self, inputs: Tensor, layers: list[str], autocast: Callable[[], AbstractContextManager[Any]]) -> str:
        """What is wrong with the compiled answers; empty where they are the plain ones."""
        with autocast():
            found = self(inputs, layers)[0].detach().float()
            plain = self.student(inputs).detach().float()
        return _difference(found, plain)


class CompiledTeacher:
    """Runs a frozen network, compiled, on batches of one shape. Its taps are the network's own.

    Args:
        model: In eval mode.
        shape: Of the usual batch.
    """

    def __init__(self, model: nn.Module, shape: tuple[int, ...]) -> None:
        self.model = model
        self.shape = shape
        self._compiled = torch.compile(model, dynamic=False)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Logits."""
        usual = tuple(inputs.shape) == self.shape
        logits: Tensor = self._compiled(inputs) if usual else self.model(inputs)
        return logits


def compile_stage(trainer: Trainer) -> str:
    """Compiles the student of a stage, and a teacher that works at each step, where that is asked for and pays.

    What fails is told, and the plain way is taken.

    Returns:
        Why the student is not compiled; empty where it is.
    """
    spec, stage, recorder = trainer.spec, trainer.stage, trainer.recorder
    texts = trainer.batches.text is not None
    why = against(spec, trainer.device, trainer.total_steps, texts)
    if trainer.weights.sharded:
        why = "the devices share the weights"
    if why:
        return why
    recorder.update(progress={"label": "compiling the student", "done": 0, "total": 0})
    epoch = trainer.progress.epoch
    inputs = trainer.inputs(trainer.pieces(next(trainer.batches.epoch(epoch)))[0][0])
    trainer.module.train()
    layers = trainer.raw.objective.layers("student", epoch)
    graphs = trainer.device.type == "cuda" and spec.accumulate == 1
    why = compile_student(trainer.raw, inputs, layers, trainer.accelerator.autocast, graphs)
    if why:
        logger.warning("the student of the %s is not compiled: %s", stage, why)
    live = trainer.teacher.live_one if isinstance(trainer.teacher, PlannedTeacher) else trainer.teacher
    if live is not None:
        recorder.update(progress={"label": "compiling the teacher", "done": 0, "total": 0})
        teacher_why = compile_teacher(live, inputs, trainer.accelerator.autocast)
        if teacher_why:
            logger.warning("the teacher of the %s is not compiled: %s", stage, teacher_why)
    recorder.update(progress=None)
    return why


def compile_student(
    module: DistillationModule,
    inputs: Tensor,
    layers: list[str],
    autocast: Callable[[], AbstractContextManager[Any]],
    graphs: bool = False,
) -> str:
    """Compiles the student of a module that is in train mode.

    Args:
        module: Runs it compiled from now on, if that goes well.
        inputs: A batch of the usual size.
        layers: The layers that are tapped.
        autocast: Makes the context of the forward pass.
        graphs: Whether to try CUDA graphs first.

    Returns:
        Why that failed; empty where it went well.
    """
    why, begin = "", time.monotonic()
    for with_graphs in (True, False) if graphs else (False,):
        compiled = CompiledStudent(module.student, tuple(inputs.shape), with_graphs)
        why = compiled.warm_up(inputs, layers, autocast)
        module.compiled = None if why else compiled
        if not why:
            said = " and recorded its passes as CUDA graphs" if with_graphs else ""
            logger.info("compiled the student%s in %.1f s", said, time.monotonic() - begin)
            break
        if with_graphs:
            logger.warning("the student's passes are not recorded as CUDA graphs: %s", why)
    return why


def compile_teacher(teacher: Teacher, inputs: Tensor, autocast: Callable[[], AbstractContextManager[Any]]) -> str:
    """Compiles a teacher that works at each step.

    Args:
        teacher: Answers compiled from now on, if that goes well.
        inputs, autocast: As in `compile_student`.

    Returns:
        Why that failed; empty where it went well.
    """
    begin = time.monotonic()
    try:
        with autocast():
            plain, _ = teacher(inputs)
            teacher.compiled = CompiledTeacher(teacher.model, tuple(inputs.shape))
            found, _ = teacher(inputs)
        why = _difference(found.float(), plain.float())
    except Exception as error:  # as with the student
        why = _reason(error)
    if why:
        teacher.compiled = None
        teacher.taps.take()
    else:
        logger.info("compiled the teacher in %.1f s", time.monotonic() - begin)
    return why


def _difference(found: Tensor, plain: Tensor) -> str:
    """In words, by how much compiled answers are off; empty where that is what rounding does."""
    error = float((found - plain).abs().max() / plain.abs().max().clamp(min=1e-6))
    return "" if error < _TOLERANCE else f"its answers are off by {100 * error:.2g} %"


def _is_chancy(model: nn.Module) -> bool:
    """Whether two passes differ by chance alone."""
    return any(isinstance(part, nn.modules.dropout._DropoutNd) and part.p for part in model.modules())


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {(lines or ['no reason given'])[0][:200]}"
