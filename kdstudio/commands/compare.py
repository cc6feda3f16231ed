"""`kdstudio compare PROJECT`: a table of the finished runs, mean and spread over seeds."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from kdstudio.project.folder import Project
from kdstudio.project.run_table import as_csv, as_html, as_markdown, as_text, compare


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "compare",
        help="a table of finished runs: mean and spread over seeds",
        description="Accuracy of student, baseline and teacher, the student's agreement with the teacher and its gain "
        "over the baseline, in percent (points): mean ± standard deviation over seeds. Of language models perplexity "
        "in the place of accuracy (ppl; less is better), of tagged words F1. Runs whose specs differ in more than "
        "their seeds are never averaged.",
    )
    parser.add_argument("project", help="project folder")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="a Markdown table")
    form.add_argument("--csv", action="store_true", help="comma-separated values (shares, not percent)")
    form.add_argument("--html", action="store_true", help="a page of its own")
    form.add_argument("--json", action="store_true", help="one JSON object")


def run(args: argparse.Namespace) -> int:
    project = Project.open(args.project)
    rows, skipped = compare(project)
    if args.json:
        print(json.dumps({"rows": rows, "skipped": skipped}))
        return 0
    for item in skipped:
        print(f"skipped {item['run']}: {item['why']}", file=sys.stderr)
    if args.csv:
        print(as_csv(rows), end="")
    elif args.html:
        print(as_html(rows, project.title), end="")
    elif not rows:
        print("there are no finished runs to compare yet", file=sys.stderr)
    else:
        print(as_markdown(rows) if args.markdown else as_text(rows))
    return 0
