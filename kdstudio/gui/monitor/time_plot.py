"""A small plot of curves over the run's snapshots, with a line at the shown moment. A click goes there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyqtgraph
from PySide6.QtCore import QSize, Qt, Signal

from kdstudio.gui.language import tr
from kdstudio.gui.monitor.axis import GRID, Axis
from kdstudio.gui.theme import Theme, Tokens

STYLES = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine, Qt.PenStyle.DotLine, Qt.PenStyle.DashDotLine)
MARKS = ("━━", "╌╌", "┈┈", "─·")
#: Up to so many samples are dots too; a single one would not be seen.
FEW = 12
DOT = 5


@dataclass(frozen=True)
class Line:
    """One curve: its name, steps and values, and its colour by the theme. `style` picks the dashes."""

    name: str
    steps: np.ndarray
    values: np.ndarray
    colour: Callable[[Tokens], str]
    style: int = 0


class TimePlot(pyqtgraph.PlotWidget):
    """Curves over steps.

    Signals:
        picked: The step at which the plot was clicked.
    """

    picked = Signal(float)

    def __init__(self, theme: Theme, name: str, y_label: str, x_label: str | None = None) -> None:
        super().__init__(axisItems={side: Axis(side) for side in ("bottom", "left")})
        self.theme = theme
        self.lines: list[Line] = []
        self._drawn: list[Line] = []
        self._mode: tuple[bool, float | None, float | None] = (False, None, None)
        self.logarithmic = False
        self._curves: list[pyqtgraph.PlotDataItem] = []
        self.setAccessibleName(name)
        self.setMenuEnabled(False)
        self.setMouseEnabled(False, False)
        self.hideButtons()
        item = self.getPlotItem()
        for axis, words in (("bottom", tr("step") if x_label is None else x_label), ("left", y_label)):
            if words:
                item.setLabel(axis, words)
            item.getAxis(axis).enableAutoSIPrefix(False)
        item.getAxis("left").setWidth(52 if y_label else 36)
        item.showGrid(x=True, y=True, alpha=GRID)
        item.layout.setContentsMargins(0, 8, 6, 0)  # half of the highest number stands above the plot
        self.marker = pyqtgraph.InfiniteLine(angle=90)
        item.addItem(self.marker)
        self.scene().sigMouseClicked.connect(self._clicked)
        self.recolour()

    def sizeHint(self) -> QSize:
        return QSize(240, 110)

    def set_logarithmic(self, on: bool) -> None:
        """Whether the y axis is logarithmic; the next `show_lines` draws so."""
        self.logarithmic = on
        self.getPlotItem().getAxis("left").setLogMode(False, on)

    def show_lines(self, lines: list[Line], moment: float, low: float | None = None, high: float | None = None) -> None:
        """Draws curves and the line at the shown step. With `low` and `high` the y axis stays."""
        item = self.getPlotItem()
        while len(self._curves) > len(lines):
            item.removeItem(self._curves.pop())
        while len(self._curves) < len(lines):
            self._curves.append(pyqtgraph.PlotDataItem(symbolSize=DOT))
            item.addItem(self._curves[-1])
        self.lines = lines
        tokens = self.theme.tokens
        tops, lows, ends = [], [], []
        self.marker.setValue(moment)
        if _same(self._drawn, lines) and self._mode == (self.logarithmic, low, high):
            return
        self._drawn, self._mode = list(lines), (self.logarithmic, low, high)
        for curve, line in zip(self._curves, lines):
            values = line.values
            if self.logarithmic:
                values = np.log10(np.where(values > 0, values, np.nan))
            keep = np.isfinite(values)
            curve.setData(line.steps[keep], values[keep], symbol="o" if keep.sum() <= FEW else None)
            _paint(curve, line, tokens, self.devicePixelRatioF())
            if keep.any():
                tops.append(float(values[keep].max()))
                lows.append(float(values[keep].min()))
                ends.append((float(line.steps[keep].min()), float(line.steps[keep].max())))
        self.marker.setVisible(bool(ends))
        if ends:
            item.setXRange(min(end[0] for end in ends), max(end[1] for end in ends) or 1.0, padding=0.02)
            bottom, top = (min(lows), max(tops)) if low is None or high is None else (low, high)
            item.setYRange(bottom, top if top > bottom else bottom + 1, padding=0.05)

    def recolour(self) -> None:
        tokens = self.theme.tokens
        self.setBackground(tokens.panel)
        for name in ("left", "bottom"):
            self.getPlotItem().getAxis(name).dress(tokens)
        self.marker.setPen(pyqtgraph.mkPen(tokens.ink, width=self.devicePixelRatioF(), style=Qt.PenStyle.DotLine))
        for curve, line in zip(self._curves, self.lines):
            _paint(curve, line, tokens, self.devicePixelRatioF())

    def legend(self) -> str:
        """The names of the curves in their colours, as rich text."""
        tokens = self.theme.tokens
        return "&nbsp;&nbsp; ".join(
            f'<span style="color:{line.colour(tokens)}">{MARKS[line.style % len(MARKS)]}</span>&nbsp;'
            + line.name.replace(" ", "&nbsp;")
            for line in self.lines
        )

    def _clicked(self, event: object) -> None:
        place = event.scenePos()  # type: ignore[attr-defined]
        view = self.getPlotItem().getViewBox()
        if view.sceneBoundingRect().contains(place):
            self.picked.emit(float(view.mapSceneToView(place).x()))


def _paint(curve: pyqtgraph.PlotDataItem, line: Line, tokens: Tokens, ratio: float) -> None:
    colour = line.colour(tokens)
    curve.setPen(pyqtgraph.mkPen(colour, width=2 * ratio, style=STYLES[line.style % len(STYLES)]))
    curve.setSymbolBrush(colour)
    curve.setSymbolPen(None)


def _same(first: list[Line], second: list[Line]) -> bool:
    """Whether curves hold the very same samples, so that only time has passed."""
    return len(first) == len(second) and all(
        a.name == b.name and a.steps is b.steps and a.values is b.values and a.style == b.style
        for a, b in zip(first, second)
    )
