"""The Monitor page: the panels of one run, live or finished, in docks that a person arranges."""

from __future__ import annotations

import time
from functools import partial

from PySide6.QtCore import QByteArray, Qt, QTimer
from PySide6.QtGui import QAction, QShowEvent
from PySide6.QtWidgets import QDockWidget, QFrame, QMainWindow, QTabBar, QTabWidget, QVBoxLayout, QWidget

from kdstudio.gui.monitor.alignment import AlignmentPanel
from kdstudio.gui.monitor.base import Panel
from kdstudio.gui.monitor.log import LogPanel
from kdstudio.gui.monitor.losses import LossesPanel
from kdstudio.gui.monitor.moment import Moment
from kdstudio.gui.monitor.moment_bar import MomentBar
from kdstudio.gui.monitor.quality import QualityPanel
from kdstudio.gui.monitor.resources import ResourcesPanel
from kdstudio.gui.monitor.soft_targets import SoftTargetsPanel
from kdstudio.gui.theme import Theme
from kdstudio.gui.worker import TrainingWorker
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.state import RunState, RunStatus, goes_on

FRAME_MILLISECONDS = 10
OTHERS_SECONDS = 0.2
LAYOUT_VERSION = 2
LEAST_HEIGHT = 110
AREAS = Qt.DockWidgetArea


