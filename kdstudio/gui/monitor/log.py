"""The log panel: what the run says, by level and with a search."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor, QFontDatabase, QKeyEvent, QTextBlock, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QCheckBox, QComboBox, QLabel, QLineEdit, QPlainTextEdit, QTextEdit, QVBoxLayout

from kdstudio.gui.language import mark, tr, trn
from kdstudio.gui.monitor.base import Panel
from kdstudio.gui.theme import Theme
from kdstudio.gui.worker import TrainingWorker

LINES = 20000
LEVELS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (mark("All levels"), ()),
    (mark("Warnings"), ("WARNING", "ERROR", "CRITICAL")),
    (mark("Errors"), ("ERROR", "CRITICAL")),
)
LINE = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) ([A-Z]+) ")


class LogPanel(Panel):
    """The last lines of `log.txt`. Lines without a level of their own belong to the one before them.

    Colours are laid over the lines that are visible, so that twenty thousand of them are shown in a blink.
    """

    def __init__(self, theme: Theme) -> None:
        super().__init__("log", tr("Log"), tr("What the run says appears here as soon as it starts."), theme)
        self._lines: deque[tuple[str, str]] = deque(maxlen=LINES)
        self._shown: deque[tuple[str, str]] = deque(maxlen=LINES)
        self.level = QComboBox()
        self.level.addItems([tr(words) for words, _ in LEVELS])
        self.level.setAccessibleName(tr("Level"))
        self.level.setToolTip(tr("Which lines are shown; lines without a level belong to the one before them"))
        self.level.activated.connect(self._refill)
        self.search = _Search()
        self.search.setPlaceholderText(tr("Find"))
        self.search.setAccessibleName(tr("Find in the log"))
        self.search.setToolTip(tr("Enter goes to the next place, Shift+Enter to the one before"))
        self.search.setClearButtonEnabled(True)
        self.search.setMaximumWidth(200)
        self.search.textChanged.connect(self._search_changed)
        self.search.stepped.connect(self.go_to_match)
        self.count = QLabel()
        self.count.setObjectName("soft")
        self.only = QCheckBox(tr("matches only"))
        self.only.setToolTip(tr("Leaves out lines without the text"))
        self.only.setEnabled(False)
        self.only.toggled.connect(self._refill)
        for widget in (self.count, self.search, self.only, self.level):
            self.head.addWidget(widget)
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setUndoRedoEnabled(False)
        self.text.setMaximumBlockCount(LINES)
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        font.setPointSizeF(max(7.0, self.font().pointSizeF() - 0.5))
        self.text.setFont(font)
        self.text.setAccessibleName(tr("Log"))
        self.text.verticalScrollBar().valueChanged.connect(lambda _: self._colour())
        self.text.verticalScrollBar().rangeChanged.connect(lambda *_: self._colour())
        layout = QVBoxLayout(self.body)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text)
        self.show_empty(True)

    def set_worker(self, worker: TrainingWorker | None) -> None:
        super().set_worker(worker)
        self.stale = False

    def show_empty(self, empty: bool) -> None:
        super().show_empty(empty)
        for widget in (self.search, self.only, self.level, self.count):
            widget.setVisible(not empty)

    # -- lines -----------------------------------------------------------------------------------------------

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
        self._write(fresh)
        self._count()
        self._colour()

    def clear(self) -> None:
        self._lines.clear()
        self._shown.clear()
        self.text.clear()
        self.count.clear()

    def redraw(self) -> None:
        """Lines are written as they come."""

    def recolour(self) -> None:
        self._colour()

    def table(self) -> Sequence[Sequence[object]]:
        """The lines that are shown."""
        return [("level", "line"), *self._shown]

    def _wanted(self, lines: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        levels = LEVELS[self.level.currentIndex()][1]
        text = self._sought() if self.only.isChecked() else ""
        return [(level, line) for level, line in lines if (not levels or level in levels) and text in line.lower()]

    def _sought(self) -> str:
        return self.search.text().lower()

    def _refill(self) -> None:
        """Shows the lines that are wanted now, at their end."""
        self._shown.clear()
        self.text.clear()
        self._write(self._lines)
        self._count()
        self._colour()

    def _write(self, lines: Iterable[tuple[str, str]]) -> None:
        """Adds lines. Where the end is in sight it stays so."""
        wanted = self._wanted(lines)
        if wanted:
            self._shown.extend(wanted)
            bar = self.text.verticalScrollBar()
            at_end = bar.value() >= bar.maximum() - 1
            self.text.appendPlainText("\n".join(line for _, line in wanted))
            if at_end:
                bar.setValue(bar.maximum())

    # -- finding ---------------------------------------------------------------------------------------------

    def _search_changed(self) -> None:
        self.only.setEnabled(bool(self.search.text()))
        if self.only.isChecked():
            self._refill()
        else:
            self._count()
            self._colour()
            if self.search.text():
                self.go_to_match(0)

    def _places(self) -> list[int]:
        """The numbers of the shown lines that hold the text."""
        text = self._sought()
        return [number for number, (_, line) in enumerate(self._shown) if text in line.lower()] if text else []

    def _count(self) -> None:
        text, count = self._sought(), len(self._places())
        found = trn("{count:,} line", "{count:,} lines", count) if count else tr("not found")
        self.count.setText(found if text else "")

    def go_to_match(self, direction: int) -> None:
        """Goes to the next line with the text (1), to the one before (-1), or stays where it is found here (0)."""
        places = self._places()
        if not places:
            return
        cursor = self.text.textCursor()
        found = cursor.hasSelection() and cursor.selectedText().lower() in self._sought()
        here = cursor.blockNumber() if found or direction else self.text.firstVisibleBlock().blockNumber()
        if direction < 0:
            place = next((number for number in reversed(places) if number < here), places[-1])
        else:
            place = next((number for number in places if number > here - (direction == 0)), places[0])
        block = self.text.document().findBlockByNumber(place)
        cursor = QTextCursor(block)
        start = block.text().lower().find(self._sought())
        cursor.setPosition(block.position() + start)
        cursor.setPosition(block.position() + start + len(self._sought()), QTextCursor.MoveMode.KeepAnchor)
        self.text.setTextCursor(cursor)
        self.text.centerCursor()
        self.count.setText(tr("{number:,} of {all:,}", number=places.index(place) + 1, all=len(places)))
        self._colour()

    # -- colours ---------------------------------------------------------------------------------------------

    def _colour(self) -> None:
        """Colours the visible lines by level, and the places of the text that is sought."""
        tokens = self.theme.tokens
        colours = {"WARNING": tokens.warn, "ERROR": tokens.bad, "CRITICAL": tokens.bad}
        sought = self._sought()
        found: list[QTextEdit.ExtraSelection] = []
        block = self.text.firstVisibleBlock()
        bottom = self.text.viewport().height()
        while block.isValid() and block.blockNumber() < len(self._shown):
            if self.text.blockBoundingGeometry(block).translated(self.text.contentOffset()).top() > bottom:
                break
            level, line = self._shown[block.blockNumber()]
            if level in colours:
                found.append(self._laid(block, 0, len(line), QColor(colours[level]), None))
            start = line.lower().find(sought) if sought else -1
            while start >= 0:
                ground = QColor(tokens.selection)
                found.append(self._laid(block, start, len(sought), QColor(tokens.ink), ground))
                start = line.lower().find(sought, start + len(sought))
            block = block.next()
        self.text.setExtraSelections(found)

    @staticmethod
    def _laid(
        block: QTextBlock, start: int, length: int, colour: QColor, ground: QColor | None
    ) -> QTextEdit.ExtraSelection:
        """A look for a part of a line."""
        style = QTextCharFormat()
        style.setForeground(colour)
        if ground is not None:
            style.setBackground(ground)
        cursor = QTextCursor(block)
        cursor.setPosition(block.position() + start)
        cursor.setPosition(block.position() + start + length, QTextCursor.MoveMode.KeepAnchor)
        laid = QTextEdit.ExtraSelection()
        laid.cursor = cursor  # type: ignore[attr-defined]
        laid.format = style  # type: ignore[attr-defined]
        return laid


class _Search(QLineEdit):
    """A field in which Enter goes on and Shift+Enter goes back.

    Signals:
        stepped: Go to the next place (1) or to the one before (-1).
    """

    stepped = Signal(int)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_F3):
            self.stepped.emit(-1 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1)
        elif event.key() == Qt.Key.Key_Escape and self.text():
            self.clear()
        else:
            super().keyPressEvent(event)
