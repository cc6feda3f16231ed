"""One curve of a plot: which series it shows, how it looks, and what of it has been read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyqtgraph
from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QColor, QPainter

from kdstudio.gui.monitor.curves import Pyramid, Window
from kdstudio.gui.monitor.legend import DASHES
from kdstudio.gui.monitor.xaxis import Placing
from kdstudio.gui.theme import Tokens
from kdstudio.gui.worker import TrainingWorker
from kdstudio.project.runs.metrics import MetricStore, Series

#: How much of its colour a raw curve keeps under its smoothed one. Opaque, since translucent lines are slow.
FAINT = 0.38
DOTS_UP_TO = 80
Pull = Callable[[MetricStore, int, int | None], Series]


@dataclass(eq=False)
class Curve:
    """A series on a plot. `colour` picks from the theme's tokens, so a theme switch keeps its role.

    Args:
        stage, split, key: The series of the run; no stage means the whole run.
        label: Its name in the legend and beside the crosshair.
        dash: One of `DASHES`, since colour alone tells too few people apart.
        smooth: Draw the raw curve faint and a smoothed one on top.
        dots: Mark each sample, for curves that have few.
        worker: The run that it belongs to; None for the shown run.
        entry: Line of the legend that hides it; its own label by default.
        tip: Words for that line's tooltip.
        pull: Reads the samples number i to j where they are not simply a series of the store.
    """

    stage: str
    split: str
    key: str
    label: str
    colour: Callable[[Tokens], str]
    dash: str = "solid"
    smooth: bool = False
    dots: bool = False
    worker: TrainingWorker | None = None
    entry: str = ""
    tip: str = ""
    pull: Pull | None = None
    data: Pyramid = field(default_factory=Pyramid)
    placing: Placing = field(default_factory=Placing)
    store: MetricStore | None = None
    resumes: int = 0
    window: Window | None = None
    smoothed: tuple[np.ndarray, np.ndarray] | None = None

    def __post_init__(self) -> None:
        self.entry = self.entry or self.label
        self.raw = _item(-1)
        self.line = _item(1)

    @property
    def identity(self) -> tuple[object, ...]:
        """Two curves with the same one show the same, and what was read of one can stay."""
        run = self.worker.run_folder.path if self.worker is not None else None
        return (run, self.stage, self.split, self.key, self.label, self.smooth, self.entry)

    def samples(self, store: MetricStore, start: int, stop: int | None) -> Series:
        if self.pull is not None:
            return self.pull(store, start, stop)
        return store.series(self.stage, self.split, self.key, start, stop)

    def read(self, store: MetricStore, placing: Placing) -> None:
        """Takes what is new in the store; all of it anew where samples were taken back or are placed otherwise."""
        resumes = sum(record.event == "resume" and self.stage in ("", record.stage) for record in store.events)
        if store is not self.store or placing != self.placing or resumes != self.resumes:
            self.data.clear()
            self.store, self.placing, self.resumes = store, placing, resumes
        series = self.samples(store, self.data.count, None)
        if len(series.steps):
            self.data.extend(placing.series(series), series.values)

    def fetch(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """x and y of the samples number `start` to `stop`. The store is to be held still meanwhile."""
        assert self.store is not None
        series = self.samples(self.store, start, stop)
        return self.placing.series(series), series.values

    def look(self, low: float, high: float, most: int, smoothing: float) -> None:
        """Prepares what is drawn of the range. The store is to be held still meanwhile."""
        self.window = self.data.window(low, high, most, self.fetch)
        on = self.smooth and smoothing > 0
        self.smoothed = self.data.smoothed(self.window, smoothing, most, self.fetch) if on else None

    def draw(self, logarithmic: bool, shown: bool, margin: QPointF) -> None:
        """Hands the prepared points to the items."""
        if self.window is None or not shown:
            self.raw.setVisible(False)
            self.line.setVisible(False)
            return
        points = self.window.envelope()
        if self.smoothed is not None:
            faint = self.worker is None  # the raw curves of other runs would bury everything
            self.raw.setVisible(faint)
            if faint:
                self.raw.show_points(points, logarithmic, margin)
            self.line.show_points(self.smoothed, logarithmic, margin)
        else:
            self.raw.setVisible(False)
            self.line.show_points(points, logarithmic, margin)
        self.line.setVisible(True)

    def dress(self, tokens: Tokens, smoothing: float, thin: bool, ratio: float = 1.0) -> None:
        """Colours and widths, with `ratio` pixels of the device to one of the window.

        Wide antialiased lines are slow to draw, so they are for few points and few curves.
        """
        colour = QColor(self.colour(tokens))
        raw_only = self.smooth and smoothing <= 0
        self.raw.setPen(pyqtgraph.mkPen(mixed(colour, QColor(tokens.panel), FAINT), width=1))
        self.line.setPen(pyqtgraph.mkPen(colour, width=(1 if thin or raw_only else 2) * ratio, style=DASHES[self.dash]))
        self.line.opts["antialias"] = not raw_only
        # pieces are quicker to draw, but each would begin its dashes anew
        self.line.setSegmentedLineMode("on" if self.dash == "solid" else "off")
        self.line.dots = colour if self.dots else None
        self.raw.panel = self.line.panel = QColor(tokens.panel)
        self.line.update()


class _Item(pyqtgraph.PlotCurveItem):
    """A curve item that takes points as they are drawn, and marks them where they are few."""

    dots: QColor | None = None
    panel: QColor | None = None

    bounds = QRectF()

    def show_points(self, points: tuple[np.ndarray, np.ndarray], logarithmic: bool, margin: QPointF) -> None:
        """Draws these points.

        Args:
            points: x and y, finite.
            margin: What the width of the line and dots may take beyond the points, on the axes.
        """
        x, y = logarithm(*points) if logarithmic else points
        self.prepareGeometryChange()  # before the bounds change: the scene finds the item by the old ones
        if len(x):
            low, high = float(y.min()), float(y.max())
            whole = QRectF(float(x[0]), low, float(x[-1] - x[0]), high - low)
            self.bounds = whole.adjusted(-margin.x(), -margin.y(), margin.x(), margin.y())
        else:
            self.bounds = QRectF()
        self.setData(x, y)

    def paint(self, painter: QPainter, *args: Any) -> None:
        super().paint(painter, *args)
        if self.dots is None or self.xData is None or not 0 < len(self.xData) <= DOTS_UP_TO:
            return
        across, down = self.pixelVectors()
        if across is None or down is None:
            return
        painter.setRenderHint(painter.RenderHint.Antialiasing)
        painter.setPen(pyqtgraph.mkPen(self.panel, width=1))
        painter.setBrush(self.dots)
        radius_x, radius_y = 3 * abs(across.x()), 3 * abs(down.y())
        for x, y in zip(self.xData, self.yData):
            painter.drawEllipse(QPointF(float(x), float(y)), radius_x, radius_y)

    def boundingRect(self) -> QRectF:
        """Known from when the points were set: the base class asks for it many times a frame, and computes it anew."""
        return self.bounds


def _item(depth: int) -> _Item:
    item = _Item(skipFiniteCheck=True)
    item.setSegmentedLineMode("on")
    item.setZValue(depth)
    return item


def logarithm(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points for a logarithmic axis; what is 0 or less has no place there and is left out."""
    positive = y > 0
    return x[positive], np.log10(y[positive])


def mixed(colour: QColor, ground: QColor, share: float) -> QColor:
    """A share of a colour on a ground, opaque."""
    pairs = ((colour.red(), ground.red()), (colour.green(), ground.green()), (colour.blue(), ground.blue()))
    parts = (round(share * own + (1 - share) * under) for own, under in pairs)
    return QColor(*parts)
