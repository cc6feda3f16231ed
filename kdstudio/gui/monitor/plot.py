"""A plot of growing series: legend above it, marks and reference lines, a crosshair, and a view that stays."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
import pyqtgraph
from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from kdstudio.gui.language import tr
from kdstudio.gui.monitor.chart import Chart
from kdstudio.gui.monitor.crosshair import Crosshair
from kdstudio.gui.monitor.curve import Curve
from kdstudio.gui.monitor.legend import DASHES, Entry, Legend
from kdstudio.gui.monitor.marks import Mark
from kdstudio.gui.monitor.words import figure
from kdstudio.gui.monitor.xaxis import AXIS_WORDS, FORMS, UNITS, Placing, placing_of, time_unit
from kdstudio.gui.theme import Theme, Tokens
from kdstudio.gui.worker import TrainingWorker
from kdstudio.project.runs.state import RunState

__all__ = ["Curve", "Line", "SeriesPlot"]

#: Points of one curve, and of all of them together.
LEAST_POINTS, MOST_POINTS, ALL_POINTS = 100, 500, 10_000
PIXELS_PER_POINT = 1.5
#: From so many smoothed curves on their lines are thin: quicker to draw, and easier to tell apart.
THIN_FROM = 10
DEFAULT_SMOOTHING = 0.95
#: A chart that is lower has no room for the names of marks.
NAMES_FROM = 110


@dataclass(frozen=True)
class Line:
    """A horizontal reference line."""

    value: float
    label: str
    colour: Callable[[Tokens], str]
    tip: str = ""


class SeriesPlot(QWidget):
    """Curves of one run, and of others beside it.

    Args:
        y_label: Words at the left axis.
        words: Puts a value into words.
        factor: What values are multiplied by on the axis; 100 for per cent.
        x_kind: Step, epoch or time.
        smoothing: See `Curve`; 0 for none.

    Signals:
        options_changed: The x axis, the y axis or the smoothing are others now.
    """

    options_changed = Signal()

    def __init__(
        self,
        theme: Theme,
        y_label: str,
        words: Callable[[float], str] = figure,
        factor: float = 1.0,
        x_kind: str = "step",
        smoothing: float = DEFAULT_SMOOTHING,
    ) -> None:
        super().__init__()
        self.theme = theme
        self.words = words
        self.y_label = y_label
        self.x_kind = x_kind
        self.logarithmic = False
        self.smoothing = smoothing
        self.curves: list[Curve] = []
        self.lines: list[Line] = []
        self.marks: list[Mark] = []
        self.state: RunState | None = None
        self._worker: TrainingWorker | None = None
        self._line_items: list[pyqtgraph.InfiniteLine] = []
        self._mark_items: list[pyqtgraph.InfiniteLine] = []
        self._placings: dict[tuple[TrainingWorker, str], tuple[object, Placing]] = {}
        self._thin = False
        self._drawing = False
        self.legend = Legend(theme)
        self.chart = Chart(theme, y_label)
        self.chart.item.getAxis("left").setScale(factor)
        self.item = self.chart.item
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.legend)
        layout.addWidget(self.chart, 1)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(0)
        self._later.timeout.connect(self._draw)
        self.legend.changed.connect(self._draw)
        self.chart.moved.connect(self._moved)
        self.chart.fitted.connect(self._draw)
        self.crosshair = Crosshair(self)
        self._label()
        self.recolour()

    # -- what is shown ---------------------------------------------------------------------------------------

    def clear(self) -> None:
        """Forgets a run. What a person chose of the axes stays."""
        self.set_curves([])
        self.set_lines([])
        self.set_marks([])
        self._placings.clear()
        self._worker = self.state = None
        self.crosshair.leave()
        self.chart.fit()

    def set_curves(self, wanted: Sequence[Curve]) -> None:
        """Shows these curves; those that are there already keep what was read."""
        known = {curve.identity: curve for curve in self.curves}
        curves = [known.pop(curve.identity, curve) for curve in wanted]
        for curve in known.values():
            self.item.removeItem(curve.raw)
            self.item.removeItem(curve.line)
        fresh = [curve for curve in curves if curve not in self.curves]
        for curve in fresh:
            self.item.addItem(curve.raw, ignoreBounds=True)
            self.item.addItem(curve.line, ignoreBounds=True)
        changed = bool(fresh or known)
        self.curves = curves
        if changed:
            self._entries()
            self.recolour()

    def set_lines(self, lines: Sequence[Line]) -> None:
        """Shows these reference lines."""
        if [(line.value, line.label) for line in lines] == [(line.value, line.label) for line in self.lines]:
            return
        self.lines = list(lines)
        for item in self._line_items:
            self.item.removeItem(item)
        self._line_items = [pyqtgraph.InfiniteLine(angle=0) for _ in lines]
        for item in self._line_items:
            item.setZValue(-5)
            self.item.addItem(item, ignoreBounds=True)
        self._entries()
        self.recolour()

    def set_marks(self, marks: Sequence[Mark]) -> None:
        """Shows these upright marks; they belong to the stage of the first curve."""
        if list(marks) == self.marks:
            return
        self.marks = list(marks)
        for item in self._mark_items:
            self.item.removeItem(item)
        self._mark_items = [pyqtgraph.InfiniteLine(angle=90) for _ in marks]
        for item in self._mark_items:
            item.setZValue(-4)
            self.item.addItem(item, ignoreBounds=True)
        self.recolour()

    def set_options(
        self, x_kind: str | None = None, logarithmic: bool | None = None, smoothing: float | None = None
    ) -> None:
        """Changes the axes or the smoothing."""
        other_x = x_kind is not None and x_kind != self.x_kind
        other_y = logarithmic is not None and logarithmic != self.logarithmic
        self.x_kind = x_kind or self.x_kind
        if logarithmic is not None:
            self.logarithmic = logarithmic
            self.chart.set_logarithmic(logarithmic)
        if smoothing is not None:
            self.smoothing = smoothing
        self.chart.follows_x = self.chart.follows_x or other_x
        self.chart.follows_y = self.chart.follows_y or other_y
        if other_x:
            self.crosshair.leave()
        self._label()
        self.recolour()
        self._read()
        self._draw()
        self.options_changed.emit()

    def _entries(self) -> None:
        entries: dict[str, Entry] = {}
        for curve in self.curves:
            entries.setdefault(curve.entry, Entry(curve.entry, curve.colour, curve.dash, curve.dots, curve.tip))
        for line in self.lines:
            entries.setdefault(line.label, Entry(line.label, line.colour, "dot", tip=line.tip))
        self.legend.show_entries(list(entries.values()))

    def shown_curves(self) -> list[Curve]:
        """Curves that hold samples and are not hidden."""
        return [curve for curve in self.curves if curve.data.count and self.legend.shown(curve.entry)]

    # -- reading and drawing ---------------------------------------------------------------------------------

    def update_from(self, worker: TrainingWorker, state: RunState | None = None) -> bool:
        """Takes new samples and draws them. Returns whether there is anything to see."""
        self._worker = worker
        self.state = state or self.state
        self._read()
        self._draw()
        return any(curve.data.count for curve in self.curves)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Holds the stores of all runs still."""
        with ExitStack() as stack:
            for worker in {id(found): found for found in map(self.source, self.curves) if found}.values():
                stack.enter_context(worker.reading())
            yield

    def source(self, curve: Curve) -> TrainingWorker | None:
        """The worker that has a curve's samples."""
        return curve.worker or self._worker

    def _read(self) -> None:
        for curve in self.curves:
            worker = self.source(curve)
            if worker is not None:
                with worker.reading() as store:
                    curve.read(store, self.placing(worker, curve.stage))

    def placing(self, worker: TrainingWorker, stage: str) -> Placing:
        """How samples of a run's stage stand on the x axis now."""
        store = worker.store()
        state = self.state if worker is self._worker else None
        about = (state.stage, state.total_steps, state.total_epochs) if state is not None else ()
        mark = (self.x_kind, len(store.events), store.length(stage, "validation", "loss"), about, id(store))
        known = self._placings.get((worker, stage))
        if known is None or known[0] != mark:
            known = (mark, placing_of(store, stage, self.x_kind, state))
            self._placings[worker, stage] = known
        return known[1]

    def _moved(self) -> None:
        if not self._drawing:
            self._later.start()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._later.start()

    def _draw(self) -> None:
        if self._drawing:
            return
        self._later.stop()  # this is the drawing that it waits for
        self._drawing = True
        try:
            shown = self.shown_curves()
            if shown:
                extent = (min(curve.data.first for curve in shown), max(curve.data.last for curve in shown))
                self.chart.show_extent(extent, None)
            self._draw_curves(shown)
            self._draw_marks()
        finally:
            self._drawing = False
        self.crosshair.refresh()

    def _draw_curves(self, shown: list[Curve]) -> None:
        low, high = self.chart.visible()
        most = min(self.chart.view.width() / PIXELS_PER_POINT, MOST_POINTS, ALL_POINTS / max(len(shown), 1))
        most = int(max(most, LEAST_POINTS))
        thin = sum(curve.smooth for curve in shown) > THIN_FROM and self.smoothing > 0
        if thin != self._thin:
            self._thin = thin
            self.recolour()
        with self.reading():
            for curve in shown:
                curve.look(low, high, most, self.smoothing)
        self.chart.show_extent(None, self._y_extent(shown, low, high))
        margin = self.chart.margin()
        for curve in self.curves:
            curve.draw(self.logarithmic, curve in shown, margin)
        for line, item in zip(self.lines, self._line_items):
            place = self.y_place(line.value)
            item.setVisible(math.isfinite(place) and self.legend.shown(line.label))
            item.setPos(place if math.isfinite(place) else 0.0)
        if self.x_kind == "time":
            unit, seconds = time_unit(high)
            self.item.getAxis("bottom").setScale(1 / seconds)
            self._label(unit)

    def y_place(self, value: float) -> float:
        """Where a value stands on the y axis; NaN where it has no place."""
        if not self.logarithmic:
            return value
        return math.log10(value) if value > 0 else math.nan

    def _y_extent(self, shown: list[Curve], low: float, high: float) -> tuple[float, float] | None:
        values: list[np.ndarray] = [np.array([line.value for line in self.lines if self.legend.shown(line.label)])]
        for curve in shown:
            window = curve.window
            if window is not None:
                inside = (window.x >= low) & (window.x <= high)
                inside = inside if inside.any() else np.ones(len(window.x), bool)
                faint = curve.smoothed is not None and curve.worker is not None
                values += [curve.smoothed[1]] if faint and curve.smoothed else [window.low[inside], window.high[inside]]
        every = np.concatenate(values)
        every = every[np.isfinite(every)]
        if self.logarithmic:
            every = np.log10(every[every > 0])
        return (float(every.min()), float(every.max())) if len(every) else None

    def _draw_marks(self) -> None:
        """Places marks, with names above the plot where there is room and they do not run into each other."""
        axis = self.item.getAxis("top")
        first = self.curves[0] if self.curves else None
        if not self.marks or first is None:
            if axis.isVisible():
                self.item.showAxis("top", False)
            return
        named = self.chart.height() >= NAMES_FROM
        low, high = self.chart.visible()
        per_pixel = (high - low) / max(self.chart.view.width(), 1.0)
        metrics = self.fontMetrics()
        ticks: list[tuple[float, str]] = []
        free = -math.inf
        for mark, item in zip(self.marks, self._mark_items):
            x = self._mark_place(mark, first)
            item.setVisible(math.isfinite(x))
            if not math.isfinite(x):
                continue
            item.setPos(x)
            half = (metrics.horizontalAdvance(mark.words) / 2 + 4) * per_pixel
            if named and low <= x <= high:
                place = max(low + half, min(x, high - half))  # inside, beside a mark at the edge
                if place - half >= free:
                    ticks.append((place, mark.words))
                    free = place + half
        axis.setTicks([ticks])
        if axis.isVisible() != named:
            self.item.showAxis("top", named)
            axis.setHeight(metrics.height())

    def _mark_place(self, mark: Mark, curve: Curve) -> float:
        time = mark.time
        if curve.placing.kind == "time" and not time:
            worker = self.source(curve)
            if worker is None:
                return math.nan
            with worker.reading() as store:
                series = store.series(curve.stage, "validation", "loss")
            after = int(np.searchsorted(series.steps, mark.step))
            if after >= len(series.times):
                return math.nan
            time = float(series.times[after])
        return float(curve.placing.place(np.array([mark.step]), np.array([time]))[0])

    # -- looks and export ------------------------------------------------------------------------------------

    def _label(self, unit: str = "seconds") -> None:
        self.item.getAxis("bottom").whole = self.x_kind != "time"
        if self.x_kind == "time":
            self.chart.set_labels(tr(AXIS_WORDS[unit]), self.y_label, f"{{}} {UNITS[unit]}")
        else:
            self.item.getAxis("bottom").setScale(1.0)
            self.chart.set_labels(tr(AXIS_WORDS[self.x_kind]), self.y_label, tr(FORMS[self.x_kind]))

    def set_y_label(self, words: str) -> None:
        """Says something else at the left axis."""
        if words != self.y_label:
            self.y_label = words
            self._label()

    def table(self) -> list[list[object]]:
        """Every sample of the shown curves: run, stage, split, key, step, seconds since 1970, value."""
        rows: list[list[object]] = [["run", "stage", "split", "key", "step", "time", "value"]]
        for curve in self.shown_curves():
            worker = self.source(curve)
            if worker is None:
                continue
            with worker.reading() as store:
                series = curve.samples(store, 0, None)
            about = [worker.run_folder.name, curve.stage, curve.split, curve.key]
            rows += [[*about, *sample] for sample in zip(*(column.tolist() for column in series))]
        return rows

    def recolour(self) -> None:
        tokens, ratio = self.theme.tokens, self.devicePixelRatioF()
        self.chart.recolour()
        self.legend.recolour()
        for curve in self.curves:
            curve.dress(tokens, self.smoothing, self._thin, ratio)
        for item, line in zip(self._line_items, self.lines):
            item.setPen(pyqtgraph.mkPen(line.colour(tokens), width=ratio, style=DASHES["dot"]))
        for item, mark in zip(self._mark_items, self.marks):
            item.setPen(pyqtgraph.mkPen(mark.colour(tokens), width=ratio, style=DASHES[mark.dash]))
        self.crosshair.refresh()
