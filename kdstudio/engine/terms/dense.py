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
    """

    needs_others = True

    def __init__(self, term: TermModule) -> None:
        super().__init__(term.spec, term.name)
        self.term = term

    def forward(self, outputs: StepOutputs) -> Tensor:
        teachers = [outputs.teacher(), *outputs.other_logits]
        return torch.stack([self.term(replace(outputs, teacher_logits=each)) for each in teachers]).mean()


def densely_guided(term: TermModule) -> TermModule:
    """The term for several teachers; terms on layers, on labels and on peers stay as they are."""
    alone = term.needs_teacher and term.outputs_only and not term.needs_others
    return DenseModule(term) if alone else term
