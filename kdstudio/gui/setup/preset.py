"""What a preset is, and the terms that presets are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kdstudio.gui.setup.facts import Facts
from kdstudio.gui.setup.schema import complete
from kdstudio.project.pairing import first_pairs
from kdstudio.project.spec import HardTerm, PairTerm, SoftTerm

Changes = dict[str, Any]
#: Data that are no texts.
PICTURES = "pictures"
ANY = ("masked-lm", "causal-lm", "classification", PICTURES)


@dataclass(frozen=True)
class Preset:
    """One preset.

    Attributes:
        name: Its name.
        words: What it sets, short enough for a menu.
        tip: Where it comes from, and all fields that it changes.
        changes: New values by dotted path, from the experiment and what is known about it.
        tasks: What it is for: tasks of texts, and `PICTURES` for all other data.
    """

    name: str
    words: str
    tip: str
    changes: Callable[[dict[str, Any], Facts], Changes]
    tasks: tuple[str, ...] = (PICTURES,)


def hard(weight: float, **more: Any) -> dict[str, Any]:
    return complete(HardTerm, {"term": "hard", "weight": weight, **more})


def soft(weight: float, temperature: float, **more: Any) -> dict[str, Any]:
    return complete(SoftTerm, {"term": "soft", "weight": weight, "temperature": temperature, **more})


def paired(model: type[PairTerm], value: dict[str, Any], facts: Facts, **more: Any) -> dict[str, Any]:
    """A term over the pairs that such a term has; else over those that suit it, where the layers are known."""
    tag = model.model_fields["term"].default
    had = [term for term in terms_of(value) if term.get("term") == tag]
    pairs: list[dict[str, str]] = next((term["pairs"] for term in had if term.get("pairs")), [])
    teacher, student = facts.guide.known, facts.student.known
    if not pairs and teacher is not None and student is not None:
        found = first_pairs(teacher, student, model.joins)
        pairs = [{"teacher": one, "student": other} for one, other in found]
    return complete(model, {"term": tag, "pairs": pairs, **more})


def terms_of(value: dict[str, Any]) -> list[dict[str, Any]]:
    return [term for term in value.get("objective") or [] if isinstance(term, dict)]
