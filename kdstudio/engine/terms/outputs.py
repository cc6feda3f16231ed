"""Terms on the outputs: hard labels and soft targets."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from kdstudio.engine.losses import soft_target_loss
from kdstudio.engine.terms.base import StepOutputs, TermModule
from kdstudio.project.spec import HardTerm, SoftTerm


class HardModule(TermModule):
    """Cross-entropy with the labels, in float32."""

    needs_teacher = False
    spec: HardTerm

    def forward(self, outputs: StepOutputs) -> Tensor:
        return functional.cross_entropy(
            outputs.student_logits.float(), outputs.targets, label_smoothing=self.spec.label_smoothing
        )


class SoftModule(TermModule):
    """Soft targets at the term's temperature (`soft_target_loss`)."""

    spec: SoftTerm

    def forward(self, outputs: StepOutputs) -> Tensor:
        assert outputs.teacher_logits is not None
        return soft_target_loss(outputs.student_logits, outputs.teacher_logits, self.spec.temperature)
