"""`kdstudio queue add|list|remove|move|pause|go|work`: runs that wait for their turn, with no window."""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path
from typing import Any

from kdstudio.commands.run import project_and_experiment
from kdstudio.project.errors import InputError
from kdstudio.project.folder import Project, find_project
from kdstudio.project.overrides import apply_overrides
from kdstudio.project.queue import MOST_TRIES, Queue, Queued, Turn, is_worked_on
from kdstudio.project.runs.folder import RunFolder


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("queue", help="let runs wait for their turn, and work on them one after another")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = actions.add_parser("add", help="queue experiments as new runs, or runs that can go on")
    add.add_argument("what", nargs="+", help="a YAML file, a project folder, PROJECT/EXPERIMENT, or a run folder")
    add.add_argument(
        "--set", action="append", default=[], metavar="A.B=C", dest="changes", help="change a field of the spec"
    )
    add.add_argument("--seeds", metavar="N,N", help="a run for each of these seeds of the student, for example 0,1,2")
    add.add_argument("--first", action="store_true", help="before the others")
    listing = actions.add_parser("list", help="say what waits and what is going")
    listing.add_argument("--json", action="store_true", help="print one JSON object")
    remove = actions.add_parser("remove", help="take runs out; their folders stay, and what is going goes on")
    remove.add_argument("runs", nargs="+", metavar="RUN", help="for example soft-targets/003")
    move = actions.add_parser("move", help="move a run to another place")
    move.add_argument("run", metavar="RUN", help="for example soft-targets/003")
    move.add_argument("place", type=int, help="1 is the first")
    again = actions.add_parser("retry", help=f"give a run new tries that was given up after {MOST_TRIES}")
    again.add_argument("run", metavar="RUN", help="for example soft-targets/003")
    pause = actions.add_parser("pause", help="start no further run; what is going goes on")
    go = actions.add_parser("go", help="go on after a pause")
    work = actions.add_parser("work", help="work on the queue until it is empty")
    work.add_argument("--watch", action="store_true", help="wait for more when it is empty")
    work.add_argument("--threads", metavar="N", default="", help="see kdstudio run --threads")
    work.add_argument(
        "--side-by-side", type=int, metavar="N", help="runs at once on one device (default: as it was, 1)"
    )
    for one in (listing, remove, move, again, pause, go, work):
        one.add_argument("--project", default=".", metavar="DIR", help="the project folder (default: this one)")


def run(args: argparse.Namespace) -> int:
    if args.action == "add":
        return _add(args)
    queue = Queue(_project(args.project))
    if args.action == "list":
        return _list(queue, args.json)
    if args.action == "work":
        return _work(queue, args)
    if args.action == "remove":
        for name in args.runs:
            queue.remove(name)
    elif args.action == "move":
        queue.move(args.run, args.place - 1)
    elif args.action == "retry":
        queue.try_again(args.run)
    else:
        queue.pause(args.action == "pause")
    return _list(queue, False)


def _project(path: str) -> Project:
    root = find_project(Path(path).expanduser().resolve())
    if root is None:
        raise InputError(
            f"{path}: there is no project here", fix="run it in a project folder, or give one with --project"
        )
    return Project.open(root)


def _add(args: argparse.Namespace) -> int:
    seeds = _seeds(args.seeds)
    projects: dict[Path, Project] = {}
    for what in args.what:
        target = Path(what).expanduser()
        if (target / "experiment.yaml").exists():
            run = RunFolder.open(target)
            if args.changes or args.seeds:
                raise InputError(f"{what}: a run's spec is frozen", fix="leave --set and --seeds away")
            project = Project.open(run.project_root)
            if run.path.parent.parent != project.runs_dir:
                raise InputError(f"{what}: this run lies in no project", fix="queue its experiment")
            Queue(project).put(run, args.first)
            print(f"queued {run.name}")
        else:
            found, experiment = project_and_experiment(target, args.changes)
            if found is None:
                raise InputError(
                    f"{what}: this file belongs to no project, and a queue is a project's",
                    fix="put it into experiments/ of a project, or run it with kdstudio run",
                )
            project = found
            for seed in seeds:
                one = experiment if seed is None else apply_overrides(experiment, [f"train.seed={seed}"])
                print(f"queued {Queue(project).add(one, args.first).name}")
        projects[project.root] = project
    for project in projects.values():
        if not is_worked_on(Queue(project)):
            print(f"start it with: kdstudio queue work --project {shlex.quote(str(project.root))}")
    return 0


def _seeds(text: str | None) -> list[int | None]:
    if text is None:
        return [None]
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--seeds {text}: no list of whole numbers", fix="write it like 0,1,2") from None


def _list(queue: Queue, as_json: bool) -> int:
    file, listed, working = queue.read(), queue.listed(), is_worked_on(queue)
    if as_json:
        runs = [
            {"run": each.run.name, "turn": each.turn.value, "status": each.status.value, "tries": each.entry.tries}
            for each in listed
        ]
        print(json.dumps({"paused": file.paused, "side_by_side": file.side_by_side, "working": working, "runs": runs}))
        return 0
    if not listed:
        print("the queue is empty")
    for place, each in enumerate(listed, 1):
        print(f"{place:3}  {each.run.name:40}  {turn_text(each)}")
    if file.paused:
        print("paused: no further run is started; kdstudio queue go")
    elif not working and any(each.turn is Turn.WAITING for each in listed):
        print("nothing works on it: kdstudio queue work")
    return 0


def turn_text(queued: Queued) -> str:
    """Where a queued run stands, in words."""
    if queued.turn is Turn.GIVEN_UP:
        return f"given up after {queued.entry.tries} tries; kdstudio queue retry {queued.run.name}"
    words = queued.status.text(queued.state)
    return f"waiting ({words.lower()})" if queued.turn is Turn.WAITING else words


def _work(queue: Queue, args: argparse.Namespace) -> int:
    from kdstudio.commands.queue_worker import QueueWorker

    if args.side_by_side is not None:
        queue.set_side_by_side(args.side_by_side)
    QueueWorker(queue.project, args.threads, lambda line: print(line, flush=True)).work(args.watch)
    if queue.read().paused:
        print("the queue is paused: kdstudio queue go")
    return 0