class MonitorPage(QWidget):
    """Panels in docks, and below them the moment that they show."""

    def __init__(self, theme: Theme, actions: dict[str, QAction] | None = None) -> None:
        super().__init__()
        self.theme = theme
        self._actions = actions or {}
        self.worker: TrainingWorker | None = None
        self.moment = Moment(self)
        self.losses = LossesPanel(theme)
        self.quality = QualityPanel(theme, self.moment)
        self.soft_targets = SoftTargetsPanel(theme, self.moment)
        self.alignment = AlignmentPanel(theme, self.moment)
        self.resources = ResourcesPanel(theme)
        self.log = LogPanel(theme)
        self.panels: list[Panel] = [
            self.losses,
            self.soft_targets,
            self.alignment,
            self.quality,
            self.resources,
            self.log,
        ]
        self._order = list(self.panels)
        self._others_stale, self._others_next = False, 0.0
        #: Earlier runs that are shown for comparison, each with a worker that only reads.
        self.compared: list[TrainingWorker] = []
        self.docks: dict[str, QDockWidget] = {}
        self.area = QMainWindow()
        self.area.setObjectName("panels")
        self.area.setWindowFlags(Qt.WindowType.Widget)
        self.area.setDockNestingEnabled(True)
        self.area.setTabPosition(AREAS.AllDockWidgetAreas, QTabWidget.TabPosition.North)
        for panel in self.panels:
            self.docks[panel.name] = self._dock(panel)
        self._clean_later = QTimer(self)
        self._clean_later.setSingleShot(True)
        self._clean_later.setInterval(0)
        self._clean_later.timeout.connect(self._hide_left_bars)
        self._placed = False
        self._restored = False
        self.moment_bar = MomentBar(self.moment, theme)
        foot = QFrame()
        foot.setObjectName("card")
        inside = QVBoxLayout(foot)
        inside.setContentsMargins(8, 4, 8, 4)
        inside.addWidget(self.moment_bar)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 10, 10, 10)
        layout.setSpacing(8)
        layout.addWidget(self.area, 1)
        layout.addWidget(foot)
        self._timer = QTimer(self)
        self._timer.setInterval(FRAME_MILLISECONDS)
        self._timer.timeout.connect(self._frame)
        self._timer.start()
        self._offer(None)

    # -- docks -----------------------------------------------------------------------------------------------

    def _dock(self, panel: Panel) -> QDockWidget:
        dock = QDockWidget(panel.title, self.area)
        dock.setObjectName(panel.name)
        dock.setTitleBarWidget(panel.head_widget)
        dock.setWidget(panel)
        panel.setMinimumHeight(LEAST_HEIGHT)  # the window has to fit small screens, whatever its panels would like
        # hidden, never closed: a closed plot leaves deleted items behind
        dock.setFeatures(
            QDockWidget.DockWidgetFeature.DockWidgetMovable
            | QDockWidget.DockWidgetFeature.DockWidgetFloatable
            | QDockWidget.DockWidgetFeature.DockWidgetClosable
        )
        dock.visibilityChanged.connect(self._name_tabs)
        dock.dockLocationChanged.connect(self._name_tabs)
        return dock

    def arrange(self) -> None:
        """The arrangement that a new user sees: losses beside soft targets and alignment, the rest as tabs below."""
        area, docks = self.area, self.docks
        for dock in docks.values():
            dock.setFloating(False)
            area.removeDockWidget(dock)  # tabs that grow out of others leave tab bars behind
        for dock in docks.values():
            dock.show()
        area.addDockWidget(AREAS.TopDockWidgetArea, docks["losses"])
        area.splitDockWidget(docks["losses"], docks["soft-targets"], Qt.Orientation.Horizontal)
        area.tabifyDockWidget(docks["soft-targets"], docks["alignment"])
        area.addDockWidget(AREAS.BottomDockWidgetArea, docks["quality"])
        area.tabifyDockWidget(docks["quality"], docks["resources"])
        area.tabifyDockWidget(docks["quality"], docks["log"])
        docks["soft-targets"].raise_()
        docks["quality"].raise_()
        self._share()
        self._clean_later.start()

    def _share(self) -> None:
        """Sizes of the first arrangement; Qt takes them only from docks that are on the screen."""
        area, docks = self.area, self.docks
        area.resizeDocks([docks["losses"], docks["soft-targets"]], [540, 460], Qt.Orientation.Horizontal)
        area.resizeDocks([docks["losses"], docks["quality"]], [300, 208], Qt.Orientation.Vertical)

    def _hide_left_bars(self) -> None:
        """Hides tab bars that Qt leaves over the panels when groups of docks change."""
        groups = []
        for dock in self.docks.values():
            others = self.area.tabifiedDockWidgets(dock)
            if others and not dock.isFloating():
                groups.append(({other.windowTitle() for other in [dock, *others]}, dock.geometry()))
        for bar in self.area.findChildren(QTabBar, options=Qt.FindChildOption.FindDirectChildrenOnly):
            texts = {bar.tabText(index) for index in range(bar.count())}
            place = bar.geometry()
            near = any(
                texts == group and abs(place.bottom() - there.top()) < 4 and abs(place.left() - there.left()) < 4
                for group, there in groups
            )
            if bar.isVisible() and not near:
                bar.hide()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if not self._placed:
            self._placed = True
            if not self._restored:
                QTimer.singleShot(0, self, self.arrange)

    def _name_tabs(self) -> None:
        """A panel under a tab needs no second heading."""
        for panel in self.panels:
            dock = self.docks.get(panel.name)
            if dock is not None:
                panel.heading.setVisible(dock.isFloating() or not self.area.tabifiedDockWidgets(dock))

    def layout_state(self) -> str:
        """The arrangement as text for the settings."""
        return bytes(self.area.saveState(LAYOUT_VERSION).toBase64().data()).decode()

    def restore_layout(self, text: str) -> None:
        """Takes an arrangement back; one of another version is ignored."""
        if text:
            self._restored = self.area.restoreState(QByteArray.fromBase64(text.encode()), LAYOUT_VERSION)
        self._name_tabs()

    def reset_layout(self) -> None:
        """Back to the arrangement that a new user sees."""
        self.arrange()
        self._name_tabs()

    # -- what is shown ---------------------------------------------------------------------------------------

    def set_worker(self, worker: TrainingWorker | None) -> None:
        """Shows a worker's run, or none."""
        self.worker = worker
        self.moment.set_run(worker.run_folder if worker is not None else None)
        self.moment_bar.set_worker(worker)
        for panel in self.panels:
            panel.set_worker(worker)
        self._offer(None if worker is None else RunStatus.CREATED)
        if worker is not None:
            worker.state_changed.connect(self._state_changed)
            worker.metrics_changed.connect(self._stale)
            worker.state_changed.connect(self._stale)
            worker.snapshots_changed.connect(self._snapshots_changed)
            worker.log_grew.connect(self.log.append)

    def _state_changed(self, state: RunState, status: RunStatus) -> None:
        if self.sender() is self.worker:
            self._offer(status, state)

    def _offer(self, status: RunStatus | None, state: RunState | None = None) -> None:
        """Empty panels have the button that fills them: a run is started, or goes on, or measures something else."""
        name = "run"
        if status is not None:
            going = status.active or status is RunStatus.CREATED
            name = "" if going else "resume" if goes_on(state or RunState(), status) else "page-setup"
        for panel in self.panels:
            panel.empty.offer(self._actions.get(name))

    def compare(self, runs: list[RunFolder]) -> None:
        """Shows these runs' curves beside those of the shown run."""
        for worker in [worker for worker in self.compared if worker.run_folder not in runs]:
            self.compared.remove(worker)
            worker.detach()
            worker.deleteLater()
        known = {worker.run_folder for worker in self.compared}
        for run in runs:
            if run not in known:
                worker = TrainingWorker(run, False, self)
                worker.metrics_changed.connect(self._stale)
                self.compared.append(worker)
                worker.start()
        for panel in self.panels:
            panel.compare(self.compared)
        self._stale()

    def shut_down(self) -> None:
        """Ends what the page started; the window is closing."""
        self._timer.stop()
        self.moment.set_run(None)
        self.compare([])

    def _snapshots_changed(self, infos: list) -> None:
        if self.sender() is self.worker:
            self.moment.take(infos)

    def _stale(self) -> None:
        """Curves show new samples at once; what else shows something of them follows a few times a second."""
        self.losses.mark_stale()
        self._others_stale = True

    def _mark_others(self) -> None:
        now = time.monotonic()
        if self._others_stale and now >= self._others_next:
            self._others_stale, self._others_next = False, now + OTHERS_SECONDS
            for panel in self.panels:
                panel.mark_stale()

    def _frame(self) -> None:
        """Redraws the stale panel that has waited longest: one a turn, so that no turn of the window is long."""
        self._mark_others()
        waiting = [panel for panel in self._order if panel.stale and panel.isVisible()]
        if self.worker is None or not waiting:
            return
        self._stand_aside(True)
        waiting[0].redraw_if_stale()
        self._order.remove(waiting[0])
        self._order.append(waiting[0])
        QTimer.singleShot(0, self, partial(self._stand_aside, False))  # painting comes before timers

    def _stand_aside(self, aside: bool) -> None:
        for worker in (self.worker, *self.compared):
            if worker is not None:
                worker.stand_aside(aside)
