"""A label that gives way: text that has no room ends in dots, and is told whole by the tooltip."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QLabel, QProgressBar

LEAST = 24
#: What the text's ink may be wider than its advance, which depends on the last letter.
SLACK = 2


class ElidedLabel(QLabel):
    """One line of plain text. `text` is always the whole of it."""

    def __init__(self, text: str = "") -> None:
        super().__init__()
        self._whole = self._details = ""
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setText(text)

    def text(self) -> str:
        return self._whole

    def setText(self, text: str) -> None:
        self._whole = text
        self._elide()
        self.updateGeometry()

    def clear(self) -> None:
        self._details = ""
        self.setText("")

    def explain(self, details: str) -> None:
        """Says more in the tooltip, whether or not the text has room."""
        self._details = details
        self._elide()

    def sizeHint(self) -> QSize:
        hint, metrics = super().sizeHint(), self.fontMetrics()
        more = metrics.horizontalAdvance(self._whole) - metrics.horizontalAdvance(super().text())
        return QSize(hint.width() + more + SLACK, hint.height())

    def minimumSizeHint(self) -> QSize:
        return QSize(min(LEAST, self.sizeHint().width()), super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._elide()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._elide()

    def _elide(self) -> None:
        metrics = self.fontMetrics()
        frame = super().sizeHint().width() - metrics.horizontalAdvance(super().text())
        room = max(self.width() - frame, 0)
        shown = self._whole
        if metrics.horizontalAdvance(shown) > room:  # in whole pixels, as the size hint is
            shown = metrics.elidedText(shown, Qt.TextElideMode.ElideRight, room)
        if shown != super().text():
            super().setText(shown)
        told = (self._whole if shown != self._whole else "", self._details)
        self.setToolTip("\n".join(part for part in told if part))


class Pill(QProgressBar):
    """A progress bar whose words stay inside of it."""

    def text(self) -> str:
        room = self.width() - 16
        return self.fontMetrics().elidedText(self.format(), Qt.TextElideMode.ElideRight, room)

    def setFormat(self, words: str) -> None:
        super().setFormat(words)
        self.setToolTip(words)
