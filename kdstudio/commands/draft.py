"""`kdstudio draft RUN`: what the student is worth as a draft for its teacher, in speculative decoding."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from kdstudio.project.errors import InputError, RunBusyError
from kdstudio.project.folder import Project
from kdstudio.project.runs.folder import RunFolder, write_bytes

MOST_PLANNED = 64
MODES = {"sampled": "drawn", "greedy": "greedy"}


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "draft",
        help="what a student is worth as a draft for its teacher (speculative decoding)",
        description="The student drafts a few tokens, the teacher checks them in one pass and writes what it would "
        "have written alone. Measured: how often a draft is taken, tokens for each pass of the teacher, and time "
        "against the teacher alone, in the same process by turns; beside what theory expects (2211.17192).",
    )
    parser.add_argument("run", help="finished run of a language model (data.task causal-lm) with a teacher")
    parser.add_argument("--tokens", type=int, default=4, metavar="G", help="tokens to draft at a time (usual 3 to 8)")
    parser.add_argument("--texts", type=int, default=8, metavar="N", help="texts to write (usual 8 to 50)")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    folder = RunFolder.open(args.run)
    if not 1 <= args.tokens <= MOST_PLANNED:
        raise InputError(
            f"--tokens: {args.tokens} tokens cannot be drafted", fix=f"give a number from 1 to {MOST_PLANNED}"
        )
    if args.texts < 1:
        raise InputError(f"--texts: {args.texts} texts tell nothing", fix="give 1 or more (usual 8 to 50)")
    if folder.status().active:
        raise RunBusyError(
            f"{folder.name}: this run is still at work ({folder.status().text(folder.state()).lower()})",
            fix="wait for it, or stop it",
        )
    report = _measured(folder, args)
    write_bytes(folder.draft_path, json.dumps(report, indent=1, allow_nan=False).encode())
    print(json.dumps(report) if args.json else "\n".join(lines(report)))
    return 0


def _measured(folder: RunFolder, args: argparse.Namespace) -> dict[str, Any]:
    from kdstudio.engine.data import load_data
    from kdstudio.engine.device import device_name, pick_device
    from kdstudio.engine.scorecard import networks_of
    from kdstudio.engine.student_io import require_same_data
    from kdstudio.engine.text.draft import draft_report
    from kdstudio.engine.text.written import writers

    device = pick_device(args.device, "--device")
    root = folder.project_root
    trusted = Project.open(root).trusted if (root / "project.yaml").exists() else False
    networks = networks_of(folder, trusted)
    models = writers(networks, folder.name)
    if "teacher" not in models:
        raise InputError(
            f"{folder.name}: there is no teacher to draft for",
            why="the student learned from labels alone",
            fix="use a run with a teacher",
        )
    experiment = folder.experiment()
    bundle = load_data(experiment.data, root)
    require_same_data(networks["student"][1], bundle)
    split = "test" if experiment.evaluate.test else "validation"
    found = draft_report(models, bundle, split, args.texts, args.tokens, device, args.seed)
    return {"version": 1, "created": time.time(), "run": folder.name, "device": device_name(device), **found}


def lines(report: dict[str, Any]) -> list[str]:
    """The report for a terminal."""
    planned = report["planned"]
    found = [
        f"{report['texts']} texts of {report['tokens']} tokens on {report['device']}, drafts of {planned} tokens",
        f"{'':10} {'':7} {'taken':>13} {'acceptance':>11} {'1 - TVD':>8} {'tokens/pass':>12} {'expected':>9} "
        f"{'gain':>6} {'expected':>9}",
    ]
    for name, entry in report["networks"].items():
        for mode, words in MODES.items():
            said = entry[mode]
            estimate = f"{entry['estimate']:.3f}" if mode == "sampled" else ""
            found.append(
                f"{name:10} {words:7} {said['accepted']:>5}/{said['drafted']:<7} {_number(said['acceptance'], 3):>11} "
                f"{estimate:>8} {_number(said['tokens_per_pass'], 2):>12} "
                f"{_number(said['expected_tokens_per_pass'], 2):>9} {_number(said['gain'], 2):>5}x "
                f"{_number(said['expected_gain'], 2):>8}x"
            )
    return found


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
