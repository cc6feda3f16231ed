"""Asks an engine process for facts: what is in the data, layers, shapes, costs, a teacher's outputs. Never blocks."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, QProcess, QTimer, Signal

from kdstudio.gui.language import tr
from kdstudio.project.errors import KDStudioError

DEBOUNCE_MILLISECONDS = 250
#: An answer that takes longer is announced.
BUSY_MILLISECONDS = 500
#: A cancelled question that goes on for longer ends with its process.
GRACE_MILLISECONDS = 3000
#: A process that nobody asks gives its memory back.
IDLE_MILLISECONDS = 180_000
#: A question whose process died is asked once more; it may have been the system, not the question.
ATTEMPTS = 2
CACHE_SIZE = 64
ERROR_BYTES = 4000

COMMAND = [sys.executable, "-m", "kdstudio", "inspect", "--serve"]


@dataclass
class _Asked:
    """A question on its way."""

    channel: str
    question: dict[str, Any]
    number: int = 0
    keep: bool = True
    attempts: int = 0
    cancelled: bool = False

    @property
    def key(self) -> str:
        return json.dumps(self.question, sort_keys=True)


class EngineClient(QObject):
    """A line to one engine process. It starts with the first question and ends with `shut_down` or when it is idle.

    Each part of the window asks on a channel of its own. On a channel the newest question wins: an older one that
    waits is dropped, one that is being answered is cancelled. Questions of different channels wait for each other.
    Answers are kept by the question's content.

    Signals:
        answered: Channel, answer.
        failed: Channel, `KDStudioError`.
        progressed: Channel, what is being done, how far, of how much (0: not known). Only after half a second.
    """

    answered = Signal(str, object)
    failed = Signal(str, object)
    progressed = Signal(str, str, int, int)

    def __init__(self, parent: QObject | None = None, command: list[str] | None = None) -> None:
        super().__init__(parent)
        self._command = command or COMMAND
        self._process: QProcess | None = None
        self._waiting: dict[str, _Asked] = {}
        self._running: _Asked | None = None
        self._number = 0
        self._buffer = b""
        self._last_words = b""
        self._cache: dict[str, dict[str, Any]] = {}
        self._progress: tuple[str, int, int] = ("", 0, 0)
        self._debounce = self._timer(DEBOUNCE_MILLISECONDS, self._send_next)
        self._busy = self._timer(BUSY_MILLISECONDS, self._tell_progress)
        self._grace = self._timer(GRACE_MILLISECONDS, self._end_process)
        self._idle = self._timer(IDLE_MILLISECONDS, self.shut_down)

    def _timer(self, milliseconds: int, slot: Any) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(milliseconds)
        timer.timeout.connect(slot)
        return timer

    # -- asking ------------------------------------------------------------------------------------------------

    def ask(self, channel: str, question: dict[str, Any], fresh: bool = False, keep: bool = True) -> None:
        """Asks; the answer comes as a signal, at once where it is known already.

        Args:
            channel: Whose question it is.
            question: See `kdstudio.commands.inspect_serve`, without the id.
            fresh: Forget what is known, in the engine too: a file was changed.
            keep: Keep the answer; not for one that may change while the question stays the same.
        """
        asked = _Asked(channel, question, keep=keep)
        if fresh:
            self._cache.clear()
            self._end_process()
        running = self._running
        if running is not None and running.channel == channel and not running.cancelled:
            if running.key == asked.key:
                self._waiting.pop(channel, None)
                return
            self.cancel(channel)
        if asked.key in self._cache:
            self._waiting.pop(channel, None)
            self.answered.emit(channel, self._cache[asked.key])
            return
        self._waiting[channel] = asked
        self._debounce.start()

    def cancel(self, channel: str) -> None:
        """The answer is no longer wanted; no signal comes for it."""
        self._waiting.pop(channel, None)
        running = self._running
        if running is not None and running.channel == channel and not running.cancelled:
            running.cancelled = True
            self._busy.stop()
            self._write({"cancel": running.number})
            self._grace.start()

    def pending(self, channel: str) -> bool:
        """Whether an answer is still to come."""
        running = self._running
        return channel in self._waiting or (
            running is not None and running.channel == channel and not running.cancelled
        )

    def shut_down(self) -> None:
        """Ends the process and forgets the questions. A later question starts a new one."""
        self._waiting.clear()
        if self._running is not None:
            self._running.cancelled = True
        self._end_process()
        for timer in (self._debounce, self._busy, self._grace, self._idle):
            timer.stop()

    # -- the process -------------------------------------------------------------------------------------------

    @property
    def process_id(self) -> int:
        """Of the engine process, 0 while there is none."""
        return self._process.processId() if self._process is not None else 0

    def _send_next(self) -> None:
        if self._running is not None or not self._waiting:
            return
        channel = next(iter(self._waiting))
        self._running = asked = self._waiting.pop(channel)
        self._number += 1
        asked.number = self._number
        asked.attempts += 1
        self._progress = ("", 0, 0)
        self._idle.stop()
        self._busy.start()
        if self._process is None:
            self._start()
        self._write({**asked.question, "id": asked.number})

    def _start(self) -> None:
        process = QProcess(self)
        process.readyReadStandardOutput.connect(self._read)
        process.readyReadStandardError.connect(self._read_errors)
        process.finished.connect(self._finished)
        process.errorOccurred.connect(self._error_occurred)
        self._buffer = self._last_words = b""
        self._process = process
        process.start(self._command[0], self._command[1:])

    def _write(self, message: dict[str, Any]) -> None:
        if self._process is not None:
            self._process.write(json.dumps(message).encode() + b"\n")

    def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for signal in (process.readyReadStandardOutput, process.readyReadStandardError, process.finished):
            signal.disconnect()
        process.errorOccurred.disconnect()
        process.kill()  # it holds nothing that could be lost
        process.waitForFinished(5000)
        process.deleteLater()
        self._over(None)

    def _read(self) -> None:
        if self._process is None:
            return
        *lines, self._buffer = (self._buffer + self._process.readAllStandardOutput().data()).split(b"\n")
        for line in lines:
            try:
                message = json.loads(line)
            except ValueError:
                continue
            self._take(message)

    def _read_errors(self) -> None:
        if self._process is not None:
            self._last_words = (self._last_words + self._process.readAllStandardError().data())[-ERROR_BYTES:]

    def _take(self, message: dict[str, Any]) -> None:
        asked = self._running
        if asked is None or message.get("id") != asked.number:
            return
        if "progress" in message:
            step = message["progress"]
            self._progress = (str(step["label"]), int(step["done"]), int(step["total"]))
            if not self._busy.isActive() and not asked.cancelled:
                self._tell_progress()
            return
        self._over(message)

    def _over(self, message: dict[str, Any] | None) -> None:
        """The running question has its answer, or its process has ended (None)."""
        asked, self._running = self._running, None
        self._busy.stop()
        self._grace.stop()
        if self._waiting:
            self._debounce.start(0 if message is not None else DEBOUNCE_MILLISECONDS)
        self._idle.start()
        if asked is None or asked.cancelled:
            return
        if message is None:
            self._waiting = {asked.channel: asked, **self._waiting}  # unless there is a newer one on the channel
            self._debounce.start()
        elif "answer" in message:
            if asked.keep:
                self._keep(asked.key, message["answer"])
            self.answered.emit(asked.channel, message["answer"])
        elif "error" in message:
            error = message["error"]
            self.failed.emit(asked.channel, KDStudioError(error["what"], error["why"], error["fix"], error["kind"]))

    def _keep(self, key: str, answer: dict[str, Any]) -> None:
        self._cache.pop(key, None)
        self._cache[key] = answer
        while len(self._cache) > CACHE_SIZE:
            del self._cache[next(iter(self._cache))]

    def _tell_progress(self) -> None:
        if self._running is not None and not self._running.cancelled:
            self.progressed.emit(self._running.channel, *self._progress)

    def _finished(self) -> None:
        """The process ended by itself: killed, crashed, or its idle time was up on the other side."""
        self._read()
        self._read_errors()
        process, self._process = self._process, None
        if process is not None:
            process.deleteLater()
        self._died(tr("The process that looks at data and models ended while it answered."))

    def _error_occurred(self, error: QProcess.ProcessError) -> None:
        if error != QProcess.ProcessError.FailedToStart or self._process is None:
            return  # all others come with `finished`
        words, self._process = self._process.errorString(), None
        if self._running is not None:
            self._running.attempts = ATTEMPTS
        self._last_words = words.encode()
        self._died(tr("The process that looks at data and models could not be started."))

    def _died(self, what: str) -> None:
        asked = self._running
        if asked is None or asked.cancelled or asked.attempts < ATTEMPTS:
            self._over(None)
            return
        lines = self._last_words.decode("utf-8", "replace").strip().splitlines()
        error = KDStudioError(
            what,
            lines[-1] if lines else tr("It may have run out of memory, or was ended from outside."),
            tr("Ask again; kdstudio doctor checks the installation."),
            kind="engine-died",
        )
        self._over({"id": asked.number, "error": error.as_dict()})
