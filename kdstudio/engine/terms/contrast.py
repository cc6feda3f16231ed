"""Contrastive representation distillation (CRD): a memory of all training samples, of both networks."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdstudio.engine.losses import contrastive_loss
from kdstudio.engine.ranks.gather import everyones
from kdstudio.engine.terms.base import StepOutputs
from kdstudio.engine.terms.pairs import PairModule, Wiring
from kdstudio.project.spec import ContrastiveTerm, PairTerm


class Contrast(nn.Module):
    """Heads and memories of one pair of layers.

    Args:
        spec: The term.
        student_width, teacher_width: Numbers of the flattened features.
        labels: (N) int64, of the training samples in their order.
    """

    #: Buffers that all ranks have alike, because each takes in the samples of all.
    agreed = ("labels", "order", "starts", "counts", "student_memory", "teacher_memory")
    labels: Tensor
    order: Tensor
    starts: Tensor
    counts: Tensor
    student_memory: Tensor
    teacher_memory: Tensor
    student_scale: Tensor
    teacher_scale: Tensor

    def __init__(self, spec: ContrastiveTerm, student_width: int, teacher_width: int, labels: Tensor) -> None:
        super().__init__()
        self.spec = spec
        self.samples = len(labels)
        self.student_head = nn.Linear(student_width, spec.dimensions)
        self.teacher_head = nn.Linear(teacher_width, spec.dimensions)
        classes = int(labels.max()) + 1 if len(labels) else 1
        counts = torch.bincount(labels, minlength=classes)
        # not in the checkpoint: they follow from the data
        self.register_buffer("labels", labels.clone(), persistent=False)
        self.register_buffer("order", labels.argsort(stable=True), persistent=False)
        self.register_buffer("counts", counts, persistent=False)
        self.register_buffer("starts", counts.cumsum(0) - counts, persistent=False)
        others = self.samples - int(counts.max()) if len(labels) else 0
        self.negatives = min(spec.negatives, others)
        #: Whether a sample's negatives are all samples of other classes, and none is drawn
        self.all_others = self.negatives == others and int(counts.max()) == int(counts.min())
        bound = 1 / math.sqrt(spec.dimensions / 3)
        for side in ("student", "teacher"):
            memory = torch.empty(self.samples, spec.dimensions).uniform_(-bound, bound)
            self.register_buffer(f"{side}_memory", memory)
            self.register_buffer(f"{side}_scale", torch.full((), float("nan")))
        self._scaled: set[str] = set()

    def forward(self, student: Tensor, teacher: Tensor, indices: Tensor) -> Tensor:
        """The loss of both directions; in training the memory takes in the batch.

        Args:
            student, teacher: (B, ...) features.
            indices: (B) the samples' numbers.
        """
        with torch.autocast(student.device.type, enabled=False):
            own = functional.normalize(self.student_head(student.float().flatten(1)), dim=1)
            other = functional.normalize(self.teacher_head(teacher.float().flatten(1)), dim=1)
            positives, negatives = self._chosen(indices)
            loss = self._direction(own, "teacher", positives, negatives)
            loss = loss + self._direction(other, "student", positives, negatives)
            if self.training and torch.is_grad_enabled():
                indices = everyones(indices)
                self._remember("student", everyones(own.detach()), indices)
                self._remember("teacher", everyones(other.detach()), indices)
        return loss

    def _chosen(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """The number of each sample's positive (B), and of its negatives (B, K), which are of other classes."""
        labels = self.labels[indices]
        start, count = self.starts[labels], self.counts[labels]
        positives = indices
        if self.spec.positives == "relaxed":
            chance = torch.rand(len(indices), device=indices.device)
            positives = self.order[start + (chance * count).long().clamp_max(count - 1)]
        if self.all_others:
            draws = torch.arange(self.negatives, device=indices.device).expand(len(indices), -1)
        else:
            chance = torch.rand(len(indices), self.negatives, device=indices.device)
            rest = (self.samples - count)[:, None]
            draws = (chance * rest).long().clamp_max(rest - 1)
        # the class's own block is jumped over
        draws = torch.where(draws >= start[:, None], draws + count[:, None], draws)
        return positives, self.order[draws]

    def _direction(self, anchors: Tensor, side: str, positives: Tensor, negatives: Tensor) -> Tensor:
        """One network's anchors against the other's memory."""
        memory: Tensor = getattr(self, f"{side}_memory").clone()  # the batch is taken in while this waits for backward
        scale: Tensor = getattr(self, f"{side}_scale")
        scores = anchors @ memory.t() / self.spec.temperature  # (B, N): cheaper than to gather (B, K, D)
        there = scores.gather(1, positives[:, None])[:, 0]
        others = scores.gather(1, negatives)
        # log Z is set once, from the first batch, as in the paper's code
        both = torch.cat([there[:, None], others], dim=1).detach()
        total, count = both.flatten().logsumexp(0), float(both.numel())
        learns = self.training and torch.is_grad_enabled()
        if learns and side not in self._scaled:
            self._scaled.add(side)
            found = everyones(torch.stack([total, total.new_tensor(count)])[None])
            if len(found) > 1:
                total, count = found[:, 0].logsumexp(0), float(found[:, 1].sum())
        mean = total + math.log(self.samples / count)
        chosen = torch.where(scale.isnan(), mean, scale)
        if learns:
            scale.copy_(chosen)
        return contrastive_loss(there - chosen, others - chosen, self.samples)

    def _remember(self, side: str, fresh: Tensor, indices: Tensor) -> None:
        memory: Tensor = getattr(self, f"{side}_memory")
        kept = self.spec.memory_momentum * memory[indices] + (1 - self.spec.memory_momentum) * fresh
        memory.index_copy_(0, indices, functional.normalize(kept, dim=1))


