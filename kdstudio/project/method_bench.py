"""A comparison of methods on one pair of networks: its runs, and what they say, as figures and tables.

The runs of a comparison are ordinary runs of the project, in `runs/methods-EXPERIMENT-METHOD/`, one a seed: all of them
have the same data, teacher, student, first weights, views and budget, and differ in their objective alone.
"""

from __future__ import annotations

import csv
import html
import io
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kdstudio.project.errors import KDStudioError
from kdstudio.project.folder import Project
from kdstudio.project.methods import BY_NAME
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
    """What the runs of one method say, one number a seed."""

    method: str
    seeds: list[int] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    test: list[float] = field(default_factory=list)
    agreement: list[float] = field(default_factory=list)
    step_seconds: list[float] = field(default_factory=list)
    memory_bytes: list[float] = field(default_factory=list)
    why_not: str = ""

    def add(self, seed: int, run: RunFolder) -> None:
        """Takes the figures of a finished run."""
        card = run.scorecard() or {}
        student = card.get("networks", {}).get("student", {})
        scores = [student.get(split, {}).get("accuracy") for split in ("validation", "test")]
        if scores[0] is None:
            return
        self.seeds.append(seed)
        self.validation.append(scores[0])
        if scores[1] is not None:
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

    @property
    def scores(self) -> list[float]:
        """Accuracy on test samples, on validation samples where no test was scored."""
        return self.test if len(self.test) == len(self.seeds) else self.validation


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

    `against` is the mean and the standard deviation of the differences to soft targets, seed by seed.
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


def rows_of(figures: Sequence[Figures]) -> list[Row]:
    """The table, the best validation accuracy first; what was not run is last.

    A method is `better` or `worse` than soft targets only where every seed says so; anything else is `no clear
    difference`. The order is by validation accuracy, by which methods are chosen; test accuracy is what is reported.
    """
    by_name = {each.method: each for each in figures}
    floor = by_name.get(FLOOR)
    base = statistics.median(floor.step_seconds) if floor is not None and floor.step_seconds else None
    rows = []
    for each in figures:
        step = statistics.median(each.step_seconds) if each.step_seconds else None
        against, verdict = _against(each, by_name.get(REFERENCE))
        rows.append(
            Row(
                each.method,
                BY_NAME[each.method].title,
                len(each.seeds),
                _spread(each.test),
                _spread(each.validation),
                _spread(each.agreement),
                against,
                verdict,
                step / base if step is not None and base else None,
                max(each.memory_bytes) if each.memory_bytes else None,
                BY_NAME[each.method].source,
                each.why_not,
            )
        )
    return sorted(rows, key=lambda row: -(row.validation[0] if row.validation else -1.0))


def _spread(values: Sequence[float]) -> tuple[float, float | None] | None:
    if not values:
        return None
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None


def _against(own: Figures, reference: Figures | None) -> tuple[tuple[float, float | None] | None, str]:
    if reference is None or own.method == REFERENCE:
        return None, ""
    scores = dict(zip(reference.seeds, reference.scores))
    differences = [score - scores[seed] for seed, score in zip(own.seeds, own.scores) if seed in scores]
    found = _spread(differences)
    if found is None or len(differences) < 2:
        return found, ""
    if all(difference > 0 for difference in differences):
        return found, "better"
    return found, "worse" if all(difference < 0 for difference in differences) else "no clear difference"


HEAD = (
    "method", "seeds", "test accuracy, %", "validation accuracy, %", "agrees with teacher, %",
    "against soft targets, points", "than soft targets", "time of a step", "memory, MB",
)  # fmt: skip
NOTE = (
    "Mean ± standard deviation over seeds. Order: validation accuracy. Against soft targets: differences of test "
    "accuracy, seed by seed; better or worse only where every seed says so. "
    "Time of a step: from one step to the next, against hard labels alone. "
    "Memory: the most on the device; where there is none, of the whole process."
)


def cells(row: Row) -> list[str]:
    """A row as texts."""
    if row.why_not:
        return [row.title, "0", *["–"] * 4, row.why_not, "–", "–"]
    return [
        row.title,
        str(row.seeds),
        _percent(row.test),
        _percent(row.validation),
        _percent(row.agreement),
        _percent(row.against, sign=True),
        row.verdict or "–",
        f"{row.step_ratio:.2f} ×" if row.step_ratio is not None else "–",
        f"{row.memory_bytes / 1e6:,.0f}" if row.memory_bytes is not None else "–",
    ]


def _percent(value: tuple[float, float | None] | None, sign: bool = False) -> str:
    if value is None:
        return "–"
    mean, spread = value
    text = f"{100 * mean:+.2f}" if sign else f"{100 * mean:.2f}"
    return text if spread is None else f"{text} ± {100 * spread:.2f}"


def as_markdown(rows: Sequence[Row], about: str) -> str:
    """The table as Markdown."""
    lines = [about, "", "| " + " | ".join(HEAD) + " |", "|---|" + "---:|" * (len(HEAD) - 1)]
    lines += ["| " + " | ".join(cells(row)) + " |" for row in rows]
    return "\n".join([*lines, "", NOTE]) + "\n"


def as_csv(rows: Sequence[Row]) -> str:
    """The figures as comma-separated values: shares, bytes and ratios."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    pairs = ("test", "validation", "agreement", "against")
    head = [f"{name}_{part}" for name in pairs for part in ("mean", "spread")]
    writer.writerow(["method", "seeds", *head, "verdict", "step_ratio", "memory_bytes", "source", "why_not"])
    for row in rows:
        numbers = [number for name in pairs for number in (getattr(row, name) or (None, None))]
        rest = [row.verdict, row.step_ratio, row.memory_bytes, row.source, row.why_not]
        writer.writerow(["" if value is None else value for value in [row.method, row.seeds, *numbers, *rest]])
    return out.getvalue()


def as_html(rows: Sequence[Row], about: str) -> str:
    """The table as a page of its own."""
    head = "".join(f"<th>{html.escape(title)}</th>" for title in HEAD)
    body = "".join(
        f'<tr class="{"reference" if row.method == REFERENCE else ""}">'
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells(row))
        + "</tr>\n"
        for row in rows
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Methods compared</title><style>\n'
        "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;"
        "color-scheme:light dark}table{border-collapse:collapse;width:100%}"
        "th,td{padding:.4rem .6rem;text-align:right;border-bottom:1px solid #8885}"
        "th:first-child,td:first-child{text-align:left}.reference{font-weight:600}\n"
        f"</style></head><body>\n<h1>Methods compared</h1>\n<p>{html.escape(about)}</p>\n"
        f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>\n<p>{html.escape(NOTE)}</p>\n</body></html>\n"
    )


def as_json(rows: Sequence[Row], about: str) -> str:
    """The figures as one JSON object."""
    return json.dumps({"about": about, "rows": [vars(row) for row in rows]})
