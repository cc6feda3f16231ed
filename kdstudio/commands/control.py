"""`kdstudio hold|continue|park|stop|stop-now RUN`: requests to a run that is going."""

from __future__ import annotations

import argparse
import shlex
from typing import Any

from kdstudio.project.errors import InputError
from kdstudio.project.runs.control import request
from kdstudio.project.runs.folder import RunFolder

MEANINGS = {
    "hold": "pause a run and keep its memory",
    "continue": "go on after a hold",
    "park": "save a run, free the device and end its process; resume later",
    "stop": "end a run after this step, then evaluate and save",
    "stop-now": "end a run at once; its last checkpoint stays",
}


def add_parser(subparsers: Any) -> None:
    for name, meaning in MEANINGS.items():
        parser = subparsers.add_parser(name, help=meaning)
        parser.add_argument("run", help="run folder, for example projects/digits/runs/soft-targets/001")


def run(args: argparse.Namespace) -> int:
    folder = RunFolder.open(args.run)
    status = folder.status()
    if not status.active:
        raise InputError(
            f"{folder.name}: nothing to {args.verb}",
            why=f"the run is not going: {status.text(folder.state()).lower()}",
            fix=f"resume it with: kdstudio run {shlex.quote(str(args.run))} --resume" if status.resumable else "",
        )
    request(folder, args.verb)
    print(f"asked {folder.name} to {args.verb}")
    return 0
