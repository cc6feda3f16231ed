"""`kdstudio run EXPERIMENT`: runs one experiment with no window, or goes on with a run."""

from __future__ import annotations

import argparse
import json
import logging
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kdstudio.project.errors import InputError
from kdstudio.project.folder import Project, create_run, find_project, init_run, load_experiment
from kdstudio.project.overrides import apply_overrides
from kdstudio.project.runs.folder import RunFolder, write_bytes
from kdstudio.project.runs.place import Place
from kdstudio.project.runs.state import RunStatus
from kdstudio.project.spec import Experiment


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("run", help="run an experiment, or go on with a run")
    parser.add_argument("experiment", help="a YAML file, a project folder, PROJECT/EXPERIMENT, or a run folder")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="A.B=C",
        dest="changes",
        help="change a field of the spec, for example train.epochs=5 or objective.1.temperature=8; may be repeated",
    )
    parser.add_argument("--out", metavar="DIR", help="put the run folder here instead of runs/ of the project")
    parser.add_argument("--resume", action="store_true", help="go on with the latest run of the experiment")
    parser.add_argument("--until", choices=["teacher"], default="", help="park when the teacher is trained")
    parser.add_argument(
        "--threads",
        type=_threads,
        metavar="N",
        help="processor threads; 'spare' leaves one core to other programs (default: PyTorch's own; kept by --resume)",
    )
    parser.add_argument(
        "--devices",
        type=_devices,
        metavar="N",
        help="devices that share each batch, in place of train.devices; also with --resume",
    )
    parser.add_argument("--quiet", action="store_true", help="print errors only")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")


def _threads(text: str) -> str:
    if text != "spare" and not (text.isdigit() and 1 <= int(text) <= 4096):
        raise argparse.ArgumentTypeError(f"'{text}' is no number of threads; use 1 or more, or spare")
    return text


def _devices(text: str) -> int:
    if not (text.isdigit() and 1 <= int(text) <= 1024):
        raise argparse.ArgumentTypeError(f"'{text}' is no number of devices; use 1 to 1024")
    return int(text)


def run(args: argparse.Namespace) -> int:
    place = Place.here()
    if place.rank:
        from kdstudio.engine.ranks.follow import follow

        code = follow(place, args.until, args.threads or "")
        sys.stderr.flush()
        os._exit(code)  # threads of the process group may still let go objects, which aborts an interpreter that ends
    folder = find_run(args)
    if not (args.quiet or args.json):
        print(f"run folder: {folder.path}", flush=True)
    from kdstudio.engine.run import execute  # torch loads here: a wrong spec is told before

    with _log(args):
        result = execute(folder, args.until, args.threads or "", args.devices)
    scorecard = folder.scorecard()
    if args.json:
        answer = {"run": str(folder.path), "phase": result.phase, "scorecard": scorecard}
        print(json.dumps(answer))
    elif not args.quiet:
        _tell(folder, result.phase, scorecard)
    return result.exit_code


@contextmanager
def _log(args: argparse.Namespace) -> Iterator[None]:
    """The log on the terminal, as far as it is wanted; the log file has everything."""
    logger = logging.getLogger("kdstudio")
    before = logger.level, logger.propagate, logging.raiseExceptions
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logging.raiseExceptions = False  # a reader that has gone, as with `| head`, is no reason for tracebacks
    handler = logging.StreamHandler(sys.stderr if args.json else sys.stdout)
    handler.addFilter(lambda record: record.levelno < logging.ERROR)  # errors are told once, by the caller
    handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%H:%M:%S"))
    if not args.quiet:
        logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate, logging.raiseExceptions = before[1:]


def _tell(folder: RunFolder, phase: str, scorecard: dict[str, Any] | None) -> None:
    print(f"{phase}: {folder.path}")
    if phase == "parked":
        print(f"resume it with: kdstudio run {shlex.quote(str(folder.path))} --resume")
    if scorecard is not None:
        from kdstudio.engine.scorecard import summary_lines

        for line in summary_lines(scorecard):
            print(line)
        if folder.report_path.exists():
            print(f"report: {folder.report_path}")


