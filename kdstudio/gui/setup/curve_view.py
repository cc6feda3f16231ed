"""A small painted curve: the learning rate over the epochs."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from kdstudio.gui.theme import Theme

#: Digits of the labels at the left; and the other margins.
LEFT_DIGITS, RIGHT, TOP = 7, 12, 8


class CurveView(QWidget):
    """One curve from 0 up, with its largest value, its ends and a mark for each step in it."""

    def __init__(self, theme: Theme, name: str) -> None:
        super().__init__()
        self.theme = theme
        self.setAccessibleName(name)
        self.setMinimumHeight(120)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._values: list[float] = []
        self._end = 0.0
        self._marks: list[float] = []
        theme.changed.connect(self.update)

    def sizeHint(self) -> QSize:
        return QSize(360, 140)

    def show_curve(self, values: Sequence[float], end: float, marks: Sequence[float] = ()) -> None:
        """Draws values that are evenly spread from 0 to `end` epochs."""
        self._values, self._end, self._marks = list(values), end, [mark for mark in marks if 0 < mark < end]
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        tokens = self.theme.tokens
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = painter.font()
        font.setPointSizeF(font.pointSizeF() * 0.88)
        painter.setFont(font)
        line = painter.fontMetrics().height()
        left = LEFT_DIGITS * painter.fontMetrics().horizontalAdvance("0")
        area = QRectF(left, TOP, self.width() - left - RIGHT, self.height() - TOP - line - 6)
        painter.setPen(QPen(QColor(tokens.line), 1))
        painter.drawLine(area.bottomLeft(), area.bottomRight())
        painter.drawLine(area.topLeft(), area.bottomLeft())
        top = max(self._values, default=0.0)
        if len(self._values) < 2 or top <= 0:
            return
        flags = Qt.AlignmentFlag
        painter.setPen(QColor(tokens.soft))
        for share, text in ((0.0, "0"), (1.0, f"{top:g}")):
            y = area.bottom() - share * area.height()
            painter.drawText(QRectF(0, y - line / 2, left - 8, line), flags.AlignRight | flags.AlignVCenter, text)
        for place in (0.0, *self._marks, self._end):
            x = area.left() + place / self._end * area.width()
            side = flags.AlignRight if place == self._end else flags.AlignLeft if place == 0 else flags.AlignHCenter
            begin = x - 60 if side == flags.AlignRight else x if side == flags.AlignLeft else x - 30
            painter.drawText(QRectF(begin, area.bottom() + 4, 60, line), side | flags.AlignTop, f"{place:g}")
        dotted = QPen(QColor(tokens.line), 1, Qt.PenStyle.DashLine)
        painter.setPen(dotted)
        for mark in self._marks:
            x = area.left() + mark / self._end * area.width()
            painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))
        last = len(self._values) - 1
        points = [
            QPointF(area.left() + index / last * area.width(), area.bottom() - value / top * area.height())
            for index, value in enumerate(self._values)
        ]
        fill = QColor(tokens.accent)
        fill.setAlpha(36)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(fill)
        painter.drawPolygon(QPolygonF([area.bottomLeft(), *points, area.bottomRight()]))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(tokens.accent), 2))
        painter.drawPolyline(QPolygonF(points))
