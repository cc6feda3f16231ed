"""Where a comparison of methods stands: `comparison.json` beside its tables, for who follows it from outside."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from kdstudio.project.errors import KDStudioError, RunBusyError
from kdstudio.project.folder import Project
from kdstudio.project.runs.folder import write_bytes
from kdstudio.project.runs.state import RunState, is_alive, process_start
from kdstudio.project.yaml_io import storage_error

FILE, LOCK, LOG = "comparison.json", ".comparison.lock", "comparison.log"
GOING = ("preparing", "running")


class Comparison(msgspec.Struct, kw_only=True):
    """What a comparison was asked for and how far it is. Times are seconds since 1970.

    Attributes:
        phase: `preparing`, `running`, `finished`, `stopped`, `failed`; see `status`.
        total, done, failed: Runs: those that fit the networks, those that are finished, those that failed.
        method, seed, run: What is going now.
        unfit: The methods that do not fit the networks.
        error: Of a comparison that failed: what, why and fix.
    """

    phase: str = "preparing"
    methods: list[str] = []
    seeds: int = 0
    epochs: int = 0
    total: int = 0
    done: int = 0
    failed: int = 0
    method: str = ""
    seed: int = 0
    run: str = ""
    unfit: list[str] = []
    error: dict[str, str] | None = None
    pid: int = 0
    process_start: float = 0.0
    host: str = ""
    started: float = 0.0
    ended: float = 0.0

    @property
    def status(self) -> str:
        """The phase; `interrupted` where the process that wrote it is gone."""
        return "interrupted" if self.phase in GOING and not self._alive else self.phase

    @property
    def going(self) -> bool:
        return self.status in GOING

    @property
    def here(self) -> bool:
        """Whether its process is on this computer, so that it can be stopped from here."""
        return self.host == socket.gethostname()

    @property
    def _alive(self) -> bool:
        # Another computer's process cannot be seen; what it wrote last is believed
        state = RunState(pid=self.pid, process_start=self.process_start, host=self.host, heartbeat=time.time())
        return is_alive(state)


def folder_of(project: Project, experiment: str) -> Path:
    """Where the tables of an experiment's comparison lie."""
    return project.root / "bench" / experiment


def read_comparison(folder: Path) -> Comparison | None:
    """Where the comparison of this folder stands; None where there never was one that said so."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Comparison)
    except (OSError, msgspec.MsgspecError):
        return None


def stop_comparison(comparison: Comparison) -> None:
    """Asks the process of a comparison that is going here to save and end, as Ctrl-C does."""
    if comparison.going and comparison.here:
        with contextlib.suppress(OSError):
            os.kill(comparison.pid, signal.SIGINT)


class Told:
    """A comparison as it is carried out: held for this process alone, and told of in its file.

    Raises:
        RunBusyError: Another process carries it out.
        StorageError: The folder cannot be written.
    """

    def __init__(self, folder: Path, methods: list[str], seeds: int, epochs: int) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(folder, error) from error
        self._lock = FileLock(folder / LOCK)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise RunBusyError(
                f"{folder.name}: this comparison is going already",
                fix="wait for it, or stop it: Ctrl-C where it was started, or Compare methods in the window",
            ) from None
        pid = os.getpid()
        self.state = Comparison(
            methods=methods,
            seeds=seeds,
            epochs=epochs,
            pid=pid,
            process_start=process_start(pid),
            host=socket.gethostname(),
            started=time.time(),
        )
        self.tell()

    def tell(self, **changes: object) -> None:
        """Changes fields and writes the file."""
        for name, value in changes.items():
            setattr(self.state, name, value)
        write_bytes(self.folder / FILE, msgspec.json.format(msgspec.json.encode(self.state), indent=1) + b"\n")

    def __enter__(self) -> Told:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        try:
            if kind is None:
                self.tell(phase="finished", ended=time.time())
            elif kind is KeyboardInterrupt:
                self.tell(phase="stopped", ended=time.time())
            else:
                told = error.as_dict() if isinstance(error, KDStudioError) else {"what": str(error) or kind.__name__}
                self.tell(phase="failed", ended=time.time(), error=told)
        finally:
            self._lock.release()
