"""What every term is: a module that turns one step's outputs into one scalar."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from torch import Tensor, nn

from kdstudio.project.spec import TermBase


@dataclass
class StepOutputs:
    """What the terms see of one (micro-)batch.

    Attributes:
        student_logits: (B, C).
        targets: (B) labels.
        teacher_logits: (B, C), None without a teacher.
        student_taps, teacher_taps: Captured features by layer name.
    """

    student_logits: Tensor
    targets: Tensor
    teacher_logits: Tensor | None = None
    student_taps: dict[str, Tensor] = field(default_factory=dict)
    teacher_taps: dict[str, Tensor] = field(default_factory=dict)


class TermModule(nn.Module):
    """One term of the objective. Its parameters (a regressor's, say) are trained with the student, not exported."""

    needs_teacher = True

    def __init__(self, spec: TermBase, name: str) -> None:
        super().__init__()
        self.spec = spec
        self.name = name

    @property
    def student_layers(self) -> list[str]:
        """Layers of the student that the term taps."""
        return []

    @property
    def teacher_layers(self) -> list[str]:
        """Layers of the teacher that the term taps."""
        return []

    def forward(self, outputs: StepOutputs) -> Tensor:
        """The unweighted loss, a scalar."""
        raise TypeError(f"{type(self).__name__} does not define its loss")


def weight_at(spec: TermBase, epoch: int, epochs: int) -> float | None:
    """The weight of a term in an epoch (counted from 0), or None where the term does not count.

    A schedule moves the weight by a factor from `start` in the term's first epoch to `end` in its last.
    """
    until = epochs if spec.until_epoch is None else min(spec.until_epoch, epochs)
    if not spec.from_epoch <= epoch < until:
        return None
    if spec.schedule is None:
        return spec.weight
    span = until - 1 - spec.from_epoch
    position = (epoch - spec.from_epoch) / span if span > 0 else 0.0
    if spec.schedule.kind == "cosine":
        position = (1 - math.cos(math.pi * position)) / 2
    return spec.weight * (spec.schedule.start + (spec.schedule.end - spec.schedule.start) * position)
