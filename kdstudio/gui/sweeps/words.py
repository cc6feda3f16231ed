"""How a sweep's figures are said in the window."""

from __future__ import annotations

from typing import Any

from kdstudio.gui.language import mark, tr
from kdstudio.project.sweeps.trials import Outcome

OUTCOMES = {
    Outcome.WAITING: mark("waiting"),
    Outcome.RUNNING: mark("going"),
    Outcome.FINISHED: mark("finished"),
    Outcome.PRUNED: mark("stopped early"),
    Outcome.STOPPED: mark("stopped"),
    Outcome.FAILED: mark("failed"),
}
METRICS = {
    "accuracy": mark("Validation accuracy %"),
    "f1": mark("Validation F1 %"),
    "perplexity": mark("Validation perplexity"),
}


def metric_words(metric: str) -> str:
    """What a score is, with its unit."""
    found = METRICS.get(metric)
    return tr(found) if found is not None else tr("Validation {metric} %", metric=metric)


def shown(metric: str, score: float) -> float:
    """A score in the unit in which it is shown."""
    return score if metric == "perplexity" else 100 * score


def value_text(value: Any) -> str:
    """A value of a field."""
    if isinstance(value, bool):
        return tr("yes") if value else tr("no")
    return f"{value:.4g}" if isinstance(value, float) else str(value)
