"""What every panel shares: a card with a title, a worker to read from, and redrawing only when it is worth it."""

from __future__ import annotations

from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QStackedLayout, QVBoxLayout, QWidget

from kdstudio.gui.theme import Theme
from kdstudio.gui.widgets.empty import EmptyState
from kdstudio.gui.worker import TrainingWorker


class Panel(QFrame):
    """One panel of the Monitor page.

    A panel never draws when data arrives: it is marked stale, and the page's timer redraws it if it can be seen.

    Args:
        title: Its heading.
        empty: What will appear here, said while there is nothing to show.
    """

    def __init__(self, title: str, empty: str, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("card")
        self.setAccessibleName(title)
        self.theme = theme
        self.worker: TrainingWorker | None = None
        self.stale = False
        self.head = QHBoxLayout()
        self.head.setSpacing(8)
        heading = QLabel(title)
        heading.setObjectName("heading")
        self.head.addWidget(heading)
        self.head.addStretch(1)
        self.body = QWidget()
        holder = QWidget()
        self.stack = QStackedLayout(holder)
        self.stack.addWidget(EmptyState("", empty))
        self.stack.addWidget(self.body)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 8, 12, 8)
        layout.setSpacing(4)
        layout.addLayout(self.head)
        layout.addWidget(holder, 1)
        theme.changed.connect(self.recolour)

    def set_worker(self, worker: TrainingWorker | None) -> None:
        """Shows another run, or none."""
        self.worker = worker
        self.clear()
        self.show_empty(True)
        self.stale = worker is not None

    def show_empty(self, empty: bool) -> None:
        self.stack.setCurrentIndex(0 if empty else 1)

    def mark_stale(self) -> None:
        self.stale = True

    def redraw_if_stale(self) -> None:
        """Redraws when there is something new and the panel is visible."""
        if self.stale and self.worker is not None and self.isVisible():
            self.stale = False
            self.redraw()

    def clear(self) -> None:
        """Forgets what was drawn."""
        raise TypeError("a panel can be cleared")

    def redraw(self) -> None:
        """Draws what the worker has."""
        raise TypeError("a panel can be redrawn")

    def recolour(self) -> None:
        """Takes over the colours of a theme that has just changed."""
        raise TypeError("a panel follows the theme")
