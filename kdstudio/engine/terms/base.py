"""What every term is: a module that turns one step's outputs into one scalar."""

from __future__ import annotations

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

    def teacher(self) -> Tensor:
        """The teacher's logits, where a term that needs them is computed."""
        assert self.teacher_logits is not None
        return self.teacher_logits


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
