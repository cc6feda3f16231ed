"""What each section says in a few words."""

from __future__ import annotations

from typing import Any

from kdstudio.gui.language import tr, trn
from kdstudio.gui.setup.facts import Facts
from kdstudio.gui.setup.words import amount, choice_text
from kdstudio.project.spec import AS_RUN, FROM_TEACHER, HUB_PREFIX


def summary_of(section: str, value: dict[str, Any], facts: Facts) -> str:
    """The line below a section's name."""
    summaries = {
        "general": lambda: str(value.get("name", "")),
        "data": lambda: _data(value.get("data"), facts),
        "teacher": lambda: _network(value.get("teacher"), facts.teacher.known),
        "assistants": lambda: _assistants(value.get("assistants")),
        "student": lambda: _network(value.get("student"), facts.student.known),
        "unlabelled": lambda: _pool(value.get("unlabelled")),
        "objective": lambda: _objective(value.get("objective")),
        "training": lambda: _training(value.get("train")),
        "recording": lambda: _recording(value.get("monitor")),
        "yaml": lambda: tr("what the file will say"),
    }
    return summaries[section]()


def _data(data: Any, facts: Facts) -> str:
    if not isinstance(data, dict):
        return tr("not set")
    source = str(data.get("source", ""))
    name = choice_text("source", source).split(" (")[0]
    if source in ("folder", "npz", "table", "tagged", "corpus"):
        path = str(data.get("path") or "").replace("\\", "/").rstrip("/").rpartition("/")[2]
        name = path or tr("nothing chosen")
    known = facts.data.known
    return f"{name} · {known['samples']['train']:,}" if known else name


def _network(network: Any, known: dict[str, Any] | None) -> str:
    if not isinstance(network, dict):
        return tr("none")
    name = str(network.get("model") or tr("not chosen"))
    if name == FROM_TEACHER:
        name = tr("layers of the teacher")
        if known and known.get("kept"):
            name = trn("{count} layer of the teacher", "{count} layers of the teacher", len(known["kept"]))
    elif name == AS_RUN:
        name = tr("as in {run}", run=str(network.get("weights") or "").removeprefix("run:"))
    elif name.startswith(HUB_PREFIX):
        name = name.removeprefix(HUB_PREFIX).rstrip("/").rpartition("/")[2]
    widths = network.get("widths")
    if widths and isinstance(widths, list):
        name += " " + "-".join(str(width) for width in widths)
    return f"{name} · {amount(known['parameters'])}" if known else name


def _assistants(assistants: Any) -> str:
    found = assistants if isinstance(assistants, list) else []
    names = [str(each.get("model") or tr("not chosen")) for each in found if isinstance(each, dict)]
    return " → ".join(names) or tr("none")


def _pool(pool: Any) -> str:
    if not isinstance(pool, dict):
        return tr("none")
    return tr("from {share:.0f} % sure", share=100 * float(pool.get("threshold") or 0))


def _objective(terms: Any) -> str:
    if not isinstance(terms, list):
        return tr("not set")
    return " + ".join(f"{_number(term.get('weight'))} {term.get('term')}" for term in terms if isinstance(term, dict))


def _training(train: Any) -> str:
    if not isinstance(train, dict):
        return tr("not set")
    epochs = train.get("epochs")
    words = tr("{count} epochs", count=epochs)
    if isinstance(epochs, int):
        words = trn("{count} epoch", "{count} epochs", epochs)
    return f"{words} · {train.get('optimizer')}"


def _recording(monitor: Any) -> str:
    every = monitor.get("every_seconds") if isinstance(monitor, dict) else None
    return tr("every {seconds} s", seconds=_number(every))


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)
