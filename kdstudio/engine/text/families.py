"""Where things are in the architectures of the transformers library: blocks of layers, and queries, keys and values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from kdstudio.project.errors import ModelError

PARTS = ("query", "key", "value")
Pick = Callable[[Any], Tensor]


@dataclass(frozen=True)
class Attention:
    """Where an architecture's attention keeps its projections, relative to a block.

    Attributes:
        separate: Module of the query, the key and the value; None where one module gives all three.
        fused: Module that gives them side by side.
        rotary: Whether positions are turned into queries and keys after the projection, so that scores cannot be
            computed from what the modules give.
        by_head: Whether what is fused stands side by side within each head, and not for all heads together.
        causal: Whether a token attends to itself and those before it only.
    """

    separate: tuple[str, str, str] | None = None
    fused: str = ""
    rotary: bool = False
    by_head: bool = False
    causal: bool = False


_BERT = Attention(("attention.self.query", "attention.self.key", "attention.self.value"))
_LLAMA = Attention(("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"), rotary=True, causal=True)
#: By the configuration's kind.
FAMILIES: dict[str, Attention] = {
    **dict.fromkeys(("bert", "roberta", "electra", "xlm-roberta", "camembert"), _BERT),
    "distilbert": Attention(("attention.q_lin", "attention.k_lin", "attention.v_lin")),
    "modernbert": Attention(fused="attn.Wqkv", rotary=True),
    "gpt2": Attention(fused="attn.c_attn", causal=True),
    "gpt_neox": Attention(fused="attention.query_key_value", rotary=True, by_head=True, causal=True),
    "opt": Attention(("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"), causal=True),
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "smollm3", "olmo2"), _LLAMA),
}


def blocks_of(model: nn.Module, count: int) -> str:
    """The name of the list of a network's blocks, as ``bert.encoder.layer``.

    Args:
        model: The network.
        count: How many blocks its configuration says it has.

    Raises:
        ModelError: There is no such list.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return name
    raise ModelError(
        f"model: no list of {count} layers was found in {type(model).__name__}",
        fix="choose a model whose layers stand in one list, such as BERT, GPT-2 or Llama",
    )


def heads_of(config: Any) -> tuple[int, int]:
    """Heads of the queries, and heads of keys and values."""
    heads = int(config.num_attention_heads)
    return heads, int(getattr(config, "num_key_value_heads", None) or heads)


def attention_part(model: nn.Module, config: Any, block: str, part: str) -> tuple[nn.Module, Pick]:
    """The module that gives a block's queries, keys or values, and what makes (B, heads, S, d) of its output.

    Raises:
        ModelError: The architecture is not known here, or the block has no such attention.
    """
    kind = str(config.model_type)
    family = FAMILIES.get(kind)
    if family is None:
        raise ModelError(
            f"'{block}#{part}': the attention of the architecture '{kind}' is not known here",
            fix=f"use terms on hidden states, or one of: {', '.join(FAMILIES)}",
            kind="layer",
        )
    heads, shared = heads_of(config)
    number = PARTS.index(part)
    own = heads if part == "query" else shared
    name = family.separate[number] if family.separate is not None else family.fused
    try:
        module = model.get_submodule(f"{block}.{name}")
    except AttributeError:
        raise ModelError(
            f"'{block}' has no attention: there is no '{name}' in it",
            fix=f"choose a block of layers, as {block.rpartition('.')[0] or block}.0",
            kind="layer",
        ) from None

    def pick(output: Any) -> Tensor:
        values: Tensor = output
        if family.by_head:
            return values.unflatten(-1, (own, 3, -1))[..., number, :].transpose(1, 2)
        if family.separate is None:
            values = values.chunk(3, dim=-1)[number]
        batch, tokens, width = values.shape
        return values.view(batch, tokens, own, width // own).transpose(1, 2)

    return module, pick


def is_rotary(config: Any) -> bool:
    """Whether attention scores cannot be computed from what the projections give."""
    family = FAMILIES.get(str(config.model_type))
    return family is not None and family.rotary


def is_causal(config: Any) -> bool:
    """Whether a token attends to itself and those before it only."""
    family = FAMILIES.get(str(config.model_type))
    return bool(getattr(config, "is_decoder", False)) or (family is not None and family.causal)


def is_encoder(config: Any) -> bool:
    """Whether an architecture is by itself one whose tokens attend to all others."""
    family = FAMILIES.get(str(config.model_type))
    return family is not None and not family.causal
