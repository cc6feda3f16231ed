"""Panels of the Monitor page in tests: shown with their heads, following runs."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent, QWheelEvent
from PySide6.QtWidgets import QApplication, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from kdstudio.gui.monitor.base import Panel
from kdstudio.gui.monitor.chart import Chart
from kdstudio.gui.worker import TrainingWorker
from kdstudio.project.runs.folder import RunFolder

Show = Callable[..., QWidget]
LEFT = Qt.MouseButton.LeftButton


class Host(QWidget):
    """A panel under its head, as a dock shows them."""

    def __init__(self, panel: Panel, size: tuple[int, int]) -> None:
        super().__init__()
        layout = QVBoxLayout(self)
        layout.addWidget(panel.head_widget)
        layout.addWidget(panel, 1)
        self.resize(*size)


def show(qtbot: QtBot, panel: Panel, size: tuple[int, int] = (760, 420)) -> Host:
    """Shows a panel."""
    host = Host(panel, size)
    panel.__dict__["host"] = host  # lives as long as the panel
    qtbot.addWidget(host)
    host.show()
    qtbot.waitExposed(host)
    return host


def read(qtbot: QtBot, run: RunFolder) -> TrainingWorker:
    """A worker that has read the whole of a run that is over."""
    worker = TrainingWorker(run, False)
    worker.start()
    qtbot.waitUntil(worker.isFinished, timeout=30_000)
    return worker


def follow(qtbot: QtBot, panel: Panel, run: RunFolder) -> TrainingWorker:
    """The panel shows a run that is over, drawn once."""
    worker = TrainingWorker(run, False)
    panel.set_worker(worker)
    worker.metrics_changed.connect(panel.mark_stale)
    worker.state_changed.connect(panel.mark_stale)
    worker.start()
    qtbot.waitUntil(worker.isFinished, timeout=30_000)
    draw(panel)
    return worker


def draw(panel: Panel) -> None:
    """What the page's timer does."""
    QApplication.processEvents()
    panel.mark_stale()
    panel.redraw_if_stale()
    QApplication.processEvents()


def spot(chart: Chart, x: float, y: float) -> QPoint:
    """Where a point of the axes is on the chart's viewport."""
    return chart.mapFromScene(chart.view.mapViewToScene(QPointF(x, y)))


def wheel(chart: Chart, place: QPoint, turns: int) -> None:
    """Turns the wheel over a place of a chart; upwards zooms in."""
    globally = chart.viewport().mapToGlobal(place)
    event = QWheelEvent(
        QPointF(place),
        QPointF(globally),
        QPoint(),
        QPoint(0, 120 * turns),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(chart.viewport(), event)
    QApplication.processEvents()


def drag(
    qtbot: QtBot,
    chart: Chart,
    start: QPoint,
    end: QPoint,
    modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier,
) -> None:
    """Drags from one place of a chart to another."""
    view = chart.viewport()
    qtbot.mouseMove(view, start)
    qtbot.mousePress(view, LEFT, modifier, start)
    for share in (0.3, 0.6, 1.0):
        place = start + QPoint(round(share * (end - start).x()), round(share * (end - start).y()))
        event = QMouseEvent(
            QEvent.Type.MouseMove,
            QPointF(place),
            QPointF(view.mapToGlobal(place)),
            Qt.MouseButton.NoButton,
            LEFT,
            modifier,
        )
        QApplication.sendEvent(view, event)
        QApplication.processEvents()
    qtbot.mouseRelease(view, LEFT, modifier, end)
    QApplication.processEvents()
