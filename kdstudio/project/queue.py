"""The queue of a project: runs that wait for their turn, in `.kdstudio/queue.json`.

An entry is a run folder, made and frozen when it is queued. Where it stands is told by the run folder alone, so that
nothing is lost or run twice when a process dies: the queue only says which runs are next, and in which order.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from kdstudio.project.errors import InputError, KDStudioError
from kdstudio.project.folder import Project
from kdstudio.project.runs.folder import RunFolder, write_bytes
from kdstudio.project.runs.state import RunState, RunStatus, status_of
from kdstudio.project.spec import Experiment

#: A run that ends this many times without a new step is left alone.
MOST_TRIES = 3
MOST_SIDE_BY_SIDE = 64


class Entry(msgspec.Struct, kw_only=True):
    """A queued run.

    Attributes:
        run: Its name, `experiment/001`.
        tries: Starts since it last got on.
        mark: How far it had got at the last start.
        since: The process that had worked on it last when it was queued. A run that stopped, was parked or failed goes
            on as long as no other has: what happens to it in its turn is the end of its turn.
    """

    run: str
    tries: int = 0
    mark: str = ""
    since: str = ""


class QueueFile(msgspec.Struct, kw_only=True):
    """The contents of `queue.json`."""

    version: int = 1
    paused: bool = False
    side_by_side: int = 1
    entries: list[Entry] = []


class Turn(enum.Enum):
    """Where a queued run stands."""

    WAITING = "waiting"
    GOING = "going"
    OVER = "over"
    GIVEN_UP = "given up"


@dataclass(frozen=True)
class Queued:
    """An entry with what its run folder says."""

    entry: Entry
    run: RunFolder
    state: RunState
    status: RunStatus
    turn: Turn


class Queue:
    """Reads and changes the queue of a project. Every change is made under a lock and replaces the file in one step.

    Args:
        project: The project.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self.folder = project.root / ".kdstudio"
        self.path = self.folder / "queue.json"

    @property
    def worker_lock(self) -> Path:
        """Held by the process that works on the queue."""
        return self.folder / ".queue-worker.lock"

    def read(self) -> QueueFile:
        """What the file says; a missing one is an empty queue.

        Raises:
            InputError: The file is damaged.
        """
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=QueueFile)
        except FileNotFoundError:
            return QueueFile()
        except (OSError, msgspec.MsgspecError) as error:
            raise InputError(
                f"{self.path}: the queue cannot be read",
                why=str(error),
                fix="delete the file: the runs stay, and can be queued again",
                kind="damaged",
            ) from None

    @contextlib.contextmanager
    def changing(self) -> Iterator[QueueFile]:
        """The file's contents, written back when the block ends without an error."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / ".queue.lock"):
            file = self.read()
            yield file
            write_bytes(self.path, msgspec.json.format(msgspec.json.encode(file), indent=1) + b"\n")

    # -- what people do ----------------------------------------------------------------------------------------

    def add(self, experiment: Experiment, first: bool = False) -> RunFolder:
        """Freezes an experiment as a run that waits for its turn."""
        run = self.project.create_run(experiment)
        self.put(run, first)
        return run

    def put(self, run: RunFolder, first: bool = False) -> None:
        """Queues a run that there is: a new one, or one to go on with.

        Raises:
            InputError: The run is finished, is going or waits already.
        """
        status = run.status()
        if status.active or not status.resumable:
            raise InputError(
                f"{run.name}: this run cannot be queued",
                why=f"it is not waiting for anything: {status.text(run.state()).lower()}",
                fix="queue its experiment, which makes a new run",
            )
        with self.changing() as file:
            if any(entry.run == run.name for entry in file.entries):
                raise InputError(f"{run.name}: this run is in the queue already")
            file.entries.insert(0 if first else len(file.entries), Entry(run=run.name, since=_worker(run.state())))

    def remove(self, name: str) -> None:
        """Takes a run out of the queue; the run folder stays, and a run that is going goes on.

        Raises:
            InputError: It is not in the queue.
        """
        with self.changing() as file:
            file.entries.remove(_entry(file, name))

    def move(self, name: str, place: int) -> None:
        """Moves a run to a place in the queue, counted from 0 among all entries.

        Raises:
            InputError: It is not in the queue.
        """
        with self.changing() as file:
            entry = _entry(file, name)
            file.entries.remove(entry)
            file.entries.insert(max(0, min(place, len(file.entries))), entry)

    def pause(self, paused: bool) -> None:
        """Whether no further run is started. A run that is going goes on."""
        with self.changing() as file:
            file.paused = paused

    def set_side_by_side(self, count: int) -> None:
        """How many runs may go at once on one device.

        Raises:
            InputError: Not 1 to 64.
        """
        if not 1 <= count <= MOST_SIDE_BY_SIDE:
            raise InputError(f"{count} runs side by side", fix=f"use 1 to {MOST_SIDE_BY_SIDE}")
        with self.changing() as file:
            file.side_by_side = count

    def try_again(self, name: str) -> None:
        """Gives a run that was given up new tries."""
        with self.changing() as file:
            entry = _entry(file, name)
            entry.tries, entry.since = 0, _worker(RunFolder(self.project.runs_dir / name).state())

    # -- what the worker does ----------------------------------------------------------------------------------

    def listed(self, file: QueueFile | None = None) -> list[Queued]:
        """The entries in their order, each with where it stands. Runs that were deleted are left out."""
        found = []
        for entry in (file or self.read()).entries:
            run = RunFolder(self.project.runs_dir / entry.run)
            if not run.experiment_path.exists():
                continue
            state = run.state()
            status = status_of(state)
            found.append(Queued(entry, run, state, status, _turn(entry, state, status)))
        return found

    def started(self, name: str) -> bool:
        """Counts a start of a run, before its process is made. False where it is no longer to be started."""
        with self.changing() as file:
            entry = next((entry for entry in file.entries if entry.run == name), None)
            if entry is None or file.paused:
                return False
            state = RunFolder(self.project.runs_dir / name).state()
            mark = progress_mark(state)
            entry.tries = entry.tries + 1 if entry.mark == mark else 1
            entry.mark = mark
        return True

    def tidy(self) -> list[str]:
        """Takes runs that are over, and those that were deleted, out of the queue. Returns the names."""
        listed = self.listed()
        keep = {queued.entry.run for queued in listed if queued.turn is not Turn.OVER}
        gone = [entry.run for entry in self.read().entries if entry.run not in keep]
        if gone:
            with self.changing() as file:
                file.entries = [entry for entry in file.entries if entry.run not in gone]
        return gone

    def next(self, going: dict[str, int]) -> list[Queued]:
        """The runs that may start now, in their order.

        Args:
            going: How many runs are going, by device as `device_of` names it.
        """
        file = self.read()
        if file.paused:
            return []
        taken, found = dict(going), []
        for queued in self.listed(file):
            if queued.turn is not Turn.WAITING:
                continue
            device = device_of(queued.run)
            if taken.get(device, 0) < file.side_by_side:
                taken[device] = taken.get(device, 0) + 1
                found.append(queued)
        return found


def is_worked_on(queue: Queue) -> bool:
    """Whether a process works on the queue."""
    if not queue.worker_lock.exists():
        return False
    lock = FileLock(queue.worker_lock)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def device_of(run: RunFolder) -> str:
    """The device that a run asks for, as its spec names it; `auto` where the spec cannot be read."""
    try:
        return run.experiment().train.device
    except KDStudioError:
        return "auto"


def progress_mark(state: RunState) -> str:
    """Tells whether a run has got on since it was looked at last."""
    return f"{state.stage}:{state.epoch}:{state.step}:{state.last_checkpoint}"


def _worker(state: RunState) -> str:
    return f"{state.pid}:{state.process_start}"


def _entry(file: QueueFile, name: str) -> Entry:
    for entry in file.entries:
        if entry.run == name:
            return entry
    known = ", ".join(entry.run for entry in file.entries)
    raise InputError(f"'{name}' is not in the queue", fix=f"there are: {known}" if known else "the queue is empty")


def _turn(entry: Entry, state: RunState, status: RunStatus) -> Turn:
    if status.active:
        return Turn.GOING
    if status is RunStatus.FINISHED:
        return Turn.OVER
    if entry.tries >= MOST_TRIES and entry.mark == progress_mark(state):
        return Turn.GIVEN_UP
    if status in (RunStatus.CREATED, RunStatus.INTERRUPTED):
        return Turn.WAITING
    # stopped, parked or failed: the end of its turn, or how it was when it was queued
    return Turn.WAITING if entry.since == _worker(state) else Turn.OVER
