"""Terms with several teachers (ensemble) or several students (mutual learning)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdstudio.engine.losses import soft_target_loss
from kdstudio.engine.terms.base import Facts, StepOutputs, TermModule
from kdstudio.project.spec import EnsembleTerm, MutualTerm


class EnsembleModule(TermModule):
    """Several teachers: the soft targets of all, each with a weight (`soft_target_loss`).

    Equation:
        L = mean over the batch of sum_k w_k T^2 KL(p_k || p_s) over the K teachers, with p = softmax(z / T); w_k is
        1/K, or as given, or for each sample (1 - exp(CE_k) / sum_j exp(CE_j)) / (K - 1) by the cross-entropy CE_k of
        each teacher with the label

    When it helps:
        Where teachers differ: of other architectures, or of other seeds. An ensemble knows more than its best member,
        and one student can take most of it.

    Usual weights:
        0.9 beside hard labels of weight 0.1, as soft targets. Two to five teachers.

    Traps:
        Every teacher costs a forward pass in each step. A weak one spoils equal weights: `confidence` weighs it down
        where it is wrong. Terms on layers look at the first teacher alone.

    Paper:
        Hinton, Vinyals and Dean 2015 (1503.02531), section 3; the weights by confidence are those of Zhang, Chen and
        Wang 2022, Confidence-Aware Multi-Teacher Knowledge Distillation (2201.00007).
    """

    spec: EnsembleTerm
    needs_others = True

    def forward(self, outputs: StepOutputs) -> Tensor:
        teachers = [outputs.teacher(), *outputs.other_logits]
        losses = [self._each(outputs.student_logits, logits) for logits in teachers]
        return (self._shares(teachers, outputs.targets) * torch.stack(losses)).sum(dim=0).mean()

    def _each(self, student: Tensor, teacher: Tensor) -> Tensor:
        """(B), T^2 KL of each sample; the mean of it is `soft_target_loss`."""
        with torch.autocast(student.device.type, enabled=False):
            temperature = self.spec.temperature
            target = functional.log_softmax(teacher.detach().float() / temperature, dim=1)
            said = functional.log_softmax(student.float() / temperature, dim=1)
            return temperature**2 * (target.exp() * (target - said)).sum(dim=1)

    def _shares(self, teachers: list[Tensor], targets: Tensor) -> Tensor:
        """(K, B) or (K, 1): the weight of each teacher, for each sample; they sum to 1 over the teachers."""
        count, device = len(teachers), targets.device
        if self.spec.weights is not None:
            weights = torch.tensor(self.spec.weights, device=device)
            return (weights / weights.sum())[:, None]
        if self.spec.weighting == "equal" or count == 1:
            return torch.full((count, 1), 1 / count, device=device)
        losses = [functional.cross_entropy(logits.detach().float(), targets, reduction="none") for logits in teachers]
        return (1 - torch.stack(losses).softmax(dim=0)) / (count - 1)


class MutualModule(TermModule):
    """Mutual learning: students that train together teach each other (`soft_target_loss`).

    Equation:
        the student: L = mean over the peers of T^2 KL(p_peer || p_s), the peers' outputs taken as they are; each peer:
        cross-entropy with the labels + the mean over the other students of T^2 KL(p_other || p_peer)

    When it helps:
        Where there is no teacher: two small students that learn together are better than each of them alone.

    Usual weights:
        1 beside hard labels of weight 1, T = 1, one peer of the same architecture with another seed; more peers help a
        little more.

    Traps:
        Every peer costs a whole training. The first student is the one that is kept, whatever the peers score: it is
        chosen before, not by its luck. The weight is that of the student's part; peers learn by weight 1.

    Paper:
        Zhang, Xiang, Hospedales and Lu 2018, Deep Mutual Learning (1706.00384), section 2.
    """

    spec: MutualTerm
    outputs_only = False

    def __init__(self, spec: MutualTerm, name: str, facts: Facts | None = None) -> None:
        super().__init__(spec, name)
        build = facts.build if facts is not None else None
        self.peers = (
            nn.ModuleList(build(peer, peer.seed) for peer in spec.peers) if build is not None else nn.ModuleList()
        )
        self._said: list[Tensor] = []

    def watched(self) -> dict[str, nn.Module]:
        return {f"peer_{number}": peer for number, peer in enumerate(self.peers, 1)}

    def forward(self, outputs: StepOutputs) -> Tensor:
        assert outputs.inputs is not None
        self._said = [peer(outputs.inputs) for peer in self.peers]
        losses = [soft_target_loss(outputs.student_logits, said, self.spec.temperature) for said in self._said]
        return torch.stack(losses).mean()

    def own_loss(self, outputs: StepOutputs) -> Tensor:
        said, self._said = self._said, []  # no activation outlives the step
        losses = []
        for place, own in enumerate(said):
            others = [outputs.student_logits, *said[:place], *said[place + 1 :]]
            mimicry = torch.stack([soft_target_loss(own, other, self.spec.temperature) for other in others]).mean()
            losses.append(functional.cross_entropy(own.float(), outputs.targets) + mimicry)
        return torch.stack(losses).sum()
