"""`kdstudio advise RUN`: what a run's teacher says about the temperature, each statement with its figures."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from kdstudio.project.errors import InputError
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.snapshots import read_probes
from kdstudio.project.temperature_report import (
    HIGHEST,
    LOWEST,
    SHARE,
    TemperatureReport,
    temperature_report,
)


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "advise",
        help="what a run's teacher says about the temperature",
        description="The teacher's entropy and the share of its second class by temperature, as means over the run's "
        "pool of validation samples, and the lowest temperature at which the second class has the chosen share.",
    )
    parser.add_argument("run", help="run folder")
    parser.add_argument(
        "--share", type=float, default=SHARE, help=f"of the second class, above 0 and below 0.5 (default {SHARE:g})"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    if not 0 < args.share < 0.5:
        raise InputError(f"--share: {args.share:g} is not above 0 and below 0.5", fix="the usual share is 0.1")
    folder = RunFolder.open(args.run)
    probes = read_probes(folder)
    if probes is None or probes.pool_teacher_logits is None or probes.pool_teacher_logits.shape[-1] < 2:
        raise InputError(
            f"{folder.name}: this run holds no outputs of a teacher",
            fix="choose a run with a teacher, and whose student has begun to train",
        )
    report = temperature_report(probes.pool_teacher_logits, args.share)
    print(json.dumps({"temperature": {**asdict(report), "thin": report.thin}}) if args.json else _text(report))
    return 0


def _text(report: TemperatureReport) -> str:
    lines = [f"teacher on {report.samples} validation samples", "    T  entropy  second class"]
    for degree, nats, second in zip(report.temperatures, report.entropies, report.second_shares):
        lines.append(f"{degree:5g}  {nats:7.3f}  {100 * second:10.1f} %")
    share = f"{100 * report.share:g} %"
    if report.found is None:
        lines.append(f"at no T from {LOWEST:g} to {HIGHEST:g} does the second class have {share} on average")
    elif report.found <= LOWEST:
        lines.append(f"the second class has {share} on average already at T = {LOWEST:g}, the lowest tried")
    else:
        lines.append(f"the second class has {share} on average at T = {report.found:.2f}")
    if report.thin:
        lines.append(f"{report.samples} samples are few: this is thin evidence")
    return "\n".join(lines)
