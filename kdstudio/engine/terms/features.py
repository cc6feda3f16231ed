"""Terms on features of layers. The docstrings are what docs/methods is made from."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from kdstudio.engine.losses import (
    attention_transfer_loss,
    cosine_loss,
    flow_loss,
    hierarchical_context_loss,
    hint_loss,
    neuron_selectivity_loss,
)
from kdstudio.engine.terms.base import StandIn, StepOutputs
from kdstudio.engine.terms.pairs import PairModule, RegressedModule, Wiring
from kdstudio.project.spec import AttentionTerm, PairTerm


class HintModule(RegressedModule):
    """Hints: the student's features, through a regressor, are led to the teacher's (`hint_loss`).

    Equation:
        L = mean of (t - g(s))^2 over all elements, and the mean over the pairs; g is a linear map (vectors, tokens) or
        a 1x1 convolution (maps), after average pooling where the student's map is larger

    When it helps:
        With students that are deep and thin, which are hard to train from the outputs alone; and as a first stage that
        gives the lower layers a good start.

    Usual weights:
        As published: alone (weight 1) in a first stage, then soft targets without it; the middle layer of both. In
        later benchmarks: 100, beside hard labels of weight 1 all the time.

    Traps:
        The regressor may do all the work: the error falls and the student is no better. A layer too close to the
        outputs constrains the student too much. The size of the teacher's features sets the size of the loss, so no
        weight suits all teachers.

    Paper:
        Romero et al. 2015, FitNets (1412.6550), equation 3.
    """

    def pair_loss(self, index: int, student: Tensor, teacher: Tensor) -> Tensor:
        return hint_loss(student, teacher)

    def features(self, outputs: StepOutputs) -> list[tuple[Tensor, Tensor]]:
        return real_tokens(super().features(outputs), outputs.token_mask)

    def forward(self, outputs: StepOutputs) -> Tensor:
        return torch.stack(self.pair_losses(outputs)).mean()


class ContextModule(RegressedModule):
    """Hierarchical context: hints on maps at full size and at 4, 2 and 1 (`hierarchical_context_loss`).

    Equation:
        L = (MSE + 1/2 MSE_4 + 1/4 MSE_2 + 1/8 MSE_1) / (sum of the weights in use), where MSE_n is that after average
        pooling to n x n, for n smaller than the map; the sum over the pairs; the student's side through a regressor

    When it helps:
        Where plain hints are too strict about places: the pooled levels ask for what is in the map, not only where.

    Usual weights:
        0.6 to 8 in the paper, with its fusion of layers in the place of the regressor; several pairs, one a stage.

    Traps:
        The size of the teacher's features sets the size of the loss, as with hints. This is the loss of ReviewKD, not
        the whole method: features of later layers are not fused into earlier ones.

    Paper:
        Chen, Liu, Zhao and Jia 2021, Distilling Knowledge via Knowledge Review (2104.09044), section 3.3.
    """

    def pair_loss(self, index: int, student: Tensor, teacher: Tensor) -> Tensor:
        return hierarchical_context_loss(student, teacher)


class AttentionModule(PairModule):
    """Attention maps: the student looks where the teacher looks (`attention_transfer_loss`).

    Equation:
        Q = mean over channels of |f|^p, divided by its L2 norm over space; L = mean over batch and places of
        (Q_s - Q_t)^2, and the sum over the pairs; the larger map is average-pooled to the smaller

    When it helps:
        With convolutional nets of one family, one pair a stage. It needs no regressor and takes any number of channels,
        so the student keeps its own features.

    Usual weights:
        1000 beside hard labels of weight 1 (the mean over places makes the loss small); p = 2.

    Traps:
        The weight 1000 is for maps of 32 x 32 to 8 x 8. The mean over places makes the loss larger on smaller maps,
        where so much weight drowns everything else: look at the weighted curves in Losses. Maps of one pixel carry
        nothing: their attention is 1 everywhere.

    Paper:
        Zagoruyko and Komodakis 2017, Paying More Attention to Attention (1612.03928), equation 2.
    """

    spec: AttentionTerm

    def __init__(self, spec: PairTerm, name: str, wiring: Wiring) -> None:
        super().__init__(spec, name, wiring)
        # a larger map of the teacher is pooled before its attention is taken, and needs all its channels for that
        shapes = {pair.teacher: wiring.shapes(pair) for pair in spec.pairs}
        self._pooled = {layer for layer, (student, teacher) in shapes.items() if teacher[1:] > student[1:]}

    def stand_in(self, layer: str) -> StandIn | None:
        """One channel with the same attention, (mean over channels of |f|^p)^(1/p): for maps of 64, a 64th."""
        if layer in self._pooled:
            return None
        power = self.spec.power
        return StandIn(
            f"attention-{power:g}", lambda f: f.float().abs().pow(power).mean(1, keepdim=True).pow(1 / power)
        )

    def pair_loss(self, index: int, student: Tensor, teacher: Tensor) -> Tensor:
        return attention_transfer_loss(student, teacher, self.spec.power)


class SelectivityModule(PairModule):
    """Neuron selectivity: both networks' channels respond to the same places (`neuron_selectivity_loss`).

    Equation:
        L = mean k(t, t') + mean k(s, s') - 2 mean k(s, t), over pairs of channel maps that are L2-normalised over
        space, with k(a, b) = (a . b)^2; the mean over the batch, the sum over the pairs

    When it helps:
        With the last maps of convolutional nets; beside soft targets it adds what attention maps leave out, which is
        that channels differ.

    Usual weights:
        50 beside hard labels of weight 1; the last stage, or all.

    Traps:
        The published weight can drown the other terms on small maps: look at the weighted curves in Losses. Its cost
        grows with the product of the channels. Maps of one pixel carry nothing: take layers before the global pooling.

    Paper:
        Huang and Wang 2017, Like What You Like: Knowledge Distill via Neuron Selectivity Transfer (1707.01219),
        section 4.
    """

    def pair_loss(self, index: int, student: Tensor, teacher: Tensor) -> Tensor:
        return neuron_selectivity_loss(student, teacher)


class FlowModule(PairModule):
    """Flow of the solution: how features of one layer turn into those of the next (`flow_loss`).

    Equation:
        G = mean over space of f1 x f2, a (channels, channels) matrix for each sample; L = mean of (G_s - G_t)^2, and
        the sum over neighbours among the pairs

    When it helps:
        As a first stage for a student with the teacher's widths and fewer layers: it learns the way, not the features.

    Usual weights:
        50, alone in a first stage (until_epoch), then hard labels or soft targets without it.

    Traps:
        Both networks need the same number of channels at each pair. The products have the square of the features'
        scale, so the loss is large in nets without normalisation.

    Paper:
        Yim, Joo, Bae and Kim 2017, A Gift from Knowledge Distillation (CVPR 2017), equations 1 and 2.
    """

    def pair_losses(self, outputs: StepOutputs) -> list[Tensor]:
        """The loss of each step from a pair to the next."""
        steps = itertools.pairwise(self.features(outputs))
        return [flow_loss(s_first, s_second, t_first, t_second) for (s_first, t_first), (s_second, t_second) in steps]


def real_tokens(features: list[tuple[Tensor, Tensor]], mask: Tensor | None) -> list[tuple[Tensor, Tensor]]:
    """Features of tokens (B, S, D) as those of the real ones (P, D); others as they are."""
    if mask is None:
        return features
    return [
        (student[mask], teacher[mask]) if student.ndim == 3 and student.shape[:2] == mask.shape else (student, teacher)
        for student, teacher in features
    ]


class CosineModule(PairModule):
    """Directions of features: the student's vectors point where the teacher's do (`cosine_loss`).

    Equation:
        L = mean of 1 - cos(s, t) over samples (vectors), tokens, or places (maps, over their channels), and the sum
        over the pairs

    When it helps:
        With students of the teacher's width, above all those that start from the teacher's own layers, as DistilBERT.

    Usual weights:
        1 beside soft targets of weight 5 and the task's own loss of weight 2 in DistilBERT, on the last hidden state.

    Traps:
        There is no regressor: the shapes have to be the same, and the student has to use the teacher's coordinates,
        which is a hard demand for one that starts from random weights. Hints fit those better.

    Paper:
        Sanh, Debut, Chaumond and Wolf 2019, DistilBERT (1910.01108), section 3.
    """

    def features(self, outputs: StepOutputs) -> list[tuple[Tensor, Tensor]]:
        return real_tokens(super().features(outputs), outputs.token_mask)

    def pair_loss(self, index: int, student: Tensor, teacher: Tensor) -> Tensor:
        if student.ndim == 4:  # a map: a vector for each place
            student, teacher = student.movedim(1, -1), teacher.movedim(1, -1)
        return cosine_loss(student, teacher)
