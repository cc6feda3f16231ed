"""`kdstudio bench methods EXPERIMENT`: many methods on one pair of networks, under one budget, with several seeds."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from kdstudio.commands.run import project_and_experiment
from kdstudio.project.comparison import Told, folder_of
from kdstudio.project.errors import InputError, KDStudioError, RunBusyError
from kdstudio.project.folder import Project
from kdstudio.project.method_bench import Figures, Planned, Row, plan, rows_of, run_of
from kdstudio.project.method_tables import as_csv, as_html, as_json, as_markdown
from kdstudio.project.methods import ALL, BY_NAME, METHODS, Networks
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.state import RunStatus
from kdstudio.project.spec import Experiment, ModelSpec, suggestion
from kdstudio.project.yaml_io import write_text

#: What a comparison always has: what costs nothing extra, and what the others are measured against.
ALWAYS = ("hard", "soft")


def add_options(group: Any) -> None:
    """The options of `bench methods`."""
    names = ", ".join(method.name for method in METHODS)
    group.add_argument(
        "--methods", default="all", metavar="A,B", help=f"which, or all (default; all but mutual): {names}"
    )
    group.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds a method, from 0 on (default 3)")
    group.add_argument("--epochs", type=int, metavar="N", help="the student's budget (default: the experiment's)")
    group.add_argument(
        "--set", action="append", default=[], metavar="A.B=C", dest="changes", help="change a field of the experiment"
    )
    group.add_argument("--threads", default="", metavar="N", help="see kdstudio run --threads")
    group.add_argument("--out", metavar="DIR", help="where the tables go (default: bench/EXPERIMENT of the project)")
    group.add_argument("--html", metavar="FILE", help="write the table as HTML there, too")
    group.add_argument("--csv", metavar="FILE", help="write the table as CSV there, too")
    group.add_argument("--table", action="store_true", help="run nothing: make the tables of what there is")


def run(args: argparse.Namespace) -> int:
    if len(args.what) != 2:
        raise InputError(
            "bench methods: which experiment?",
            fix="kdstudio bench methods PROJECT/EXPERIMENT compares methods on its data, networks and budget",
        )
    project, base = project_and_experiment(Path(args.what[1]).expanduser(), args.changes)
    if project is None:
        raise InputError(
            f"{args.what[1]}: this file belongs to no project", fix="put it into experiments/ of a project"
        )
    if base.teacher is None:
        raise InputError(f"{base.name}: there is no teacher to learn from", fix="add 'teacher' to the experiment")
    if args.seeds < 1 or (args.epochs is not None and args.epochs < 1):
        raise InputError("--seeds and --epochs are 1 or more")
    epochs = args.epochs or base.train.epochs
    names = _chosen(args.methods)
    out = Path(args.out).expanduser() if args.out else folder_of(project, base.name)
    about = about_text(base, args.seeds, epochs)
    if args.table:
        planned = plan(base, objectives(project, base, names, epochs), range(args.seeds), epochs)
    else:
        with _stopped_by_sigterm(), Told(out, names, args.seeds, epochs) as told:
            planned = plan(base, objectives(project, base, names, epochs), range(args.seeds), epochs)
            _carry_out_all(project, planned, args, told, about)
    rows = table(project, planned)
    write_tables(out, rows, about)
    for path, text in ((args.html, as_html(rows, about)), (args.csv, as_csv(rows))):
        if path:
            write_text(Path(path).expanduser(), text)
    if args.json:
        print(as_json(rows, about))
    else:
        print(as_markdown(rows, about))
        print(f"tables: {out}")
    return 0


def _chosen(text: str) -> list[str]:
    names = list(ALL) if text == "all" else [name.strip() for name in text.split(",")]
    for name in names:
        if name not in BY_NAME:
            near = suggestion(name, BY_NAME)
            raise InputError(f"--methods: there is no method '{name}'", fix=near or f"there are: {', '.join(BY_NAME)}")
    return list(dict.fromkeys([*ALWAYS, *names]))


def objectives(
    project: Project, base: Experiment, names: list[str], epochs: int
) -> dict[str, list[dict[str, Any]] | None]:
    """The objective of each method for the experiment's networks; None where no layers fit."""
    from kdstudio.commands.inspect import model_report
    from kdstudio.engine.data import load_data

    assert base.teacher is not None
    bundle = load_data(base.data, project.root)
    sides = (base.teacher, base.student)
    reports = [
        model_report(
            side.model_copy(update={"weights": None}),
            bundle.input_shape,
            len(bundle.classes),
            project.root,
            project.trusted,
            parts=True,
        )
        for side in sides
    ]
    peer = base.student.model_dump(mode="json", include=set(ModelSpec.model_fields)) | {"weights": None}
    networks = Networks(reports[0], reports[1], epochs, peer)
    return {name: BY_NAME[name].recipe(networks) for name in names}


