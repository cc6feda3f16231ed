"""Terms of densely guided chains: one term asked of several teachers."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from kdstudio.engine.terms.base import StepOutputs, TermModule


class DenseModule(TermModule):
    """A term on the outputs of one teacher, as the mean over all teachers (see `links_of`).

    Args:
        term: Looks at outputs and labels alone, and has nothing that learns.
        drop: Chance of each teacher to be left out of a training step; where all would be, the first one stays.
    """

    needs_others = True

    def __init__(self, term: TermModule, drop: float = 0.0) -> None:
        super().__init__(term.spec, term.name)
        self.term = term
        self.drop = drop

    def forward(self, outputs: StepOutputs) -> Tensor:
        teachers = [outputs.teacher(), *outputs.other_logits]
        if self.drop and self.training:
            drawn = (torch.rand(len(teachers)) >= self.drop).tolist()  # on the processor: no device is waited for
            teachers = [each for each, kept in zip(teachers, drawn) if kept] or teachers[:1]
        return torch.stack([self.term(replace(outputs, teacher_logits=each)) for each in teachers]).mean()


def densely_guided(term: TermModule, drop: float = 0.0) -> TermModule:
    """The term for several teachers; terms on layers, on labels and on peers stay as they are."""
    alone = term.needs_teacher and term.outputs_only and not term.needs_others
    return DenseModule(term, drop) if alone else term
