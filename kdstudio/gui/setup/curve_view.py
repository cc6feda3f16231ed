"""A small painted curve: the learning rate over the epochs, or what a temperature does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from kdstudio.gui.theme import Theme

#: Digits of the labels at the left; and the other margins.
LEFT_DIGITS, RIGHT, TOP = 7, 12, 8
#: Numbers of an end and of a mark that are nearer than this would touch.
NEAR = 32


class CurveView(QWidget):
    """One curve from 0 up, with its largest value, its ends and a mark for each step in it."""

    def __init__(self, theme: Theme, name: str) -> None:
        super().__init__()
        self.theme = theme
        self.setAccessibleName(name)
        self.setMinimumHeight(120)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._values: list[float] = []
        self._begin, self._end = 0.0, 0.0
        self._top: float | None = None
        self._now: float | None = None
        self._marks: list[float] = []
        theme.changed.connect(self.update)

    def sizeHint(self) -> QSize:
        return QSize(360, 140)

    def show_curve(
        self,
        values: Sequence[float],
        end: float,
        marks: Sequence[float] = (),
        begin: float = 0.0,
        top: float | None = None,
    ) -> None:
        """Draws values that are evenly spread from `begin` to `end`; `top` is the height of the axis, by default the
        largest value."""
        self._values, self._begin, self._end, self._top = list(values), begin, end, top
        self._marks = [mark for mark in marks if begin < mark < end]
        self.update()

    def show_now(self, place: float | None) -> None:
        """Puts a dot on the curve."""
        self._now = place
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
        top = self._top if self._top is not None else max(self._values, default=0.0)
        if len(self._values) < 2 or top <= 0:
            return
        flags = Qt.AlignmentFlag
        painter.setPen(QColor(tokens.soft))
        for share, text in ((0.0, "0"), (1.0, f"{top:.3g}")):
            y = area.bottom() - share * area.height()
            painter.drawText(QRectF(0, y - line / 2, left - 8, line), flags.AlignRight | flags.AlignVCenter, text)
        for place in self._labelled(area.width()):
            x = self._x(area, place)
            ends = {self._begin: flags.AlignLeft, self._end: flags.AlignRight}
            side = ends.get(place, flags.AlignHCenter)
            begin = x - 60 if side == flags.AlignRight else x if side == flags.AlignLeft else x - 30
            painter.drawText(QRectF(begin, area.bottom() + 4, 60, line), side | flags.AlignTop, f"{place:g}")
        dotted = QPen(QColor(tokens.line), 1, Qt.PenStyle.DashLine)
        painter.setPen(dotted)
        for mark in self._marks:
            x = self._x(area, mark)
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
        if self._now is not None and self._begin <= self._now <= self._end:
            x = self._x(area, self._now)
            value = np.interp(self._now, np.linspace(self._begin, self._end, len(self._values)), self._values)
            painter.setBrush(QColor(tokens.accent))
            painter.drawEllipse(QPointF(x, area.bottom() - float(value) / top * area.height()), 4, 4)

    def _x(self, area: QRectF, place: float) -> float:
        return area.left() + (place - self._begin) / (self._end - self._begin) * area.width()

    def _labelled(self, width: float) -> list[float]:
        """The places that get a number: the ends, unless a mark stands too near."""
        apart = NEAR / max(width, 1.0) * (self._end - self._begin)
        ends = [end for end in (self._begin, self._end) if all(abs(end - mark) > apart for mark in self._marks)]
        return [*ends, *self._marks]
