"""What every term is: a module that turns one step's outputs into one scalar."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from kdstudio.project.spec import ModelSpec, TermBase


@dataclass
class StepOutputs:
    """What the terms see of one (micro-)batch.

    Attributes:
        student_logits: (B, C).
        targets: (B) labels.
        teacher_logits: (B, C), None without a teacher.
        student_taps, teacher_taps: Captured features by layer name.
        inputs: What both networks were given, None where it is not known.
        indices: (B) int64, the samples' numbers in the training split, None where it is not known.
        other_logits: (B, C) of each further teacher.
        token_mask: Boolean (B, S), True for real tokens; None where all are, or samples have none.
        written: Whether the student wrote the samples: then logits are those of its own tokens, and no target is there.

    Of language models B stands for all positions that have a target in the logits and targets, and for samples else.
    """

    student_logits: Tensor
    targets: Tensor
    teacher_logits: Tensor | None = None
    student_taps: dict[str, Tensor] = field(default_factory=dict)
    teacher_taps: dict[str, Tensor] = field(default_factory=dict)
    inputs: Tensor | None = None
    indices: Tensor | None = None
    other_logits: list[Tensor] = field(default_factory=list)
    token_mask: Tensor | None = None
    written: bool = False

    def teacher(self) -> Tensor:
        """The teacher's logits, where a term that needs them is computed."""
        assert self.teacher_logits is not None
        return self.teacher_logits


@dataclass
class Facts:
    """What terms with state are told before the first step.

    Attributes:
        labels: (N) int64, of the training split in its order; empty where it is not known.
        classes: Number of classes.
        teacher: The teacher's network, None without one or where it is not at hand.
        build: Makes a network from its spec, with random weights by a seed.
    """

    labels: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))
    classes: int = 0
    teacher: nn.Module | None = None
    build: Callable[[ModelSpec, int], nn.Module] | None = None


@dataclass(frozen=True)
class StandIn:
    """Something smaller than a layer's features that a term makes the same loss of.

    Attributes:
        name: Says what it is; the same name is the same function.
        make: (B, ...) features to (B, ...).
    """

    name: str
    make: Callable[[Tensor], Tensor]


class TermModule(nn.Module):
    """One term of the objective. Its parameters (a regressor's, say) are trained with the student, not exported."""

    #: Whether logits and labels are all that the term looks at: then it is also computed on validation samples.
    outputs_only = True
    #: Whether some samples or positions may have no target (-100): then a batch may have none at all.
    partial = False
    #: Whether the term looks at the further teachers.
    needs_others = False

    def __init__(self, spec: TermBase, name: str) -> None:
        super().__init__()
        self.spec = spec
        self.name = name

    @property
    def needs_teacher(self) -> bool:
        """Whether the term looks at the teacher."""
        return self.spec.asks_teacher

    @property
    def student_layers(self) -> list[str]:
        """Layers of the student that the term taps."""
        return []

    @property
    def teacher_layers(self) -> list[str]:
        """Layers of the teacher that the term taps."""
        return []

    def stand_in(self, layer: str) -> StandIn | None:
        """What may be kept of a layer of the teacher in place of what it gives, because the loss is the same with it.

        None where the term needs all of it.
        """
        return None

    def forward(self, outputs: StepOutputs) -> Tensor:
        """The unweighted loss, a scalar."""
        raise TypeError(f"{type(self).__name__} does not define its loss")

    def watched(self) -> dict[str, nn.Module]:
        """Networks of the term whose accuracy is told after each epoch, by name."""
        return {}

    @property
    def first_epochs(self) -> int:
        """Epochs of the first stage, in which some parts learn from the teacher alone; 0 without one."""
        return 0

    @property
    def first_lr(self) -> float:
        """Learning rate of the first stage."""
        return 0.0

    def first_parts(self) -> nn.Module:
        """What the first stage trains."""
        raise TypeError(f"{type(self).__name__} has no first stage")

    def first_loss(self, outputs: StepOutputs) -> Tensor:
        """The first stage's loss, a scalar; of the outputs only the teacher's side is there."""
        raise TypeError(f"{type(self).__name__} has no first stage")

    def own_loss(self, outputs: StepOutputs) -> Tensor | None:
        """What the term's own parts learn from beside the term, a scalar that does not reach the student, or None.

        Called after `forward` on the same outputs. It is no part of the total that is told.
        """
        return None
