"""`TrainingWorker`: a thread that starts or attaches to a run and follows its folder. It never computes."""

from __future__ import annotations

import contextlib
import enum
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
from PySide6.QtCore import QObject, QThread, Signal

from kdstudio.gui.language import tr
from kdstudio.project.runs.control import WATCHED_SECONDS, Request, request, tell_watched
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.metrics import MetricFollower, MetricStore, Series
from kdstudio.project.runs.snapshots import SnapshotInfo, list_snapshots
from kdstudio.project.runs.state import RunState, RunStatus, is_alive, status_of

POLL_SECONDS = 0.02
SLOW_POLL_SECONDS = 0.2
#: While a long file is read in, panels are told this often: drawing each bite would take longer than reading it.
CATCH_UP_SECONDS = 0.25
ASIDE_SECONDS = 0.3
GRACE_SECONDS = 8.0
LOG_BYTES = 256 * 1024
#: Behind the window, which has to stay smooth; Windows has priority classes in place of a number.
NICE = 10 if os.name == "posix" else getattr(psutil, "BELOW_NORMAL_PRIORITY_CLASS", 0)


class OutcomeKind(enum.Enum):
    """How a followed run ended."""

    FINISHED = "finished"
    STOPPED = "stopped"
    PARKED = "parked"
    OUT_OF_MEMORY = "out-of-memory"
    KILLED = "killed"
    FAILED = "failed"


@dataclass(frozen=True)
class Outcome:
    """How a run ended, in words a person can use."""

    kind: OutcomeKind
    what: str
    why: str = ""
    fix: str = ""
    details: str = ""


def outcome_of(state: RunState, status: RunStatus, returncode: int | None, last_lines: str) -> Outcome:
    """The outcome from the state on disk and the exit of the process, if it was ours."""
    if status is RunStatus.FINISHED:
        return Outcome(OutcomeKind.FINISHED, tr("The run is finished."))
    if status is RunStatus.PARKED:
        return Outcome(
            OutcomeKind.PARKED, tr("Parked at step {step}.", step=state.step), fix=tr("Resume goes on from here.")
        )
    if status is RunStatus.STOPPED:
        return Outcome(
            OutcomeKind.STOPPED, tr("Stopped at step {step}.", step=state.step), fix=tr("Resume goes on from here.")
        )
    error = state.error or {}
    if status is RunStatus.FAILED:
        kind = OutcomeKind.OUT_OF_MEMORY if error.get("kind") == "out-of-memory" else OutcomeKind.FAILED
        what = error.get("what", tr("The run failed."))
        return Outcome(kind, what, error.get("why", ""), error.get("fix", ""), last_lines)
    if returncode in (-signal.SIGKILL, 137):
        why = tr("Its process was killed, as the system does when memory runs out.")
    elif returncode is not None and returncode < 0:
        why = tr("Its process died of signal {number}.", number=-returncode)
    else:
        why = tr("Its process is gone.")
    return Outcome(
        OutcomeKind.KILLED,
        tr("Interrupted at step {step}.", step=state.step),
        why,
        tr("Resume goes on from the last checkpoint; nothing before it is lost."),
        last_lines,
    )


