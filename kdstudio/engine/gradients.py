"""How much each term of the objective moves the student: shares of the gradient's norm."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from kdstudio.engine.data import ArraySplit, Preprocess
from kdstudio.engine.data.views import TokenPreprocess, fixed_view
from kdstudio.engine.objective import Objective
from kdstudio.engine.taps import Taps
from kdstudio.engine.teacher import Teacher
from kdstudio.engine.terms import StepOutputs
from kdstudio.engine.text.network import token_mask_of

#: Measuring may take at most this share of the training time.
BUDGET = 0.005
SAMPLES, TEXTS = 64, 8


class GradientShares:
    """Measures the norm of each weighted term's gradient on the student's parameters, as a share of their sum.

    On the same training samples each time, without augmentation, the student in train mode. It leaves weights,
    gradients, running statistics and random states as it found them, so a run with it and one without end alike.

    Args:
        split: The training samples; the first ones are taken.
        preprocess: Makes network inputs of them; on the device.
        device: Where the networks are.
        teacher, others: The frozen teachers; None and empty without one.
    """

    def __init__(
        self,
        split: ArraySplit,
        preprocess: Preprocess,
        device: torch.device,
        teacher: Teacher | None,
        others: Sequence[Teacher] = (),
    ) -> None:
        count = min(SAMPLES, len(split))
        if isinstance(preprocess, TokenPreprocess):  # a text has a row of logits for each of its tokens
            count = min(TEXTS, len(split))
        self._indices = torch.arange(count)
        self._batch = split.select(self._indices)
        self.preprocess = preprocess
        self.device = device
        self.teacher = teacher
        self.others = others
        self._next = 0.0

    def due(self) -> bool:
        """Whether the budget allows to measure now."""
        return time.monotonic() >= self._next

    def measure(
        self, student: nn.Module, objective: Objective, epoch: int, accelerator: Accelerator
    ) -> dict[str, float]:
        """The share of each term that counts in the epoch and has a weight, by name; empty for fewer than two."""
        begin = time.monotonic()
        with _undisturbed(student, objective, self.device), accelerator.autocast():
            norms = self._norms(student, objective, epoch)
        self._next = time.monotonic() + (time.monotonic() - begin) / BUDGET
        total = sum(norms.values())
        if len(norms) < 2 or not total > 0:
            return {}
        return {name: norm / total for name, norm in norms.items()}

    def _norms(self, student: nn.Module, objective: Objective, epoch: int) -> dict[str, float]:
        weights = objective.weights(epoch)
        terms = [(term, weight) for term, weight in zip(objective.term_modules(), weights) if weight]
        if len(terms) < 2:
            return {}
        inputs, labels = fixed_view(
            self.preprocess, self._batch.images.to(self.device), self._batch.labels.to(self.device)
        )
        logits: Tensor | None = None
        features: dict[str, Tensor] = {}
        if self.teacher is not None:
            logits, features = self.teacher(inputs)
        others = [other(inputs)[0] for other in self.others]
        with torch.enable_grad(), Taps(student, objective.layers("student", epoch), "the student") as taps:
            own = student(inputs)
            indices, mask = self._indices.to(self.device), token_mask_of(student, inputs)
            outputs = StepOutputs(own, labels, logits, taps.take(), features, inputs, indices, others, mask)
            parameters = [parameter for parameter in student.parameters() if parameter.requires_grad]
            norms: dict[str, Tensor] = {}
            for place, (term, weight) in enumerate(terms):
                loss = weight * term(outputs)
                term.own_loss(outputs)  # terms keep nothing from step to step
                found = torch.autograd.grad(loss, parameters, retain_graph=place < len(terms) - 1, allow_unused=True)
                squares = [part.float().square().sum() for part in found if part is not None]
                norms[term.name] = torch.stack(squares).sum().sqrt() if squares else torch.zeros((), device=own.device)
        return dict(zip(norms, torch.stack(list(norms.values())).tolist()))


@contextmanager
def _undisturbed(student: nn.Module, objective: Objective, device: torch.device) -> Iterator[None]:
    """The student in train mode, its terms not; modes, running statistics and random states are put back."""
    modes = [(module, module.training) for module in (student, objective)]
    buffers = [(buffer, buffer.clone()) for buffer in student.buffers()]
    devices = [device] if device.type == "cuda" else []
    try:
        student.train()
        objective.eval()
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        for module, training in modes:
            module.train(training)
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
