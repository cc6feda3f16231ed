"""A network of the transformers library as the engine takes it: token ids in, logits out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from kdstudio.engine.text.facts import TextFacts
from kdstudio.engine.text.families import Pick, attention_part, blocks_of
from kdstudio.project.spec import HUB_PREFIX


class TextNetwork(nn.Module):
    """Wraps a model of the library. Its parts are this module's own, so layers and weights keep the library's names.

    Args:
        inner: With a head for the task.
        facts: The text task.
    """

    #: Asked by what makes dummies: inputs are whole numbers.
    token_inputs = True
    inner: Any

    def __init__(self, inner: nn.Module, facts: TextFacts) -> None:
        super().__init__()
        for name, child in inner.named_children():
            self.add_module(name, child)
        for name, parameter in inner.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
        self.__dict__["inner"] = inner  # not a child: everything in it is one already
        self.facts = facts

    @property
    def writes(self) -> bool:
        """Whether it goes on with texts."""
        return self.facts.task == "causal-lm"

    @property
    def config(self) -> Any:
        return self.inner.config

    def train(self, mode: bool = True) -> TextNetwork:
        super().train(mode)
        self.inner.training = mode
        return self

    def token_mask(self, ids: Tensor) -> Tensor | None:
        """Boolean (B, S): which tokens are real; None where all are."""
        return None if self.facts.pad is None else ids != self.facts.pad

    def forward(self, ids: Tensor) -> Tensor:
        """Logits.

        Args:
            ids: int64 (B, S).

        Returns:
            (B, C) for classification. Else a row for each place: (B * S, V) for masked-lm, (B * (S - 1), V) for
            causal-lm, (B * S, C) for token-classification.
        """
        mask = self.token_mask(ids)
        arguments = {} if mask is None else {"attention_mask": mask.long()}
        if self.facts.task == "causal-lm":
            logits = self.inner(input_ids=ids, use_cache=False).logits[:, :-1]
        else:
            logits = self.inner(input_ids=ids, **arguments).logits
        return logits if logits.ndim == 2 else logits.reshape(-1, logits.shape[-1])

    @property
    def blocks(self) -> str:
        """The name of the list of its layers."""
        return blocks_of(self, int(self.config.num_hidden_layers))

    def tap_part(self, name: str) -> tuple[nn.Module, Pick]:
        """What a tap with a `#` in its name stands for; see `attention_part`."""
        block, _, part = name.partition("#")
        return attention_part(self, self.config, block, part)

    def dummy(self, batch: int, length: int, device: torch.device | str) -> Tensor:
        """int64 [batch, length] that a network takes: all tokens real."""
        token = next(number for number in range(self.facts.vocabulary) if number != self.facts.pad)
        return torch.full((batch, length), token, dtype=torch.int64, device=device)

    def description(self) -> dict[str, Any]:
        """The model's part of `student.json`: builds the same network with no teacher, hub or folder at hand."""
        known = type(self.config)().to_dict()
        config = {key: value for key, value in self.config.to_diff_dict().items() if key in known}
        for key in ("model_type", "architectures", "transformers_version", "id2label", "label2id", "dtype"):
            config.pop(key, None)
        config["vocab_size"] = self.config.vocab_size  # also where it is the usual one: a tokenizer may have fewer
        return {"model": f"{HUB_PREFIX}{self.config.model_type}", "args": config}


def is_tagger(model: nn.Module) -> bool:
    """Whether a network gives a tag for each word of a text."""
    return isinstance(model, TextNetwork) and model.facts.is_tagger


def token_mask_of(model: nn.Module, inputs: Tensor) -> Tensor | None:
    """Which tokens of the inputs are real: boolean (B, S), or None where all are or there are none."""
    return model.token_mask(inputs) if isinstance(model, TextNetwork) else None
