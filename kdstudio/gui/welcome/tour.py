"""The tour: five steps, each with its place in the window lit and a few words beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QObject, QPoint, QRect, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from kdstudio.gui.language import tr
from kdstudio.gui.theme import Theme

MARGIN = 12
BUBBLE = 380


@dataclass(frozen=True)
class Step:
    """One step: what is lit, what is said, and what is done before (showing a page, say)."""

    title: str
    text: str
    target: Callable[[], QWidget | None]
    prepare: Callable[[], None]


class Tour(QWidget):
    """A layer over the window. Arrow keys, Enter and Escape work as the buttons do.

    Signals:
        ended: Whether it was seen to its end.
    """

    ended = Signal(bool)

    def __init__(self, window: QWidget, theme: Theme, steps: list[Step]) -> None:
        super().__init__(window)
        self.host = window
        self.theme = theme
        self.steps = steps
        self.index = 0
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(tr("Tour"))
        self.bubble = QFrame(self)
        self.bubble.setObjectName("card")
        self.bubble.setFixedWidth(BUBBLE)
        self.title = QLabel()
        self.title.setObjectName("title")
        self.title.setWordWrap(True)
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.count = QLabel()
        self.count.setObjectName("soft")
        self.skip = QPushButton(tr("Skip"))
        self.skip.setObjectName("flat")
        self.back = QPushButton(tr("Back"))
        self.next = QPushButton(tr("Next"))
        self.next.setObjectName("primary")
        for button in (self.skip, self.back, self.next):
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.skip.clicked.connect(lambda: self._end(False))
        self.back.clicked.connect(lambda: self.go(self.index - 1))
        self.next.clicked.connect(lambda: self.go(self.index + 1))
        row = QHBoxLayout()
        row.addWidget(self.count)
        row.addStretch()
        for button in (self.skip, self.back, self.next):
            row.addWidget(button)
        layout = QVBoxLayout(self.bubble)
        layout.setContentsMargins(16, 16, 16, 12)
        layout.setSpacing(8)
        layout.addWidget(self.title)
        layout.addWidget(self.text)
        layout.addLayout(row)
        window.installEventFilter(self)
        self.setGeometry(window.rect())
        self.show()
        self.raise_()
        self.setFocus()
        self.go(0)

    def go(self, index: int) -> None:
        """Shows a step; past the last one the tour ends."""
        if index >= len(self.steps):
            self._end(True)
            return
        self.index = max(0, index)
        step = self.steps[self.index]
        step.prepare()
        self.title.setText(step.title)
        self.text.setText(step.text)
        self.setAccessibleDescription(f"{step.title}. {step.text}")
        self.count.setText(tr("{number} of {all}", number=self.index + 1, all=len(self.steps)))
        self.back.setEnabled(self.index > 0)
        self.next.setText(tr("Done") if self.index == len(self.steps) - 1 else tr("Next"))
        self._place()

    def _lit(self) -> QRect:
        target = self.steps[self.index].target()
        if target is None or not target.isVisible():
            return QRect()
        corner = target.mapTo(self.host, QPoint(0, 0))
        return QRect(corner, target.size()).adjusted(-4, -4, 4, 4).intersected(self.rect())

    def _place(self) -> None:
        # the words are as tall as this width makes them, also before the first paint
        inner = BUBBLE - 32
        self.text.setFixedHeight(self.text.heightForWidth(inner))
        self.title.setFixedHeight(self.title.heightForWidth(inner))
        self.bubble.adjustSize()
        lit, size = self._lit(), self.bubble.size()
        if lit.isNull():
            corner = self.rect().center() - QPoint(size.width() // 2, size.height() // 2)
        elif lit.right() + MARGIN + size.width() <= self.width():
            corner = QPoint(lit.right() + MARGIN, lit.top())
        elif lit.bottom() + MARGIN + size.height() <= self.height():
            corner = QPoint(lit.left(), lit.bottom() + MARGIN)
        elif lit.left() - MARGIN - size.width() >= 0:
            corner = QPoint(lit.left() - MARGIN - size.width(), lit.top())
        else:
            # no room beside it: in the corner, where the words cover least
            corner = QPoint(lit.right() - MARGIN - size.width(), lit.bottom() - MARGIN - size.height())
        corner.setX(max(MARGIN, min(corner.x(), self.width() - size.width() - MARGIN)))
        corner.setY(max(MARGIN, min(corner.y(), self.height() - size.height() - MARGIN)))
        self.bubble.move(corner)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        shade = QPainterPath()
        shade.addRect(QRectF(self.rect()))
        lit = self._lit()
        if not lit.isNull():
            hole = QPainterPath()
            hole.addRoundedRect(QRectF(lit), 8, 8)
            shade = shade.subtracted(hole)
        painter.fillPath(shade, QColor(0, 0, 0, 150))
        if not lit.isNull():
            painter.setPen(QPen(QColor(self.theme.tokens.accent), 2))
            painter.drawRoundedRect(QRectF(lit), 8, 8)
        painter.end()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Right, Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.go(self.index + 1)
        elif event.key() == Qt.Key.Key_Left:
            self.go(self.index - 1)
        elif event.key() == Qt.Key.Key_Escape:
            self._end(False)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() is QEvent.Type.Resize and watched is self.host:
            self.setGeometry(self.host.rect())
            self._place()
        return super().eventFilter(watched, event)

    def _end(self, whole: bool) -> None:
        self.host.removeEventFilter(self)
        self.hide()
        self.ended.emit(whole)
        self.deleteLater()
