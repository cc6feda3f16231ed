"""The further ranks of a run on this machine: processes that its first one starts, watches and ends."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping

from kdstudio.engine.control import Parked, StoppedNow
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.place import SPAWNED

logger = logging.getLogger("kdstudio")

#: Ranks that have heard of the end leave within this time.
LEAVE_SECONDS = 10.0
#: The others of a run that fails wait for what will not come.
FAILED_SECONDS = 1.0
#: A run whose device waits for a rank that is gone hears of no error: it is ended after this time.
HANG_SECONDS = 30.0
_WATCH_SECONDS = 0.2
#: Exit codes of ranks that end because the run does: it is done, or interrupted.
_IN_ORDER = (0, 130)


class Workers:
    """Ranks 1, 2... of a run. Use as a context manager; on leaving all of them have ended.

    Args:
        run: The folder.
        size: The number of ranks, rank 0 among them.
        environment: What tells them where the others are.
        arguments: Further words of their command line.
        on_hang: Called as `on_hang(rank, how)` where rank 0 does not notice by itself that a rank is gone.
    """

    def __init__(
        self,
        run: RunFolder,
        size: int,
        environment: Mapping[str, str],
        arguments: list[str],
        on_hang: Callable[[int, str], None],
    ) -> None:
        self._command = [sys.executable, "-m", "kdstudio", "run", str(run.path), "--resume", "--quiet", *arguments]
        self._environment = environment
        self._size = size
        self._on_hang = on_hang
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._done = threading.Event()
        self._watch = threading.Thread(target=self._keep_watching, name="kdstudio-ranks", daemon=True)

    def __enter__(self) -> Workers:
        try:
            for rank in range(1, self._size):
                numbers = {"RANK": str(rank), "LOCAL_RANK": str(rank), SPAWNED: str(os.getpid())}
                # rank 0 has told what there was to warn of
                environment = {**os.environ, **self._environment, **numbers, "PYTHONWARNINGS": "ignore"}
                # their end of the pipe closes when this process ends, however it does
                self._processes[rank] = subprocess.Popen(
                    self._command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
                )
        except BaseException:
            self._end(0)
            raise
        self._watch.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._done.set()
        self._watch.join()
        in_order = error is None or isinstance(error, (Parked, StoppedNow))
        self._end(LEAVE_SECONDS if in_order else FAILED_SECONDS)

    def ended(self, rank: int) -> str:
        """How a rank has ended before it should have; empty where it has not."""
        process = self._processes.get(rank)
        code = process.poll() if process is not None else None
        return "" if code is None or code in _IN_ORDER else _words(code)

    def _end(self, patience: float) -> None:
        deadline = time.monotonic() + patience
        for process in self._processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            if process.poll() is None:
                process.kill()
                process.wait()
            if process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.close()

    def _keep_watching(self) -> None:
        since = 0.0
        while not self._done.wait(_WATCH_SECONDS):
            gone = [(rank, how) for rank in self._processes if (how := self.ended(rank))]
            since = since or (time.monotonic() if gone else 0.0)
            if gone and time.monotonic() - since > HANG_SECONDS:
                self._on_hang(*gone[0])
                return


def _words(code: int) -> str:
    if code >= 0:
        return f"its process ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"its process was ended by signal {-code} ({signal.Signals(-code).name})"
    return f"its process was ended by signal {-code}"


def end_with_parent() -> None:
    """Ends this process when the one that has started it does, whatever it is busy with."""

    def wait() -> None:
        with contextlib.suppress(OSError):
            os.read(0, 1)  # not through sys.stdin, whose lock would be held when the interpreter ends
        os._exit(1)

    threading.Thread(target=wait, name="parent-watch", daemon=True).start()
