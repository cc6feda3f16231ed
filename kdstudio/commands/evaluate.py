"""`kdstudio evaluate RUN`: measures a run's networks again and rewrites its scorecard and report."""

from __future__ import annotations

import argparse
import json
from typing import Any

from kdstudio.project.errors import RunBusyError
from kdstudio.project.folder import Project
from kdstudio.project.runs.folder import RunFolder


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("evaluate", help="measure a finished run again: scorecard and report")
    parser.add_argument("run", help="run folder")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps")
    parser.add_argument(
        "--student",
        metavar="NAME",
        help="show a derived student in the student's place; the run's files stay as they are",
    )
    parser.add_argument("--json", action="store_true", help="print the scorecard as one JSON object")


def run(args: argparse.Namespace) -> int:
    folder = RunFolder.open(args.run)
    if folder.status().active:
        raise RunBusyError(
            f"{folder.name}: this run is still at work ({folder.status().text(folder.state()).lower()})",
            fix="wait for it, or stop it; it is measured at its end",
        )
    from kdstudio.engine.data import load_data
    from kdstudio.engine.device import pick_device
    from kdstudio.engine.scorecard import build_scorecard, networks_of, plain, score_run, summary_lines
    from kdstudio.engine.student_io import require_same_data

    device = pick_device(args.device, "--device")
    root = folder.project_root
    trusted = Project.open(root).trusted if (root / "project.yaml").exists() else False
    networks = networks_of(folder, trusted, args.student)  # says what is missing before the data are read
    experiment = folder.experiment()
    bundle = load_data(experiment.data, root)
    if args.student is None:
        scorecard = score_run(folder, bundle, device, trusted=trusted)
    else:
        for _, network in networks.values():
            require_same_data(network, bundle)
        scorecard = {"student": args.student, **plain(build_scorecard(networks, bundle, device, experiment.evaluate))}
    if args.json:
        print(json.dumps(scorecard))
    else:
        print("\n".join(summary_lines(scorecard)))
        if args.student is None:
            print(f"report: {folder.report_path}")
    return 0
