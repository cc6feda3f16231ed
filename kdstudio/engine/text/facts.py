"""What networks and training views have to know of a text task."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from kdstudio.engine.text.tokens import Tokenizer

#: Marks positions without a target, as PyTorch's cross-entropy does.
IGNORED = -100
_EVALUATION_SEED = 20181011


@dataclass(frozen=True)
class TextFacts:
    """A text task.

    Attributes:
        task: classification, masked-lm or causal-lm.
        vocabulary: Tokens of the tokenizer.
        max_tokens: Length S of a sample.
        pad: The token that fills short samples; None where samples are packed, so that none is padding.
        filler: A token that may always stand at the end: what dummies are made of.
        mask: The token that hides others, None where the tokenizer has none.
        special: Tokens that are never hidden.
        mask_share: Share of the tokens that masked-lm hides.
        begin, end: Tokens that begin and end a text, None where there are none.
    """

    task: str
    vocabulary: int
    max_tokens: int
    pad: int | None
    filler: int
    mask: int | None = None
    special: tuple[int, ...] = ()
    mask_share: float = 0.15
    begin: int | None = None
    end: int | None = None

    @classmethod
    def of(cls, tokenizer: Tokenizer, task: str, max_tokens: int, mask_share: float = 0.15) -> TextFacts:
        """The facts of a task with a tokenizer."""
        begin = tokenizer.inner.bos_token_id
        return cls(
            task=task,
            vocabulary=len(tokenizer),
            max_tokens=max_tokens,
            pad=tokenizer.pad_id if task == "classification" else None,
            filler=tokenizer.pad_id,
            mask=tokenizer.mask_id,
            special=tuple(tokenizer.special_ids),
            mask_share=mask_share,
            begin=tokenizer.inner.cls_token_id if begin is None else begin,
            end=tokenizer.end_id,
        )

    @property
    def is_language_model(self) -> bool:
        return self.task != "classification"

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "special": list(self.special)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> TextFacts:
        return cls(**{**data, "special": tuple(data["special"])})

    # -- views -----------------------------------------------------------------------------------------------

    def view(self, ids: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """What a language model is given, and what it is to say.

        Args:
            ids: int64 (B, S), packed blocks.
            generator: The source of randomness, on the device of the ids.

        Returns:
            Inputs (B, S); targets: of causal-lm (B, S - 1), the next tokens; of masked-lm (B, S), the hidden tokens and
            `IGNORED` elsewhere.
        """
        if self.task == "causal-lm":
            return ids, ids[:, 1:]
        return self._masked(ids, generator)

    def fixed_view(self, ids: Tensor, start: int) -> tuple[Tensor, Tensor]:
        """The same for scoring: what is hidden depends on nothing but the number of the first block."""
        generator = torch.Generator(ids.device).manual_seed(_EVALUATION_SEED + start)
        return self.view(ids, generator)

    def _masked(self, ids: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """BERT's view (Devlin et al. 2019, 1810.04805, section 3.1): of those chosen 80 % hidden, 10 % replaced."""
        assert self.mask is not None

        def draw() -> Tensor:
            return torch.rand(ids.shape, generator=generator, device=ids.device)

        chance = draw()
        for token in self.special:
            chance = torch.where(ids == token, 2.0, chance)
        chosen = chance < self.mask_share
        # a block in which chance chose nothing would have no loss
        chosen |= (chance == chance.min(dim=1, keepdim=True).values) & (chance < 1)
        fate = draw()
        other = torch.randint(0, self.vocabulary, ids.shape, generator=generator, device=ids.device)
        inputs = torch.where(chosen & (fate < 0.8), self.mask, ids)
        inputs = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), other, inputs)
        return inputs, torch.where(chosen, ids, IGNORED)
