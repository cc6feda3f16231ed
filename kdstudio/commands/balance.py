"""`kdstudio balance EXPERIMENT`: weights with which the terms have chosen shares of the gradient on the student."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from kdstudio.commands.run import project_and_experiment
from kdstudio.project.errors import InputError
from kdstudio.project.folder import Project
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.spec import Experiment, term_names
from kdstudio.project.weight_balance import Shares, balanced, shares_of_run


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "balance",
        help="weights that give each term a chosen share of the gradient",
        description="Each term's share of the norm of the gradient on the student is measured: in the newest run of "
        "the experiment that has it, or on the untrained student. The weights are scaled so that the shares are the "
        "chosen ones.",
    )
    parser.add_argument("experiment", help="a project folder, PROJECT/EXPERIMENT or a YAML file of a project")
    parser.add_argument(
        "--shares", default="", metavar="A=N,B=N", help="for example hard=1,soft=3,hint=1 (default: all alike)"
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--run", metavar="RUN", help="the run whose measurement is taken, for example hints/003")
    source.add_argument("--start", action="store_true", help="measure the untrained student (the teacher is trained)")
    parser.add_argument("--write", action="store_true", help="write the weights into the experiment's file")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    project, experiment = project_and_experiment(Path(args.experiment).expanduser(), [])
    if project is None:
        raise InputError(f"{args.experiment}: this file belongs to no project", fix="put it into experiments/ of one")
    measured = _measured(project, experiment, args)
    wanted = _wanted(args.shares) or dict.fromkeys(measured.shares, 1.0)
    weights = balanced(measured, wanted)
    now = {name: term.weight for name, term in zip(term_names(experiment.objective), experiment.objective)}
    if args.write:
        for name, term in zip(term_names(experiment.objective), experiment.objective):
            if name in weights:
                term.weight = weights[name]
        project.save(experiment)
    if args.json:
        answer = {"source": measured.source, "step": measured.step, "shares": measured.shares, "weights": weights}
        print(json.dumps({**answer, "written": bool(args.write)}))
        return 0
    print(f"measured on {measured.source}, step {measured.step}")
    total = sum(wanted.values())
    rows = [("term", "weight", "share", "wanted", "new weight")]
    for name, share in measured.shares.items():
        wished = f"{100 * wanted[name] / total:.1f} %"
        rows.append((name, f"{now[name]:g}", f"{100 * share:.1f} %", wished, f"{weights[name]:g}"))
    for row in rows:
        print("  ".join(cell.ljust(16) if place == 0 else cell.rjust(10) for place, cell in enumerate(row)).rstrip())
    print("written into the experiment" if args.write else "add --write to write them into the experiment")
    return 0


def _wanted(text: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in text.split(",") if text else []:
        name, _, number = part.partition("=")
        try:
            found[name.strip()] = float(number)
        except ValueError:
            raise InputError(f"--shares: '{part}' is no share", fix="write it like hard=1,soft=3") from None
    return found


def _measured(project: Project, experiment: Experiment, args: argparse.Namespace) -> Shares:
    if args.run:
        found = shares_of_run(RunFolder.open(project.runs_dir / args.run))
        if found is None:
            raise InputError(f"{args.run}: this run has recorded no shares", fix="use another run, or --start")
        foreign = [name for name in found.shares if name not in term_names(experiment.objective)]
        if foreign:
            what = f"{args.run}: the experiment has no term '{foreign[0]}'"
            raise InputError(what, fix="use a run of this experiment, or --start")
        return found
    if not args.start:
        names = term_names(experiment.objective)
        for folder in reversed(project.runs(experiment.name)):
            found = shares_of_run(folder)
            if found is not None and set(found.shares) <= set(names):
                return found
    from kdstudio.engine.data import load_data
    from kdstudio.engine.first_look import shares_at_start

    return shares_at_start(experiment, load_data(experiment.data, project.root), project.root, project.trusted)
