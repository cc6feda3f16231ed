"""A comparison of methods on one pair of networks: its runs, and what they say, as figures.

The runs of a comparison are ordinary runs of the project, in `runs/methods-EXPERIMENT-METHOD/`, one a seed: all of them
have the same data, teacher, student, first weights, views and budget, and differ in their objective alone.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kdstudio.project.errors import KDStudioError
from kdstudio.project.folder import Project
from kdstudio.project.methods import BY_NAME
from kdstudio.project.paired import Paired, judged
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.metrics import MetricFollower
from kdstudio.project.runs.state import RunStatus
from kdstudio.project.spec import Experiment, validate

#: What the others are measured against.
REFERENCE = "soft"
FLOOR = "hard"


@dataclass(frozen=True)
class Planned:
    """One run of a comparison: its method, its seed and its spec; or why there is none."""

    method: str
    seed: int
    experiment: Experiment | None
    why: str = ""


def plan(
    base: Experiment, methods: dict[str, list[dict[str, Any]] | None], seeds: Sequence[int], epochs: int | None = None
) -> list[Planned]:
    """The runs of a comparison, seed by seed, so that an unfinished one has all methods of the first seeds.

    Args:
        base: Data, teacher, student and budget.
        methods: The objective of each method; None where it does not fit the networks.
        seeds: Of the student's training.
        epochs: A budget in place of the experiment's.
    """
    found = []
    for seed in seeds:
        for name, objective in methods.items():
            if objective is None:
                found.append(Planned(name, seed, None, "no layers of the two networks fit it"))
                continue
            plain = base.model_dump(mode="json")
            plain |= {"name": f"methods-{base.name}-{name}"[:80], "objective": objective, "baseline": False}
            plain["train"] |= {"seed": seed} | ({"epochs": epochs} if epochs else {})
            found.append(Planned(name, seed, validate(Experiment, plain, f"the method '{name}'")))
    return found


def run_of(project: Project, experiment: Experiment) -> RunFolder | None:
    """The run that there is for a spec already: a finished one, else the newest."""
    frozen = project.frozen(experiment).model_dump(mode="json")
    found = None
    for run in project.runs(experiment.name):
        try:
            same = run.experiment().model_dump(mode="json") == frozen
        except KDStudioError:
            continue
        if same:
            found = run
            if run.status() is RunStatus.FINISHED:
                return run
    return found


@dataclass
class Figures:
    """What the runs of one method say, one number a seed; `test` is None for a seed whose test was not scored."""

    method: str
    seeds: list[int] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    test: list[float | None] = field(default_factory=list)
    agreement: list[float] = field(default_factory=list)
    step_seconds: list[float] = field(default_factory=list)
    memory_bytes: list[float] = field(default_factory=list)
    why_not: str = ""
    fits: bool = True

    def add(self, seed: int, run: RunFolder) -> None:
        """Takes the figures of a finished run."""
        card = run.scorecard() or {}
        student = card.get("networks", {}).get("student", {})
        scores = [student.get(split, {}).get("accuracy") for split in ("validation", "test")]
        if scores[0] is None:
            return
        self.seeds.append(seed)
        self.validation.append(scores[0])
        self.test.append(scores[1])
        agreement = card.get("headline", {}).get("agreement")
        if agreement is not None:
            self.agreement.append(agreement)
        seconds = step_seconds(run)
        if seconds is not None:
            self.step_seconds.append(seconds)
        memory = peak_memory(run)
        if memory is not None:
            self.memory_bytes.append(memory)

    def scores(self, split: str) -> dict[int, float]:
        """The accuracy on a split, by seed; only of seeds that were scored on it."""
        values = self.test if split == "test" else self.validation
        return {seed: value for seed, value in zip(self.seeds, values) if value is not None}


def step_seconds(run: RunFolder) -> float | None:
    """The median time between two steps of the student's training, from the record; None for too few."""
    times = np.asarray(MetricFollower(run.metrics_path).read_all().series("student", "train", "loss").times)
    return float(np.median(np.diff(times))) if len(times) > 10 else None


def peak_memory(run: RunFolder) -> float | None:
    """The most memory seen while the student trained: on the device where it is one, else of the process; bytes."""
    store = MetricFollower(run.resources_path).read_all()
    for key in ("device_memory", "memory"):
        values = np.asarray(store.series("student", "resources", key).values)
        if np.nanmax(values, initial=0.0) > 0:
            return float(np.nanmax(values))
    return None


@dataclass(frozen=True)
class Row:
    """One method in the table. Means and standard deviations are over seeds; shares, seconds, bytes.

    Attributes:
        against: Of the differences to soft targets, seed by seed, in accuracy on `split`.
        interval: Half the width of the 95 % interval of their mean.
        verdict: See `kdstudio.project.paired`; empty where there is nothing to compare.
        why_not: Why there are no figures.
        fits: Whether it can be run on these networks at all.
    """

    method: str
    title: str
    seeds: int
    test: tuple[float, float | None] | None
    validation: tuple[float, float | None] | None
    agreement: tuple[float, float | None] | None
    against: tuple[float, float | None] | None
    verdict: str
    step_ratio: float | None
    memory_bytes: float | None
    source: str
    why_not: str = ""
    interval: float | None = None
    split: str = "test"
    fits: bool = True


def rows_of(figures: Sequence[Figures]) -> list[Row]:
    """The table, the best validation accuracy first; what was not run is last.

    The order is by validation accuracy, by which methods are chosen; test accuracy is what is reported and compared.
    Validation accuracy is compared only where no run of the comparison has a test score.
    """
    by_name = {each.method: each for each in figures}
    floor = by_name.get(FLOOR)
    base = statistics.median(floor.step_seconds) if floor is not None and floor.step_seconds else None
    tested = any(each.scores("test") for each in figures)
    split = "test" if tested or not any(each.seeds for each in figures) else "validation"
    rows = []
    for each in figures:
        step = statistics.median(each.step_seconds) if each.step_seconds else None
        against = _against(each, by_name.get(REFERENCE), split)
        rows.append(
            Row(
                method=each.method,
                title=BY_NAME[each.method].title,
                seeds=len(each.seeds),
                test=_spread(list(each.scores("test").values())),
                validation=_spread(each.validation),
                agreement=_spread(each.agreement),
                against=(against.mean, against.spread) if against is not None else None,
                verdict=against.verdict if against is not None else "",
                step_ratio=step / base if step is not None and base else None,
                memory_bytes=max(each.memory_bytes) if each.memory_bytes else None,
                source=BY_NAME[each.method].source,
                why_not=each.why_not,
                interval=against.interval if against is not None else None,
                split=split,
                fits=each.fits,
            )
        )
    return sorted(rows, key=lambda row: -(row.validation[0] if row.validation else -1.0))


def _spread(values: Sequence[float]) -> tuple[float, float | None] | None:
    if not values:
        return None
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None


def _against(own: Figures, reference: Figures | None, split: str) -> Paired | None:
    if reference is None or own.method == REFERENCE:
        return None
    scores = reference.scores(split)
    return judged([score - scores[seed] for seed, score in own.scores(split).items() if seed in scores])
