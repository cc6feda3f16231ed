"""A sweep as the window sees it: started in a process of its own, and followed through the folders of its runs."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import psutil
from PySide6.QtCore import QObject, QTimer, Signal

from kdstudio.gui.worker import NICE
from kdstudio.project.errors import KDStudioError
from kdstudio.project.sweeps.folder import Sweep
from kdstudio.project.sweeps.trials import Known, Outcome, Trials, read_trials
from kdstudio.project.yaml_io import storage_error

LOOK_MILLISECONDS = 600
LOG = "sweep.log"
LOG_LINES = 12


class Following(QObject):
    """Follows one sweep at a time, whoever works on it.

    Signals:
        changed: Its trials, or whether it is going, are others than before.
    """

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.sweep: Sweep | None = None
        self.trials = Trials([], "accuracy", False)
        self._process: subprocess.Popen[bytes] | None = None
        self._known: Known = {}
        self._mark: object = None
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MILLISECONDS)
        self._timer.timeout.connect(self.look)
        self._timer.start()

    def show(self, sweep: Sweep | None) -> None:
        """Follows another sweep, or none."""
        self.sweep, self._known, self._mark, self._process = sweep, {}, None, None
        self.look()

    @property
    def starting(self) -> bool:
        """Whether a process of ours has not made its first trial yet."""
        return self._ours and not self.trials.count(Outcome.RUNNING)

    @property
    def going(self) -> bool:
        """Whether somebody works on it."""
        return self._ours or self.trials.count(Outcome.RUNNING) > 0

    @property
    def _ours(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, workers: int, spare: bool) -> None:
        """Starts `kdstudio sweep` in a session of its own, so that it outlives the window.

        Raises:
            StorageError: The folder cannot be written.
        """
        assert self.sweep is not None
        command = [sys.executable, "-m", "kdstudio", "sweep", str(self.sweep.path), "--workers", str(workers)]
        command += ["--threads", "1"] if workers > 1 else ["--threads", "spare"] if spare else []
        try:
            with (self.sweep.path / LOG).open("wb") as log:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
                )
        except OSError as error:
            raise storage_error(self.sweep.path, error) from error
        with contextlib.suppress(psutil.Error):
            psutil.Process(self._process.pid).nice(NICE)
        self.look()

    def stop(self) -> None:
        """Asks all who work on it to park their runs and end; started again, it goes on."""
        if self.sweep is not None:
            self.sweep.ask_stop()

    def shut_down(self) -> None:
        """Stops to follow; what is going goes on."""
        self._timer.stop()

    def look(self) -> None:
        """Reads what has changed."""
        if self.sweep is None:
            self.trials = Trials([], "accuracy", False)
            mark: object = "none"
        else:
            self.trials = read_trials(self.sweep, self._known)
            found = [(trial.number, trial.outcome, trial.score, len(trial.runs)) for trial in self.trials.trials]
            mark = (self.sweep.name, self._ours, found)
        if mark != self._mark:
            self._mark = mark
            self.changed.emit()

    def error(self) -> KDStudioError | None:
        """Why the process that was started here could not go on."""
        code = self._process.poll() if self._process is not None else None
        if code in (None, 0, 130) or self.sweep is None:
            return None
        with contextlib.suppress(OSError):
            lines = (self.sweep.path / LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
            said = "\n".join(line.removeprefix("kdstudio: ") for line in lines[-LOG_LINES:])
            if said:
                return KDStudioError(said)
        return KDStudioError(f"exit code {code}")
