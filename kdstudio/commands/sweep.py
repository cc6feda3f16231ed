"""`kdstudio sweep`: one experiment with many values of a few fields; or goes on with a sweep, or tells of it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from kdstudio.commands.run import project_and_experiment
from kdstudio.project.errors import InputError
from kdstudio.project.folder import Project, find_project
from kdstudio.project.spec import validate
from kdstudio.project.spec.sweep import SweepSpec
from kdstudio.project.sweeps.fields import field_of
from kdstudio.project.sweeps.folder import Sweep
from kdstudio.project.sweeps.table import csv_table, markdown_table, rows_of, summary_of, text_table
from kdstudio.project.sweeps.trials import read_trials

DESCRIPTION = """\
Trains an experiment with many values of a few of its fields, one run a trial and seed, and says which were best on
validation samples. Test samples choose nothing: the score of the best trial on them is told at the end.

A sweep lies in sweeps/NAME of the project and its runs in runs/NAME. The same command, or kdstudio sweep
PROJECT/sweeps/NAME, goes on with one that was stopped; several may work on one at once, on many computers too."""

EXAMPLES = """\
  kdstudio sweep digits/soft-targets --vary objective.1.temperature=1,2,4,8
  kdstudio sweep digits/soft-targets --search tpe --trials 30 --prune median \\
      --vary train.lr=0.001..0.1:log --vary objective.1.weight=0.1..0.9:rest=objective.0.weight
  kdstudio sweep digits/sweeps/soft-targets-sweep --table"""


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "sweep",
        help="try many values of a few fields, and see which are best",
        description=DESCRIPTION,
        epilog=f"examples:\n{EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", help="PROJECT/EXPERIMENT or a YAML file; or PROJECT/sweeps/NAME to go on with a sweep")
    parser.add_argument(
        "--vary",
        action="append",
        default=[],
        metavar="FIELD=VALUES",
        help="a field and its values (1,2,4) or bounds (0.1..0.9, with :log, :whole, :points=N, :rest=FIELD after it)",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="A.B=C", dest="changes", help="change a field for all trials"
    )
    parser.add_argument("--name", help="of the sweep (default: the experiment's with -sweep)")
    parser.add_argument("--search", choices=["grid", "random", "tpe"], help="every combination, at random, or by TPE")
    parser.add_argument("--trials", type=int, metavar="N", help="combinations to try (default 20; a grid tries all)")
    parser.add_argument("--seeds", metavar="N,N", help="trainings of each combination, for example 0,1,2 (default 0)")
    parser.add_argument("--prune", choices=["none", "median", "halving"], help="stop trials early that fall behind")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="trials at once (default 1)")
    parser.add_argument(
        "--devices", default="", metavar="D,D", help="for the workers in turn, for example cuda:0,cuda:1"
    )
    parser.add_argument("--threads", metavar="N", default="", help="see kdstudio run --threads")
    parser.add_argument("--prepare", action="store_true", help="check and make the sweep, and run nothing")
    parser.add_argument("--table", action="store_true", help="tell of the trials that there are, and run nothing")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="the table as Markdown")
    form.add_argument("--csv", action="store_true", help="the table as comma-separated values")
    form.add_argument("--json", action="store_true", help="one JSON object at the end")


def run(args: argparse.Namespace) -> int:
    if not 1 <= args.workers <= 256:
        raise InputError(f"--workers {args.workers}", fix="use 1 to 256")
    sweep = _sweep(args)
    if not (args.table or args.prepare):
        _work(sweep, args)
    _tell(sweep, args)
    return 0


def _sweep(args: argparse.Namespace) -> Sweep:
    """The sweep that is meant: one that there is, or a new one."""
    target = Path(args.what).expanduser()
    if target.name == "sweep.yaml":
        target = target.parent
    if target.parent.name == "sweeps" and (target.is_dir() or find_project(target.parent.resolve())):
        if args.vary or args.changes or args.name or args.search:
            raise InputError(
                f"{args.what}: what a sweep searches is frozen",
                fix="leave --vary, --set, --search and --name away, or make a new one of its experiment",
            )
        sweep = Sweep.open(_project(target), target.name)
        return _changed(sweep, args)
    project, experiment = project_and_experiment(target, args.changes)
    if project is None:
        raise InputError(f"{args.what}: a sweep needs a project", fix="put the file into experiments/ of a project")
    name = args.name or f"{experiment.name}-sweep"
    if not args.vary:
        if args.table:
            return Sweep.open(project, name)
        raise InputError("there is nothing to vary", fix="for example --vary objective.1.temperature=1,2,4,8")
    fields = [field_of(text) for text in args.vary]
    said = {
        "experiment": experiment.name,
        "fields": [field.model_dump(exclude_defaults=True) for field in fields],
        **_numbers(args),
        **({"search": args.search} if args.search else {}),
    }
    return Sweep.create(project, name, validate(SweepSpec, said, "sweep"), experiment)


def _changed(sweep: Sweep, args: argparse.Namespace) -> Sweep:
    """Numbers that may change while a sweep goes on."""
    numbers = _numbers(args)
    if not numbers or args.table:
        return sweep
    said = sweep.spec.model_dump(mode="json") | numbers
    base = sweep.base
    return Sweep.create(sweep.project, sweep.name, validate(SweepSpec, said, "sweep"), base)


def _numbers(args: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if args.trials is not None:
        found["trials"] = args.trials
    if args.prune is not None:
        found["prune"] = args.prune
    if args.seeds is not None:
        try:
            found["seeds"] = [int(part) for part in args.seeds.split(",")]
        except ValueError:
            raise InputError(f"--seeds {args.seeds}: no list of whole numbers", fix="write it like 0,1,2") from None
    return found


def _project(path: Path) -> Project:
    root = find_project(path.parent.resolve())
    if root is None:
        raise InputError(f"{path}: there is no project here", fix="give PROJECT/sweeps/NAME")
    return Project.open(root)


def _work(sweep: Sweep, args: argparse.Namespace) -> None:
    from kdstudio.commands.sweep_worker import SweepWorker

    quiet = args.json or args.csv or args.markdown
    if not quiet:
        print(f"sweep: {sweep.path}", flush=True)
    devices = tuple(part for part in args.devices.split(",") if part)
    tell = (lambda line: None) if quiet else (lambda line: print(line, flush=True))
    SweepWorker(sweep, args.workers, devices, args.threads, tell).work()


def _tell(sweep: Sweep, args: argparse.Namespace) -> None:
    trials = read_trials(sweep)
    rows = rows_of(sweep, trials)
    if args.json:
        print(json.dumps({"sweep": str(sweep.path), "rows": rows, "best": summary_of(sweep, trials)}))
    elif args.csv:
        print(csv_table(sweep, trials), end="")
    elif args.markdown:
        print(markdown_table(sweep, trials))
    elif args.prepare:
        print(f"sweep: {sweep.path}: {sweep.spec.total} trials")
    else:
        print(text_table(sweep, trials))
