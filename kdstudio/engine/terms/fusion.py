"""Knowledge review (ReviewKD): later layers are fused into earlier ones before they are compared."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdstudio.engine.losses import hierarchical_context_loss
from kdstudio.engine.terms.base import StepOutputs
from kdstudio.engine.terms.pairs import PairModule, Shape, Wiring
from kdstudio.engine.terms.regressor import MapNorm, resized
from kdstudio.project.spec import PairTerm, ReviewTerm


class AttentionFusion(nn.Module):
    """The attention-based fusion (ABF) of ReviewKD, for one layer of the student.

    Args:
        student_shape, teacher_shape: (M, H, W) of the pair.
        width: Channels of the fused maps.
        fuses: Whether there is a later layer to fuse.
    """

    def __init__(self, student_shape: Shape, teacher_shape: Shape, width: int, fuses: bool) -> None:
        super().__init__()
        self.size = teacher_shape[1:]
        self.narrow = nn.Sequential(nn.Conv2d(student_shape[0], width, 1, bias=False), MapNorm(width))
        self.share = nn.Sequential(nn.Conv2d(2 * width, 2, 1), nn.Sigmoid()) if fuses else None
        self.widen = nn.Sequential(
            nn.Conv2d(width, teacher_shape[0], 3, padding=1, bias=False), MapNorm(teacher_shape[0])
        )

    def forward(self, features: Tensor, later: Tensor | None) -> tuple[Tensor, Tensor]:
        """What is compared with the teacher, and what is fused into the layer before."""
        own = self.narrow(features)
        if self.share is not None and later is not None:
            other = functional.interpolate(later, own.shape[-2:], mode="nearest")
            shares = self.share(torch.cat([own, other], dim=1))
            own = own * shares[:, :1] + other * shares[:, 1:]
        return self.widen(resized(own, self.size)), own


class ReviewModule(PairModule):
    """Knowledge review: later layers, fused into earlier ones, learn from the teacher's (`hierarchical_context_loss`).

    Equation:
        from the last pair to the first: f_i = fusion(s_i, f_{i+1}), two learned shares for each place; L = sum over the
        pairs of the hierarchical context loss between g_i(f_i) and t_i, with g_i a 3x3 convolution

    When it helps:
        With convolutional nets of several stages; it was among the best methods on features for CIFAR-100 and
        ImageNet, and also for detection.

    Usual weights:
        0.6 to 8 beside hard labels of weight 1, by the pair of networks; one pair a stage, in order. The paper raises
        the weight from 0 over the first 20 epochs (schedule).

    Traps:
        The order of the pairs is the order of the network: the last one is where the review begins. The fusion is
        trained with the student and dropped after it.

    Paper:
        Chen, Liu, Zhao and Jia 2021, Distilling Knowledge via Knowledge Review (2104.09044), section 3.
    """

    spec: ReviewTerm

    def __init__(self, spec: PairTerm, name: str, wiring: Wiring) -> None:
        super().__init__(spec, name, wiring)
        width = min(self.spec.width, wiring.student[spec.pairs[-1].student][0])
        last = len(spec.pairs) - 1
        self.fusions = nn.ModuleList(
            AttentionFusion(*wiring.shapes(pair), width, place < last) for place, pair in enumerate(spec.pairs)
        )

    def pair_losses(self, outputs: StepOutputs) -> list[Tensor]:
        later: Tensor | None = None
        losses: list[Tensor] = []
        for fusion, (student, teacher) in reversed(list(zip(self.fusions, self.features(outputs)))):
            compared, later = fusion(student, later)
            losses.insert(0, hierarchical_context_loss(compared, teacher))
        return losses
