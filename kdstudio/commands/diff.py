"""`kdstudio diff RUN RUN`: where two runs differ, in their specs and in what their students say."""

from __future__ import annotations

import argparse
import json
from typing import Any

from kdstudio.project.run_difference import Difference, difference
from kdstudio.project.runs.folder import RunFolder


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "diff",
        help="where two runs differ: their specs, and what their students say",
        description="The fields in which the experiments of two runs differ; and of the validation samples, on how "
        "many the students agree, who is right where they do not, class by class.",
    )
    parser.add_argument("first", help="run folder")
    parser.add_argument("second", help="run folder")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    found = difference(RunFolder.open(args.first), RunFolder.open(args.second))
    print(json.dumps(plain(found)) if args.json else "\n".join(lines(found)))
    return 0


def plain(found: Difference) -> dict[str, Any]:
    """As JSON."""
    return {
        "runs": [summary.run.name for summary in found.runs],
        "scores": [summary.score for summary in found.runs],
        "spec": [{"field": path, "first": one, "second": other} for path, one, other in found.spec],
        "students": found.students.__dict__ if found.students is not None else None,
        "why_not": found.why_not,
    }


def lines(found: Difference) -> list[str]:
    """For a terminal."""
    names = [summary.run.name for summary in found.runs]
    wide = max([5, *(len(path) for path, _, _ in found.spec)])
    told = [f"{'':{wide}}  {names[0]:24}  {names[1]}"]
    for summary_name, values in (("score", [summary.score for summary in found.runs]),):
        told.append(f"{summary_name:{wide}}  {_value(values[0]):24}  {_value(values[1])}")
    told += [f"{path:{wide}}  {_value(one):24}  {_value(other)}" for path, one, other in found.spec]
    if not found.spec:
        told.append("the specs are the same")
    said = found.students
    if said is None:
        return [*told, "", f"students: not compared, as {found.why_not}"]
    told += [
        "",
        f"on {said.count} validation samples they agree on {said.agreement:.1%}; right: both {said.both}, only "
        f"{names[0]} {said.first_only}, only {names[1]} {said.second_only}, neither {said.neither}",
    ]
    for name, (count, one, other) in zip(said.classes, said.per_class):
        if count:
            told.append(f"  {name:20} {count:6}  {one:7.1%}  {other:7.1%}  {100 * (other - one):+.1f}")
    return told


def _value(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
