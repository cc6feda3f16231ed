"""The readable report of a run: one HTML file with its plots inside."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import jinja2
import numpy as np

from kdstudio.engine.evaluate import ECE_BINS
from kdstudio.engine.svg import Curve, line_plot, matrix
from kdstudio.project.amounts import amount, size_text
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.metrics import MetricFollower, MetricStore
from kdstudio.project.runs.snapshots import class_matrix, in_force, list_snapshots, read_probes, read_snapshot
from kdstudio.project.shipped import resource
from kdstudio.project.spec import SoftTerm
from kdstudio.project.yaml_io import write_text

COLOURS = {"teacher": "var(--teacher)", "student": "var(--student)", "baseline": "var(--baseline)"}
NAMES = {"teacher": "Teacher", "student": "Student", "baseline": "Student alone"}
TERM_COLOURS = ["var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)", "var(--c5)"]
POINTS = 400

Plots = list[tuple[str, str, str]]
"""Title, explanation and picture of each."""


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
    networks = {name: scorecard["networks"][name] for name in NAMES if name in scorecard["networks"]}
    names = {**NAMES, **{name: name.capitalize().replace("-", " ") for name in scorecard["networks"] if "-" in name}}
    between = [name for name in names if name not in NAMES]
    columns = {
        name: scorecard["networks"][name]
        for name in ("teacher", *between, "student", "baseline")
        if name in scorecard["networks"]
    }
    html = environment.get_template("report.html").render(
        card=scorecard,
        networks=networks,
        columns=columns,
        names=names,
        colours={name: COLOURS.get(name, "var(--soft)") for name in names},
        split=split,
        run=run.name,
        spec=run.experiment_path.read_text(encoding="utf-8"),
        created=time.strftime("%Y-%m-%d %H:%M", time.localtime(scorecard["created"])),
        figures=_figures(scorecard["headline"], networks["student"], split),
        rows=_rows(columns, split),
        chain=_chain(scorecard, names),
        sections=_sections(run, scorecard, networks, store, split),
    )
    write_text(run.report_path, html)


# -- figures -------------------------------------------------------------------------------------------------


def percent(share: float | None, digits: int = 2) -> str:
    """0.1234 as `12.34 %`; a dash for what is not known."""
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def _figures(head: dict[str, Any], student: dict[str, Any], split: str) -> list[tuple[str, str, str]]:
    """Number, what it is, and `good` or `bad` where it is a verdict."""
    metric = next((name for name in ("perplexity", "f1") if name in student[split]), "accuracy")
    language = "perplexity" in student[split]
    found = [(f"{head['score']:.2f}" if language else percent(head["score"]), f"{metric} of the student", "")]
    if head.get("keeps") is not None:
        found.append((percent(head["keeps"], 1), f"of the teacher's {metric} kept", ""))
    if head.get("smaller_by") is not None:
        less = head["smaller_by"]
        found.append((percent(abs(less), 1), f"{'fewer' if less >= 0 else 'more'} parameters", ""))
    if head.get("faster_by") is not None:
        less = head["faster_by"]
        found.append((percent(abs(less), 1), f"{'less' if less >= 0 else 'more'} time per sample", ""))
    if head.get("gain") is not None:
        gain = head["gain"] if language else 100 * head["gain"]
        text = f"{gain:+.2f}".replace("-", "−") if gain and not language else f"{abs(gain):.2f}"
        verdict = "good" if gain > 0 else "bad" if gain < 0 else ""
        words = "points against hard labels alone"
        if language:
            words = f"{'less' if gain >= 0 else 'more'} perplexity than from the text alone"
        found.append((text, words, verdict))
    if len(found) < 4:  # without a teacher: what the student costs
        found += [
            (amount(student["parameters"]), "parameters", ""),
            (size_text(student["file_bytes"]), "file", ""),
            (amount(student["flops"]), "FLOPs a sample", ""),
        ]
    return found


def _chain(scorecard: dict[str, Any], names: dict[str, str]) -> list[tuple[str, str]]:
    """Split, and the score at each link of a chain."""

    def told(figures: dict[str, Any]) -> str:
        if "perplexity" in figures:
            return f"{figures['perplexity']:.2f}"
        return percent(figures.get("f1", figures["accuracy"]))

    links = scorecard.get("chain", [])
    networks = scorecard["networks"]
    return [
        (split, " → ".join(f"{names[name]} {told(networks[name][split])}" for name in links))
        for split in ("validation", "test")
        if links and split in networks["student"]
    ]


#: Kinds of tags that have a row of their own.
MOST_TAGS = 40
Cell = tuple[str, str]
"""A figure, and what stands small below it."""


def _rows(networks: dict[str, Any], split: str) -> list[tuple[str, list[Cell]]]:
    """The scorecard: one row a figure, one cell a network; rows that nobody has are left out."""

    def nats(value: float | None) -> str:
        return "–" if value is None else f"{value:.4f} nats"

    def spread(figure: dict[str, float], unit: str, digits: int) -> Cell:
        low, high = (f"{figure[key]:,.{digits}f}" for key in ("low", "high"))
        return f"{figure['median']:,.{digits}f}{unit}", f"{low} – {high}"

    language = any("perplexity" in entry[split] for entry in networks.values())
    right = "Right token" if language else "Accuracy"
    picks: list[tuple[str, Callable[[dict[str, Any]], str | Cell]]] = [
        ("Model", lambda n: str(n["model"])),
        ("Perplexity", lambda n: f"{n[split]['perplexity']:.2f}"),
        ("F1 score", lambda n: percent(n[split]["f1"])),
        (right, lambda n: percent(n[split]["accuracy"])),
        (f"Right {'token' if language else 'class'} among the first five", lambda n: percent(n[split]["top5"])),
        ("Negative log-likelihood", lambda n: nats(n[split]["nll"])),
        ("Expected calibration error", lambda n: percent(n[split]["ece"])),
        ("Agrees with the teacher", lambda n: percent(n[split]["fidelity"]["agreement"])),
        ("KL to the teacher", lambda n: nats(n[split]["fidelity"]["kl"])),
        ("Taken as a draft of the teacher (1 - TVD)", lambda n: percent(n[split]["fidelity"]["acceptance"])),
        ("Parameters", lambda n: f"{n['parameters']:,}"),
        ("File", lambda n: size_text(n["file_bytes"])),
        ("FLOPs a sample", lambda n: amount(n["flops"])),
        ("Latency, one sample", lambda n: spread(n["speed"]["latency_ms"], " ms", 3)),
        ("Samples a second, in batches", lambda n: spread(n["speed"]["throughput"], "", 0)),
        ("Latency on the processor", lambda n: spread(n["speed_cpu"]["latency_ms"], " ms", 3)),
        ("In batches on the processor", lambda n: spread(n["speed_cpu"]["throughput"], "", 0)),
        ("Samples in a batch", lambda n: f"{n['speed']['batch']:,}"),
    ]
    rows = []
    for label, pick in picks:
        cells: list[Cell] = []
        for entry in networks.values():
            try:
                cell = pick(entry)
            except KeyError:  # not measured, or not for this network
                cell = "–"
            cells.append((cell, "") if isinstance(cell, str) else cell)
        if any(text != "–" for text, _ in cells):
            rows.append((label, cells))
    return rows + _tag_rows([entry[split].get("per_tag") or {} for entry in networks.values()])


def _tag_rows(networks: list[dict[str, Any]]) -> list[tuple[str, list[Cell]]]:
    """Of networks that tag words: the F1 score of each kind, with precision and recall below it."""

    def cell(found: dict[str, Any] | None) -> Cell:
        if found is None:
            return "–", ""
        return percent(found["f1"]), f"{percent(found['precision'])} precise, {percent(found['recall'])} found"

    kinds = sorted(set().union(*networks))[:MOST_TAGS]
    return [(f"F1 score of {kind}", [cell(each.get(kind)) for each in networks]) for kind in kinds]


# -- plots ---------------------------------------------------------------------------------------------------


def _sections(
    run: RunFolder, scorecard: dict[str, Any], networks: dict[str, Any], store: MetricStore, split: str
) -> list[dict[str, str]]:
    """Title, explanation and picture of each plot that has data, in pairs that belong together."""
    classes = scorecard["classes"]
    student = networks["student"][split]
    plots: Plots = [
        ("Losses", "Each term of the objective as it was optimised (weighted), and the sum; smoothed.", _losses(store)),
        ("Validation accuracy", "Per epoch; the best student epoch is the one that was kept.", _accuracy(store)),
    ]
    if "perplexity" in student:
        text = "Per epoch, on validation text; less is better, and the best student epoch is the one that was kept."
        plots[1] = ("Validation perplexity", text, _perplexity(store))
    if "f1" in student:
        text = "Per epoch; the best student epoch, by the F1 score, is the one that was kept."
        plots[1] = ("Validation F1 score", text, _accuracy(store, "f1"))
    if "confusion" not in student:
        return [{"title": title, "text": text, "svg": svg} for title, text, svg in plots if svg]
    text = f"Rows: label. Columns: the student's answer on {split} data. Colour: share of the row."
    plots.append(("Confusion of the student", text, matrix(student["confusion"], classes, counts=True)))
    if "fidelity" in student:
        text = "Rows: the teacher's answer. Columns: the student's. Colour: share of the row."
        table = student["fidelity"]["confusion"]
        plots.append(("Student against teacher", text, matrix(table, classes, counts=True)))
    plots += _dark_knowledge(run, classes)
    text = "Accuracy against confidence; on the diagonal a network is as sure as it is right. Large dots: many samples."
    plots.append(("Reliability", text, _reliability(networks, split)))
    text = "How sure the networks are: the share of samples in each step of confidence."
    plots.append(("Confidence", text, _confidence(networks, split)))
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
    return line_plot(curves, "step", "loss", log=True)


def _accuracy(store: MetricStore, key: str = "accuracy") -> str:
    curves: list[Curve] = []
    for stage, colour in COLOURS.items():
        series = store.series(stage, "validation", key)
        if len(series.values):
            epochs = np.arange(1, len(series.values) + 1)
            curves.append((NAMES[stage], colour, *_lists(*thin(epochs, 100 * series.values))))
    values = [value for curve in curves for value in curve[3] if math.isfinite(value)]
    if not values:
        return ""
    pad = max(2.0, 0.05 * (max(values) - min(values)))
    span = (max(0.0, min(values) - pad), min(100.0, max(values) + pad))
    return line_plot(curves, "epoch", f"{'F1 score' if key == 'f1' else key} in %", y_range=span)


def _perplexity(store: MetricStore) -> str:
    curves: list[Curve] = []
    for stage, colour in COLOURS.items():
        series = store.series(stage, "validation", "perplexity")
        if len(series.values):
            epochs = np.arange(1, len(series.values) + 1)
            curves.append((NAMES[stage], colour, *_lists(*thin(epochs, series.values))))
    return line_plot(curves, "epoch", "perplexity", log=True) if curves else ""


def _lists(first: np.ndarray, second: np.ndarray) -> tuple[list[float], list[float]]:
    return first.tolist(), second.tolist()


def _reliability(networks: dict[str, Any], split: str) -> str:
    curves: list[Curve] = []
    dots = []
    for name, entry in networks.items():
        bins = [item for item in entry[split]["reliability"] if item["count"]]
        label = f"{NAMES[name]} (ECE {percent(entry[split]['ece'], 1)})"
        sure, right = ([100 * item[key] for item in bins] for key in ("confidence", "accuracy"))
        curves.append((label, COLOURS[name], sure, right))
        total = sum(item["count"] for item in bins)
        dots.append([1.5 + 5 * math.sqrt(item["count"] / total) for item in bins])
    whole = (0.0, 100.0)
    return line_plot(curves, "confidence in %", "accuracy in %", x_range=whole, y_range=whole, diagonal=True, dots=dots)


def _confidence(networks: dict[str, Any], split: str) -> str:
    curves: list[Curve] = []
    for name, entry in networks.items():
        bins = entry[split]["reliability"]
        total = sum(item["count"] for item in bins) or 1
        edges = [100 * (place + side) / ECE_BINS for place in range(len(bins)) for side in (0, 1)]
        shares = [100 * item["count"] / total for item in bins for _ in range(2)]
        curves.append((NAMES[name], COLOURS[name], edges, shares))
    highest = max(max(shares) for _, _, _, shares in curves)
    return line_plot(
        curves, "confidence in %", "samples in %", x_range=(0.0, 100.0), y_range=(0.0, 1.05 * (highest or 1))
    )


def _dark_knowledge(run: RunFolder, classes: list[str]) -> Plots:
    """Mean soft targets per class of teacher and student, at the temperature of the objective."""
    probes, infos = read_probes(run), in_force(list_snapshots(run))
    snapshot = read_snapshot(infos[-1]) if infos else None
    if probes is None or snapshot is None:
        return []
    temperature = next((term.temperature for term in run.experiment().objective if isinstance(term, SoftTerm)), 1.0)
    found: Plots = []
    for name, logits in (("teacher", probes.pool_teacher_logits), ("student", snapshot.pool_student_logits)):
        if logits is not None:
            table = class_matrix(logits, probes.pool_labels, temperature, len(classes))
            text = f"Mean output per label at T = {temperature:g}; beside the diagonal lies the dark knowledge."
            found.append((f"Dark knowledge: {name}", text, matrix(table.tolist(), classes, counts=False)))
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
