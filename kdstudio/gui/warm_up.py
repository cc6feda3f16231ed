"""What the window needs a little later is loaded once it can be seen, a piece at a time."""

from __future__ import annotations

import importlib
import sys

from PySide6.QtCore import QEvent, QObject, QTimer, Signal
from PySide6.QtWidgets import QWidget

#: The plots are half of what the window would take to start. In the order of their needs, each a short wait.
PIECES = ("numpy", "pyqtgraph", "kdstudio.gui.monitor.page")
PAUSE_MILLISECONDS = 20


class WarmUp(QObject):
    """Waits for the window's first paint, then imports `PIECES` with the window's turn in between.

    A window that is closed meanwhile ends it.

    Signals:
        ready: All is there.
    """

    ready = Signal()

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._timer = QTimer(self)  # it ends with the window
        self._timer.setSingleShot(True)
        self._timer.setInterval(PAUSE_MILLISECONDS)
        self._timer.timeout.connect(self._next)
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() is QEvent.Type.Paint:
            watched.removeEventFilter(self)
            self._timer.start()
        return False

    def _next(self) -> None:
        window = self.parent()
        if not isinstance(window, QWidget) or not window.isVisible():
            return
        missing = next((name for name in PIECES if name not in sys.modules), None)
        if missing is None:
            self.ready.emit()
        else:
            importlib.import_module(missing)
            self._timer.start()
