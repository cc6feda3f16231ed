"""Tells how runs ended: in the window, and on the desktop if the person is elsewhere. And evaluates again."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QProcess
from PySide6.QtWidgets import QApplication, QSystemTrayIcon

from kdstudio.gui.language import tr
from kdstudio.gui.worker import Outcome, OutcomeKind
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.state import goes_on

if TYPE_CHECKING:
    from kdstudio.gui.main_window import MainWindow

LONG_SECONDS = 60.0
BAD = (OutcomeKind.FAILED, OutcomeKind.OUT_OF_MEMORY, OutcomeKind.KILLED)


class OutcomeTeller(QObject):
    """Messages about runs. Desktop notifications are for runs of over a minute that end while nobody looks."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.window = window
        self._tray: QSystemTrayIcon | None = None
        self._process: QProcess | None = None

    def ended(self, run: RunFolder, outcome: Outcome) -> None:
        """A run has ended, shown or not."""
        window = self.window
        shown = window.control.run == run
        if shown:
            window.export.show_run(run)
        what = outcome.what if shown else f"{run.name}: {outcome.what}"
        if outcome.kind in BAD:
            button, then = self._way_out(run, shown)
            window.message.tell(what, outcome.why, outcome.fix, outcome.details, button=button, then=then)
        else:
            window.strip.say(" ".join(part for part in (what, outcome.fix) if part), 8000)
        state = run.state()
        if state.ended - state.started > LONG_SECONDS and not window.focus_window():
            self.notify(run.name, outcome.what)
        window.refresh()

    def _way_out(self, run: RunFolder, shown: bool) -> tuple[str, Callable[[], None]]:
        """A button for a run that ended badly, and what it does."""
        window = self.window
        if not shown:
            return tr("Show"), partial(window.control.show, run)
        if goes_on(run.state(), run.status()):
            return tr("Resume"), window.resume
        return tr("Open Setup"), partial(window.show_page, "setup")

    def notify(self, title: str, text: str) -> None:
        """A desktop notification, where the desktop has them; else the window asks for attention."""
        QApplication.alert(self.window)
        if QSystemTrayIcon.isSystemTrayAvailable() and QSystemTrayIcon.supportsMessages():
            if self._tray is None:
                self._tray = QSystemTrayIcon(self.window.windowIcon(), self)
            self._tray.show()
            self._tray.showMessage(title, text)

    def evaluate(self, run: RunFolder) -> None:
        """Measures a finished run again, in a process of its own."""
        if self._process is not None:
            return
        process = self._process = QProcess(self)
        self.window.message.tell(
            tr("Evaluating {run}...", run=run.name), note=True, button=tr("Cancel"), then=self._cancel
        )
        process.finished.connect(lambda code, status: self._evaluated(run, code))
        process.start(sys.executable, ["-m", "kdstudio", "evaluate", str(run.path), "--json"])

    def _evaluated(self, run: RunFolder, code: int) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        said = bytes(process.readAllStandardError().data()).decode("utf-8", "replace").strip()
        process.deleteLater()
        if code == 0:
            self.window.message.tell(tr("{run} was evaluated again.", run=run.name), note=True)
            self.window.control.look()
            if self.window.control.run == run:
                self.window.export.show_run(run)
        else:
            lines = said.removeprefix("kdstudio: ").splitlines() or [tr("{run} was not evaluated.", run=run.name)]
            self.window.message.tell(lines[0], "\n".join(lines[1:]))

    def _cancel(self) -> None:
        if self._process is not None:
            self._process.kill()

    def shut_down(self) -> None:
        """The window is closing."""
        if self._tray is not None:
            self._tray.hide()
        if self._process is not None:
            self._process.blockSignals(True)
            self._process.kill()
            self._process.waitForFinished(3000)
            self._process = None
