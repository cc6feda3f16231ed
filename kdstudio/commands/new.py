"""`kdstudio new PATH --template NAME`: makes a project."""

from __future__ import annotations

import argparse
import shlex
from typing import Any

from kdstudio.project.folder import create_project, templates


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("new", help="make a project from a template")
    parser.add_argument("path", help="the new folder")
    names = ", ".join([*templates(), "empty"])
    parser.add_argument("--template", default="digits", help=f"one of: {names} (default: digits)")


def run(args: argparse.Namespace) -> int:
    project = create_project(args.path, args.template)
    print(f"made {project.root}")
    for name in project.experiment_names():
        print(f"  {name}")
    print(f"open it:  kdstudio {shlex.quote(str(args.path))}")
    return 0
