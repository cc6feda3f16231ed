"""A comparison of methods as the window sees it: started in a process of its own, and followed through its files."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import psutil
from PySide6.QtCore import QObject, QTimer, Signal

from kdstudio.gui.worker import NICE
from kdstudio.project.comparison import FILE, LOG, Comparison, read_comparison, stop_comparison
from kdstudio.project.errors import KDStudioError
from kdstudio.project.method_bench import Row
from kdstudio.project.yaml_io import storage_error

LOOK_MILLISECONDS = 400
TABLE = "methods.json"
LOG_LINES = 12


class Comparing(QObject):
    """Follows the comparison in a folder, whoever started it, and starts or stops one.

    Signals:
        changed: Where it stands, or its table, is another than before.
    """

    changed = Signal()

    def __init__(self, folder: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.folder = folder
        self.state: Comparison | None = None
        self.about = ""
        self.rows: list[Row] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._mark: tuple[object, ...] = ()
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MILLISECONDS)
        self._timer.timeout.connect(self.look)
        self._timer.start()
        self.look()

    @property
    def going(self) -> bool:
        """Whether a comparison is going here; one that was started just now counts before it says so."""
        ours = self._process is not None and self._process.poll() is None
        return ours or (self.state is not None and self.state.going)

    @property
    def starting(self) -> bool:
        """Whether one was started just now that has not said so yet."""
        ours = self._process if self._process is not None and self._process.poll() is None else None
        return ours is not None and (self.state is None or self.state.pid != ours.pid)

    def start(self, experiment: Path, methods: list[str], seeds: int, epochs: int, spare: bool) -> None:
        """Starts `kdstudio bench methods` in a session of its own, so that it outlives the window.

        Raises:
            StorageError: The folder cannot be written.
        """
        command = [sys.executable, "-m", "kdstudio", "bench", "methods", str(experiment)]
        command += ["--methods", ",".join(methods), "--seeds", str(seeds), "--epochs", str(epochs)]
        command += ["--threads", "spare"] if spare else []
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / LOG).open("wb") as log:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
                )
        except OSError as error:
            raise storage_error(self.folder, error) from error
        with contextlib.suppress(psutil.Error):
            psutil.Process(self._process.pid).nice(NICE)
        self.look()

    def stop(self) -> None:
        """Asks it to save and end; starting it again with the same settings goes on."""
        if self.state is not None:
            stop_comparison(self.state)

    def shut_down(self) -> None:
        """Stops to follow; what is going goes on."""
        self._timer.stop()

    def look(self) -> None:
        """Reads what has changed."""
        going = self.going
        status = self.state.status if self.state is not None else ""
        mark = (going, status, _mark(self.folder / FILE), _mark(self.folder / TABLE))
        if mark == self._mark:
            return
        self.state = read_comparison(self.folder)
        with contextlib.suppress(OSError, ValueError, KeyError, msgspec.MsgspecError):
            read: dict[str, Any] = json.loads((self.folder / TABLE).read_bytes())
            self.rows, self.about = msgspec.convert(read["rows"], list[Row]), str(read["about"])
        self._mark = (self.going, self.state.status if self.state is not None else "", *mark[2:])
        self.changed.emit()

    def error(self) -> KDStudioError | None:
        """Why it could not go on, where it failed."""
        if self.going:
            return None
        if self.state is not None and self.state.status == "failed":
            told = self.state.error or {}
            return KDStudioError(told.get("what", ""), told.get("why", ""), told.get("fix", ""))
        code = self._process.returncode if self._process is not None else None
        if code in (None, 0, 130):
            return None
        return KDStudioError(self._last_words() or f"exit code {code}")

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            lines = (self.folder / LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
            return "\n".join(line.removeprefix("kdstudio: ") for line in lines[-LOG_LINES:])
        return ""


def _mark(path: Path) -> tuple[int, int]:
    try:
        info = path.stat()
    except OSError:
        return (0, 0)
    return (info.st_mtime_ns, info.st_ino)
