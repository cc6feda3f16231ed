"""The log panel: what the run says, by level and with a search."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence

from PySide6.QtGui import QColor, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QComboBox, QLineEdit, QPlainTextEdit, QVBoxLayout

from kdstudio.gui.monitor.base import Panel
from kdstudio.gui.theme import Theme
from kdstudio.gui.worker import TrainingWorker

LINES = 20000
LEVELS = {"All": (), "Warnings": ("WARNING", "ERROR", "CRITICAL"), "Errors": ("ERROR", "CRITICAL")}
LINE = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) ([A-Z]+) ")


class LogPanel(Panel):
    """The last lines of `log.txt`. Lines without a level of their own belong to the one before them."""

    def __init__(self, theme: Theme) -> None:
        super().__init__("log", "Log", "What the run says appears here as soon as it starts.", theme)
        self._lines: deque[tuple[str, str]] = deque(maxlen=LINES)
        self.level = QComboBox()
        self.level.addItems(list(LEVELS))
        self.level.setAccessibleName("Level")
        self.level.activated.connect(self._refill)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search")
        self.search.setAccessibleName("Search the log")
        self.search.setClearButtonEnabled(True)
        self.search.setMaximumWidth(200)
        self.search.textChanged.connect(self._refill)
        self.head.addWidget(self.search)
        self.head.addWidget(self.level)
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setMaximumBlockCount(LINES)
        self.text.setAccessibleName("Log")
        layout = QVBoxLayout(self.body)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text)

    def set_worker(self, worker: TrainingWorker | None) -> None:
        super().set_worker(worker)
        self.stale = False

    def append(self, text: str) -> None:
        """More of the log has been written."""
        level = self._lines[-1][0] if self._lines else "INFO"
        fresh = []
        for line in text.rstrip("\n").split("\n"):
            found = LINE.match(line)
            level = found[2] if found else level
            fresh.append((level, line))
        self._lines.extend(fresh)
        self.show_empty(False)
        bar = self.text.verticalScrollBar()
        at_end = bar.value() >= bar.maximum() - 4
        self._write(fresh)
        if at_end:
            bar.setValue(bar.maximum())

    def clear(self) -> None:
        self._lines.clear()
        self.text.clear()

    def redraw(self) -> None:
        """Lines are written as they come."""

    def recolour(self) -> None:
        self._refill()

    def table(self) -> Sequence[Sequence[object]]:
        return [("level", "line"), *self._lines]

    def _refill(self) -> None:
        self.text.clear()
        self._write(list(self._lines))
        bar = self.text.verticalScrollBar()
        bar.setValue(bar.maximum())

    def _write(self, lines: list[tuple[str, str]]) -> None:
        levels = LEVELS[self.level.currentText()]
        wanted = self.search.text().lower()
        shown = [(lv, line) for lv, line in lines if (not levels or lv in levels) and wanted in line.lower()]
        if not shown:
            return
        tokens = self.theme.tokens
        colours = {"WARNING": tokens.warn, "ERROR": tokens.bad, "CRITICAL": tokens.bad}
        cursor = QTextCursor(self.text.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        first = self.text.document().isEmpty()
        cursor.beginEditBlock()
        for level, line in shown:
            style = QTextCharFormat()
            style.setForeground(QColor(colours.get(level, tokens.ink)))
            cursor.insertText(line if first else f"\n{line}", style)
            first = False
        cursor.endEditBlock()
