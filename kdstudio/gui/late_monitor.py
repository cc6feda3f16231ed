"""The part of the main window that holds the Monitor page; it is made late, for its plots take half of the start."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMainWindow, QMenu, QStackedWidget, QWidget

from kdstudio.gui.settings import Settings
from kdstudio.gui.theme import Theme
from kdstudio.gui.worker import TrainingWorker
from kdstudio.project.runs.folder import RunFolder

if TYPE_CHECKING:
    from kdstudio.gui.monitor.page import MonitorPage


class LateMonitor(QMainWindow):
    """A window whose `monitor` is made when it is first asked for.

    Until then `place` keeps its place among the pages, and nothing that has no run to show asks for it.
    """

    pages: QStackedWidget
    panels_menu: QMenu
    actions_by_name: dict[str, QAction]

    def __init__(self, settings: Settings, theme: Theme) -> None:
        super().__init__()
        self.settings = settings
        self.theme = theme
        self.place = QWidget()

    @cached_property
    def monitor(self) -> MonitorPage:
        """The Monitor page."""
        from kdstudio.gui.monitor.page import MonitorPage

        page = MonitorPage(self.theme, self.actions_by_name)
        shown = self.pages.currentIndex()
        self.pages.insertWidget(self.pages.indexOf(self.place), page)
        self.pages.removeWidget(self.place)
        self.pages.setCurrentIndex(shown)
        self.place.deleteLater()
        page.restore_layout(self.settings["layout"])
        for dock in page.docks.values():
            self.panels_menu.addAction(dock.toggleViewAction())
        return page

    @property
    def _made(self) -> bool:
        return "monitor" in self.__dict__

    def make_monitor(self) -> None:
        """Makes the page if it is not there yet."""
        assert self.monitor

    def monitor_worker(self, worker: TrainingWorker | None) -> None:
        """Shows a worker's run on the page, or none."""
        if self._made or worker is not None:
            self.monitor.set_worker(worker)

    def monitor_compared(self, runs: list[RunFolder]) -> None:
        """Shows these runs' curves beside those of the shown run."""
        if self._made or runs:
            self.monitor.compare(runs)

    def shut_down_monitor(self) -> None:
        """Keeps the page's arrangement and ends what it started."""
        if self._made:
            self.settings.set("layout", self.monitor.layout_state())
            self.monitor.shut_down()
