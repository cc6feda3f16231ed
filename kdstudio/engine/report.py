"""The readable report of a run: one HTML file with its plots inside."""

from __future__ import annotations

import time
from typing import Any

import jinja2
import numpy as np

from kdstudio.engine.svg import Curve, line_plot, matrix
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.metrics import MetricFollower, MetricStore
from kdstudio.project.runs.snapshots import class_matrix, list_snapshots, read_probes, read_snapshot
from kdstudio.project.shipped import resource
from kdstudio.project.spec import SoftTerm
from kdstudio.project.yaml_io import write_text

COLOURS = {"teacher": "var(--teacher)", "student": "var(--student)", "baseline": "var(--baseline)"}
TERM_COLOURS = ["var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)", "var(--c5)"]
POINTS = 400


def write_report(run: RunFolder, scorecard: dict[str, Any]) -> None:
    """Writes `report.html` into the run folder.

    Args:
        run: A run with metrics.
        scorecard: What `score_run` measured.

    Raises:
        StorageError: The disk is full, or the folder cannot be written.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resource("report")), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    store = MetricFollower(run.metrics_path).read_all()
    split = scorecard["reported_split"]
    html = environment.get_template("report.html").render(
        card=scorecard,
        split=split,
        run=run.name,
        spec=run.experiment_path.read_text(encoding="utf-8"),
        created=time.strftime("%Y-%m-%d %H:%M", time.localtime(scorecard["created"])),
        plots=_plots(run, scorecard, store, split),
    )
    write_text(run.report_path, html)


def _plots(run: RunFolder, scorecard: dict[str, Any], store: MetricStore, split: str) -> list[dict[str, str]]:
    """Title, explanation and picture of each plot that has data."""
    classes = scorecard["classes"]
    networks = scorecard["networks"]
    plots = [
        ("Losses", "Each term of the objective as it was optimised (weighted), smoothed; and the sum.", _losses(store)),
        ("Validation accuracy", "Per epoch; the best student epoch is the one that was kept.", _accuracy(store)),
        (
            "Confusion of the student",
            f"Rows: label. Columns: the student's answer on {split} data.",
            matrix(networks["student"][split]["confusion"], classes, classes, counts=True),
        ),
        (
            "Reliability",
            "Accuracy against confidence; on the diagonal a network is as sure as it is right.",
            _reliability(networks, split),
        ),
    ]
    if "fidelity" in networks["student"][split]:
        table = networks["student"][split]["fidelity"]["confusion"]
        text = "Rows: the teacher's answer. Columns: the student's."
        plots.append(("Student against teacher", text, matrix(table, classes, classes, counts=True)))
    plots += _dark_knowledge(run, classes)
    return [{"title": title, "text": text, "svg": svg} for title, text, svg in plots if svg]


def _losses(store: MetricStore) -> str:
    curves: list[Curve] = []
    trained = [key for stage, split, key in store.keys() if (stage, split) == ("student", "train")]  # noqa: SIM118
    terms = [key for key in trained if key.endswith(".weighted")]
    for index, key in enumerate(["loss", *terms]):
        series = store.series("student", "train", key)
        if len(series.steps):
            label = "sum" if key == "loss" else key.removeprefix("term.").removesuffix(".weighted")
            colour = "var(--ink)" if key == "loss" else TERM_COLOURS[(index - 1) % len(TERM_COLOURS)]
            steps, values = thin(series.steps, smooth(series.values))
            curves.append((label, colour, steps.tolist(), values.tolist()))
    return line_plot(curves, "step", "loss")


def _accuracy(store: MetricStore) -> str:
    curves: list[Curve] = []
    for stage, colour in COLOURS.items():
        series = store.series(stage, "validation", "accuracy")
        if len(series.values):
            epochs = np.arange(1, len(series.values) + 1)
            curves.append((stage, colour, epochs.tolist(), series.values.tolist()))
    return line_plot(curves, "epoch", "accuracy")


def _reliability(networks: dict[str, Any], split: str) -> str:
    curves: list[Curve] = []
    for name, entry in networks.items():
        bins = [item for item in entry[split]["reliability"] if item["count"]]
        label = f"{name} (ECE {entry[split]['ece']:.3f})"
        curves.append((label, COLOURS[name], [b["confidence"] for b in bins], [b["accuracy"] for b in bins]))
    return line_plot(curves, "confidence", "accuracy", diagonal=True)


def _dark_knowledge(run: RunFolder, classes: list[str]) -> list[tuple[str, str, str]]:
    """Mean soft targets per class of teacher and student, at the temperature of the objective."""
    probes, infos = read_probes(run), list_snapshots(run)
    snapshot = read_snapshot(infos[-1]) if infos else None
    if probes is None or snapshot is None:
        return []
    temperature = next((term.temperature for term in run.experiment().objective if isinstance(term, SoftTerm)), 1.0)
    found = []
    for name, logits in (("teacher", probes.pool_teacher_logits), ("student", snapshot.pool_student_logits)):
        if logits is not None:
            table = class_matrix(logits, probes.pool_labels, temperature, len(classes))
            text = f"Mean output per label at T = {temperature:g}; beside the diagonal lies the dark knowledge."
            found.append((f"Dark knowledge: {name}", text, matrix(table.tolist(), classes, classes, counts=False)))
    return found


def smooth(values: np.ndarray, share: float = 0.97) -> np.ndarray:
    """Exponential moving average with bias correction: a constant stays what it is."""
    result = np.empty(len(values))
    mean, weight = 0.0, 0.0
    for index, value in enumerate(values):
        if np.isfinite(value):
            mean = share * mean + (1 - share) * value
            weight = share * weight + (1 - share)
        result[index] = mean / weight if weight else np.nan
    return result


def thin(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most about `POINTS` samples, evenly over the curve, with its last one."""
    if len(steps) <= POINTS:
        return steps, values
    chosen = np.unique(np.linspace(0, len(steps) - 1, POINTS).round().astype(int))
    return steps[chosen], values[chosen]
