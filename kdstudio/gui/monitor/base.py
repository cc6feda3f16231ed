"""What every panel shares: a card with a head, a worker to read from, and redrawing only when it is worth it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QPoint, QRect, QSize
from PySide6.QtGui import QPainter
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QMenu,
    QStackedLayout,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from kdstudio.gui.language import tr
from kdstudio.gui.theme import Theme
from kdstudio.gui.widgets.empty import EmptyState
from kdstudio.gui.worker import TrainingWorker
from kdstudio.project.errors import KDStudioError
from kdstudio.project.yaml_io import storage_error


class Panel(QFrame):
    """One panel of the Monitor page.

    A panel never draws when data arrives: it is marked stale, and the page's timer redraws it if it can be seen.
    `head_widget` is the dock's title bar, so controls that a panel puts into `head` stand beside its title.

    Args:
        name: Short stable name, for files and saved layouts.
        title: Its heading.
        empty: What will appear here, said while there is nothing to show.
    """

    def __init__(self, name: str, title: str, empty: str, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("dockbody")
        self.setAccessibleName(title)
        self.name = name
        self.title = title
        self.theme = theme
        self.worker: TrainingWorker | None = None
        self.stale = False
        self.head_widget = QFrame()
        self.head_widget.setObjectName("dockhead")
        self.heading = QLabel(title)
        self.heading.setObjectName("heading")
        self.menu_button = QToolButton()
        self.menu_button.setText("⋯")
        self.menu_button.setAccessibleName(tr("{panel}: save", panel=title))
        self.menu_button.setToolTip(tr("Save this panel as a picture or as a table"))
        self.menu_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self.menu_button)
        for kind, text in (
            ("png", tr("Save as PNG...")),
            ("svg", tr("Save as SVG...")),
            ("csv", tr("Save the data as CSV...")),
        ):
            menu.addAction(text).triggered.connect(lambda checked=False, kind=kind: self._ask_save(kind))
        self.menu_button.setMenu(menu)
        self.head_row = outer = QHBoxLayout(self.head_widget)
        outer.setContentsMargins(12, 6, 8, 2)
        outer.setSpacing(8)
        self.head = QHBoxLayout()
        self.head.setSpacing(8)
        outer.addWidget(self.heading)
        outer.addStretch(1)
        outer.addLayout(self.head)
        outer.addWidget(self.menu_button)
        self.body = QWidget()
        holder = QWidget()
        self.stack = QStackedLayout(holder)
        self.empty = EmptyState("", empty)
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self.body)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 2, 12, 8)
        layout.setSpacing(4)
        layout.addWidget(holder, 1)
        theme.changed.connect(self.recolour)

    # -- following -------------------------------------------------------------------------------------------

    def set_worker(self, worker: TrainingWorker | None) -> None:
        """Shows another run, or none."""
        self.worker = worker
        self.clear()
        self.show_empty(True)
        self.stale = worker is not None

    def compare(self, workers: list[TrainingWorker]) -> None:
        """Shows these earlier runs beside the shown one. Panels that can, override it."""

    def show_empty(self, empty: bool) -> None:
        self.stack.setCurrentIndex(0 if empty else 1)
        self.menu_button.setEnabled(not empty)

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

    # -- saving ----------------------------------------------------------------------------------------------

    def table(self) -> Sequence[Sequence[object]]:
        """What is shown, as rows for a CSV file; the first row names the columns."""
        raise TypeError("a panel can be saved as a table")

    def save(self, path: Path, kind: str) -> None:
        """Writes the panel as `png`, `svg` or `csv`.

        Raises:
            StorageError: The file cannot be written.
        """
        try:
            if kind == "csv":
                with path.open("w", newline="", encoding="utf-8") as file:
                    csv.writer(file).writerows(self.table())
            elif kind == "svg":
                self._save_svg(path)
            elif not self.grab().save(str(path), "PNG"):
                raise OSError(tr("the picture was not written"))
        except OSError as error:
            raise storage_error(path, error) from error

    def _save_svg(self, path: Path) -> None:
        size: QSize = self.body.size()
        generator = QSvgGenerator()
        generator.setFileName(str(path))
        generator.setSize(size)
        generator.setViewBox(QRect(0, 0, size.width(), size.height()))
        generator.setTitle(self.title)
        painter = QPainter()
        if not painter.begin(generator):
            raise OSError(tr("the file cannot be opened for writing"))
        painter.fillRect(QRect(0, 0, size.width(), size.height()), self.theme.tokens.panel)
        self.body.render(painter, QPoint(), renderFlags=QWidget.RenderFlag.DrawChildren)
        painter.end()

    def _ask_save(self, kind: str) -> None:
        run = self.worker.run_folder.name.replace("/", "-") if self.worker is not None else "run"
        name, _ = QFileDialog.getSaveFileName(
            self, tr("Save {panel}", panel=self.title), f"{run}-{self.name}.{kind}", f"{kind.upper()} (*.{kind})"
        )
        if name:
            try:
                self.save(Path(name), kind)
            except KDStudioError as error:
                window = self.window()
                tell = getattr(window, "tell_error", None)
                if tell is not None:
                    tell(error)
