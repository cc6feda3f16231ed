"""Panels that show the shared moment, in tests."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from kdstudio.gui.monitor.base import Panel
from kdstudio.gui.monitor.moment import Moment
from kdstudio.gui.worker import TrainingWorker
from kdstudio.project.runs.folder import RunFolder
from tests.gui.panels import draw, show
from tests.gui.snapshot_runs import Recipe, make_run

LEFT = Qt.MouseButton.LeftButton
LOW_PANEL, TALL_PANEL = (490, 340), (760, 760)  # a dock of 470 pixels, and the margins of the host


class Shown:
    """A panel on the screen that shows a run at a moment of its own."""

    def __init__(self, qtbot: QtBot, kind: type, theme: object, folder: Path, size: tuple[int, int]) -> None:
        self.qtbot = qtbot
        self.folder = folder
        self.moment = Moment()
        self.panel = kind(theme, self.moment)
        self.host = show(qtbot, self.panel, size)
        self.runs = 0

    def open(self, recipe: Recipe | None = None) -> RunFolder:
        """Shows a run made by a recipe; all of it has been read and drawn."""
        self.runs += 1
        return self.open_run(make_run(self.folder / f"{self.runs:03d}", recipe or Recipe()))

    def open_run(self, run: RunFolder) -> RunFolder:
        """Shows a run that is over."""
        worker = TrainingWorker(run, False)
        self.moment.set_run(run)
        self.panel.set_worker(worker)
        worker.snapshots_changed.connect(self.moment.take)
        worker.start()
        self.qtbot.waitUntil(worker.isFinished, timeout=30_000)
        draw(self.panel)
        return run

    def go(self, index: int) -> None:
        """Moves the moment, and draws."""
        self.moment.go(index)
        draw(self.panel)

    def resize(self, width: int, height: int) -> None:
        """Gives the panel another size."""
        self.host.resize(width, height)
        self.qtbot.waitUntil(lambda: self.host.width() == width and self.host.height() == height)
        draw(self.panel)


def empty(panel: Panel) -> bool:
    """Whether the panel only says what will appear."""
    return panel.stack.currentIndex() == 0


def click_tab(shown: Shown, index: int) -> None:
    """Clicks on a view of the switch."""
    bar = shown.panel.switch.switch
    shown.qtbot.mouseClick(bar, LEFT, pos=bar.tabRect(index).center())