def find_run(args: argparse.Namespace) -> RunFolder:
    """The run folder to work on: an existing one, or a new one.

    Raises:
        InputError: No such experiment, or nothing to resume.
    """
    target = Path(args.experiment).expanduser()
    if (target / "experiment.yaml").exists():
        folder = RunFolder.open(target)
        if args.changes or args.out:
            raise InputError(f"{target}: a run's spec is frozen", fix="leave --set and --out away, or start a new run")
        return _resumable(folder, args.resume)
    project, experiment = project_and_experiment(target, args.changes)
    if args.resume:
        if args.out:
            runs = [RunFolder.open(args.out)]
        else:
            runs = project.runs(experiment.name) if project else _runs_beside(target, experiment.name)
        candidates = [folder for folder in runs if folder.status() is not RunStatus.FINISHED]
        if not candidates:
            raise InputError(f"there is no run of '{experiment.name}' to resume", fix="start one without --resume")
        if args.changes:
            raise InputError("a run's spec is frozen, so --resume takes no --set", fix="start a new run")
        return _resumable(candidates[-1], True)
    if args.out:
        out = Path(args.out).expanduser().resolve()
        if (out / "experiment.yaml").exists() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
            raise InputError(f"--out {args.out}: this folder is not empty", fix="choose a new folder, or use --resume")
        folder = init_run(out, project.frozen(experiment) if project else experiment)
        home = project.root if project else target.resolve().parent
        write_bytes(folder.path / "project.txt", f"{home}\n".encode())
        return folder
    if project is not None:
        return project.create_run(experiment)
    folder = create_run(target.resolve().parent / "runs" / experiment.name, experiment)
    write_bytes(folder.path / "project.txt", b"../../..\n")  # relative: the folder may be moved as a whole
    return folder


def _runs_beside(target: Path, name: str) -> list[RunFolder]:
    """The runs of a file that belongs to no project."""
    folder = target.resolve().parent / "runs" / name
    numbers = [path for path in folder.iterdir() if path.name.isdigit()] if folder.is_dir() else []
    return [RunFolder(path) for path in sorted(numbers, key=lambda path: int(path.name))]


def _resumable(folder: RunFolder, asked: bool) -> RunFolder:
    status = folder.status()
    if status is RunStatus.CREATED or status.active:  # an active one is refused by its lock, with its process id
        return folder
    if status is RunStatus.FINISHED:
        raise InputError(f"{folder.name}: this run is finished", fix="start a new run of its experiment")
    if not asked:
        raise InputError(
            f"{folder.name}: this run was begun before ({status.text(folder.state()).lower()})",
            fix="add --resume to go on with it",
        )
    return folder


def project_and_experiment(target: Path, changes: list[str]) -> tuple[Project | None, Experiment]:
    """What a command's EXPERIMENT means; no project for a file outside of one.

    Raises:
        InputError: There is no such experiment.
        SpecError: A wrong field.
    """
    project: Project | None
    if target.is_dir():
        project = Project.open(target)
        name = project.default_experiment()
        if name is None:
            raise InputError(f"{target}: this project has no experiments", fix="add a file to experiments/")
        path = project.path_of(name)
    elif target.exists():
        root = find_project(target.resolve().parent)
        project = Project.open(root) if root else None
        path = target.resolve()
    elif (target.parent / "project.yaml").exists():
        project = Project.open(target.parent)
        path = project.path_of(target.name)
        if not path.exists():
            project.load(target.name)  # says which there are
    else:
        raise InputError(
            f"there is no experiment '{target}'",
            fix="give a YAML file, a project folder, or PROJECT/EXPERIMENT such as projects/digits/soft-targets",
            kind="missing-file",
        )
    shown = project.shown(path) if project else str(target)
    experiment = load_experiment(path, shown)
    if changes:
        experiment = apply_overrides(experiment, changes)
    return project, experiment