class ContrastiveModule(PairModule):
    """Contrastive representation: each sample is told from others, across the two networks (`contrastive_loss`).

    Equation:
        with g(a, b) = exp(a . b / tau) / Z over L2-normalised heads, h = g / (g + K/N): L = - sum of log h(positive)
        - sum of log(1 - h(negative)), the mean over the batch; student against the memory of the teacher and teacher
        against that of the student, and the sum over the pairs

    When it helps:
        With the last features before the classifier, of networks of one family or of two; beside soft targets it is
        among the best on CIFAR-100.

    Usual weights:
        0.8 beside hard labels of weight 1; with soft targets of weight 1 added it is better still. tau 0.07, 128
        dimensions, 16384 negatives, momentum 0.5.

    Traps:
        Its memory holds 2 x N x 128 numbers, and each step compares the batch with all of it: on millions of samples
        that is slow. On small data there are fewer negatives, of which K tells. Samples are known by their number, so
        it needs a training set of fixed size. Micro-batches see what those before them left in the memory.

    Paper:
        Tian, Krishnan and Isola 2020, Contrastive Representation Distillation (1910.10699), equations 10, 17 and 18.
    """

    spec: ContrastiveTerm

    def __init__(self, spec: PairTerm, name: str, wiring: Wiring) -> None:
        super().__init__(spec, name, wiring)
        labels = wiring.facts.labels if wiring.facts is not None else torch.empty(0, dtype=torch.int64)
        shapes = [wiring.shapes(pair) for pair in spec.pairs]
        self.contrasts = nn.ModuleList(
            Contrast(self.spec, math.prod(student), math.prod(teacher), labels) for student, teacher in shapes
        )

    def pair_losses(self, outputs: StepOutputs) -> list[Tensor]:
        """The loss of each pair; none where it is not known which samples these are."""
        if outputs.indices is None:
            return []
        pairs = zip(self.contrasts, self.features(outputs))
        return [contrast(student, teacher, outputs.indices) for contrast, (student, teacher) in pairs]
