"""Requests from outside: the only reader of `control/`, and the signals that mean the same."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from kdstudio.project.runs.control import REQUESTS
from kdstudio.project.runs.folder import RunFolder

POLL_SECONDS = 0.1


class Parked(Exception):
    """The run saved itself and gives the device back; it can be resumed."""


class StoppedNow(Exception):
    """The run ends at once; what was checkpointed stays."""


class Interrupted(StoppedNow):
    """Ctrl+C or SIGTERM: saved like a park, exit code 130."""


class Control:
    """Answers requests at step boundaries.

    Requests that were left from an earlier process are removed when this is made: before `state.json` says that the
    run is going, so that no request of this process's time is lost.
    """

    #: The requests that this process reads.
    requests: tuple[str, ...] = REQUESTS

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self.stop_requested = False
        self._next_poll = 0.0
        self._signalled = False
        self._previous: dict[int, Any] = {}
        for name in self.requests:
            self._pop(name)

    def __enter__(self) -> Control:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._signalled:  # a second Ctrl+C means it
            raise KeyboardInterrupt
        self._signalled = True
        self._next_poll = 0.0

    def poll(self, on_hold: Callable[[bool], None] | None = None) -> None:
        """Looks for requests, at most ten times a second; waits here while the run is on hold.

        Args:
            on_hold: Called with True when a hold begins and with False when it ends.

        Raises:
            Parked, StoppedNow, Interrupted: As asked for. `stop` only sets `stop_requested`.
        """
        now = time.monotonic()
        if now < self._next_poll:
            return
        self._next_poll = now + POLL_SECONDS
        if self._signalled:
            raise Interrupted
        if not self._take():
            return
        if on_hold:
            on_hold(True)
        try:
            while True:
                if self._signalled:
                    raise Interrupted
                if self._held_until():
                    break
                time.sleep(POLL_SECONDS)
        finally:
            if on_hold:
                on_hold(False)

    def _pop(self, name: str) -> bool:
        try:
            (self.run.control_dir / name).unlink()
        except OSError:
            return False
        return True

    def _take(self) -> bool:
        """Handles what lies there; True if the run is to hold."""
        self._ends()
        hold = self._pop("hold")
        return not self._pop("continue") and hold

    def _held_until(self) -> bool:
        """While on hold: True when the run is to go on."""
        self._ends()
        return self._pop("continue") or self.stop_requested

    def _ends(self) -> None:
        if self._pop("stop-now"):
            raise StoppedNow
        if self._pop("park"):
            raise Parked
        if self._pop("stop"):
            self.stop_requested = True
