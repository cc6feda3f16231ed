"""What terms on pairs of layers share: the layers that they tap, and the check that the pairs fit."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kdstudio.engine.terms.base import Facts, StepOutputs, TermModule
from kdstudio.engine.terms.regressor import HintRegressor
from kdstudio.project.errors import ModelError
from kdstudio.project.spec import JoinRule, LayerPair, PairTerm, fits

Shape = tuple[int, ...]
Shapes = dict[str, Shape]
#: Why two layers do not fit under a rule, and what to do.
REASONS: dict[JoinRule, tuple[str, str]] = {
    "regressor": (
        "a regressor joins vector with vector, map with map, and token sequences of one length",
        "choose two layers of one kind",
    ),
    "map-regressor": ("the term compares maps (channels, height, width)", "choose layers that give maps"),
    "maps": ("the term compares maps (channels, height, width)", "choose layers that give maps"),
    "channels": (
        "the term compares channel by channel and has no regressor",
        "choose layers that give maps with as many channels in both networks",
    ),
    "equal": ("the term has no regressor", "choose layers of the same shape, or use a hint, which has one"),
    "width": (
        "the term compares number by number and has no regressor",
        "choose layers of the same width, for example the last ones, or use a hint, which has a regressor",
    ),
    "any": ("a layer that gives one number a sample has nothing to relate", "choose another layer"),
    "prediction": (
        "a prediction joins vector with vector, map with map, and token sequences of one length",
        "choose two layers of one kind",
    ),
    "connector": (
        "a connector joins vector with vector, map with map, and token sequences of one length",
        "choose two layers of one kind",
    ),
    "map-connector": ("the term compares maps (channels, height, width)", "choose layers that give maps"),
    "fusion": ("the term compares maps (channels, height, width)", "choose layers that give maps"),
    "factors": ("the term compares maps (channels, height, width)", "choose layers that give maps"),
    "embedding": ("a layer that gives one number a sample has nothing to embed", "choose another layer"),
    "blocks": ("the term compares attention blocks of networks that see the same tokens", "choose a block of each"),
    "scores": ("the term compares attention blocks of networks that see the same tokens", "choose a block of each"),
    "states": (
        "the term compares states of tokens number by number and has no regressor",
        "choose layers that give tokens of the same width, or use a hint, which has a regressor",
    ),
}


@dataclass(frozen=True)
class Wiring:
    """What a term is connected to.

    Attributes:
        student, teacher: Output shapes by layer name, without the batch dimension.
        where: The term's place in the spec (``objective.2``), for messages.
        facts: What terms with state need to know; None where only shapes are checked.
    """

    student: Shapes
    teacher: Shapes
    where: str
    facts: Facts | None = None

    def shapes(self, pair: LayerPair) -> tuple[Shape, Shape]:
        """The student's and the teacher's shape of a pair."""
        return self.student[pair.student], self.teacher[pair.teacher]


def without_padding(features: Tensor, mask: Tensor | None) -> Tensor:
    """Features (B, S, D) with 0 where the token is padding; others as they are."""
    if mask is None or features.ndim != 3 or features.shape[:2] != mask.shape:
        return features
    return torch.where(mask[..., None], features, torch.zeros((), dtype=features.dtype, device=features.device))


class PairModule(TermModule):
    """A term on pairs of layers: the sum of its pairs' losses.

    Args:
        spec, name: See `TermModule`.
        wiring: What it is connected to.

    Raises:
        ModelError: A pair whose shapes do not fit.
    """

    spec: PairTerm
    outputs_only = False

    def __init__(self, spec: PairTerm, name: str, wiring: Wiring) -> None:
        super().__init__(spec, name)
        for index, pair in enumerate(spec.pairs):
            student, teacher = wiring.shapes(pair)
            if not fits(spec.joins, student, teacher):
                why, fix, where = *REASONS[spec.joins], f"{wiring.where}.pairs.{index}"
                raise ModelError(
                    f"{where}: '{pair.teacher}' of the teacher and '{pair.student}' of the student: "
                    f"features of shape {student} (student) and {teacher} (teacher) cannot be joined",
                    why,
                    fix,
                    kind="pair",
                )

    @property
    def student_layers(self) -> list[str]:
        return [pair.student for pair in self.spec.pairs]

    @property
    def teacher_layers(self) -> list[str]:
        return [pair.teacher for pair in self.spec.pairs]

    def features(self, outputs: StepOutputs) -> list[tuple[Tensor, Tensor]]:
        """Student's and teacher's features of each pair; 0 at tokens that are padding."""
        mask = outputs.token_mask
        return [
            (
                without_padding(outputs.student_taps[pair.student], mask),
                without_padding(outputs.teacher_taps[pair.teacher], mask),
            )
            for pair in self.spec.pairs
        ]

    def pair_loss(self, index: int, student: Tensor, teacher: Tensor) -> Tensor:
        """The loss of one pair."""
        raise TypeError(f"{type(self).__name__} does not define its loss")

    def pair_losses(self, outputs: StepOutputs) -> list[Tensor]:
        """The loss of each pair, in the spec's order."""
        return [self.pair_loss(index, *features) for index, features in enumerate(self.features(outputs))]

    def forward(self, outputs: StepOutputs) -> Tensor:
        return torch.stack(self.pair_losses(outputs)).sum()


class RegressedModule(PairModule):
    """A term whose pairs have a regressor each."""

    def __init__(self, spec: PairTerm, name: str, wiring: Wiring) -> None:
        super().__init__(spec, name, wiring)
        self.regressors = nn.ModuleList(HintRegressor(*wiring.shapes(pair)) for pair in spec.pairs)

    def features(self, outputs: StepOutputs) -> list[tuple[Tensor, Tensor]]:
        found = zip(self.regressors, super().features(outputs))
        return [(regressor(student), teacher) for regressor, (student, teacher) in found]
