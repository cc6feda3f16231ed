"""A plot of growing series with a legend beside its title, where it hides no curve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pyqtgraph
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from kdstudio.gui.monitor.curves import Decimated
from kdstudio.gui.theme import Theme, Tokens
from kdstudio.gui.worker import TrainingWorker

FAINT = 90


@dataclass
class Curve:
    """One series on a plot. `colour` picks it from the theme's tokens, so a theme switch keeps its role."""

    stage: str
    split: str
    key: str
    label: str
    colour: Callable[[Tokens], str]
    dashed: bool = False
    smooth: bool = False
    data: Decimated = field(default_factory=Decimated)
    raw: pyqtgraph.PlotDataItem | None = None
    line: pyqtgraph.PlotDataItem | None = None


class SeriesPlot(QWidget):
    """Curves over steps. New samples are added to what is drawn; a resume that took samples back redraws them."""

    def __init__(self, theme: Theme, y_label: str) -> None:
        super().__init__()
        self.theme = theme
        self.curves: dict[tuple[str, str, str], Curve] = {}
        self._lines: list[tuple[float, str, Callable[[Tokens], str]]] = []
        self._line_items: list[pyqtgraph.InfiniteLine] = []
        self._resumes = 0
        self._worker: TrainingWorker | None = None
        self.plot = pyqtgraph.PlotWidget()
        self.plot.setMenuEnabled(False)
        self.plot.hideButtons()
        self.item = self.plot.getPlotItem()
        self.item.setLabel("bottom", "step")
        self.item.setLabel("left", y_label)
        self.item.getAxis("left").setWidth(56)
        self.item.getAxis("left").enableAutoSIPrefix(False)
        self.item.getAxis("bottom").enableAutoSIPrefix(False)
        self.item.showGrid(x=True, y=True, alpha=0.12)
        self.legend = QLabel()
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.legend.setWordWrap(True)
        row = QHBoxLayout()
        row.setContentsMargins(4, 0, 0, 0)
        row.addWidget(self.legend, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(row)
        layout.addWidget(self.plot, 1)
        self.recolour()

    def clear(self) -> None:
        for curve in self.curves.values():
            self._remove(curve)
        self.curves = {}
        self._resumes = 0
        self.set_lines([])

    def _remove(self, curve: Curve) -> None:
        for item in (curve.raw, curve.line):
            if item is not None:
                self.item.removeItem(item)

    def set_curves(self, wanted: list[Curve]) -> None:
        """Shows these curves; those that are there already keep what they hold."""
        keys = {(curve.stage, curve.split, curve.key) for curve in wanted}
        if keys == set(self.curves):
            return
        for key in [key for key in self.curves if key not in keys]:
            self._remove(self.curves.pop(key))
        for curve in wanted:
            key = (curve.stage, curve.split, curve.key)
            if key not in self.curves:
                if curve.smooth:
                    curve.raw = self.item.plot([], [])
                curve.line = self.item.plot([], [])
                self.curves[key] = curve
        self.recolour()

    def set_lines(self, lines: list[tuple[float, str, Callable[[Tokens], str]]]) -> None:
        """Horizontal reference lines: value, label, colour."""
        if [line[:2] for line in lines] == [line[:2] for line in self._lines]:
            return
        self._lines = lines
        for item in self._line_items:
            self.item.removeItem(item)
        self._line_items = []
        for value, _, _ in lines:
            item = pyqtgraph.InfiniteLine(pos=value, angle=0)
            self.item.addItem(item)
            self._line_items.append(item)
        self.recolour()

    def update_from(self, worker: TrainingWorker) -> bool:
        """Takes new samples from the worker and draws them. Returns whether there is anything to see."""
        self._worker = worker
        resumes = sum(record.event == "resume" for record in worker.store().events)
        again = resumes != self._resumes
        self._resumes = resumes
        seen = False
        for (stage, split, key), curve in self.curves.items():
            if again:
                curve.data.clear()
            series = worker.series(stage, split, key, curve.data.count)
            if len(series.steps):
                curve.data.extend(series.steps, series.values)
                if curve.raw is not None:
                    curve.raw.setData(*curve.data.envelope())
                if curve.line is not None:
                    curve.line.setData(*(curve.data.smoothed() if curve.smooth else curve.data.envelope()))
            seen = seen or curve.data.count > 0
        return seen

    def table(self) -> list[list[object]]:
        """Every sample of the shown curves: stage, split, key, step, value."""
        rows: list[list[object]] = [["stage", "split", "key", "step", "value"]]
        for (stage, split, key), _ in self.curves.items():
            if self._worker is not None:
                series = self._worker.series(stage, split, key)
                rows += [[stage, split, key, s, v] for s, v in zip(series.steps.tolist(), series.values.tolist())]
        return rows

    def recolour(self) -> None:
        tokens = self.theme.tokens
        self.plot.setBackground(tokens.panel)
        for name in ("left", "bottom"):
            axis = self.item.getAxis(name)
            axis.setPen(tokens.line)
            axis.setTextPen(tokens.soft)
        names = []
        for curve in self.curves.values():
            colour = curve.colour(tokens)
            style = Qt.PenStyle.DashLine if curve.dashed else Qt.PenStyle.SolidLine
            if curve.raw is not None:
                faint = pyqtgraph.mkColor(colour)
                faint.setAlpha(FAINT)
                curve.raw.setPen(pyqtgraph.mkPen(faint, width=1))
            if curve.line is not None:
                curve.line.setPen(pyqtgraph.mkPen(colour, width=2, style=style))
            names.append(_legend(colour, "╌╌" if curve.dashed else "━━", curve.label))
        for item, (_, label, pick) in zip(self._line_items, self._lines):
            item.setPen(pyqtgraph.mkPen(pick(tokens), width=1, style=Qt.PenStyle.DotLine))
            names.append(_legend(pick(tokens), "┈┈", label))
        self.legend.setText("&nbsp;&nbsp; ".join(names))


def _legend(colour: str, mark: str, label: str) -> str:
    return f'<span style="color:{colour}">{mark}</span> {label.replace(" ", "&nbsp;")}'
