"""A plot on the screen and the run behind it."""

from __future__ import annotations

from PySide6.QtCore import QPoint
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from kdstudio.gui.monitor.plot import Curve, SeriesPlot
from kdstudio.gui.theme import Theme, Tokens
from tests.gui.metric_runs import RunWriter
from tests.gui.panels import read


def ink(tokens: Tokens) -> str:
    return tokens.ink


def curve(key: str = "loss", split: str = "train", **more: object) -> Curve:
    return Curve("student", split, key, more.pop("label", key), ink, **more)  # type: ignore[arg-type]


class Plotted:
    """A plot on the screen and the run behind it, which can go on."""

    def __init__(self, qtbot: QtBot, theme: Theme, writer: RunWriter) -> None:
        self.writer = writer
        self.plot = SeriesPlot(theme, "loss")
        qtbot.addWidget(self.plot)
        self.plot.resize(640, 380)
        self.plot.show()
        qtbot.waitExposed(self.plot)
        self.worker = read(qtbot, writer.run)
        self.chart = self.plot.chart

    def draw(self) -> None:
        """Reads what was written, and draws it."""
        self.worker._follower.read_all()
        self.plot.update_from(self.worker)
        QApplication.processEvents()

    @property
    def x(self) -> tuple[float, float]:
        return self.chart.visible()

    @property
    def y(self) -> tuple[float, float]:
        low, high = self.chart.view.viewRange()[1]
        return low, high

    def middle(self) -> QPoint:
        return self.chart.mapFromScene(self.chart.view.sceneBoundingRect().center())


def more(plotted: Plotted, steps: int = 40) -> None:
    start = plotted.plot.curves[0].data.count
    for step in range(start, start + steps):
        plotted.writer.step("student", step)
    plotted.draw()


# -- following and navigation -------------------------------------------------------------------------------------
