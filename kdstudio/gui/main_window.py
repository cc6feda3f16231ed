"""The main window: a project's tree, its pages, and the run that is shown."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QByteArray, Qt, QUrl
from PySide6.QtGui import QActionGroup, QCloseEvent, QDesktopServices
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QInputDialog,
    QLabel,
    QMainWindow,
    QMessageBox,
    QProgressBar,
    QSizePolicy,
    QSplitter,
    QStackedWidget,
    QToolBar,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from kdstudio import __version__
from kdstudio.gui.actions import SPECS, build_actions
from kdstudio.gui.export.page import ExportPage
from kdstudio.gui.icons import icon
from kdstudio.gui.monitor.page import MonitorPage
from kdstudio.gui.runs.page import RunsPage
from kdstudio.gui.settings import Settings
from kdstudio.gui.setup.page import SetupPage
from kdstudio.gui.theme import Theme
from kdstudio.gui.tree import ProjectTree
from kdstudio.gui.widgets.message import MessageBar
from kdstudio.gui.worker import Outcome, OutcomeKind, TrainingWorker
from kdstudio.project.errors import KDStudioError
from kdstudio.project.folder import Project, create_project, templates
from kdstudio.project.runs.control import Request
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.state import RunState, RunStatus, status_of

PAGES = ("setup", "monitor", "runs", "export")
ICONS = {"run": "play", "resume": "refresh", "hold": "pause", "continue": "play", "park": "park", "stop": "stop"}
LEAVE_SECONDS = 30.0


class MainWindow(QMainWindow):
    """One project, one shown run. Other runs go on in processes of their own."""

    def __init__(self, settings: Settings, theme: Theme) -> None:
        super().__init__()
        self.settings = settings
        self.theme = theme
        self.project: Project | None = None
        self.worker: TrainingWorker | None = None
        self.setWindowTitle("KD Studio")
        self.resize(1280, 720)
        self.tree = ProjectTree(theme)
        self.tree.experiment_chosen.connect(self._experiment_chosen)
        self.tree.run_chosen.connect(self._run_chosen)
        self.setup_page = SetupPage()
        self.setup_page.changed.connect(lambda _: self._refresh_actions())
        self.setup_page.failed.connect(self.tell_error)
        self.monitor = MonitorPage(theme)
        self.runs = RunsPage(theme)
        self.runs.chosen.connect(self._run_chosen)
        self.export = ExportPage()
        self.export.failed.connect(self._tell)
        self.pages = QStackedWidget()
        for page in (self.setup_page, self.monitor, self.runs, self.export):
            self.pages.addWidget(page)
        self.message = MessageBar()
        self._shown: tuple[RunState, RunStatus] = (RunState(), RunStatus.CREATED)
        self.actions_by_name = build_actions(self, self._handlers())
        for action in self.actions_by_name.values():
            self.addAction(action)
        self._build_menus()
        self._build_toolbar()
        self._build_body()
        theme.changed.connect(self._recolour)
        self._recolour()
        self._restore()
        self.show_page("setup")
        self._refresh_actions()

    # -- building ----------------------------------------------------------------------------------------------

    def _handlers(self) -> dict[str, Callable[[], None]]:
        handlers: dict[str, Callable[[], None]] = {
            "open": self._ask_open,
            "new": self._ask_new,
            "save": self.save,
            "quit": self._quit,
            "run": self.start,
            "resume": self.resume,
            "report": self._open_report,
            "about": self._about,
        }
        for name in ("hold", "continue", "park", "stop", "stop-now"):
            handlers[name] = partial(self.request, name)
        for name in PAGES:
            handlers[f"page-{name}"] = partial(self.show_page, name)
        for name in ("system", "light", "dark"):
            handlers[f"theme-{name}"] = partial(self.set_theme, name)
        return handlers

    def _build_menus(self) -> None:
        menus = {}
        for spec in SPECS:
            if spec.menu not in menus:
                menus[spec.menu] = self.menuBar().addMenu(spec.menu)
            menus[spec.menu].addAction(self.actions_by_name[spec.name])
        self.page_group, self.theme_group = QActionGroup(self), QActionGroup(self)
        for prefix, group in (("page-", self.page_group), ("theme-", self.theme_group)):
            for name, action in self.actions_by_name.items():
                if name.startswith(prefix):
                    action.setCheckable(True)
                    group.addAction(action)
        self.actions_by_name[f"theme-{self.theme.choice}"].setChecked(True)

    def _build_toolbar(self) -> None:
        bar = QToolBar("Run")
        bar.setObjectName("toolbar")
        bar.setMovable(False)
        bar.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.addToolBar(bar)
        for spec in SPECS:
            if spec.toolbar:
                bar.addAction(self.actions_by_name[spec.name])
        run_button = bar.widgetForAction(self.actions_by_name["run"])
        run_button.setObjectName("primary")
        self.progress = QProgressBar()
        self.progress.setAccessibleName("Progress of the shown run")
        self.progress.setFixedWidth(240)
        self.progress.setFormat("")
        self.rate = QLabel()
        self.rate.setObjectName("soft")
        filler = QWidget()
        filler.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        bar.addWidget(filler)
        bar.addWidget(self.rate)
        bar.addWidget(self.progress)

    def _build_body(self) -> None:
        tabs = QWidget()
        tabs.setObjectName("pages")
        row = QHBoxLayout(tabs)
        row.setContentsMargins(10, 8, 10, 0)
        row.setSpacing(4)
        for name in PAGES:
            button = QToolButton()
            button.setDefaultAction(self.actions_by_name[f"page-{name}"])
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            row.addWidget(button)
        row.addStretch()
        self.run_label = QLabel()
        self.run_label.setObjectName("soft")
        row.addWidget(self.run_label)
        main = QWidget()
        column = QVBoxLayout(main)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(tabs)
        holder = QWidget()
        inset = QHBoxLayout(holder)
        inset.setContentsMargins(10, 6, 10, 0)
        inset.addWidget(self.message)
        column.addWidget(holder)
        column.addWidget(self.pages, 1)
        side = QWidget()
        side.setObjectName("side")
        side_column = QVBoxLayout(side)
        side_column.setContentsMargins(8, 12, 8, 8)
        self.project_label = QLabel("No project")
        self.project_label.setObjectName("heading")
        side_column.addWidget(self.project_label)
        side_column.addWidget(self.tree, 1)
        self.splitter = QSplitter()
        self.splitter.addWidget(side)
        self.splitter.addWidget(main)
        self.splitter.setSizes([230, 1050])
        self.splitter.setStretchFactor(1, 1)
        self.splitter.setCollapsible(1, False)
        self.setCentralWidget(self.splitter)
        self.status_left = QLabel()
        self.status_right = QLabel()
        self.statusBar().addWidget(self.status_left, 1)
        self.statusBar().addPermanentWidget(self.status_right)

    def _recolour(self) -> None:
        tokens = self.theme.tokens
        for name, file in ICONS.items():
            self.actions_by_name[name].setIcon(icon(file, tokens.accent_ink if name == "run" else tokens.soft))
        if self.project is not None:
            self.tree.fill(self.project)
            self.runs.show_project(self.project)

    def _restore(self) -> None:
        geometry = self.settings["geometry"]
        if geometry:
            self.restoreGeometry(QByteArray.fromBase64(geometry.encode()))

    # -- project -----------------------------------------------------------------------------------------------

    def open_project(self, path: Path) -> bool:
        """Opens a project folder and shows its default experiment. Attaches to its newest run that is going."""
        if not self._may_leave_experiment():
            return False
        try:
            project = Project.open(path)
        except KDStudioError as error:
            self.tell_error(error)
            return False
        self._show_worker(None)
        self.project = project
        self.settings.opened(project.root)
        self.project_label.setText(project.title)
        self.setWindowTitle(f"{project.title} · KD Studio")
        self._refresh_project()
        name = project.default_experiment()
        if name is not None:
            self._experiment_chosen(project.path_of(name))
            self.tree.blockSignals(True)
            self.tree.choose(project.path_of(name))
            self.tree.blockSignals(False)
        runs = project.runs()
        active = [run for run in runs if run.status().active]
        if active:
            self.show_run(max(active, key=lambda run: run.state().started))
            self.show_page("monitor")
        self._refresh_actions()
        return True

    def _refresh_project(self) -> None:
        self.tree.fill(self.project)
        self.runs.show_project(self.project)

    def _ask_open(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Open a project folder")
        if folder:
            self.open_project(Path(folder))

    def _ask_new(self) -> None:
        names = [*templates(), "empty"]
        name, chosen = QInputDialog.getItem(self, "New project", "Template", names, 0, False)
        if not chosen:
            return
        folder, _ = QFileDialog.getSaveFileName(self, "Folder of the new project", name)
        if folder:
            try:
                create_project(Path(folder), name)
            except KDStudioError as error:
                self.tell_error(error)
                return
            self.open_project(Path(folder))

    def _experiment_chosen(self, path: Path) -> None:
        if self.project is None or path == self.setup_page.path:
            return
        if not self._may_leave_experiment():
            return
        try:
            self.setup_page.open_experiment(self.project, path)
            self.message.hide()
        except KDStudioError as error:
            self.tell_error(error)
        if self.pages.currentWidget() is not self.setup_page:
            self.show_page("setup")
        self._refresh_actions()

    def _may_leave_experiment(self) -> bool:
        if not self.setup_page.dirty:
            return True
        buttons = QMessageBox.StandardButton
        answer = QMessageBox.question(
            self,
            "Unsaved changes",
            f"Save the changes to {self.setup_page.title.text()}?",
            buttons.Save | buttons.Discard | buttons.Cancel,
        )
        return answer == buttons.Discard or (answer == buttons.Save and self.setup_page.save())

    def save(self) -> None:
        """Saves the experiment."""
        if self.setup_page.save():
            self.statusBar().showMessage("Saved", 3000)
            self.tree.fill(self.project)

    # -- runs --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Runs the experiment of the Setup page: saves it, makes a run folder, starts the engine."""
        if self.project is None:
            return
        if not self.setup_page.check() or (self.setup_page.dirty and not self.setup_page.save()):
            self.show_page("setup")
            self._tell("The experiment is not complete.", "A field has an error; it is marked on this page.", "")
            return
        experiment = self.setup_page.experiment
        assert experiment is not None
        try:
            run = self.project.create_run(experiment)
        except KDStudioError as error:
            self.tell_error(error)
            return
        self._begin(run)

    def resume(self) -> None:
        """Goes on with the shown run from its last checkpoint."""
        if self.worker is not None:
            self._begin(self.worker.run_folder)

    def _begin(self, run: RunFolder) -> None:
        self.message.hide()
        self.show_run(run, start=True)
        self.show_page("monitor")
        self._refresh_project()
        self.tree.blockSignals(True)
        self.tree.choose(run)
        self.tree.blockSignals(False)

    def _run_chosen(self, run: RunFolder) -> None:
        if self.worker is None or self.worker.run_folder != run:
            self.show_run(run)
        if self.pages.currentWidget() not in (self.monitor, self.export):
            self.show_page("monitor")

    def show_run(self, run: RunFolder, start: bool = False) -> None:
        """Follows a run on the Monitor page."""
        self._show_worker(TrainingWorker(run, start, self))

    def _show_worker(self, worker: TrainingWorker | None) -> None:
        if self.worker is not None:
            self.worker.detach()
            self.worker.deleteLater()
        self.worker = worker
        self._shown = (RunState(), RunStatus.CREATED)
        self.monitor.set_worker(worker)
        self.export.show_run(worker.run_folder if worker is not None else None)
        self.run_label.setText(worker.run_folder.name if worker is not None else "")
        self._show_progress(*self._shown)
        if worker is not None:
            worker.state_changed.connect(self._state_changed)
            worker.ended.connect(self._ended)
            worker.start()
        self._refresh_actions()

    def request(self, what: str) -> None:
        """Asks the shown run to hold, continue, park, stop or stop now."""
        if self.worker is None:
            return
        try:
            request: Request = what  # type: ignore[assignment]
            self.worker.request(request)
        except KDStudioError as error:
            self.tell_error(error)

    def _state_changed(self, state: RunState, status: RunStatus) -> None:
        if self.sender() is not self.worker:
            return  # the last word of a worker that is no longer shown
        before = self._shown[1]
        self._shown = (state, status)
        self._show_progress(state, status)
        if status is not before:
            self._refresh_actions()
            self.tree.fill(self.project)

    def _show_progress(self, state: RunState, status: RunStatus) -> None:
        total = max(state.total_steps, 1)
        self.progress.setVisible(self.worker is not None)
        self.progress.setRange(0, total)
        self.progress.setValue(min(state.step, total))
        words = status.text(state)
        if status is RunStatus.TRAINING and state.total_epochs:
            words = f"{state.stage}: epoch {state.epoch + 1} / {state.total_epochs}"
        self.progress.setFormat(words)
        parts = []
        if status.active and state.samples_per_second:
            parts.append(f"{state.samples_per_second:,.0f} samples/s")
        self.rate.setText("  ".join(parts))
        self.status_left.setText(f"{words} · step {state.step} of {state.total_steps}" if self.worker else "Ready")
        memory = f" · {state.memory_bytes / 1e6:,.0f} MB" if state.memory_bytes else ""
        self.status_right.setText(f"{state.device}{memory}" if self.worker else "")

    def _ended(self, outcome: Outcome) -> None:
        if self.sender() is not self.worker:
            return
        self._refresh_project()
        if self.worker is not None:
            self.export.show_run(self.worker.run_folder)
        if outcome.kind in (OutcomeKind.FAILED, OutcomeKind.OUT_OF_MEMORY, OutcomeKind.KILLED):
            self._tell(outcome.what, outcome.why, outcome.fix)
        else:
            self.statusBar().showMessage(" ".join(part for part in (outcome.what, outcome.fix) if part), 8000)
        self._refresh_actions()

    # -- what can be done now ----------------------------------------------------------------------------------

    def _refresh_actions(self) -> None:
        status = self._shown[1]
        followed = self.worker is not None and self.worker.isRunning()
        going = followed and (status.active or status is RunStatus.CREATED)
        open_experiment = self.setup_page.path is not None
        enabled = {
            "save": open_experiment and self.setup_page.dirty,
            "run": open_experiment,
            "resume": self.worker is not None and status.resumable and not going,
            "hold": going and status is not RunStatus.HOLDING,
            "continue": status is RunStatus.HOLDING,
            "park": going,
            "stop": going,
            "stop-now": going,
            "report": self.worker is not None and self.worker.run_folder.report_path.exists(),
        }
        for name, on in enabled.items():
            self.actions_by_name[name].setEnabled(on)
        self.actions_by_name["continue"].setVisible(status is RunStatus.HOLDING)
        self.actions_by_name["hold"].setVisible(status is not RunStatus.HOLDING)
        mark = "● " if self.setup_page.dirty else ""
        title = self.project.title if self.project is not None else ""
        self.setWindowTitle(mark + " · ".join(part for part in (title, "KD Studio") if part))

    def show_page(self, name: str) -> None:
        """Shows one of `PAGES`."""
        self.pages.setCurrentIndex(PAGES.index(name))
        self.actions_by_name[f"page-{name}"].setChecked(True)

    def set_theme(self, choice: str) -> None:
        """Switches the theme and remembers it."""
        self.theme.apply(choice)
        self.settings.set("theme", self.theme.choice)
        self.actions_by_name[f"theme-{self.theme.choice}"].setChecked(True)

    def tell_error(self, error: KDStudioError) -> None:
        self.message.tell_error(error)

    def _tell(self, what: str, why: str, fix: str) -> None:
        self.message.tell(what, why, fix)

    def _open_report(self) -> None:
        if self.worker is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.worker.run_folder.report_path)))

    def _about(self) -> None:
        text = f"KD Studio {__version__}\n\nA workbench for knowledge distillation.\nApache License 2.0."
        QMessageBox.about(self, "About KD Studio", text)

    def _quit(self) -> None:
        self.close()

    # -- closing -----------------------------------------------------------------------------------------------

    def ask_about_run(self) -> str:
        """What is to become of a run that is going: `keep`, `park`, `stop` or `cancel`."""
        box = QMessageBox(self)
        box.setWindowTitle("A run is going")
        box.setText("The run goes on in a process of its own. What shall become of it?")
        roles = QMessageBox.ButtonRole
        keep = box.addButton("Keep training", roles.AcceptRole)
        park = box.addButton("Park", roles.AcceptRole)
        stop = box.addButton("Stop", roles.DestructiveRole)
        box.addButton("Cancel", roles.RejectRole)
        box.setDefaultButton(keep)
        box.exec()
        clicked = box.clickedButton()
        return "keep" if clicked is keep else "park" if clicked is park else "stop" if clicked is stop else "cancel"

    def closeEvent(self, event: QCloseEvent) -> None:
        if not self._may_leave_experiment():
            event.ignore()
            return
        worker = self.worker
        if worker is not None and worker.isRunning() and status_of(worker.run_folder.state()).active:
            answer = self.ask_about_run()
            if answer == "cancel":
                event.ignore()
                return
            if answer in ("park", "stop"):
                self.request(answer)
                deadline = time.monotonic() + LEAVE_SECONDS
                while worker.isRunning() and time.monotonic() < deadline:
                    worker.wait(50)
        self.export.shut_down()
        if worker is not None:
            with contextlib.suppress(RuntimeError):
                worker.detach()
        self.settings.set("geometry", bytes(self.saveGeometry().toBase64().data()).decode())
        super().closeEvent(event)
