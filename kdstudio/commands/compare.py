"""`kdstudio compare PROJECT`: a table of the finished runs, mean and spread over seeds."""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import statistics
import sys
from collections import Counter
from typing import Any

from kdstudio.project.errors import KDStudioError
from kdstudio.project.folder import Project
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.state import RunStatus

FIGURES = ("student", "baseline", "teacher", "agreement", "gain")
COLUMNS = ("experiment", "runs", "seeds", *FIGURES)

Seeds = tuple[int, int | None]
"""Of the student's training and of the teacher's."""
Read = tuple[RunFolder, Seeds, dict[str, float], str]
"""A run with its seeds, its figures, and what its score is."""


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "compare",
        help="a table of finished runs: mean and spread over seeds",
        description="Accuracy of student, baseline and teacher, the student's agreement with the teacher and its gain "
        "over the baseline, in percent (points): mean ± standard deviation over seeds. Of language models perplexity "
        "in the place of accuracy (ppl; less is better). Runs whose specs differ in more than their seeds are never "
        "averaged.",
    )
    parser.add_argument("project", help="project folder")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="a Markdown table")
    form.add_argument("--csv", action="store_true", help="comma-separated values (shares, not percent)")
    form.add_argument("--json", action="store_true", help="one JSON object")


def run(args: argparse.Namespace) -> int:
    rows, skipped = compare(Project.open(args.project))
    if args.json:
        print(json.dumps({"rows": rows, "skipped": skipped}))
        return 0
    for item in skipped:
        print(f"skipped {item['run']}: {item['why']}", file=sys.stderr)
    if args.csv:
        print(_csv(rows), end="")
        return 0
    if not rows:
        print("there are no finished runs to compare yet", file=sys.stderr)
        return 0
    table = [list(COLUMNS), *_cells(rows)]
    if args.markdown:
        lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |" for cells in table]
        lines.insert(1, "|---|" + "---:|" * (len(COLUMNS) - 1))
    else:
        widths = [max(len(row[column]) for row in table) for column in range(len(COLUMNS))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip() for cells in table]
    print("\n".join(lines))
    return 0


def compare(project: Project) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """The finished runs, one row per experiment and spec (the seeds apart), and the runs that were left out.

    Figures are those of the scorecard, on its reported split. Runs whose specs differ in more than their seeds are
    never averaged, nor are runs that were stopped early.

    Returns:
        Rows with `experiment`, `runs` and `seeds` (numbers), `run_names`, `metric` (accuracy or perplexity), and for
        each of `FIGURES` None or `mean` and `spread` (the standard deviation over seeds, None for a single one). And
        `run` and `why` of those left out.
    """
    groups: dict[str, list[Read]] = {}
    skipped: list[dict[str, str]] = []
    for folder in project.runs():
        try:
            key, seeds, figures, metric = _read(folder)
        except KDStudioError as error:
            skipped.append({"run": folder.name, "why": error.what})
            continue
        groups.setdefault(key, []).append((folder, seeds, figures, metric))
    return [_row(runs) for runs in groups.values()], skipped


def _read(folder: RunFolder) -> tuple[str, Seeds, dict[str, float], str]:
    """What two runs must share to be averaged, the seeds, the figures, and what the score is.

    Raises:
        KDStudioError: The run is not finished, or damaged.
    """
    state = folder.state()
    status = folder.status()
    if status is not RunStatus.FINISHED:
        text = status.text(state)
        damaged = state.error is not None and state.error.get("kind") == "damaged"
        raise KDStudioError("its state.json is missing or damaged" if damaged else f"not finished ({text.lower()})")
    card = folder.scorecard()
    if card is None:
        there = folder.scorecard_path.exists()
        raise KDStudioError("its scorecard.json is damaged" if there else "it has no scorecard.json")
    try:
        figures = _figures(card)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise KDStudioError("its scorecard.json is damaged") from None
    try:
        spec = folder.experiment().model_dump(mode="json")
    except KDStudioError as error:
        raise KDStudioError(f"its experiment.yaml cannot be read ({error.what.splitlines()[0]})") from None
    seed = spec["train"].pop("seed")
    teacher_seed = spec["teacher"]["train"].pop("seed") if spec["teacher"] else None
    return (
        json.dumps([folder.experiment_name, spec], sort_keys=True),
        (seed, teacher_seed),
        figures,
        str(card.get("metric", "accuracy")),
    )


def _figures(card: dict[str, Any]) -> dict[str, float]:
    networks, split, metric = card["networks"], card["reported_split"], card.get("metric", "accuracy")
    found = {name: networks[name][split][metric] for name in ("student", "baseline", "teacher") if name in networks}
    head = card["headline"]
    found.update({name: head[name] for name in ("agreement", "gain") if head.get(name) is not None})
    if "student" not in found:
        raise ValueError("no student")
    for value in found.values():
        if isinstance(value, bool) or not math.isfinite(value):
            raise ValueError("no figure")
    return found


def _row(runs: list[Read]) -> dict[str, Any]:
    by_seed: dict[Seeds, list[dict[str, float]]] = {}
    for _, seeds, figures, _ in runs:
        by_seed.setdefault(seeds, []).append(figures)
    row: dict[str, Any] = {
        "experiment": runs[0][0].experiment_name,
        "runs": len(runs),
        "seeds": len(by_seed),
        "run_names": [folder.name for folder, *_ in runs],
        "metric": runs[0][3],
    }
    for name in FIGURES:
        # a seed that was run twice is no second sample
        per_seed = [[figures[name] for figures in same if name in figures] for same in by_seed.values()]
        row[name] = _spread([statistics.mean(values) for values in per_seed if values])
    return row


def _spread(values: list[float]) -> dict[str, float | None] | None:
    if not values:
        return None
    return {"mean": statistics.mean(values), "spread": statistics.stdev(values) if len(values) > 1 else None}


def _cells(rows: list[dict[str, Any]]) -> list[list[str]]:
    """The table's cells. An experiment with several specs has its run numbers beside its name."""
    times = Counter(row["experiment"] for row in rows)
    cells = []
    for row in rows:
        name = row["experiment"]
        if times[name] > 1:
            name += f" ({', '.join(run.rpartition('/')[2] for run in row['run_names'])})"
        cells.append(
            [name, str(row["runs"]), str(row["seeds"]), *(_cell(row[key], row["metric"], key) for key in FIGURES)]
        )
    return cells


def _cell(figure: dict[str, float | None] | None, metric: str, key: str) -> str:
    if figure is None or figure["mean"] is None:
        return "-"
    mean, spread = figure["mean"], figure["spread"]
    perplexity = metric == "perplexity" and key != "agreement"
    factor, unit = (1, " ppl") if perplexity else (100, "")
    return f"{factor * mean:.2f}" + ("" if spread is None else f" ± {factor * spread:.2f}") + unit


def _csv(rows: list[dict[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [f"{key}_{part}" for key in FIGURES for part in ("mean", "spread")]
    writer.writerow(["experiment", "runs", "seeds", "run_names", "metric", *names])
    for row in rows:
        figures = [(row[key] or {}).get(part) for key in FIGURES for part in ("mean", "spread")]
        texts = ["" if value is None else value for value in figures]
        writer.writerow(
            [row["experiment"], row["runs"], row["seeds"], " ".join(row["run_names"]), row["metric"], *texts]
        )
    return out.getvalue()
