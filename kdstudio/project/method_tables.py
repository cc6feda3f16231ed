"""A comparison of methods as Markdown, CSV, HTML and JSON."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Sequence

from kdstudio.project.method_bench import FLOOR, REFERENCE, Row
from kdstudio.project.paired import BETTER, TOO_FEW

HEAD = (
    "method", "seeds", "test accuracy, %", "validation accuracy, %", "agrees with teacher, %",
    "against soft targets, points", "than soft targets", "time of a step", "memory, MB",
)  # fmt: skip
NOTE = (
    "Mean ± standard deviation over seeds. Order: validation accuracy. Against soft targets: the differences of "
    "{split} accuracy, seed by seed. Better or worse only with three seeds or more, and where the 95 % interval of "
    "the mean difference (Student's t) lies on one side of zero; of twenty methods that do no better and no worse, one "
    "is called so by chance. Time of a step: from one step to the next, against hard labels alone. "
    "Memory: the most on the device; where there is none, of the whole process."
)


def note(rows: Sequence[Row]) -> str:
    """How the table is to be read."""
    return NOTE.format(split=rows[0].split if rows else "test")


def judged_rows(rows: Sequence[Row]) -> list[Row]:
    """The methods with seeds enough for a verdict; hard labels alone are none, they are the floor."""
    return [row for row in rows if row.verdict and row.verdict != TOO_FEW and row.method not in (FLOOR, REFERENCE)]


def not_better(rows: Sequence[Row]) -> str:
    """Which methods did not beat soft targets, as a sentence."""
    judged = judged_rows(rows)
    if not judged:
        return "No method has enough seeds yet to be judged against soft targets."
    names = [row.title for row in judged if row.verdict != BETTER]
    if not names:
        return f"All of the methods judged ({len(judged)}) beat soft targets."
    return f"{len(names)} of the {len(judged)} methods judged did not beat soft targets: {', '.join(names)}."


def cells(row: Row) -> list[str]:
    """A row as texts."""
    if row.why_not and not row.seeds:
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
    return "\n".join([*lines, "", not_better(rows), "", note(rows)]) + "\n"


def as_csv(rows: Sequence[Row]) -> str:
    """The figures as comma-separated values: shares, bytes and ratios."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    pairs = ("test", "validation", "agreement", "against")
    head = [f"{name}_{part}" for name in pairs for part in ("mean", "spread")]
    tail = ["against_interval", "verdict", "step_ratio", "memory_bytes", "source", "why_not"]
    writer.writerow(["method", "seeds", *head, *tail])
    for row in rows:
        numbers = [number for name in pairs for number in (getattr(row, name) or (None, None))]
        rest = [row.interval, row.verdict, row.step_ratio, row.memory_bytes, row.source, row.why_not]
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
        f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>\n"
        f"<p>{html.escape(not_better(rows))}</p>\n<p>{html.escape(note(rows))}</p>\n</body></html>\n"
    )


def as_json(rows: Sequence[Row], about: str) -> str:
    """The figures as one JSON object."""
    return json.dumps({"about": about, "rows": [vars(row) for row in rows]})
