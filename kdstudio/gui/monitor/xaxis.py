"""Where samples stand on the x axis: by step, by epoch or by time of training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kdstudio.gui.language import mark, tr
from kdstudio.gui.monitor.words import duration
from kdstudio.project.runs.metrics import MetricRecord, MetricStore, Series
from kdstudio.project.runs.state import RunState

KINDS = ("step", "epoch", "time")
UNITS = {"seconds": "s", "minutes": "min", "hours": "h"}
#: Words at the axis, of a unit of time or of another kind; and how a number of a low chart says what it is.
AXIS_WORDS = {
    "seconds": mark("seconds of training"),
    "minutes": mark("minutes of training"),
    "hours": mark("hours of training"),
    "step": mark("step"),
    "epoch": mark("epoch"),
}
FORMS = {"step": mark("step {}"), "epoch": mark("epoch {}")}


@dataclass(frozen=True)
class Placing:
    """Places the samples of one stage of one run.

    Args:
        kind: One of `KINDS`.
        steps_per_epoch: Of the stage, 1 while it is not known.
        begin: When the stage began, seconds since 1970.
        breaks: (when, how long) of each time in which nothing was trained: holds, and what lies between a park or a
            crash and the resume. Times of training leave them out.
    """

    kind: str = "step"
    steps_per_epoch: float = 1.0
    begin: float = 0.0
    breaks: tuple[tuple[float, float], ...] = ()

    def place(self, steps: np.ndarray, times: np.ndarray) -> np.ndarray:
        """The positions of samples: steps (n), times (n) to x (n)."""
        if self.kind == "time":
            ends = np.array([when for when, _ in self.breaks])
            lengths = np.array([length for _, length in self.breaks])
            past = np.searchsorted(ends, times, side="right")
            # within a break time stands still
            times = np.minimum(times, np.append(ends - lengths, np.inf)[past])
            return times - self.begin - np.concatenate([[0.0], np.cumsum(lengths)])[past]
        if self.kind == "epoch":
            return (steps + 1) / self.steps_per_epoch
        return steps.astype(float)

    def series(self, series: Series) -> np.ndarray:
        return self.place(series.steps, series.times)

    def words(self, x: float) -> str:
        """A position as people say it."""
        if self.kind == "time":
            return duration(x)
        if self.kind == "epoch":
            return tr("epoch {number:.2f}", number=x)
        return tr("step {number:,}", number=round(x))


def placing_of(store: MetricStore, stage: str, kind: str, state: RunState | None = None) -> Placing:
    """How the samples of a stage are placed; with no stage, those of the whole run (by time only)."""
    if kind == "epoch":
        return Placing(kind, steps_per_epoch(store, stage, state))
    if kind == "time":
        own = [record for record in store.events if stage in ("", record.stage)]
        starts = [record.time for record in own if record.event == "stage"]
        times = store.series(stage, "train", "loss", 0, 1).times
        begin = starts[0] if starts else float(times[0]) if len(times) else 0.0
        return Placing(kind, begin=begin, breaks=_breaks(store, own))
    return Placing(kind)


def steps_per_epoch(store: MetricStore, stage: str, state: RunState | None = None) -> float:
    """Steps of an epoch: from the state of the stage that is going, else from the distance of validations."""
    if state is not None and state.stage == stage and state.total_steps and state.total_epochs:
        return state.total_steps / state.total_epochs
    steps = store.series(stage, "validation", "loss").steps
    return float(np.median(np.diff(steps, prepend=-1))) if len(steps) else 1.0


def _breaks(store: MetricStore, events: Sequence[MetricRecord]) -> tuple[tuple[float, float], ...]:
    found = []
    held: float | None = None
    for record in events:
        if record.event == "hold":
            held = record.time
        elif record.event == "continue" and held is not None:
            found.append((record.time, record.time - held))
            held = None
        elif record.event == "resume":
            ended = held if held is not None else store.time_before(record.time)
            if not np.isnan(ended):
                found.append((record.time, record.time - ended))
            held = None
    return tuple(found)


def time_unit(length: float) -> tuple[str, float]:
    """The unit for an axis of that many seconds, and how many seconds it has."""
    if length < 180:
        return "seconds", 1.0
    if length < 3 * 3600:
        return "minutes", 60.0
    return "hours", 3600.0
