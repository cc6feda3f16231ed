"""Before the first step: whether a term can look into the attention blocks that it pairs."""

from __future__ import annotations

from torch import nn

from kdstudio.engine.text.families import is_causal, is_rotary
from kdstudio.engine.text.network import TextNetwork
from kdstudio.project.errors import ModelError
from kdstudio.project.spec import PairTerm


def taps_of(term: PairTerm, layer: str) -> list[str]:
    """What a term taps of a layer: the layer itself, or the parts of its attention."""
    return [f"{layer}#{part}" for part in term.parts] or [layer]


def check_block(model: nn.Module, block: str, term: PairTerm, where: str, side: str) -> None:
    """Checks that a block has the attention that a term compares.

    Args:
        model: The network that has it.
        block: Its name.
        term: Asks for parts of attention.
        where: The pair's place in the spec, for messages.
        side: `teacher` or `student`, for messages.

    Raises:
        ModelError: It has none, its architecture is not known here, or its scores cannot be computed.
    """
    if not isinstance(model, TextNetwork):
        raise ModelError(
            f"{where}: '{block}' of the {side} has no attention that is known here",
            "the term compares queries, keys and values inside the blocks of text networks",
            "use it with models of the transformers library; hints and cosine compare what layers of any network give",
            kind="pair",
        )
    try:
        for part in term.parts:
            model.tap_part(f"{block}#{part}")
    except ModelError as error:
        what = f"{where}: of the {side}, {error.what}"
        raise ModelError(what, error.why, error.fix, kind="pair") from None
    if term.asks_scores and is_rotary(model.config):
        raise ModelError(
            f"{where}: the scores of attention in '{block}' of the {side} cannot be computed",
            f"a {model.config.model_type} turns positions into queries and keys after the projections (rotary "
            "positions), where nothing can be tapped",
            "use attention-relation with heads (for example 16): its relations are within queries, keys and values",
            kind="pair",
        )


def check_direction(teacher: nn.Module, student: nn.Module, where: str) -> None:
    """Checks that tokens of both networks see the same of a text.

    Raises:
        ModelError: One attends to both sides, and the other to what stands before only.
    """
    ways = [causal_network(model) for model in (teacher, student)]
    if ways[0] != ways[1]:
        words = {True: "attends to the tokens before each only", False: "attends to the tokens on both sides"}
        raise ModelError(
            f"{where}: the attention of the two networks cannot be compared",
            f"the teacher {words[ways[0]]}, and the student {words[ways[1]]}",
            "use two networks of one kind, such as two BERTs or two GPT-2s, or terms on hidden states",
            kind="pair",
        )


def causal_network(model: nn.Module | None) -> bool:
    """Whether a network's tokens attend to those before them only."""
    return isinstance(model, TextNetwork) and is_causal(model.config)