class TrainingWorker(QThread):
    """Starts a run's engine in a child process, or attaches to a run; follows its folder until it ends.

    Signals come at most about 25 times a second, and only for what is new. Metrics do not travel in signals: panels
    read what they need through `series`.

    Args:
        run: The run folder.
        start: Start (or resume) the engine. Without it the worker only follows.
        until: With `teacher`, the engine parks when the teacher is trained.
        spare: Whether an engine that is started leaves one core to the window.
    """

    metrics_changed = Signal()
    state_changed = Signal(object, object)  # RunState, RunStatus
    snapshots_changed = Signal(list)  # of SnapshotInfo
    log_grew = Signal(str)
    loaded = Signal()  # all that lay on disk has been read
    ended = Signal(object)  # Outcome; not for a run that was over before we looked

    def __init__(
        self, run: RunFolder, start: bool, parent: QObject | None = None, until: str = "", spare: bool = True
    ) -> None:
        super().__init__(parent)
        self._until = until
        self._spare = spare
        self.run_folder = run
        self.setObjectName(f"TrainingWorker {run.name}")
        self._start_engine = start
        self._lock = threading.Lock()
        self._follower = MetricFollower(run.metrics_path, self._lock)
        self._leave = threading.Event()
        self._turn = threading.Event()
        self._turn.set()
        self._process: subprocess.Popen[bytes] | None = None
        self._escalate_at = 0.0
        self._escalation = 0
        self._known: dict[object, SnapshotInfo] = {}
        self._snapshots: list[SnapshotInfo] = []
        self._log_offset = 0
        self._state_mark: tuple[int, int] | None = None
        self._watched_at = 0.0

    # -- called from the window's thread -----------------------------------------------------------------------

    @contextlib.contextmanager
    def reading(self) -> Iterator[MetricStore]:
        """The store, held still meanwhile: for reading many series at once."""
        with self._lock:
            yield self._follower.store

    def series(self, stage: str, split: str, key: str, start: int = 0) -> Series:
        """A copy of one series from its `start`-th sample on."""
        with self.reading() as store:
            return store.series(stage, split, key, start)

    def series_keys(self) -> list[tuple[str, str, str]]:
        """The (stage, split, key) of all series so far."""
        with self.reading() as store:
            return store.keys()

    def length(self, stage: str, split: str, key: str) -> int:
        with self.reading() as store:
            return store.length(stage, split, key)

    def stand_aside(self, aside: bool) -> None:
        """Lets the window draw: until it is called again, for at most `ASIDE_SECONDS`, a long file is not read on.

        Both want Python's interpreter lock. A drawing that hands it over at each call of Qt takes ten times as long.
        """
        if aside:
            self._turn.clear()
        else:
            self._turn.set()

    def store(self) -> MetricStore:
        """The store itself, for reading events; its list only grows."""
        return self._follower.store

    def request(self, what: Request) -> None:
        """Asks the run to hold, continue, park, stop or stop now; `stop-now` is enforced if it is not obeyed."""
        request(self.run_folder, what)
        if what == "stop-now":
            self._escalate_at = time.monotonic() + GRACE_SECONDS
            self._escalation = 0

    def detach(self) -> None:
        """Stops following; a run that is going goes on. Returns when the thread has ended."""
        self._leave.set()
        self.wait()

    # -- the thread --------------------------------------------------------------------------------------------

    def run(self) -> None:
        if self._start_engine:
            self._launch()
        was_going = self._start_engine
        loaded = False
        slow = told = 0.0
        grew = False
        while not self._leave.is_set():
            self._turn.wait(ASIDE_SECONDS)
            now = time.monotonic()
            grew = self._follower.poll(max_seconds=0.005) or grew
            behind = self._follower.behind()
            if grew and (not behind or now >= told):
                grew, told = False, now + CATCH_UP_SECONDS
                self.metrics_changed.emit()
            if behind and now < slow:
                continue
            if now >= slow:
                slow = now + SLOW_POLL_SECONDS
                self._look_at_snapshots()
                self._look_at_log()
            state, status = self._look_at_state()
            if status.active and now - self._watched_at > WATCHED_SECONDS / 4:
                self._watched_at = now
                tell_watched(self.run_folder)
            was_going = was_going or status.active
            if not loaded and not behind:
                loaded = True
                self.loaded.emit()
            self._enforce(state)
            exited = self._process is None or self._process.poll() is not None
            over = exited and not status.active and (status is not RunStatus.CREATED or self._process is not None)
            if over and not self._follower.behind():
                self._finish(was_going)
                return
            if not was_going and status is RunStatus.CREATED:
                return
            if not behind:
                self._leave.wait(POLL_SECONDS)

    def _launch(self) -> None:
        """Starts the engine in a session of its own, so that it outlives the window, and behind it in priority."""
        command = [sys.executable, "-m", "kdstudio", "run", str(self.run_folder.path), "--resume", "--quiet"]
        command += ["--until", self._until] if self._until else []
        command += ["--threads", "spare"] if self._spare else []
        with self.run_folder.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        with contextlib.suppress(psutil.Error):
            psutil.Process(self._process.pid).nice(NICE)

    def _look_at_state(self) -> tuple[RunState, RunStatus]:
        try:
            info = self.run_folder.state_path.stat()
            mark = (info.st_mtime_ns, info.st_ino)
        except OSError:
            mark = None
        state = self.run_folder.state()
        status = status_of(state)
        ours = self._process is not None and self._process.poll() is None
        if ours and not status.active and self._process is not None and state.pid != self._process.pid:
            status = RunStatus.STARTING  # our child has not written its first state yet
        key = (mark or (0, 0), status)
        if key != self._state_mark:
            self._state_mark = key  # type: ignore[assignment]
            self.state_changed.emit(state, status)
        return state, status

    def _look_at_snapshots(self) -> None:
        found = list_snapshots(self.run_folder, self._known)  # type: ignore[arg-type]
        if len(found) != len(self._snapshots):
            self._snapshots = found
            self.snapshots_changed.emit(found)

    def _look_at_log(self) -> None:
        path = self.run_folder.log_path
        try:
            size = path.stat().st_size
            if size <= self._log_offset:
                return
            with path.open("rb") as file:
                file.seek(max(self._log_offset, size - LOG_BYTES))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return
        self._log_offset = size
        self.log_grew.emit(text)

    def _enforce(self, state: RunState) -> None:
        """Request, then SIGTERM, then SIGKILL of the engine's process group."""
        if not self._escalate_at or time.monotonic() < self._escalate_at:
            return
        pid = self._process.pid if self._process is not None and self._process.poll() is None else 0
        if not pid and is_alive(state):
            pid = state.pid
        if not pid:
            self._escalate_at = 0.0
            return
        number = signal.SIGTERM if self._escalation == 0 else signal.SIGKILL
        self._escalation += 1
        self._escalate_at = time.monotonic() + GRACE_SECONDS
        with contextlib.suppress(OSError):
            group = os.getpgid(pid)
            if group == os.getpgrp():  # started from our own terminal: never signal ourselves
                os.kill(pid, number)
            else:
                os.killpg(group, number)

    def _finish(self, was_going: bool) -> None:
        self._follower.read_all()
        self.metrics_changed.emit()
        self._look_at_snapshots()
        self._look_at_log()
        state = self.run_folder.state()
        status = status_of(state)
        self.state_changed.emit(state, status)
        if was_going:
            returncode = self._process.returncode if self._process is not None else None
            self.ended.emit(outcome_of(state, status, returncode, self._last_lines()))

    def _last_lines(self) -> str:
        try:
            lines = self.run_folder.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(told_once(lines)[-30:])


def told_once(lines: list[str]) -> list[str]:
    """A log without what the command line repeats of it: an error is logged, and printed by the dying process."""
    kept: list[str] = []
    again = False
    for line in lines:
        text = line.removeprefix("kdstudio: ")
        if text != line:
            again = any(before.endswith(text) for before in kept)
        elif line not in kept:
            again = False
        if not again:
            kept.append(line)
    return kept
