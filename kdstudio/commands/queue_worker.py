"""Works on a project's queue: starts runs in processes of their own, and follows them by their folders alone.

When this process is killed, what it started goes on. The next one finds every run by its state: those that are going
are waited for, those that were interrupted go on from their last checkpoint.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable

from filelock import FileLock, Timeout

from kdstudio.project.errors import InputError
from kdstudio.project.folder import Project
from kdstudio.project.queue import Queue, Turn, device_of
from kdstudio.project.runs.folder import RunFolder

LOOK_SECONDS = 0.5
LOCK_SECONDS = 2.0
#: Runs of the project that were started by hand take a place too; they are looked for this often.
OTHERS_SECONDS = 3.0


class QueueWorker:
    """One process at a time works on a queue.

    Args:
        project: The project.
        threads: Given to `kdstudio run --threads`; empty for PyTorch's own number.
        tell: Called with a line for each thing that happens.
    """

    def __init__(self, project: Project, threads: str = "", tell: Callable[[str], None] = lambda line: None) -> None:
        self.queue = Queue(project)
        self.threads = threads
        self.tell = tell
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._others: list[RunFolder] = []
        self._looked = 0.0

    def work(self, watch: bool = False) -> None:
        """Works until nothing is left to start and nothing of the queue is going; with `watch` for ever.

        Raises:
            InputError: Another process works on this queue.
        """
        self.queue.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.queue.worker_lock)
        try:
            lock.acquire(timeout=LOCK_SECONDS)  # who looks whether somebody works holds it for a moment
        except Timeout:
            raise InputError(
                f"{self.queue.project.root}: another process works on this queue already",
                fix="add runs to it with kdstudio queue add; that process takes them in their turn",
            ) from None
        try:
            while self.turn() or watch:
                time.sleep(LOOK_SECONDS)
        finally:
            lock.release()

    def turn(self) -> bool:
        """Starts what may start. False when nothing of the queue is going and nothing is left to start."""
        for name in [name for name, process in self._processes.items() if process.poll() is not None]:
            del self._processes[name]
        for name in self.queue.tidy():
            self.tell(f"{name}: {RunFolder(self.queue.project.runs_dir / name).status().value}")
        self._look_at_others()
        for queued in self.queue.next(self._going()):
            self._start(queued.run)
        listed = self.queue.listed()
        left = any(queued.turn is Turn.WAITING for queued in listed) and not self.queue.read().paused
        return left or bool(self._processes) or any(queued.turn is Turn.GOING for queued in listed)

    def _look_at_others(self) -> None:
        now = time.monotonic()
        if now - self._looked > OTHERS_SECONDS:
            self._looked = now
            queued = {entry.run for entry in self.queue.read().entries}
            runs = self.queue.project.runs()
            self._others = [run for run in runs if run.name not in queued and run.status().active]

    def _going(self) -> dict[str, int]:
        """Runs at work, by device. A process that was just started counts before its run says so."""
        going = {queued.run.name: queued.run for queued in self.queue.listed() if queued.turn is Turn.GOING}
        going |= {name: RunFolder(self.queue.project.runs_dir / name) for name in self._processes}
        going |= {run.name: run for run in self._others}
        return Counter(device_of(run) for run in going.values())

    def _start(self, run: RunFolder) -> None:
        if run.name in self._processes or not self.queue.started(run.name):
            return
        command = [sys.executable, "-m", "kdstudio", "run", str(run.path), "--resume", "--quiet"]
        command += ["--threads", self.threads] if self.threads else []
        with run.log_path.open("ab") as log:
            self._processes[run.name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        self.tell(f"{run.name}: started")
