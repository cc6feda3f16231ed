"""Hints with a regressor (FitNets)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdstudio.engine.losses import hint_loss
from kdstudio.engine.terms.base import StepOutputs, TermModule
from kdstudio.project.errors import ModelError
from kdstudio.project.spec import HintTerm


class HintRegressor(nn.Module):
    """The regressor g of FitNets (1412.6550): maps the student's features to the teacher's shape.

    Linear for vectors (B, D) and tokens (B, S, D); a 1x1 convolution for maps (B, M, H, W), after average pooling
    where the student's map is larger and bilinear enlargement where it is smaller. A convolution, not the identity,
    also where the widths agree: equal width does not mean equal channels.

    Args:
        student_shape, teacher_shape: Shapes without the batch dimension.

    Raises:
        ModelError: The two shapes cannot be joined.
    """

    def __init__(self, student_shape: tuple[int, ...], teacher_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.size: tuple[int, int] | None = None
        ranks = len(student_shape), len(teacher_shape)
        if ranks == (3, 3):
            self.map: nn.Module = nn.Conv2d(student_shape[0], teacher_shape[0], kernel_size=1)
            if student_shape[1:] != teacher_shape[1:]:
                self.size = (teacher_shape[1], teacher_shape[2])
        elif ranks == (1, 1) or (ranks == (2, 2) and student_shape[0] == teacher_shape[0]):
            self.map = nn.Linear(student_shape[-1], teacher_shape[-1])
        else:
            raise ModelError(
                f"features of shape {student_shape} (student) and {teacher_shape} (teacher) cannot be joined",
                why="a regressor joins vector with vector, map with map, and token sequences of one length",
                fix="choose two layers of one kind",
                kind="pair",
            )

    def forward(self, features: Tensor) -> Tensor:
        if self.size is not None:
            height, width = features.shape[-2:]
            if height >= self.size[0] and width >= self.size[1]:
                features = functional.adaptive_avg_pool2d(features, self.size)
            else:
                features = functional.interpolate(features, self.size, mode="bilinear", align_corners=False)
        return self.map(features)


class HintModule(TermModule):
    """The mean over its pairs of `hint_loss`, each pair with a regressor of its own.

    Args:
        spec, name: See `TermModule`.
        student_shapes, teacher_shapes: Output shapes by layer name, without the batch dimension.
        where: The term's place in the spec (``objective.2``), for messages.
    """

    spec: HintTerm

    def __init__(
        self,
        spec: HintTerm,
        name: str,
        student_shapes: dict[str, tuple[int, ...]],
        teacher_shapes: dict[str, tuple[int, ...]],
        where: str,
    ) -> None:
        super().__init__(spec, name)
        regressors = []
        for index, pair in enumerate(spec.pairs):
            try:
                regressors.append(HintRegressor(student_shapes[pair.student], teacher_shapes[pair.teacher]))
            except ModelError as error:
                raise ModelError(
                    f"{where}.pairs.{index}: '{pair.teacher}' of the teacher and '{pair.student}' of the student: "
                    f"{error.what}",
                    error.why,
                    error.fix,
                    kind="pair",
                ) from None
        self.regressors = nn.ModuleList(regressors)

    @property
    def student_layers(self) -> list[str]:
        return [pair.student for pair in self.spec.pairs]

    @property
    def teacher_layers(self) -> list[str]:
        return [pair.teacher for pair in self.spec.pairs]

    def pair_losses(self, outputs: StepOutputs) -> list[Tensor]:
        """The loss of each pair, in the spec's order."""
        return [
            hint_loss(regressor(outputs.student_taps[pair.student]), outputs.teacher_taps[pair.teacher])
            for pair, regressor in zip(self.spec.pairs, self.regressors)
        ]

    def forward(self, outputs: StepOutputs) -> Tensor:
        return torch.stack(self.pair_losses(outputs)).mean()
