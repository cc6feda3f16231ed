"""Finished runs as a table: mean and spread over seeds; as text, Markdown, comma-separated values and HTML."""

from __future__ import annotations

import csv
import html
import io
import json
import math
import statistics
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


def compare(project: Project) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """The finished runs, one row per experiment and spec (the seeds apart), and the runs that were left out.

    Figures are those of the scorecard, on its reported split. Runs whose specs differ in more than their seeds are
    never averaged, nor are runs that were stopped early.

    Returns:
        Rows with `experiment`, `runs` and `seeds` (numbers), `run_names`, `metric` (accuracy, f1 or perplexity), and
        for each of `FIGURES` None or `mean` and `spread` (the standard deviation over seeds, None for a single one).
        And `run` and `why` of those left out.
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


def cells_of(rows: list[dict[str, Any]]) -> list[list[str]]:
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
    if metric == "f1" and key in ("student", "baseline", "teacher"):
        unit = " F1"
    return f"{factor * mean:.2f}" + ("" if spread is None else f" ± {factor * spread:.2f}") + unit


def as_csv(rows: list[dict[str, Any]]) -> str:
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


def as_text(rows: list[dict[str, Any]]) -> str:
    """For a terminal."""
    table = [list(COLUMNS), *cells_of(rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(COLUMNS))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip() for cells in table)


def as_markdown(rows: list[dict[str, Any]]) -> str:
    """For a page."""
    table = [list(COLUMNS), *cells_of(rows)]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |" for cells in table]
    lines.insert(1, "|---|" + "---:|" * (len(COLUMNS) - 1))
    return "\n".join(lines)


def as_html(rows: list[dict[str, Any]], title: str) -> str:
    """A page of its own, light or dark as the reader's system is."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in COLUMNS)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>" for cells in cells_of(rows)
    )
    name = html.escape(title)
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{name}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ padding: .4rem .8rem; text-align: right; border-bottom: 1px solid #8884; }}
th:first-child, td:first-child {{ text-align: left; }}
</style>
<h1>{name}</h1>
<p>Percent, and points of gain: mean ± standard deviation over seeds, on test samples; F1 is the F1 score of
tagged words, ppl perplexity, of which less is better.</p>
<table><thead><tr>{head}</tr></thead><tbody>
{body}
</tbody></table>
</html>
"""
