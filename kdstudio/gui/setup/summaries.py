"""What each section says in a few words."""

from __future__ import annotations

from typing import Any

from kdstudio.gui.setup.facts import Facts
from kdstudio.gui.setup.words import amount, choice_text


def summary_of(section: str, value: dict[str, Any], facts: Facts) -> str:
    """The line below a section's name."""
    summaries = {
        "general": lambda: str(value.get("name", "")),
        "data": lambda: _data(value.get("data"), facts),
        "teacher": lambda: _network(value.get("teacher"), facts.teacher.known),
        "student": lambda: _network(value.get("student"), facts.student.known),
        "objective": lambda: _objective(value.get("objective")),
        "training": lambda: _training(value.get("train")),
        "recording": lambda: _recording(value),
        "yaml": lambda: "what the file will say",
    }
    return summaries[section]()


def _data(data: Any, facts: Facts) -> str:
    if not isinstance(data, dict):
        return "not set"
    source = str(data.get("source", ""))
    name = choice_text("source", source).split(" (")[0]
    if source in ("folder", "npz"):
        name = str(data.get("path") or "nothing chosen").replace("\\", "/").rstrip("/").rpartition("/")[2]
    known = facts.data.known
    return f"{name} · {known['samples']['train']:,}" if known else name


def _network(network: Any, known: dict[str, Any] | None) -> str:
    if not isinstance(network, dict):
        return "none"
    name = str(network.get("model") or "not chosen")
    widths = network.get("widths")
    if widths and isinstance(widths, list):
        name += " " + "-".join(str(width) for width in widths)
    return f"{name} · {amount(known['parameters'])}" if known else name


def _objective(terms: Any) -> str:
    if not isinstance(terms, list):
        return "not set"
    return " + ".join(f"{_number(term.get('weight'))} {term.get('term')}" for term in terms if isinstance(term, dict))


def _training(train: Any) -> str:
    if not isinstance(train, dict):
        return "not set"
    epochs = train.get("epochs")
    return f"{epochs} {'epoch' if epochs == 1 else 'epochs'} · {train.get('optimizer')}"


def _recording(value: dict[str, Any]) -> str:
    monitor = value.get("monitor")
    every = monitor.get("every_seconds") if isinstance(monitor, dict) else None
    words = f"every {_number(every)} s"
    return f"{words} · baseline" if value.get("baseline") else words


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)
