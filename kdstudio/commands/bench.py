"""`kdstudio bench`: what things cost, as figures and ratios of one run on this computer."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import time
from typing import Any

from kdstudio import __version__
from kdstudio.commands import bench_methods
from kdstudio.project.errors import InputError, KDStudioError
from kdstudio.project.spec import suggestion

#: Name -> module with `TITLE` and `measure(quick)`. A new benchmark is a file and a line here.
BENCHMARKS = {
    "start": "kdstudio.gui.bench.start",
    "metrics": "kdstudio.gui.bench.metrics",
    "curves": "kdstudio.gui.bench.curves",
    "live": "kdstudio.gui.bench.live",
    "memory": "kdstudio.gui.bench.memory",
    "recording": "kdstudio.engine.bench.recording",
    "distil": "kdstudio.engine.bench.distil",
    "pipeline": "kdstudio.engine.bench.pipeline",
    "footprint": "kdstudio.engine.bench.footprint",
    "vocabulary": "kdstudio.engine.bench.vocabulary",
}
NEED_SCREEN = {"start", "curves", "live", "memory"}


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("bench", help="measure what things cost on this computer")
    parser.add_argument(
        "what",
        nargs="*",
        help=f"which: {', '.join(BENCHMARKS)} (default: all); or: methods EXPERIMENT, which compares methods",
    )
    parser.add_argument("--quick", action="store_true", help="a few repetitions, to see that it works")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object")
    form.add_argument("--markdown", action="store_true", help="print Markdown tables, as in docs/benchmarks.md")
    bench_methods.add_options(parser.add_argument_group("of bench methods EXPERIMENT"))
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # in this process: how one is started


def run(args: argparse.Namespace) -> int:
    if args.what[:1] == ["methods"]:
        return bench_methods.run(args)
    unknown = [name for name in args.what if name not in BENCHMARKS]
    if unknown:
        fix = suggestion(unknown[0], BENCHMARKS) or f"there are: {', '.join(BENCHMARKS)}"
        raise InputError(f"there is no benchmark '{unknown[0]}'", fix=fix)
    if args.here:
        print(json.dumps(_measure(args.what[0], args.quick)))
        return 0
    report: dict[str, Any] = {"machine": machine(), "benchmarks": {}}
    if not args.json:
        print(", ".join(str(value) for value in report["machine"].values()))
    for name in args.what or BENCHMARKS:
        found = _in_a_process(name, args.quick)
        report["benchmarks"][name] = found
        if not args.json:
            print(as_markdown(name, found) if args.markdown else as_text(found), flush=True)
    if args.json:
        print(json.dumps(report))
    return 0


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    import importlib.metadata

    return {
        "date": time.strftime("%Y-%m-%d"),
        "system": platform.platform(),
        "cores": f"{os.cpu_count()} cores",
        "python": f"Python {platform.python_version()}",
        "kdstudio": f"KD Studio {__version__}",
        "torch": f"torch {importlib.metadata.version('torch')}",
    }


def _measure(name: str, quick: bool) -> dict[str, Any]:
    module = importlib.import_module(BENCHMARKS[name])
    result = module.measure(quick)
    return {"title": module.TITLE, "figures": [f.as_dict() for f in result.figures], "notes": result.notes}


def _in_a_process(name: str, quick: bool) -> dict[str, Any]:
    """Each benchmark has a process of its own: one may not see what another has loaded."""
    if name in NEED_SCREEN and sys.platform.startswith("linux"):
        screens = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
        if not any(os.environ.get(variable) for variable in screens):
            return {"title": name, "figures": [], "notes": ["Needs a screen: xvfb-run -a kdstudio bench " + name]}
    command = [sys.executable, "-m", "kdstudio", "bench", name, "--here", *(["--quick"] if quick else [])]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise KDStudioError(f"the benchmark '{name}' failed", why=done.stderr.strip() or "no output")
    return json.loads(done.stdout.strip().splitlines()[-1])


def as_text(found: dict[str, Any]) -> str:
    """One benchmark as a table."""
    rows: list[tuple[str, ...]] = [("", "median", "lowest", "highest", "target", "")]
    for figure in found["figures"]:
        numbers = [_number(figure[key]) for key in ("value", "low", "high", "target")]
        met = {True: "met", False: "missed", None: ""}[figure["met"]]
        rows.append((f"{figure['name']}, {figure['unit']}", *numbers, met))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [f"\n{found['title']}"]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join([*lines, *found["notes"]])


def as_markdown(name: str, found: dict[str, Any]) -> str:
    """One benchmark as a section of a Markdown document."""
    lines = [f"\n## {found['title']}\n", f"`kdstudio bench {name}`\n"]
    lines += ["| | median | lowest | highest | target | |", "|---|---:|---:|---:|---:|---|"]
    for figure in found["figures"]:
        numbers = " | ".join(_number(figure[key]) for key in ("value", "low", "high", "target"))
        met = {True: "met", False: "**missed**", None: ""}[figure["met"]]
        lines.append(f"| {figure['name']}, {figure['unit']} | {numbers} | {met} |")
    return "\n".join([*lines, *(f"\n{note}" for note in found["notes"])])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
