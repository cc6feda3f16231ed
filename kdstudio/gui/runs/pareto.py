"""Quality against what it costs: a dot a finished run, and the line of those that no other one beats in both."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

import pyqtgraph
from PySide6.QtCore import Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QLabel, QVBoxLayout

from kdstudio.gui.language import mark, tr
from kdstudio.gui.monitor.chart import Chart
from kdstudio.gui.theme import Theme
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.summary import RunSummary

DOT, CHOSEN, HEIGHT = 9, 15, 250


def _speed(key: str) -> Callable[[RunSummary], float | None]:
    def value(summary: RunSummary) -> float | None:
        found = summary.fact("student", "speed") or {}
        return (found.get(key) or {}).get("median")

    return value


#: What a student costs: key, words, how it is read, and how many of it make one of the axis.
COSTS: dict[str, tuple[str, Callable[[RunSummary], float | None], float]] = {
    "parameters": (mark("Parameters, thousands"), lambda s: s.fact("student", "parameters"), 1e3),
    "latency": (mark("Latency of one sample, ms"), _speed("latency_ms"), 1.0),
    "flops": (mark("FLOPs a sample, millions"), lambda s: s.fact("student", "flops"), 1e6),
    "file": (mark("File, MB"), lambda s: s.fact("student", "file_bytes"), 1e6),
}

#: The axis of the scores, by what they are.
QUALITIES = {"accuracy": mark("Student %"), "f1": mark("Student's F1 %"), "perplexity": mark("Perplexity")}


def frontier(points: list[tuple[float, float]], less_is_better: bool) -> list[tuple[float, float]]:
    """The points that no other beats: none is as cheap and better, or as good and cheaper. By rising cost.

    Args:
        points: (cost, score).
        less_is_better: Whether a smaller score is the better one.
    """
    sign = 1 if less_is_better else -1
    found: list[tuple[float, float]] = []
    for cost, score in sorted(points, key=lambda point: (point[0], sign * point[1])):
        if not found or sign * score < sign * found[-1][1]:
            found.append((cost, score))
    return found


class ParetoView(QFrame):
    """Below the table of runs.

    Signals:
        picked: The run whose dot was clicked.
    """

    picked = Signal(object)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("card")
        self.theme = theme
        self.summaries: list[RunSummary] = []
        self.chosen: RunFolder | None = None
        title = QLabel(tr("Quality against cost"))
        title.setObjectName("heading")
        self.note = QLabel()
        self.note.setObjectName("soft")
        self.cost = QComboBox()
        self.cost.setAccessibleName(tr("Cost"))
        self.cost.setToolTip(tr("What a student costs"))
        for key, (words, _, _) in COSTS.items():
            self.cost.addItem(tr(words), key)
        self.cost.activated.connect(lambda _: self.redraw())
        self.chart = Chart(theme, tr("Quality against cost"))
        self.chart.setFixedHeight(HEIGHT)
        self._line = pyqtgraph.PlotCurveItem()
        self._dots = pyqtgraph.ScatterPlotItem(hoverable=True, tip=self._tip)
        self._dots.sigClicked.connect(self._clicked)
        self.chart.item.addItem(self._line)
        self.chart.item.addItem(self._dots)
        self.chart.fitted.connect(self.redraw)
        head = QHBoxLayout()
        head.setSpacing(12)
        head.addWidget(title)
        head.addWidget(self.note, 1)
        head.addWidget(self.cost)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 8, 12, 8)
        column.setSpacing(4)
        column.addLayout(head)
        column.addWidget(self.chart)
        theme.changed.connect(self.redraw)
        self.points: dict[RunFolder, tuple[float, float]] = {}
        self.best: list[tuple[float, float]] = []
        self.redraw()

    def show_runs(self, summaries: list[RunSummary], chosen: RunFolder | None) -> None:
        """Draws the finished ones among these runs."""
        self.summaries, self.chosen = summaries, chosen
        self.redraw()

    def redraw(self) -> None:
        """Draws anew. Runs with scores of different kinds cannot stand on one axis: the most frequent kind is drawn."""
        tokens = self.theme.tokens
        self.chart.recolour()
        done = [summary for summary in self.summaries if summary.scorecard and summary.score is not None]
        metrics = Counter(summary.metric for summary in done)
        metric = max(metrics, key=lambda each: metrics[each]) if metrics else "accuracy"
        language = metric == "perplexity"
        words, read, unit = COSTS[str(self.cost.currentData())]
        self.points = {}
        for summary in done:
            cost = read(summary)
            if summary.metric == metric and cost is not None and math.isfinite(cost):
                score = summary.score or 0.0
                self.points[summary.run] = (cost / unit, score if language else 100 * score)
        self.best = frontier(list(self.points.values()), language)
        stairs = [part for one, other in zip(self.best, self.best[1:]) for part in (one, (other[0], one[1]))]
        stairs += self.best[-1:]
        self._line.setData([x for x, _ in stairs], [y for _, y in stairs])
        self._line.setPen(pyqtgraph.mkPen(tokens.student, width=2))
        spots = []
        for run, place in self.points.items():
            first = place in self.best
            colour = QColor(tokens.accent if first else tokens.soft)
            size = CHOSEN if run == self.chosen else DOT
            brush = pyqtgraph.mkBrush(colour) if first else pyqtgraph.mkBrush(None)
            pen = pyqtgraph.mkPen(colour, width=1.5)
            spots.append({"pos": place, "size": size, "brush": brush, "pen": pen, "data": run})
        self._dots.setData(spots)
        quality = tr(QUALITIES[metric])
        self.chart.set_labels(tr(words), quality, "{}")
        if self.points:
            costs, scores = zip(*self.points.values())
            self.chart.show_extent((min(costs), max(costs)), (min(scores), max(scores)))
        self.note.setText(
            tr("Filled: no other run is both smaller and better.")
            if self.points
            else tr("No finished run has these figures.")
        )

    def _tip(self, x: float, y: float, data: RunFolder) -> str:
        return f"{data.name}: {y:.2f}, {x:.3g}"

    def _clicked(self, _: object, spots: list[pyqtgraph.SpotItem], event: object = None) -> None:
        if len(spots):
            self.picked.emit(spots[0].data())
