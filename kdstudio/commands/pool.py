"""`kdstudio pool RUN|EXPERIMENT`: what the teacher says of the samples without labels, and how many are kept."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from kdstudio.commands.run import project_and_experiment
from kdstudio.project.errors import InputError
from kdstudio.project.pool import PoolReport, read_pool
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.spec import PoolSpec


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "pool",
        help="how the teacher labels the samples without labels",
        description="Of a run: what each stage's teacher said of the pool, and what was learned from. Of an experiment "
        "whose teacher is trained: the same before any student is trained, also at another threshold.",
    )
    parser.add_argument("target", metavar="RUN|EXPERIMENT", help="a run folder, PROJECT/EXPERIMENT or a YAML file")
    parser.add_argument("--threshold", type=float, metavar="C", help="another least confidence, from 0 to 1")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    if args.threshold is not None and not 0 <= args.threshold <= 1:
        raise InputError(f"--threshold: {args.threshold:g} is no confidence", fix="give a number from 0 to 1")
    path = Path(args.target).expanduser()
    found = _of_run(RunFolder.open(path), args) if (path / "experiment.yaml").exists() else _of_experiment(path, args)
    if args.json:
        print(json.dumps({stage: report.to_dict() for stage, report in found.items()}))
        return 0
    for stage, report in found.items():
        print("\n".join([f"{stage}:", *(f"  {line}" for line in report.lines())]))
    return 0


def _of_run(folder: RunFolder, args: argparse.Namespace) -> dict[str, PoolReport]:
    spec = folder.experiment().unlabelled
    found = {}
    for path in sorted(folder.pool_path("x").parent.glob("*.safetensors")):
        if spec is not None:
            found[path.stem] = read_pool(path).report(_at(spec, args.threshold))
    if not found:
        raise InputError(
            f"{folder.name}: there is no pool in this run",
            why="its experiment has none, or its teacher was not trained yet",
            fix="add 'unlabelled' to the experiment and run it",
        )
    return found


def _of_experiment(path: Path, args: argparse.Namespace) -> dict[str, PoolReport]:
    project, experiment = project_and_experiment(path, [])
    if project is None:
        raise InputError(f"{args.target}: this file belongs to no project", fix="put it into experiments/ of one")
    if experiment.unlabelled is None:
        raise InputError(f"{experiment.name}: the experiment has no pool", fix="add 'unlabelled' to it")
    from kdstudio.engine.data import load_data
    from kdstudio.engine.first_look import asked_of_kept_teacher

    bundle = load_data(experiment.data, project.root)
    pool = asked_of_kept_teacher(experiment, bundle, project.root, project.trusted)
    return {"student": pool.report(_at(experiment.unlabelled, args.threshold))}


def _at(spec: PoolSpec, threshold: float | None) -> PoolSpec:
    return spec if threshold is None else spec.model_copy(update={"threshold": threshold})
