"""`kdstudio compare PROJECT`: a table of the finished runs, mean and spread over seeds."""

from __future__ import annotations

import argparse
import csv
import io
import json
import statistics
from typing import Any

from kdstudio.project.folder import Project

COLUMNS = ("experiment", "runs", "student", "baseline", "teacher", "agreement", "gain")


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("compare", help="a table of finished runs: mean and spread over seeds")
    parser.add_argument("project", help="project folder")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="a Markdown table")
    form.add_argument("--csv", action="store_true", help="comma-separated values")
    form.add_argument("--json", action="store_true", help="one JSON object")


def run(args: argparse.Namespace) -> int:
    rows = compare(Project.open(args.project))
    if args.json:
        print(json.dumps(rows))
        return 0
    table = [[row["experiment"], str(row["runs"]), *(_cell(row[key]) for key in COLUMNS[2:])] for row in rows]
    if args.csv:
        out = io.StringIO()
        writer = csv.writer(out)
        names = [f"{key}_{part}" for key in COLUMNS[2:] for part in ("mean", "spread")]
        writer.writerow(["experiment", "runs", *names])
        for row in rows:
            figures = [(row[key] or {}).get(part, "") for key in COLUMNS[2:] for part in ("mean", "spread")]
            writer.writerow([row["experiment"], row["runs"], *figures])
        print(out.getvalue(), end="")
    elif args.markdown:
        print("| " + " | ".join(COLUMNS) + " |")
        print("|" + "---|" * len(COLUMNS))
        for cells in table:
            print("| " + " | ".join(cells) + " |")
    else:
        widths = [max(len(row[i]) for row in [list(COLUMNS), *table]) for i in range(len(COLUMNS))]
        for cells in [list(COLUMNS), *table]:
            print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip())
    return 0


def compare(project: Project) -> list[dict[str, Any]]:
    """One row per experiment and spec (the seed apart): runs counted, mean and standard deviation of each figure.

    Figures are those of the scorecard, on its reported split. Runs whose specs differ in more than their seeds are
    never averaged.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    names: dict[str, str] = {}
    for run in project.runs():
        scorecard = run.scorecard()
        if scorecard is None:
            continue
        spec = run.experiment().model_dump(mode="json")
        spec["train"].pop("seed")
        if spec["teacher"]:
            spec["teacher"]["train"].pop("seed")
        key = json.dumps(spec, sort_keys=True)
        groups.setdefault(key, []).append(scorecard)
        names[key] = run.experiment_name
    return [_row(names[key], cards) for key, cards in groups.items()]


def _row(name: str, cards: list[dict[str, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {"experiment": name, "runs": len(cards), "seeds": [card["seed"] for card in cards]}
    for key in ("student", "baseline", "teacher"):
        values = [
            card["networks"][key][card["reported_split"]]["accuracy"] for card in cards if key in card["networks"]
        ]
        row[key] = _spread(values)
    for key in ("agreement", "gain"):
        row[key] = _spread([card["headline"][key] for card in cards if card["headline"].get(key) is not None])
    return row


def _spread(values: list[float]) -> dict[str, float] | None:
    if not values:
        return None
    return {"mean": statistics.mean(values), "spread": statistics.stdev(values) if len(values) > 1 else 0.0}


def _cell(figure: dict[str, float] | None) -> str:
    return "-" if figure is None else f"{100 * figure['mean']:.2f} ± {100 * figure['spread']:.2f}"
