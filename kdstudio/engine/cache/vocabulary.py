"""What is kept of a language model's answers: not all V numbers of a token, but its likeliest words or words drawn.

Both lose something. The k likeliest words with the mass of the rest spread evenly are off by the same each time: the
student learns a flat tail (a bias). Words drawn from the distribution are right on average (of the cross-entropy's
gradient at T = 1, which is linear in the teacher's probabilities), and off by chance each time. See Anshumann et al.
2025, "Sparse Logit Sampling" (2503.16870).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from kdstudio.engine.cache.store import ArrayKind

TOKENS, LOGS = "vocabulary.tokens", "vocabulary.logs"
#: The log-probability of words that were never drawn: nothing, without being infinite.
NEVER = -30.0


@dataclass(frozen=True)
class VocabularyCodec:
    """Makes arrays of logits, and logits of arrays.

    Attributes:
        how: `top-k` or `samples`.
        count: Words k that are kept, or drawn, at each position.
        positions: P, of one sample.
        vocabulary: V.
    """

    how: str
    count: int
    positions: int
    vocabulary: int

    @property
    def kinds(self) -> dict[str, ArrayKind]:
        """The arrays of one sample."""
        shape = (self.positions, self.count)
        found = {TOKENS: ArrayKind(shape, "int32")}
        if self.how == "top-k":
            found[LOGS] = ArrayKind(shape, "float16")
        return found

    def kept(self, logits: Tensor, seed: int) -> dict[str, Tensor]:
        """What is kept of the answers about some samples.

        Args:
            logits: (B * P, V).
            seed: Decides what is drawn.

        Returns:
            The arrays by name, (B, P, k), on the CPU.
        """
        logs = logits.detach().float().log_softmax(dim=1)
        shape = (-1, self.positions, self.count)
        if self.how == "top-k":
            values, tokens = logs.topk(self.count, dim=1)
            return {TOKENS: tokens.int().cpu().view(shape), LOGS: values.half().cpu().view(shape)}
        chance = torch.Generator(logs.device).manual_seed(seed)
        tokens = torch.multinomial(logs.exp(), self.count, replacement=True, generator=chance)
        return {TOKENS: tokens.int().cpu().view(shape)}

    def logits(self, arrays: Mapping[str, Tensor]) -> Tensor:
        """(B * P, V) float32 with the distribution that the arrays stand for, as log-probabilities at T = 1."""
        tokens = arrays[TOKENS].long().flatten(0, 1)
        if self.how == "top-k":
            logs = arrays[LOGS].float().flatten(0, 1)
            rest = (1 - logs.exp().sum(dim=1, keepdim=True)).clamp(min=1e-9) / max(1, self.vocabulary - self.count)
            return rest.log().expand(-1, self.vocabulary).scatter(1, tokens, logs)
        ones = torch.ones_like(tokens, dtype=torch.float32)
        counts = torch.zeros(len(tokens), self.vocabulary, device=tokens.device).scatter_add_(1, tokens, ones)
        return torch.where(counts > 0, (counts / self.count).log(), NEVER)
