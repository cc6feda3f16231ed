"""The axes of all plots: numbers that can be read, and a grid that is quick to draw."""

from __future__ import annotations

import math
from typing import Any

import pyqtgraph
from PySide6.QtCore import QPointF, QRect, Qt
from PySide6.QtGui import QColor, QPen

from kdstudio.gui.monitor.curve import mixed
from kdstudio.gui.theme import Tokens

#: How visible the densest lines of a grid are, against the line of the axis.
GRID = 0.4
#: So many numbers an axis needs, and the room of one.
FEW = 3
NUMBER_HEIGHT = 18


class Axis(pyqtgraph.AxisItem):
    """An axis whose large numbers can be read: 200,000. `form` puts words to one of them where there is no label."""

    form = "{}"
    ground = QColor()
    #: Whether only whole numbers stand at it: there is no half step.
    whole = False
    #: What is drawn: bars and texts. The base class sets it to None when it is another.
    picture: Any
    _formed = False

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        large = max((abs(value * scale) for value in values), default=0.0) >= 10_000 and spacing * scale >= 1
        if large and not self.logMode:
            texts = [f"{value * scale:,.0f}" for value in values]
        else:
            texts = super().tickStrings(values, scale, spacing)
        if self.form != "{}" and not self._formed:
            low, high = self.range
            for place, value in enumerate(values):
                if 0.06 < (value - low) / (high - low) < 0.9:
                    texts[place] = self.form.format(texts[place])
                    self._formed = True
                    break
        return texts

    def tickSpacing(self, low: float, high: float, size: float) -> list[tuple[float, float]]:
        """Steps between numbers: no more of them beside a low plot than stand above each other."""
        found = super().tickSpacing(low, high, size)
        if self.whole:
            found = [part for part in found if part[0] >= 1] or [(1, 0)]
        step = found[0][0]
        while self.orientation == "left" and (high - low) / step * NUMBER_HEIGHT > max(size, 2 * NUMBER_HEIGHT):
            step *= 2.5 if f"{step:e}".startswith("2") else 2
            found = [(step, 0)]
        return found

    def logTickValues(
        self, low: float, high: float, size: float, standard: Any
    ) -> list[tuple[float | None, list[float]]]:
        """Powers of ten; where there are few of them also twice and five times; in a narrow range even steps."""
        decades = [float(power) for power in range(math.ceil(low), math.floor(high) + 1)]
        if len(decades) >= FEW:
            every = -(-len(decades) * NUMBER_HEIGHT // max(1, int(size)))
            return [(1.0, decades[:: max(1, every)])]
        parts = [
            power + math.log10(part) for power in range(math.floor(low), math.ceil(high) + 1) for part in (1, 2, 5)
        ]
        parts = [part for part in parts if low <= part <= high]
        if len(parts) >= FEW:
            return [(None, parts)]
        start, end = 10**low, 10**high
        step = 10.0 ** math.floor(math.log10((end - start) / 2))
        step *= next(times for times in (5, 2, 1) if times == 1 or (end - start) / (times * step) >= 2)
        first = math.ceil(start / step)
        return [(None, [math.log10(place * step) for place in range(first, int(end / step) + 1) if place > 0])]

    def logTickStrings(self, values: list[float], scale: float, spacing: Any) -> list[str]:
        return [f"{10**value * scale:.6g}" for value in values]

    def generateDrawSpecs(self, painter: Any) -> Any:
        self._formed = False
        return super().generateDrawSpecs(painter)

    def dress(self, tokens: Tokens) -> None:
        """Takes over the colours of a theme."""
        self.ground = QColor(tokens.panel)
        self.setPen(tokens.line)
        self.setTextPen(tokens.soft)
        self.setZValue(-200)  # below the view, which is at -100: the grid is opaque, so it has to lie under the curves

    def paint(self, painter: Any, *about: Any) -> None:
        """Draws lines and numbers. The base class replays a recording of them, with lines that are slow to blend."""
        painter.save()
        if self.style["tickFont"]:
            painter.setFont(self.style["tickFont"])
        if self.picture is None:
            specs = self.generateDrawSpecs(painter)
            if specs is not None:
                axis, ticks, texts = specs
                self.picture = ([self._bar(*line) for line in (axis, *ticks)], texts)
        if self.picture is not None:
            bars, texts = self.picture
            for bar in bars:
                painter.fillRect(*bar)
            painter.setPen(self.textPen())
            painter.setClipRect(self.boundingRect().toAlignedRect())
            for rect, flags, text in texts:
                painter.drawText(rect, int(flags), text)
        painter.restore()

    def _bar(self, pen: QPen, start: QPointF, end: QPointF) -> tuple[QRect, QColor]:
        """A line of the axis or grid, opaque: a translucent upright one takes 50 times as long to draw."""
        left, right = sorted((round(start.x()), round(end.x())))
        top, bottom = sorted((round(start.y()), round(end.y())))
        hidden = pen.style() == Qt.PenStyle.NoPen
        place = QRect() if hidden else QRect(left, top, max(1, right - left), max(1, bottom - top))
        return place, mixed(pen.color(), self.ground, pen.color().alphaF())
