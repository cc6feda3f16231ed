"""The command palette: every action, experiment, run and setting, found by a few letters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QDialog, QHeaderView, QLineEdit, QTreeWidget, QTreeWidgetItem, QVBoxLayout, QWidget

from kdstudio.gui.language import tr

MOST = 60


@dataclass(frozen=True)
class Entry:
    """One thing that can be chosen: what it is called, where it comes from, what it does."""

    text: str
    kind: str
    hint: str
    run: Callable[[], None]


def match(letters: str, text: str) -> int | None:
    """How well the letters are found in the text, in their order; smaller is better, None is not at all."""
    text, letters = text.lower(), letters.lower().strip()
    if not letters:
        return 0
    at = text.find(letters)
    if at >= 0:
        return at if at == 0 or not text[at - 1].isalnum() else 10 + at
    place, gaps = -1, 0
    for letter in letters.replace(" ", ""):
        found = text.find(letter, place + 1)
        if found < 0:
            return None
        gaps += found - place - 1
        place = found
    return 100 + gaps


class CommandPalette(QDialog):
    """Type, choose with the arrow keys, Enter."""

    def __init__(self, entries: list[Entry], parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Find an action"))
        self.setWindowFlags(Qt.WindowType.Dialog | Qt.WindowType.FramelessWindowHint)
        self.resize(560, 420)
        self.entries = entries
        self.line = QLineEdit()
        self.line.setPlaceholderText(tr("Find an action, an experiment, a run or a setting"))
        self.line.setAccessibleName(tr("Find"))
        self.line.textChanged.connect(self._filter)
        self.line.installEventFilter(self)
        self.list = QTreeWidget()
        self.list.setAccessibleName(tr("Found"))
        self.list.setColumnCount(3)  # the name; at the right the menu and the key
        self.list.setHeaderHidden(True)
        self.list.setRootIsDecorated(False)
        self.list.setUniformRowHeights(True)
        header = self.list.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.list.itemActivated.connect(lambda *_: self.choose())
        self.list.itemClicked.connect(lambda *_: self.choose())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 12, 12, 12)
        layout.addWidget(self.line)
        layout.addWidget(self.list, 1)
        self._filter("")
        corner = parent.mapToGlobal(parent.rect().center())
        self.move(corner.x() - self.width() // 2, max(0, corner.y() - parent.height() // 2 + 72))

    def _filter(self, letters: str) -> None:
        scored = [(match(letters, f"{entry.text} {entry.kind}"), number) for number, entry in enumerate(self.entries)]
        best = sorted((score, number) for score, number in scored if score is not None)
        self.list.clear()
        for _, number in best[:MOST]:
            entry = self.entries[number]
            item = QTreeWidgetItem([entry.text, entry.kind, entry.hint])
            item.setData(0, Qt.ItemDataRole.UserRole, number)
            for column in (1, 2):
                item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.list.addTopLevelItem(item)
        if best:
            self._select(0)
        else:
            nothing = QTreeWidgetItem([tr("Nothing found")])
            nothing.setFlags(Qt.ItemFlag.NoItemFlags)
            self.list.addTopLevelItem(nothing)

    def _select(self, row: int) -> None:
        item = self.list.topLevelItem(max(0, min(self.list.topLevelItemCount() - 1, row)))
        if item is not None and item.flags():
            self.list.setCurrentItem(item)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.line and isinstance(event, QKeyEvent) and event.type() is QEvent.Type.KeyPress:
            steps = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1, Qt.Key.Key_PageDown: 8, Qt.Key.Key_PageUp: -8}
            step = steps.get(Qt.Key(event.key()))
            if step is not None:
                self._select(self.list.currentIndex().row() + step)
                return True
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self.choose()
                return True
        return super().eventFilter(watched, event)

    def choose(self) -> None:
        """Does what is selected; where nothing was found the palette stays."""
        item = self.list.currentItem()
        if item is not None:
            self.accept()
            self.entries[item.data(0, Qt.ItemDataRole.UserRole)].run()
