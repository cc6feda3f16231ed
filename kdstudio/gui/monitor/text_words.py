"""Tokens as the panels write them, and the names of a transformer's layers in short."""

from __future__ import annotations

import re

from kdstudio.gui.language import tr

#: What cannot be seen has a sign. A dot stands for a blank, as in editors: it begins most words.
SIGNS = {" ": "·", "\n": "↵", "\t": "⇥", "\r": "↵"}
_BLOCK = re.compile(r".+\.(?:layers?|h)\.(\d+)")
_EMBEDDINGS = ("embeddings", "wte", "embed_tokens", "embed_in")


def seen(token: str) -> str:
    """A token with signs for what cannot be seen: `·the`."""
    return "".join(SIGNS.get(letter, letter) for letter in token) or "∅"


def plain(token: str) -> str:
    """A token within a running text: signs for line ends only, blanks as they are."""
    return "".join(sign if (sign := SIGNS.get(letter, letter)) != "·" else " " for letter in token)


def layer_tick(name: str) -> str:
    """The name of a transformer's layer on an axis: the block's number, or the last part of its path."""
    block = _BLOCK.fullmatch(name)
    if block is not None:
        return block[1]
    last = name.rpartition(".")[2]
    return tr("emb.") if last in _EMBEDDINGS else last


def layer_word(name: str) -> str:
    """The name of a transformer's layer in words; those of other networks as they are."""
    block = _BLOCK.fullmatch(name)
    if block is not None:
        return tr("layer {number}", number=block[1])
    return tr("embeddings") if name.rpartition(".")[2] in _EMBEDDINGS else name


def has_blocks(names: list[str] | tuple[str, ...]) -> bool:
    """Whether these are the layers of a transformer."""
    return any(_BLOCK.fullmatch(name) for name in names)
