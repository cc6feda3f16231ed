"""Attention of text networks for the panels: which token looks at which, of a few texts and pairs of blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kdstudio.engine.losses import attention_scores
from kdstudio.engine.text.families import heads_of, is_causal, is_rotary
from kdstudio.engine.text.network import TextNetwork
from kdstudio.project.errors import ModelError

Pair = tuple[str, str]
#: At most so many tokens of a text, texts, pairs of blocks, and bytes a snapshot.
MOST_TOKENS, MOST_TEXTS, MOST_PAIRS, MOST_BYTES = 32, 4, 3, 50_000


def obstacle(model: nn.Module) -> str:
    """Why a network's attention cannot be computed from what it gives; empty where it can.

    Returns:
        `rotary`: positions come in after the projections. `unknown`: the architecture's attention is not known here, or
        is scaled in a way of its own.
    """
    if not isinstance(model, TextNetwork):
        return "unknown"
    config: Any = model.config
    if is_rotary(config):
        return "rotary"
    scaled = getattr(config, "scale_attn_by_inverse_layer_idx", False) or not getattr(
        config, "scale_attn_weights", True
    )
    relative = getattr(config, "position_embedding_type", None) not in (None, "absolute")
    try:
        model.tap_part(f"{model.blocks}.0#query")
    except ModelError:
        return "unknown"
    return "unknown" if scaled or relative else ""


class AttentionMaps:
    """What is kept of two networks' attention.

    Attributes:
        pairs: Of blocks, the teacher's first; none where there is an obstacle.
        why: The obstacle; see `obstacle`.
        texts: How many of the probe texts are kept, from the first on.

    Args:
        teacher, student: The networks.
        wanted: Pairs of layers of the objective: those of blocks come first.
        tokens: The longest text's.
    """

    def __init__(self, teacher: nn.Module, student: nn.Module, wanted: Sequence[Pair], tokens: int) -> None:
        self.pairs: list[Pair] = []
        self.texts = 0
        self.why = obstacle(teacher) or obstacle(student)
        if self.why:
            return
        assert isinstance(teacher, TextNetwork)
        assert isinstance(student, TextNetwork)
        self._causal = {"teacher": is_causal(teacher.config), "student": is_causal(student.config)}
        heads = max(heads_of(side.config)[0] for side in (teacher, student))
        side = min(tokens, MOST_TOKENS)
        room = max(1, MOST_BYTES // (2 * heads * side * side))
        pairs = block_pairs(_blocks(teacher), _blocks(student), wanted)
        self.pairs = pairs[-min(MOST_PAIRS, room) :]
        self.texts = min(MOST_TEXTS, max(1, room // len(self.pairs)))

    def taps(self, side: str) -> list[str]:
        """What has to be tapped of a side."""
        blocks = dict.fromkeys(pair[side == "student"] for pair in self.pairs)
        return [f"{block}#{part}" for block in blocks for part in ("query", "key")]

    def maps(self, captured: dict[str, Tensor], side: str, mask: Tensor | None) -> dict[str, np.ndarray]:
        """`attention.BLOCK`: (texts, heads, S, S) float16, softmax(Q K' / sqrt(d)); rows look at columns.

        Args:
            captured: Holds the taps, (B, heads, S, d).
            side: `teacher` or `student`.
            mask: Boolean (B, S), True for real tokens; None for all. What padding looks at is 0.
        """
        found = {}
        for block in dict.fromkeys(pair[side == "student"] for pair in self.pairs):
            query, key = (captured[f"{block}#{part}"][: self.texts] for part in ("query", "key"))
            weights = attention_weights(query, key, None if mask is None else mask[: self.texts], self._causal[side])
            found[f"attention.{block}"] = weights[:, :, :MOST_TOKENS, :MOST_TOKENS].half().cpu().numpy()
        return found


def attention_weights(query: Tensor, key: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """Attention after the softmax, (B, H, S, S), of queries and keys (B, H, S, d)."""
    scores = attention_scores(query, key)
    kept = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device)[None, None]
    if causal:
        kept = kept.tril()
    if mask is not None:
        kept = kept & mask[:, None, None]
    weights = torch.where(kept, scores, torch.finfo(scores.dtype).min / 2).softmax(dim=-1)
    return weights if mask is None else weights * mask[:, None, :, None]


def block_pairs(teacher: Sequence[str], student: Sequence[str], wanted: Sequence[Pair]) -> list[Pair]:
    """Pairs of blocks to look at: those of the objective last, before them blocks at the same share of the depth.

    Args:
        teacher, student: The blocks' names, from the first to the last.
        wanted: Pairs of layers; those that are no pairs of blocks are not looked at.
    """
    own = [pair for pair in dict.fromkeys(wanted) if pair[0] in teacher and pair[1] in student]
    known = {other for _, other in own}
    places = [round((place + 1) * len(teacher) / len(student)) - 1 for place in range(len(student))]
    rest = [(teacher[max(0, at)], name) for at, name in zip(places, student) if name not in known]
    if len(rest) > MOST_PAIRS:  # evenly over the depth, the last among them
        rest = [rest[int(place)] for place in np.linspace(0, len(rest) - 1, MOST_PAIRS).round()]
    return [*rest, *own]


def _blocks(model: TextNetwork) -> list[str]:
    return [f"{model.blocks}.{number}" for number in range(int(model.config.num_hidden_layers))]
