"""A horizontal slider with marks on its groove."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QPoint, QRect, Qt
from PySide6.QtGui import QColor, QHelpEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QSlider, QStyle, QStyleOptionSlider, QToolTip

from kdstudio.gui.theme import Theme

NEAR = 5


class MarkedSlider(QSlider):
    """A slider on which some values carry a mark; hovering over a mark tells what it is."""

    def __init__(self, theme: Theme) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self.theme = theme
        self.marks: list[tuple[int, str]] = []

    def set_marks(self, marks: Sequence[tuple[int, str]]) -> None:
        """Marks as (value, words)."""
        if list(marks) != self.marks:
            self.marks = list(marks)
            self.update()

    def _groove(self) -> tuple[QRect, int]:
        """The groove, and the handle's width."""
        option = QStyleOptionSlider()
        self.initStyleOption(option)
        parts = QStyle.SubControl
        style, kind = self.style(), QStyle.ComplexControl.CC_Slider
        groove = style.subControlRect(kind, option, parts.SC_SliderGroove, self)
        return groove, style.subControlRect(kind, option, parts.SC_SliderHandle, self).width()

    def place_of(self, value: int) -> QPoint:
        """Where the middle of the handle is when the slider has this value."""
        groove, handle = self._groove()
        span = max(1, groove.width() - handle)
        offset = QStyle.sliderPositionFromValue(self.minimum(), self.maximum(), value, span)
        return QPoint(groove.left() + handle // 2 + offset, groove.center().y())

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A click on the groove goes there, and can be dragged on; Qt would step by a page."""
        if event.button() == Qt.MouseButton.LeftButton:
            groove, handle = self._groove()
            place = event.position().toPoint().x() - groove.left() - handle // 2
            if abs(self.place_of(self.value()).x() - event.position().x()) > handle / 2:
                span = max(1, groove.width() - handle)
                self.setValue(QStyle.sliderValueFromPosition(self.minimum(), self.maximum(), place, span))
        super().mousePressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if not self.marks:
            return
        painter = QPainter(self)
        colour = QColor(self.theme.tokens.soft if self.isEnabled() else self.theme.tokens.faint)
        for value, _ in self.marks:
            place = self.place_of(value)
            painter.fillRect(place.x() - 1, self.rect().bottom() - 3, 2, 4, colour)
            painter.fillRect(place.x() - 1, self.rect().top(), 2, 4, colour)

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            near = [text for value, text in self.marks if abs(self.place_of(value).x() - event.x()) <= NEAR]
            if near:
                QToolTip.showText(event.globalPos(), "\n".join(near), self)
                return True
        return super().event(event)
