"""Terms that learn a predictor with variances (VID), or a connector before the ReLU (OFD, AB)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdstudio.engine.losses import boundary_loss, partial_l2_loss, variational_loss
from kdstudio.engine.terms.base import StepOutputs
from kdstudio.engine.terms.pairs import PairModule, Shape, Wiring
from kdstudio.engine.terms.regressor import MapNorm, resized
from kdstudio.project.errors import ModelError
from kdstudio.project.spec import BoundaryTerm, PairTerm, VariationalTerm

#: A variance is never below this.
LEAST_VARIANCE = 1e-5
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm)
#: What may stand behind a normalisation that a layer ends in.
BEHIND = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.Dropout, nn.Dropout2d, nn.Identity)


class Joint(nn.Module):
    """Brings features to the teacher's shape: `maps` for maps, a linear map for vectors and tokens.

    Args:
        student_shape, teacher_shape: Shapes without the batch dimension.
        maps: Makes what changes the number of channels, of the student's and the teacher's number.
    """

    def __init__(self, student_shape: Shape, teacher_shape: Shape, maps: Callable[[int, int], nn.Module]) -> None:
        super().__init__()
        self.size = teacher_shape[1:] if len(teacher_shape) == 3 else None
        if self.size is None:
            self.map: nn.Module = nn.Linear(student_shape[-1], teacher_shape[-1])
        else:
            self.map = maps(student_shape[0], teacher_shape[0])

    def forward(self, features: Tensor) -> Tensor:
        return self.map(features if self.size is None else resized(features, self.size))


def predictor(channels: int, wanted: int) -> nn.Module:
    """mu of VID: three 1x1 convolutions with ReLU between them."""
    return nn.Sequential(
        nn.Conv2d(channels, wanted, 1, bias=False),
        nn.ReLU(),
        nn.Conv2d(wanted, wanted, 1, bias=False),
        nn.ReLU(),
        nn.Conv2d(wanted, wanted, 1, bias=False),
    )


def connector(channels: int, wanted: int) -> nn.Module:
    """A 1x1 convolution with batch normalisation."""
    return nn.Sequential(nn.Conv2d(channels, wanted, 1, bias=False), MapNorm(wanted))


class VariationalModule(PairModule):
    """Variational information: the teacher's features are predicted, each channel with a variance (`variational_loss`).

    Equation:
        L = mean of ((t - mu(s))^2 / v + log v) / 2 over all elements, and the sum over the pairs; mu is three 1x1
        convolutions with ReLU (maps) or a linear map, v = softplus(a) + 1e-5 is learned for each channel

    When it helps:
        Where plain hints ask for too much: channels of the teacher that the student cannot tell are given a large
        variance, and stop to pull at it.

    Usual weights:
        1 beside hard labels of weight 1, one pair a stage and the last features.

    Traps:
        The loss falls below zero as the variances shrink: it is a likelihood, not a distance. Batches that are too
        small make the variances follow their noise.

    Paper:
        Ahn, Hu, Damianou, Lawrence and Dai 2019, Variational Information Distillation (1904.05835), equation 4.
    """

    spec: VariationalTerm

    def __init__(self, spec: PairTerm, name: str, wiring: Wiring) -> None:
        super().__init__(spec, name, wiring)
        self.predictors = nn.ModuleList(Joint(*wiring.shapes(pair), predictor) for pair in spec.pairs)
        spread = self.spec.start_variance - LEAST_VARIANCE
        start = spread + math.log(-math.expm1(-spread))  # where softplus gives it
        self.raw_variances = nn.ParameterList(
            nn.Parameter(torch.full((_channels(wiring.teacher[pair.teacher]),), start)) for pair in spec.pairs
        )

    def pair_loss(self, index: int, student: Tensor, teacher: Tensor) -> Tensor:
        variance = functional.softplus(self.raw_variances[index].float()) + LEAST_VARIANCE
        return variational_loss(self.predictors[index](student), teacher, variance)


class ConnectedModule(PairModule):
    """A term whose pairs have a connector each, and count half as much from each pair to the one before it."""

    def __init__(self, spec: PairTerm, name: str, wiring: Wiring) -> None:
        super().__init__(spec, name, wiring)
        self.connectors = nn.ModuleList(Joint(*wiring.shapes(pair), connector) for pair in spec.pairs)

    def forward(self, outputs: StepOutputs) -> Tensor:
        losses = self.pair_losses(outputs)
        return torch.stack([loss / 2 ** (len(losses) - 1 - place) for place, loss in enumerate(losses)]).sum()


class OverhaulModule(ConnectedModule):
    """Overhauled features: before the ReLU, cut at a margin, with a free side (`partial_l2_loss`).

    Equation:
        L = sum over all elements of (c(s) - max(t, m))^2 where not c(s) <= max(t, m) <= 0, divided by the batch; a pair
        counts half of the one after it; c is a 1x1 convolution with batch normalisation, m = E[t | t < 0] for each
        channel, from the scale and shift of the teacher's batch normalisation

    When it helps:
        With convolutional nets, one pair a stage, at the end of each stage before its ReLU. It was among the best
        feature methods of its time on ImageNet.

    Usual weights:
        0.001 beside hard labels of weight 1.

    Traps:
        The teacher's layer has to be, or to end in, a batch normalisation: margins are read from it. Best is the
        normalisation itself, whose output goes into a ReLU (bn2 of a stage's last block; "Show all parts" lists it):
        behind the ReLU, as at the end of a stage, nothing is negative, and the margin has no effect. The paper's code
        runs the teacher in train mode, so that its batch statistics change; here it stays in eval mode, as for every
        other term.

    Paper:
        Heo et al. 2019, A Comprehensive Overhaul of Feature Distillation (1904.01866), section 3.
    """

    def __init__(self, spec: PairTerm, name: str, wiring: Wiring) -> None:
        super().__init__(spec, name, wiring)
        for place, pair in enumerate(spec.pairs):
            channels = wiring.teacher[pair.teacher][0]
            margin = torch.zeros(channels)
            if wiring.facts is not None and wiring.facts.teacher is not None:
                layer = wiring.facts.teacher.get_submodule(pair.teacher)
                margin = margins(layer, f"{wiring.where}.pairs.{place}.teacher")
            self.register_buffer(f"margin_{place}", margin)

    def pair_loss(self, index: int, student: Tensor, teacher: Tensor) -> Tensor:
        margin = self.get_buffer(f"margin_{index}")
        return partial_l2_loss(self.connectors[index](student), teacher, margin) / max(1, len(student))


def margins(layer: nn.Module, where: str) -> Tensor:
    """(channels), the expected value of a normalised channel where it is negative: E[t | t < 0], t ~ N(shift, scale^2).

    Args:
        layer: A batch normalisation, or a layer that ends in one; a ReLU behind it or a shortcut does not count.
        where: The layer's place in the spec, for messages.

    Raises:
        ModelError: The layer ends in something else.
    """
    last = _last(layer)
    if not isinstance(last, NORMS):
        raise ModelError(
            f"{where}: overhauled features need a batch normalisation of the teacher, and this layer ends in "
            f"{type(last).__name__}",
            why="the margin of each channel is read from its scale and shift",
            fix="choose a normalisation before a ReLU, such as layer3.0.bn2 (the pair picker lists it under 'Show all "
            "parts'), or a layer that ends in one",
            kind="pair",
        )
    if last.weight is None:  # it has neither scale nor shift
        shift, scale = torch.zeros(last.num_features).double(), torch.ones(last.num_features).double()
    else:
        shift, scale = last.bias.detach().double(), last.weight.detach().double().abs().clamp_min(1e-12)
    ratio = -shift / scale
    density = torch.exp(-ratio.square() / 2) / math.sqrt(2 * math.pi)
    below = torch.special.ndtr(ratio)
    # where almost nothing is negative the expectation is just below zero; the quotient would be 0 / 0
    expected = torch.where(below > 1e-6, shift - scale * density / below.clamp_min(1e-6), -3 * scale)
    return expected.clamp_max(0).float()


def _last(layer: nn.Module) -> nn.Module:
    """The part that a layer ends in, but for what stands behind a normalisation, and for a shortcut."""
    inner = [part for name, part in layer.named_children() if not isinstance(part, BEHIND) and not _is_shortcut(name)]
    return _last(inner[-1]) if inner else layer


def _is_shortcut(name: str) -> bool:
    return any(word in name.lower() for word in ("downsample", "shortcut"))


class BoundaryModule(ConnectedModule):
    """Activation boundaries: the student's neurons lie on the teacher's side of zero (`boundary_loss`).

    Equation:
        L = sum over neurons of (m + c(s))^2 where t <= 0 and c(s) > -m, and of (m - c(s))^2 where t > 0 and c(s) < m;
        the mean over the batch; a pair counts half of the one after it; c is a 1x1 convolution with batch
        normalisation (maps) or a linear map

    When it helps:
        As a first stage that starts a student well, above all where training samples or epochs are few; hard labels or
        soft targets follow without it.

    Usual weights:
        0.001, alone in a first stage (until_epoch), margin 1.

    Traps:
        Which neurons are active is all that it teaches: left on to the end it holds the student back. It takes maps
        before or after the ReLU; after a max-pooling they are no longer the boundaries.

    Paper:
        Heo, Lee, Yun and Choi 2019, Knowledge Transfer via Distillation of Activation Boundaries (1811.03233),
        equation 4.
    """

    spec: BoundaryTerm

    def pair_loss(self, index: int, student: Tensor, teacher: Tensor) -> Tensor:
        return boundary_loss(self.connectors[index](student), teacher, self.spec.margin)


def _channels(shape: Shape) -> int:
    return shape[0] if len(shape) == 3 else shape[-1]
