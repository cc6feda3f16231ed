"""The quality panel: what the validation of a tagger records of each kind of tag, epoch by epoch."""

from __future__ import annotations

from typing import Any

import numpy as np

from kdstudio.gui.worker import TrainingWorker

#: What is recorded of each kind, as `f1.PER`.
MEASURED = ("f1", "precision", "recall")
NETWORKS = ("teacher", "student")


def recorded_kinds(worker: TrainingWorker, network: str = "student") -> list[str]:
    """The kinds of tags of which a network's validation has figures."""
    keys = [key for stage, split, key in worker.series_keys() if (stage, split) == (network, "validation")]
    return [key.removeprefix("f1.") for key in keys if key.startswith("f1.")]


def kinds_at(worker: TrainingWorker, step: int) -> dict[str, dict[str, Any]]:
    """For each network an entry as the scorecard has it, with `f1`, `precision`, `recall` and `per_tag`.

    The student's are those of the last epoch until a step, the teacher's its last ones. Counts are not recorded: 0.
    """
    found: dict[str, dict[str, Any]] = {}
    for network in NETWORKS:
        until = step if network == "student" else None
        whole = {name: _value(worker, network, name, until) for name in MEASURED}
        if whole["f1"] is not None:
            kinds = recorded_kinds(worker, network)
            per_tag: dict[str, dict[str, Any]] = {kind: {"count": 0} for kind in kinds}
            for kind, entry in per_tag.items():
                entry |= {name: _value(worker, network, f"{name}.{kind}", until) for name in MEASURED}
            found[network] = {**whole, "per_tag": per_tag}
    return found


def _value(worker: TrainingWorker, network: str, key: str, until: int | None) -> float | None:
    """The last value of a series, or the last until a step; None where there is none."""
    series = worker.series(network, "validation", key)
    count = len(series.values) if until is None else int(np.searchsorted(series.steps, until, "right"))
    return float(series.values[count - 1]) if count else None
