"""`kdstudio trust PROJECT`: says that Python files of a project may run on this computer."""

from __future__ import annotations

import argparse
from typing import Any

from kdstudio.project.folder import Project


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("trust", help="allow a project's own Python model files to run")
    parser.add_argument("project", help="project folder")
    parser.add_argument("--remove", action="store_true", help="take the trust back")


def run(args: argparse.Namespace) -> int:
    project = Project.open(args.project)
    project.trust(not args.remove)
    state = "is no longer trusted" if args.remove else "is trusted: its Python files may run"
    print(f"{project.root} {state}")
    return 0
