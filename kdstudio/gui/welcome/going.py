"""How many runs of the recent projects go on in the background; looked at once the window can be seen."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QEvent, QObject, QTimer, Signal
from PySide6.QtWidgets import QAbstractScrollArea

from kdstudio.project.errors import KDStudioError
from kdstudio.project.folder import Project

PAUSE_MILLISECONDS = 20


class GoingRuns(QObject):
    """Looks at one project a turn, after the first paint of the page.

    Signals:
        found: A project's folder, and how many of its runs are going.
    """

    found = Signal(object, int)

    def __init__(self, page: QAbstractScrollArea) -> None:
        super().__init__(page)
        self._waiting: list[Path] = []
        self._painted = False
        self._timer = QTimer(self)
        self._timer.setInterval(PAUSE_MILLISECONDS)
        self._timer.timeout.connect(self._next)
        page.viewport().installEventFilter(self)

    def look(self, projects: list[Path]) -> None:
        """Looks at these, and no longer at others."""
        self._waiting = list(projects)
        if self._painted and projects:
            self._timer.start()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() is QEvent.Type.Paint:
            watched.removeEventFilter(self)
            self._painted = True
            self.look(self._waiting)
        return False

    def _next(self) -> None:
        if not self._waiting:
            self._timer.stop()
            return
        root = self._waiting.pop(0)
        try:
            runs = Project.open(root).runs()
        except (KDStudioError, OSError):
            return
        self.found.emit(root, sum(run.status().active for run in runs))
