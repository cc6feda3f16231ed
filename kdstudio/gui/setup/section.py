"""The frame of a section of the Setup page: a heading, and cards in one column or two."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QBoxLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from kdstudio.gui.setup.context import Context
from kdstudio.gui.setup.form import error_label, show_error

#: From this width on the cards stand in two columns.
TWO_COLUMNS = 1180
#: Wider than this a form is no longer easy to read.
WIDEST = 1680


class Card(QFrame):
    """A titled card. `head` is the row of its title, `body` the column below."""

    def __init__(self, title: str, tip: str = "") -> None:
        super().__init__()
        self.setObjectName("card")
        self.heading = QLabel(title)
        self.heading.setObjectName("heading")
        self.heading.setToolTip(tip)
        self.head = QHBoxLayout()
        self.head.setSpacing(8)
        self.head.addWidget(self.heading)
        self.head.addStretch(1)
        self.body = QVBoxLayout()
        self.body.setSpacing(12)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 12, 16, 16)
        layout.setSpacing(12)
        layout.addLayout(self.head)
        layout.addLayout(self.body)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)


class Columns(QWidget):
    """A main and a side column of cards; the side goes below where there is no room beside."""

    def __init__(self) -> None:
        super().__init__()
        self._boxes = QBoxLayout(QBoxLayout.Direction.TopToBottom, self)
        self._boxes.setContentsMargins(0, 0, 0, 0)
        self._boxes.setSpacing(12)
        self.main, self.side = QVBoxLayout(), QVBoxLayout()
        for column in (self.main, self.side):
            column.setSpacing(12)
            self._boxes.addLayout(column)

    def add(self, card: QWidget, side: bool = False) -> None:
        (self.side if side else self.main).addWidget(card, 0, Qt.AlignmentFlag.AlignTop)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        beside = self.width() >= TWO_COLUMNS and self.side.count() > 0
        directions = QBoxLayout.Direction
        wanted = directions.LeftToRight if beside else directions.TopToBottom
        if wanted != self._boxes.direction():
            self._boxes.setDirection(wanted)
            self._boxes.setStretch(0, 3 if beside else 0)
            self._boxes.setStretch(1, 2 if beside else 0)
            for column in (self.main, self.side):
                self._boxes.setAlignment(column, Qt.AlignmentFlag.AlignTop if beside else Qt.AlignmentFlag(0))

    def minimumSizeHint(self) -> QSize:
        return QSize(320, super().minimumSizeHint().height())


class Section(QScrollArea):
    """One section. It is built when it is first shown, and refreshed only while it is.

    Args:
        context: Of the page.
        title: Its heading.
        sentence: What it is for.
        heads: First keys of the paths that belong to it.
    """

    def __init__(self, context: Context, title: str, sentence: str, heads: tuple[str, ...]) -> None:
        super().__init__()
        self.context = context
        self.heads = heads
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName(title)
        heading = QLabel(title)
        heading.setObjectName("heading")
        words = QLabel(sentence)
        words.setObjectName("soft")
        words.setWordWrap(True)
        words.setMinimumHeight(self.fontMetrics().height() + 14)  # as high as a button that may stand beside
        self.head = QHBoxLayout()
        self.head.setSpacing(12)
        self.head.addWidget(heading)
        self.head.addWidget(words, 1)
        self.error = error_label()
        self.columns = Columns()
        inner = QWidget()
        self.column = QVBoxLayout(inner)
        self.column.setContentsMargins(16, 4, 16, 24)
        self.column.setSpacing(12)
        self.column.addLayout(self.head)
        self.column.addWidget(self.error)
        self.column.addWidget(self.columns)
        self.column.addStretch(1)
        inner.setMaximumWidth(WIDEST)
        self.setWidget(inner)

    def refresh(self) -> None:
        """Shows what the document, the facts and the problems say now."""
        texts = [text for head in self.heads for text in self.context.problems.get(head, [])]
        show_error(self.error, texts)

    def facts_changed(self, part: str) -> None:
        """A fact changed; sections that show facts override it."""

    def shown(self) -> None:
        """The section comes on screen."""
