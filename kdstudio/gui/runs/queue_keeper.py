"""Keeps an eye on the project's queue, and a process at work on it. The process outlives the window."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable

import psutil
from PySide6.QtCore import QObject, QTimer, Signal

from kdstudio.gui.worker import NICE
from kdstudio.project.errors import KDStudioError
from kdstudio.project.folder import Project
from kdstudio.project.queue import Queue, Queued, QueueFile, Turn, is_worked_on
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.spec import Experiment

LOOK_MILLISECONDS = 1000


class QueueKeeper(QObject):
    """The queue as the window sees it.

    Signals:
        changed: The queue or where a run of it stands is another: `QueueFile` and a list of `Queued`.
        failed: A `KDStudioError`.
    """

    changed = Signal(object, object)
    failed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.queue: Queue | None = None
        self.spare: Callable[[], bool] = lambda: True
        self.file = QueueFile()
        self.listed: list[Queued] = []
        self._mark: object = None
        self._process: subprocess.Popen[bytes] | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MILLISECONDS)
        self._timer.timeout.connect(self.look)

    def set_project(self, project: Project | None) -> None:
        """Looks at another project's queue; what works on the one before goes on."""
        self.queue = Queue(project) if project is not None else None
        self._mark = None
        self._process = None
        self.look()
        if project is not None:
            self._timer.start()
        else:
            self._timer.stop()

    def look(self) -> None:
        """Reads the queue anew, and sees to it that somebody works on it."""
        try:
            self.file = self.queue.read() if self.queue is not None else QueueFile()
            self.listed = self.queue.listed(self.file) if self.queue is not None else []
            self._work()
        except KDStudioError as error:
            self._timer.stop()  # told once; the next change of the person's looks again
            self.failed.emit(error)
            return
        mark = (self.file.paused, self.file.side_by_side, [(one.run, one.status, one.turn) for one in self.listed])
        if mark != self._mark:
            self._mark = mark
            self.changed.emit(self.file, self.listed)

    def _work(self) -> None:
        """Starts a process where runs wait and nobody works on them."""
        if self._process is not None and self._process.poll() is not None:
            self._process = None
        waiting = any(one.turn is Turn.WAITING for one in self.listed)
        over = any(one.turn is Turn.OVER for one in self.listed)
        if self.queue is None or self._process is not None or self.file.paused or not (waiting or over):
            return
        if over and not waiting:
            self.queue.tidy()
            return
        if is_worked_on(self.queue):
            return
        command = [sys.executable, "-m", "kdstudio", "queue", "work", "--project", str(self.queue.project.root)]
        command += ["--threads", "spare"] if self.spare() else []
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        with contextlib.suppress(psutil.Error):
            psutil.Process(self._process.pid).nice(NICE)

    # -- what the person does ----------------------------------------------------------------------------------

    def add(self, experiment: Experiment) -> RunFolder | None:
        """Queues an experiment as a new run."""
        found: list[RunFolder] = []
        self.change(lambda queue: found.append(queue.add(experiment)))
        return found[0] if found else None

    def change(self, act: Callable[[Queue], object]) -> None:
        """Changes the queue and looks at it."""
        if self.queue is None:
            return
        try:
            act(self.queue)
        except KDStudioError as error:
            self.failed.emit(error)
        self._timer.start()
        self.look()

    def shut_down(self) -> None:
        """Stops to look; the process goes on."""
        self._timer.stop()
