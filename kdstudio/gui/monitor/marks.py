"""Upright marks in a plot: what happened in the run, and where terms of the objective start and end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kdstudio.gui.language import tr
from kdstudio.gui.monitor.words import duration
from kdstudio.gui.theme import Tokens
from kdstudio.gui.words import network_word
from kdstudio.project.runs.metrics import MetricRecord
from kdstudio.project.spec import Experiment


@dataclass(frozen=True)
class Mark:
    """A mark at a step of a stage. `time` is 0 where it is not known, as for what the experiment says beforehand."""

    kind: str
    step: float
    time: float
    words: str

    @property
    def colour(self) -> Callable[[Tokens], str]:
        return COLOURS[self.kind]

    @property
    def dash(self) -> str:
        return STYLES[self.kind]


COLOURS: dict[str, Callable[[Tokens], str]] = {
    "stage": lambda tokens: tokens.soft,
    "best": lambda tokens: tokens.good,
    "resume": lambda tokens: tokens.warn,
    "hold": lambda tokens: tokens.soft,
    "stop": lambda tokens: tokens.bad,
    "term": lambda tokens: tokens.accent,
}
STYLES = {"stage": "dash", "best": "solid", "resume": "dash", "hold": "dot", "stop": "dashdot", "term": "dash"}


def event_marks(events: Sequence[MetricRecord], stage: str) -> list[Mark]:
    """What happened in a stage: its best epoch, resumes, holds, a stop, an early stop."""
    found: list[Mark] = []
    best: Mark | None = None
    held: MetricRecord | None = None
    for record in events:
        if record.stage != stage:
            continue
        if record.event == "best":
            best = Mark("best", record.step, record.time, tr("best"))
        elif record.event == "resume":
            # what came after the checkpoint was taken back, and so was the best epoch of then
            if best is not None and best.step > record.step:
                best = None
            found.append(Mark("resume", record.step, record.time, tr("resumed")))
        elif record.event == "hold":
            held = record
        elif record.event == "continue" and held is not None:
            found.append(
                Mark("hold", held.step, held.time, tr("hold {duration}", duration=duration(record.time - held.time)))
            )
            held = None
        elif record.event == "early-stop":
            found.append(Mark("stop", record.step, record.time, tr("early stop")))
        elif record.event == "stop":
            found.append(Mark("stop", record.step, record.time, tr("stopped")))
    if held is not None:
        found.append(Mark("hold", held.step, held.time, tr("hold")))
    return sorted([*found, *([best] if best else [])], key=lambda mark: mark.step)


def run_marks(events: Sequence[MetricRecord]) -> list[Mark]:
    """What happened in a whole run: its stages, resumes, holds and stops."""
    stages = list(dict.fromkeys(record.stage for record in events))
    found = [
        Mark("stage", record.step, record.time, network_word(record.stage))
        for record in events
        if record.event == "stage"
    ]
    for stage in stages:
        found += [mark for mark in event_marks(events, stage) if mark.kind != "best"]
    return sorted(found, key=lambda mark: mark.time)


def term_marks(experiment: Experiment | None, stage: str, steps_per_epoch: float) -> list[Mark]:
    """Where terms of the student's objective start and end."""
    if experiment is None or stage != "student" or steps_per_epoch <= 1:
        return []
    found: dict[int, list[str]] = {}
    for term in experiment.objective:
        if term.from_epoch > 0:
            found.setdefault(term.from_epoch, []).append(tr("{term} starts", term=term.term))
        if term.until_epoch is not None and term.until_epoch < experiment.train.epochs:
            found.setdefault(term.until_epoch, []).append(tr("{term} ends", term=term.term))
    return [Mark("term", epoch * steps_per_epoch - 1, 0.0, ", ".join(words)) for epoch, words in sorted(found.items())]
