"""Python's garbage is collected where Qt's objects may die: in the thread of the window.

Python collects cycles in whichever thread allocates the object that makes it due. Widgets and items of plots lie in
such cycles, and a worker that reads a run allocates most: Qt's objects would be deleted from a foreign thread, which
ends the process at some later time, far away.
"""

from __future__ import annotations

import gc

from PySide6.QtCore import QObject, QTimer

#: How often it is looked whether a collection is due, in milliseconds.
EVERY = 500


class GarbageCollector(QObject):
    """Turns Python's own collections off, and makes those that are due from the event loop of its own thread."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        gc.disable()
        self._timer = QTimer(self)
        self._timer.timeout.connect(collect_if_due)
        self._timer.start(EVERY)

    def stop(self) -> None:
        """Python collects again by itself, in any thread."""
        self._timer.stop()
        gc.enable()


def collect_if_due() -> int:
    """Collects the oldest generation that is due by Python's thresholds; gives the number of objects found."""
    counts, thresholds = gc.get_count(), gc.get_threshold()
    if counts[0] <= thresholds[0]:
        return 0
    due = [generation for generation in (2, 1) if counts[generation] > thresholds[generation]]
    return gc.collect(due[0] if due else 0)
