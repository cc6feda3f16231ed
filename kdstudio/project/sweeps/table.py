"""The trials of a sweep as a table: text, Markdown, comma-separated values."""

from __future__ import annotations

import csv
import io
import statistics
from typing import Any

from kdstudio.project.sweeps.folder import Sweep
from kdstudio.project.sweeps.trials import Outcome, Trial, Trials, test_scores


def rows_of(sweep: Sweep, trials: Trials) -> list[dict[str, Any]]:
    """One row a trial, the best first; those without a score at the end."""
    sign = 1 if trials.lower else -1

    def place(trial: Trial) -> tuple[bool, bool, float, int]:
        score = trial.score
        return trial.outcome is not Outcome.FINISHED, score is None, sign * (score or 0.0), trial.number

    return [
        {
            "trial": trial.number,
            "status": trial.outcome.value,
            "values": trial.values,
            "score": trial.score,
            "spread": trial.spread,
            "seeds": len(trial.scores),
            "runs": [run.run.name for run in trial.runs],
        }
        for trial in sorted(trials.trials, key=place)
    ]


def summary_of(sweep: Sweep, trials: Trials) -> dict[str, Any] | None:
    """The best trial by its score on validation samples, and what it scores on test samples."""
    best = trials.best
    if best is None:
        return None
    tested = test_scores(best, trials.metric)
    return {
        "trial": best.number,
        "values": best.values,
        "metric": trials.metric,
        "validation": best.score,
        "spread": best.spread,
        "test": statistics.mean(tested) if tested else None,
        "test_spread": statistics.stdev(tested) if len(tested) > 1 else None,
        "seeds": len(best.scores),
    }


def score_text(metric: str, score: float | None, spread: float | None = None) -> str:
    """A score as people read it: shares in percent, a perplexity as it is."""
    if score is None:
        return "-"
    factor = 1 if metric == "perplexity" else 100
    return f"{factor * score:.2f}" + (f" ± {factor * spread:.2f}" if spread is not None else "")


def text_table(sweep: Sweep, trials: Trials) -> str:
    """For a terminal."""
    if not trials.trials:
        return "there are no trials yet"
    table = _cells(sweep, trials)
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in table]
    return "\n".join([*lines, *_closing(sweep, trials)])


def markdown_table(sweep: Sweep, trials: Trials) -> str:
    """For a page."""
    table = _cells(sweep, trials)
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in table]
    lines.insert(1, "|" + "---|" * len(table[0]))
    return "\n".join([*lines, "", *_closing(sweep, trials)])


def csv_table(sweep: Sweep, trials: Trials) -> str:
    """Numbers as they are, shares not in percent."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    paths = [field.path for field in sweep.spec.fields]
    writer.writerow(["trial", "status", *paths, trials.metric, "spread", "seeds", "runs"])
    for row in rows_of(sweep, trials):
        figures = ["" if row[key] is None else row[key] for key in ("score", "spread", "seeds")]
        writer.writerow(
            [row["trial"], row["status"], *(row["values"][path] for path in paths), *figures, " ".join(row["runs"])]
        )
    return out.getvalue()


def _cells(sweep: Sweep, trials: Trials) -> list[list[str]]:
    paths = [field.path for field in sweep.spec.fields]
    unit = "" if trials.metric == "perplexity" else " %"
    head = ["trial", "status", *paths, f"validation {trials.metric}{unit}"]
    body = [
        [
            str(row["trial"]),
            row["status"],
            *(_value(row["values"][path]) for path in paths),
            score_text(trials.metric, row["score"], row["spread"]),
        ]
        for row in rows_of(sweep, trials)
    ]
    return [head, *body]


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _closing(sweep: Sweep, trials: Trials) -> list[str]:
    """How far it is, and what the best trial scores on test samples."""
    lines = []
    if trials.over < sweep.spec.total:
        lines.append(f"{trials.over} of {sweep.spec.total} trials are over; kdstudio sweep {sweep.path} goes on")
    found = summary_of(sweep, trials)
    if found is not None and found["test"] is not None:
        test = score_text(trials.metric, found["test"], found["test_spread"])
        lines.append(f"best on validation: trial {found['trial']}; its {trials.metric} on test samples: {test}")
    return lines