def about_text(base: Experiment, seeds: int, epochs: int) -> str:
    """What was compared on what, in a sentence."""
    assert base.teacher is not None
    data: Any = base.data
    limit = getattr(data, "train_limit", None)
    samples = f", {limit:,} training samples" if limit else ""
    return (
        f"{base.name}: {base.teacher.model} to {base.student.model} on {data.source}{samples}, {epochs} epochs, "
        f"{seeds} {'seed' if seeds == 1 else 'seeds'} each; every method with its published weight."
    )


@contextlib.contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Meanwhile SIGTERM ends the comparison as Ctrl-C does; and so does Ctrl-C for one that a shell put behind."""
    earlier = {number: signal.signal(number, _interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _carry_out_all(project: Project, planned: list[Planned], args: argparse.Namespace, told: Told, about: str) -> None:
    """Runs what is not finished yet, and keeps the tables up to date.

    Raises:
        KeyboardInterrupt: As asked for; what was going is parked, and the same command goes on.
    """
    wanted = [one for one in planned if one.experiment is not None]
    unfit = list(dict.fromkeys(one.method for one in planned if one.experiment is None))
    told.tell(phase="running", total=len(wanted), unfit=unfit)
    write_tables(told.folder, table(project, planned), about)
    done = failed = 0
    for number, one in enumerate(wanted, 1):
        run = _run_for(project, one)
        if run.status() is not RunStatus.FINISHED:
            told.tell(method=one.method, seed=one.seed, run=run.name)
            if not args.json:
                print(f"{number}/{len(wanted)}  {one.method}, seed {one.seed}: {run.name}", flush=True)
            _carry_out(run, one, args.threads)
            write_tables(told.folder, table(project, planned), about)
        over = run.status()
        done, failed = done + (over is RunStatus.FINISHED), failed + (over is RunStatus.FAILED)
        told.tell(done=done, failed=failed)


def _run_for(project: Project, one: Planned) -> RunFolder:
    """The run that there is already, or a new one."""
    assert one.experiment is not None
    run = run_of(project, one.experiment)
    if run is not None and run.status().active:
        raise RunBusyError(f"{run.name} is going already", fix="wait for it, or park it")
    return run or project.create_run(one.experiment)


def _carry_out(run: RunFolder, one: Planned, threads: str) -> None:
    """Runs one of the comparison to its end, in a process of its own."""
    command = [sys.executable, "-m", "kdstudio", "run", str(run.path), "--resume", "--quiet"]
    command += ["--threads", threads] if threads else []
    stopped = False
    with run.log_path.open("ab") as log:
        # In a session of its own a Ctrl-C does not reach it: it is told by us, once for each
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        while True:
            try:
                code = process.wait()
                break
            except KeyboardInterrupt:  # it saves; the second means at once, here as in a run
                stopped = True
                process.terminate()
    # Who parks or stops this one run from outside means the comparison: it would only go on with the next
    put_off = run.status() in (RunStatus.PARKED, RunStatus.STOPPED)
    if stopped or put_off or code in (130, -signal.SIGINT, -signal.SIGTERM):
        raise KeyboardInterrupt
    if code:
        error = run.state().error or {}
        print(
            f"{one.method}, seed {one.seed}: failed: {error.get('what') or f'see {run.log_path}'}",
            file=sys.stderr,
            flush=True,
        )


def table(project: Project, planned: list[Planned]) -> list[Row]:
    """The rows of what is finished by now."""
    figures: dict[str, Figures] = {}
    for one in planned:
        each = figures.setdefault(one.method, Figures(one.method, why_not=one.why, fits=one.experiment is not None))
        run: RunFolder | None = None
        if one.experiment is not None:
            run = run_of(project, one.experiment)
        if run is not None and run.status() is RunStatus.FINISHED:
            each.add(one.seed, run)
        elif run is not None and run.status() is RunStatus.FAILED and not each.seeds:
            each.why_not = (run.state().error or {}).get("what", "failed")[:120]
    return rows_of(list(figures.values()))


def write_tables(out: Path, rows: list[Row], about: str) -> None:
    """Writes methods.md, methods.html, methods.csv and methods.json.

    Raises:
        StorageError: The folder cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise KDStudioError(
            f"{out}: the folder cannot be made", why=str(error), fix="give another one: --out"
        ) from None
    for name, text in (
        ("methods.md", as_markdown(rows, about)),
        ("methods.html", as_html(rows, about)),
        ("methods.csv", as_csv(rows)),
        ("methods.json", json.dumps(json.loads(as_json(rows, about)), indent=1) + "\n"),
    ):
        write_text(out / name, text)
