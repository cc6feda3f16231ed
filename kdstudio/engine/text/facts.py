"""What networks and training views have to know of a text task."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from kdstudio.engine.counters import shares, token_keys, view_keys, whole_numbers
from kdstudio.engine.text.tokens import Tokenizer

#: Marks positions without a target, as PyTorch's cross-entropy does.
IGNORED = -100
_EVALUATION_VIEW = 20181011
_CHOICE, _FATE, _OTHER = 31, 32, 33


@dataclass(frozen=True)
class TextFacts:
    """A text task.

    Attributes:
        task: classification, token-classification, masked-lm or causal-lm.
        vocabulary: Tokens of the tokenizer.
        max_tokens: Length S of a sample.
        pad: The token that fills short samples; None where samples are packed, so that none is padding.
        filler: A token that may always stand at the end: what dummies are made of.
        mask: The token that hides others, None where the tokenizer has none.
        special: Tokens that are never hidden.
        mask_share: Share of the tokens that masked-lm hides.
        begin, end: Tokens that begin and end a text, None where there are none.
        tags: Of token-classification, the names of the tags.
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
    tags: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, tokenizer: Tokenizer, task: str, max_tokens: int, mask_share: float = 0.15, tags: tuple[str, ...] = ()
    ) -> TextFacts:
        """The facts of a task with a tokenizer."""
        begin = tokenizer.inner.bos_token_id
        return cls(
            task=task,
            vocabulary=len(tokenizer),
            max_tokens=max_tokens,
            pad=tokenizer.pad_id if task in ("classification", "token-classification") else None,
            filler=tokenizer.pad_id,
            mask=tokenizer.mask_id,
            special=tuple(tokenizer.special_ids),
            mask_share=mask_share,
            begin=tokenizer.inner.cls_token_id if begin is None else begin,
            end=tokenizer.end_id,
            tags=tags,
        )

    @property
    def is_language_model(self) -> bool:
        """Whether there is a target for each token, and not one for each text: so it is of taggers, too."""
        return self.task != "classification"

    @property
    def is_tagger(self) -> bool:
        """Whether the target of a token is a tag, and no token."""
        return self.task == "token-classification"

    @property
    def outputs(self) -> int:
        """Logits for each token, where there is a target for each."""
        return len(self.tags) if self.is_tagger else self.vocabulary

    def to_dict(self) -> dict[str, Any]:
        found = {**asdict(self), "special": list(self.special), "tags": list(self.tags)}
        if not self.is_tagger:  # as students from before there were taggers say it
            del found["tags"]
        return found

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> TextFacts:
        return cls(**{**data, "special": tuple(data["special"]), "tags": tuple(data.get("tags", ()))})

    # -- views -----------------------------------------------------------------------------------------------

    @property
    def hides(self) -> bool:
        """Whether views of a text differ: in the tokens that are hidden."""
        return self.task == "masked-lm"

    def view(self, ids: Tensor, keys: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What a language model is given, and what it is to say.

        Args:
            ids: int64 (B, S), packed blocks.
            keys: int64 (B), see `view_keys`: what is hidden is a function of them. On the device of the ids.
            labels: Of token-classification, int64 (B, at least S).

        Returns:
            Inputs (B, S); targets: of causal-lm (B, S - 1), the next tokens; of masked-lm (B, S), the hidden tokens and
            `IGNORED` elsewhere.
        """
        if self.task == "causal-lm":
            return ids, ids[:, 1:]
        if self.is_tagger:
            assert labels is not None
            return ids, labels[:, : ids.shape[1]]
        return self._masked(ids, keys)

    def fixed_view(self, ids: Tensor, start: int, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The same for scoring: what is hidden depends on nothing but the numbers of the blocks, from `start` on."""
        numbers = torch.arange(start, start + len(ids), device=ids.device)
        return self.view(ids, view_keys(numbers, _EVALUATION_VIEW), labels)

    def _masked(self, ids: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
        """BERT's view (Devlin et al. 2019, 1810.04805, section 3.1): of those chosen 80 % hidden, 10 % replaced."""
        assert self.mask is not None
        places = token_keys(keys, ids.shape[1])
        chance = shares(places, _CHOICE)
        for token in self.special:
            chance = torch.where(ids == token, 2.0, chance)
        chosen = chance < self.mask_share
        # a block in which chance chose nothing would have no loss
        chosen |= (chance == chance.min(dim=1, keepdim=True).values) & (chance < 1)
        fate = shares(places, _FATE)
        other = whole_numbers(places, _OTHER, 0, self.vocabulary - 1)
        inputs = torch.where(chosen & (fate < 0.8), self.mask, ids)
        inputs = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), other, inputs)
        return inputs, torch.where(chosen, ids, IGNORED)
