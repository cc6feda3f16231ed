"""The objective as a formula, with its numbers, in the colours that its terms have everywhere."""

from __future__ import annotations

from typing import Any

from kdstudio.gui.language import tr
from kdstudio.gui.theme import Tokens, term_colour

TIMES = "&thinsp;·&thinsp;"
#: Losses with the factor T^2.
SQUARED = ("soft", "reverse-kl", "decoupled", "correlation")


def linked(terms: list[Any]) -> tuple[int, int] | None:
    """The places of the first hard and the first soft term, which the balance a links; None without both."""
    tags = [term.get("term") if isinstance(term, dict) else None for term in terms]
    return (tags.index("hard"), tags.index("soft")) if "hard" in tags and "soft" in tags else None


def balance(terms: list[Any]) -> float | None:
    """The share a of the hard term: a = hard / (hard + soft). None where there is none."""
    places = linked(terms)
    if places is None:
        return None
    hard, soft = (terms[place].get("weight") for place in places)
    if not all(isinstance(w, (int, float)) and w >= 0 for w in (hard, soft)) or hard + soft <= 0:
        return None
    return float(hard / (hard + soft))


def sums_to_one(terms: list[Any]) -> bool:
    """Whether the two linked weights are a and 1 - a."""
    places = linked(terms)
    return places is not None and abs(sum(terms[place]["weight"] for place in places) - 1) < 1e-6


def general(terms: list[Any], tokens: Tokens) -> str:
    """The formula with letters, as rich text: L = a L_hard + (1 - a) T^2 L_soft + w L_hint."""
    places = linked(terms)
    parts = []
    for index, term in enumerate(terms):
        tag = str(term.get("term")) if isinstance(term, dict) else "?"
        letter = f"<i>w</i><sub>{index + 1}</sub>"
        if places is not None and index in places:
            letter = "<i>a</i>" if index == places[0] else "(1&thinsp;−&thinsp;<i>a</i>)"
        parts.append(f"{_coloured(letter, tokens, index)}{TIMES}{_loss(tag, '<i>T</i>')}")
    return f"<i>L</i> = {' + '.join(parts)}" if parts else ""


def numbers(terms: list[Any], tokens: Tokens) -> str:
    """The formula with the numbers in force."""
    parts = []
    for index, term in enumerate(terms):
        if not isinstance(term, dict):
            continue
        weight = _coloured(f"<b>{_number(term.get('weight'))}</b>", tokens, index)
        parts.append(f"{weight}{TIMES}{_loss(str(term.get('term')), _number(term.get('temperature')))}")
    return f"<i>L</i> = {' + '.join(parts)}" if parts else ""


def plain(terms: list[Any]) -> str:
    """The formula for a screen reader."""
    parts = [
        tr("{weight} times {term}", weight=_number(term.get("weight")), term=term.get("term"))
        for term in terms
        if isinstance(term, dict)
    ]
    return f"L = {' + '.join(parts)}"


def _loss(tag: str, temperature: str) -> str:
    loss = f"<i>L</i><sub>{tag}</sub>"
    return f"{temperature}<sup>2</sup>{TIMES}{loss}" if tag in SQUARED else loss


def _coloured(text: str, tokens: Tokens, index: int) -> str:
    return f'<span style="color:{term_colour(tokens, index)}">{text}</span>'


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, (int, float)) and not isinstance(value, bool) else "?"
