"""Factor transfer (FT): a paraphraser shortens the teacher's maps, a translator learns to say the same."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kdstudio.engine.losses import factor_loss, hint_loss
from kdstudio.engine.terms.base import StepOutputs
from kdstudio.engine.terms.pairs import PairModule, Wiring
from kdstudio.engine.terms.regressor import MapNorm, resized
from kdstudio.project.spec import FactorTerm, PairTerm


def _layer(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1), MapNorm(outputs), nn.LeakyReLU(0.1)]


class Paraphraser(nn.Module):
    """Convolutions that bring maps to fewer channels, and others that bring them back.

    Args:
        channels: Of the teacher's maps.
        factors: Channels of the factors.
    """

    def __init__(self, channels: int, factors: int) -> None:
        super().__init__()
        self.encode = nn.Sequential(*_layer(channels, channels), *_layer(channels, factors), *_layer(factors, factors))
        self.decode = nn.Sequential(*_layer(factors, factors), *_layer(factors, channels), *_layer(channels, channels))


class FactorModule(PairModule):
    """Factor transfer: the student's translator says what the teacher's paraphraser says (`factor_loss`).

    Equation:
        first stage: min over the paraphraser of mean (t - decode(encode(t)))^2; then, with the paraphraser frozen,
        L = mean |F_t / ||F_t|| - F_s / ||F_s|| |, F_t = encode(t), F_s = translate(s), and the sum over the pairs

    When it helps:
        With convolutional nets whose last maps differ in width and kind: neither side has to be used as it is.

    Usual weights:
        200 in later benchmarks, 500 in the paper, beside hard labels of weight 1; the last stage alone; factors of half
        the teacher's channels.

    Traps:
        The paraphraser has to be good: look at the losses of its stage. Batch normalisation inside of it needs batches
        of two samples or more.

    Paper:
        Kim, Park and Kwak 2018, Paraphrasing Complex Network: Network Compression via Factor Transfer (1802.04977),
        equations 1 and 5.
    """

    spec: FactorTerm

    def __init__(self, spec: PairTerm, name: str, wiring: Wiring) -> None:
        super().__init__(spec, name, wiring)
        shapes = [wiring.shapes(pair) for pair in spec.pairs]
        factors = [max(1, round(teacher[0] * self.spec.rate)) for _, teacher in shapes]
        self.sizes = [teacher[1:] for _, teacher in shapes]
        self.paraphrasers = nn.ModuleList(
            Paraphraser(teacher[0], count) for (_, teacher), count in zip(shapes, factors)
        ).requires_grad_(False)
        self.translators = nn.ModuleList(
            nn.Sequential(*_layer(student[0], student[0]), *_layer(student[0], count), *_layer(count, count))
            for (student, _), count in zip(shapes, factors)
        )

    def train(self, mode: bool = True) -> FactorModule:
        """The paraphraser stays as its own stage has left it: its statistics are fixed too."""
        super().train(mode)
        self.paraphrasers.eval()
        return self

    def pair_loss(self, index: int, student: Tensor, teacher: Tensor) -> Tensor:
        with torch.no_grad():
            said = self._paraphraser(index).encode(teacher)
        return factor_loss(resized(self.translators[index](student), self.sizes[index]), said)

    def _paraphraser(self, index: int) -> Paraphraser:
        found = self.paraphrasers[index]
        assert isinstance(found, Paraphraser)
        return found

    # -- the first stage ---------------------------------------------------------------------------------------

    @property
    def first_epochs(self) -> int:
        return self.spec.paraphraser_epochs

    @property
    def first_lr(self) -> float:
        return self.spec.paraphraser_lr

    def first_parts(self) -> nn.Module:
        return self.paraphrasers

    def first_loss(self, outputs: StepOutputs) -> Tensor:
        losses = []
        for index, pair in enumerate(self.spec.pairs):
            paraphraser, teacher = self._paraphraser(index), outputs.teacher_taps[pair.teacher]
            losses.append(hint_loss(paraphraser.decode(paraphraser.encode(teacher)), teacher))
        return torch.stack(losses).sum()
