"""The main window: a project's tree, its pages, and the run that is shown."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QByteArray, Qt, QTimer
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QLabel, QMenu, QMessageBox, QSplitter, QStackedWidget

from kdstudio.gui import frame
from kdstudio.gui.actions import build_actions
from kdstudio.gui.dialogs.closing import ask_about_runs
from kdstudio.gui.experiment_actions import ExperimentActions
from kdstudio.gui.export.page import ExportPage
from kdstudio.gui.help_actions import HelpActions
from kdstudio.gui.language import mark, tr
from kdstudio.gui.late_monitor import LateMonitor
from kdstudio.gui.project_actions import ProjectActions
from kdstudio.gui.result_actions import ResultActions
from kdstudio.gui.runs.controller import RunController
from kdstudio.gui.runs.methods_actions import MethodsActions
from kdstudio.gui.runs.page import RunsPage
from kdstudio.gui.runs.queue_actions import QueueActions
from kdstudio.gui.runs.ready import alone, ready
from kdstudio.gui.runs.tell import OutcomeTeller
from kdstudio.gui.settings import Settings
from kdstudio.gui.setup.page import SetupPage
from kdstudio.gui.status_strip import StatusStrip
from kdstudio.gui.sweeps.sweep_actions import SweepActions
from kdstudio.gui.theme import Theme
from kdstudio.gui.tree import ProjectTree
from kdstudio.gui.warm_up import WarmUp
from kdstudio.gui.welcome.page import WelcomePage
from kdstudio.gui.widgets.message import MessageBar
from kdstudio.gui.worker import TrainingWorker
from kdstudio.project.errors import KDStudioError
from kdstudio.project.folder import Project
from kdstudio.project.runs.control import request
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.state import RunState, RunStatus

PAGES = ("setup", "monitor", "runs", "export")
LEAVE_MILLISECONDS = 30_000
TEXT_STEPS = (-2, 6)


class MainWindow(LateMonitor):
    """One project, one shown run. Other runs go on in processes of their own."""

    # built by `frame`
    recent_menu: QMenu
    strip: StatusStrip
    body: QStackedWidget
    splitter: QSplitter
    project_label: QLabel
    run_label: QLabel

    def __init__(self, settings: Settings, theme: Theme) -> None:
        super().__init__(settings, theme)
        self.project: Project | None = None
        self._leaving = False
        self.setWindowTitle("KD Studio")
        self.setAcceptDrops(True)
        self.resize(frame.first_size(self.screen().availableSize()))
        self.control = RunController(self)
        self.control.spare = settings["spare_core"]
        self.projects = ProjectActions(self)
        self.experiments = ExperimentActions(self)
        self.help = HelpActions(self)
        self.results = ResultActions(self)
        self.methods = MethodsActions(self)
        self.sweeps = SweepActions(self)
        self.queue = QueueActions(self)
        self.actions_by_name = build_actions(self, self._handlers())
        for action in self.actions_by_name.values():
            self.addAction(action)
        self.tree = ProjectTree(theme)
        self.tree.menu_actions = self.actions_by_name
        self.welcome = WelcomePage(theme, self.actions_by_name, newcomer=not settings["toured"])
        self.setup_page = SetupPage(theme)
        self.runs = RunsPage(theme, self.actions_by_name["run"], settings)
        self.runs.menu_actions = self.actions_by_name
        self.queue.build()
        self.sweeps.build()
        self.export = ExportPage(self.actions_by_name, theme)
        self.pages = QStackedWidget()
        for page in (self.setup_page, self.place, self.runs, self.export):
            self.pages.addWidget(page)
        self.message = MessageBar()
        self.teller = OutcomeTeller(self)
        frame.build(self)
        self._connect()
        self._recolour()
        self._restore()
        self.show_page("setup")
        self.show_project()
        WarmUp(self).ready.connect(self.make_monitor)

    # -- wiring ------------------------------------------------------------------------------------------------

    def _handlers(self) -> dict[str, Callable[[], None]]:
        handlers: dict[str, Callable[[], None]] = {
            **self.projects.handlers(),
            **self.experiments.handlers(),
            **self.help.handlers(),
            **self.results.handlers(),
            **self.queue.handlers(),
            **self.sweeps.handlers(),
            "quit": self.leave,
            "run": self.start,
            "resume": self.resume,
            "train-teacher": self.train_teacher,
            "methods": self.methods.open,
            "spare-core": self.spare_core,
            "reset-layout": lambda: self.monitor.reset_layout(),
            "text-larger": partial(self.scale_text, 1),
            "text-smaller": partial(self.scale_text, -1),
            "text-normal": partial(self.scale_text, 0),
        }
        for name in ("hold", "continue", "park", "stop", "stop-now"):
            handlers[name] = partial(self.request, name)
        for name in PAGES:
            handlers[f"page-{name}"] = partial(self.show_page, name)
        for name in ("system", "light", "dark"):
            handlers[f"theme-{name}"] = partial(self.set_theme, name)
        return handlers

    def _connect(self) -> None:
        self.tree.experiment_chosen.connect(self._experiment_chosen)
        self.tree.run_chosen.connect(self._run_chosen)
        self.setup_page.changed.connect(lambda _: self.refresh())
        self.setup_page.context.problems_changed.connect(self.experiments.forget_wrong)
        self.setup_page.failed.connect(self.tell_error)
        self.setup_page.context.run_wanted.connect(self._run_chosen)
        self.setup_page.train_teacher_requested.connect(self.train_teacher)
        stack = self.setup_page.undo_stack
        for signal, name in ((stack.canUndoChanged, "undo"), (stack.canRedoChanged, "redo")):
            self.actions_by_name[name].setEnabled(False)
            signal.connect(self.actions_by_name[name].setEnabled)
        stack.undoTextChanged.connect(partial(self._name_undo, "undo", mark("&Undo"), mark("&Undo {what}")))
        stack.redoTextChanged.connect(partial(self._name_undo, "redo", mark("&Redo"), mark("&Redo {what}")))
        self.runs.chosen.connect(self._run_chosen)
        self.runs.pointed.connect(self._run_pointed)
        self.runs.compared.connect(self.monitor_compared)
        self.runs.methods.clicked.connect(self.methods.open)
        self.panels_menu.aboutToShow.connect(self.make_monitor)
        self.export.failed.connect(self.message.tell)
        self.export.advice.field_asked.connect(self.results.show_field)
        self.welcome.sample_chosen.connect(self.projects.new_from)
        self.welcome.recent_chosen.connect(self.open_project)
        self.control.shown_changed.connect(self._shown_changed)
        self.control.state_changed.connect(self._state_changed)
        self.control.runs_changed.connect(self._runs_changed)
        self.control.ended.connect(self.teller.ended)
        self.control.ended.connect(self.setup_page.look_again)
        self.control.failed.connect(self.tell_error)
        self.theme.changed.connect(self._recolour)

    def _name_undo(self, name: str, verb: str, whole: str, what: str) -> None:
        """The Edit menu says what is taken back."""
        if not what:
            self.actions_by_name[name].setText(tr(verb))
            return
        if tr(whole) == whole:  # English writes it small within a sentence; other languages may not
            what = f"{what[:1].lower()}{what[1:]}"
        self.actions_by_name[name].setText(tr(whole, what=what))

    def _recolour(self) -> None:
        frame.colour_icons(self.actions_by_name, self.theme.tokens)
        self._runs_changed()

    def _restore(self) -> None:
        if self.settings["geometry"]:
            self.restoreGeometry(QByteArray.fromBase64(self.settings["geometry"].encode()))
        if self.settings["splitter"]:
            self.splitter.restoreState(QByteArray.fromBase64(self.settings["splitter"].encode()))

    # -- project -----------------------------------------------------------------------------------------------

    def open_project(self, path: Path) -> bool:
        """Opens a project folder and shows its default experiment; follows its newest run that is going."""
        if not self.may_leave_experiment():
            return False
        try:
            project = Project.open(path)
        except KDStudioError as error:
            self.projects.cannot_open(path, error)
            return False
        self.message.hide()
        self.sweeps.close_all()
        self.setup_page.close_experiment()
        self.project = project
        self.settings.opened(project.root)
        self.control.set_project(project)
        self.queue.set_project(project)
        self.show_project()
        name = project.default_experiment()
        if name is not None:
            self.open_experiment(project.path_of(name))
        active = self.control.active()
        if active:
            self.control.show(active[-1])
            self.show_page("monitor")
        else:
            self.show_page("setup")
        return True

    def close_project(self) -> None:
        """Back to the welcome page; runs go on."""
        if self.may_leave_experiment():
            self.sweeps.close_all()
            self.setup_page.close_experiment()
            self.project = None
            self.control.set_project(None)
            self.queue.set_project(None)
            self.show_project()

    def show_project(self) -> None:
        """Shows the open project's name and contents, or the welcome page."""
        project = self.project
        self.body.setCurrentIndex(0 if project is None else 1)
        self.project_label.setText(project.title if project is not None else "")
        self.project_label.setToolTip(str(project.root) if project is not None else "")
        self.welcome.show_recent(self.settings["recent"])
        self.projects.fill_recent(self.recent_menu)
        self._runs_changed()
        self.refresh()

    def open_experiment(self, path: Path) -> None:
        """Opens an experiment on the Setup page and selects it in the tree."""
        if self.project is None:
            return
        try:
            self.setup_page.open_experiment(self.project, path)
        except KDStudioError as error:
            self.tell_error(error)
        self.tree.choose(path)
        self.refresh()

    def _experiment_chosen(self, path: Path) -> None:
        if path != self.setup_page.path:
            if not self.may_leave_experiment():
                if self.setup_page.path is not None:
                    self.tree.choose(self.setup_page.path)
                return
            self.message.hide()
            self.open_experiment(path)
        self.show_page("setup")

    def may_leave_experiment(self) -> bool:
        """Asks what becomes of changes that were not saved. False if the person wants to stay."""
        if not self.setup_page.dirty:
            return True
        buttons = QMessageBox.StandardButton
        path = self.setup_page.path
        name = tr("the experiment") if path is None else path.stem
        text = tr("Save the changes to {name}?", name=name)
        answer = QMessageBox.question(
            self, tr("Unsaved changes"), text, buttons.Save | buttons.Discard | buttons.Cancel, buttons.Save
        )
        return answer == buttons.Discard or (answer == buttons.Save and self.setup_page.save())

    # -- runs --------------------------------------------------------------------------------------------------

    @property
    def worker(self) -> TrainingWorker | None:
        """The worker of the shown run."""
        return self.control.worker

    def start(self) -> None:
        """Runs the experiment of the Setup page: saves it, makes a run folder, starts the engine."""
        if ready(self) and self.setup_page.experiment is not None:
            self._began(self.control.start(self.setup_page.experiment))

    def train_teacher(self) -> None:
        """As `start`, up to the trained teacher; the run is parked there and can be resumed."""
        if ready(self) and self.setup_page.experiment is not None:
            self._began(self.control.start(self.setup_page.experiment, until="teacher"))

    def resume(self) -> None:
        """Goes on with the shown run from its last checkpoint."""
        if alone(self):
            self.control.resume()
            self._began(self.control.run)

    def _began(self, run: RunFolder | None) -> None:
        if run is None:
            return
        self.message.hide()
        self.strip.say("")  # how the run before it ended
        self.show_page("monitor")
        self.tree.choose(run)

    def _run_chosen(self, run: RunFolder) -> None:
        if self.control.run != run:
            self.control.show(run)
        if self.pages.currentWidget() not in (self.monitor, self.export):
            self.show_page("monitor")

    def _run_pointed(self, run: RunFolder) -> None:
        if self.control.run != run:
            self.control.show(run)
        self.tree.choose(run)
        self.refresh()

    def show_run(self, run: RunFolder) -> None:
        """Follows a run on the Monitor page."""
        self.control.show(run)

    def request(self, what: str) -> None:
        """Asks the shown run to hold, continue, park, stop or stop now."""
        self.control.request(what)  # type: ignore[arg-type]

    def _shown_changed(self) -> None:
        run = self.control.run
        self.monitor_worker(self.control.worker)
        self.export.show_run(run)
        self.run_label.setText(run.name if run is not None else "")
        self.strip.show(run, self.control.state, self.control.status)
        self.refresh()

    def _state_changed(self, state: RunState, status: RunStatus) -> None:
        self.strip.show(self.control.run, state, status)
        self.refresh()

    def _runs_changed(self) -> None:
        unsaved = self.setup_page.path if self.setup_page.dirty else None
        self.tree.fill(self.project, self.control.summaries, unsaved)
        self.runs.show_runs(self.control.summaries)
        self.methods.tell(self.runs.methods)

    # -- what can be done now ----------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Enables the actions that make sense now, and marks unsaved changes."""
        control, page = self.control, self.setup_page
        status, run, going = control.status, control.run, control.going
        experiment = page.path is not None
        chosen = self.tree.chosen()
        enabled = {
            "close-project": self.project is not None,
            "new-experiment": self.project is not None,
            "duplicate": experiment,
            "rename": experiment,
            "delete": chosen is not None,
            "save": experiment and page.dirty,
            "revert": experiment and page.dirty,
            "run": experiment,
            "enqueue": experiment,
            "methods": experiment,
            "train-teacher": experiment and page.experiment is not None and page.experiment.teacher is not None,
            "resume": run is not None and status.resumable and not going,
            "hold": going and status is not RunStatus.HOLDING,
            "continue": status is RunStatus.HOLDING,
            "park": going,
            "stop": going,
            "stop-now": going,
            **self.results.enabled(),
        }
        for name, on in enabled.items():
            self.actions_by_name[name].setEnabled(on)
        self.actions_by_name["continue"].setVisible(status is RunStatus.HOLDING)
        self.actions_by_name["hold"].setVisible(status is not RunStatus.HOLDING)
        self.export.set_going(going)
        title = self.project.title if self.project is not None else ""
        mark = "● " if page.dirty else ""
        self.setWindowTitle(mark + " · ".join(part for part in (title, "KD Studio") if part))
        self.tree.fill(self.project, control.summaries, page.path if page.dirty else None)
        names = self.project.experiment_names() if self.project is not None else []
        page.show_empty(bool(names), self.actions_by_name["new-experiment"])

    def show_page(self, name: str) -> None:
        """Shows one of `PAGES`."""
        if name == "monitor":
            self.make_monitor()
        self.pages.setCurrentIndex(PAGES.index(name))
        self.actions_by_name[f"page-{name}"].setChecked(True)

    def spare_core(self) -> None:
        """Says whether runs that are started from now on leave one core to the window."""
        self.control.spare = not self.control.spare
        self.settings.set("spare_core", self.control.spare)
        self.actions_by_name["spare-core"].setChecked(self.control.spare)

    def set_theme(self, choice: str) -> None:
        """Switches the theme and remembers it."""
        self.theme.apply(choice)
        self.settings.set("theme", self.theme.choice)
        self.actions_by_name[f"theme-{self.theme.choice}"].setChecked(True)

    def scale_text(self, step: int) -> None:
        """Makes all text larger (1), smaller (-1) or as at first (0), and remembers it."""
        low, high = TEXT_STEPS
        size = max(low, min(high, self.settings["text"] + step)) if step else 0
        self.settings.set("text", size)
        self.theme.scale(size)

    def tell_error(self, error: KDStudioError) -> None:
        """Shows an error of ours."""
        self.message.tell_error(error)

    # -- drag and drop -----------------------------------------------------------------------------------------

    @staticmethod
    def _dropped(event: QDragEnterEvent | QDropEvent) -> Path | None:
        for url in event.mimeData().urls():
            path = Path(url.toLocalFile())
            for folder in (path, path.parent, path.parent.parent):
                if url.isLocalFile() and (folder / "project.yaml").exists():
                    return folder
        return None

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        folder = self._dropped(event)
        event.acceptProposedAction()
        if folder is not None:
            QTimer.singleShot(0, self, partial(self.open_project, folder))
        else:
            self.projects.dropped([Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()])

    # -- closing -----------------------------------------------------------------------------------------------

    def ask_about_run(self) -> str:
        """What is to become of the runs that are going: `keep`, `park`, `stop` or `cancel`."""
        return ask_about_runs(self, [run.name for run in self.control.active()])

    def leave(self) -> None:
        """Closes the window, after its questions."""
        self.close()

    def closeEvent(self, event: QCloseEvent) -> None:
        if self._leaving:
            self._shut_down()
            event.accept()
            return
        if not self.may_leave_experiment():
            event.ignore()
            return
        active = self.control.active()
        answer = self.ask_about_run() if active else "keep"
        if answer == "keep":
            self._shut_down()
            event.accept()
            return
        event.ignore()
        if answer in ("park", "stop"):
            self._leave_when_over(active, answer)

    def _leave_when_over(self, active: list[RunFolder], answer: str) -> None:
        """Closes once the runs have parked or stopped; the window stays alive meanwhile."""
        self._leaving = True
        self.queue.pause_for_leaving()
        self.sweeps.stop_for_leaving()
        self.message.tell(
            tr("Saving, then closing.") if answer == "park" else tr("Evaluating and saving, then closing."),
            ", ".join(run.name for run in active),
            note=True,
            button=tr("Close now"),
            then=self.leave,
        )
        for run in active:
            try:
                request(run, answer)
            except KDStudioError as error:
                self.tell_error(error)
        timer = QTimer(self)
        timer.setInterval(100)
        timer.timeout.connect(lambda: None if any(run.status().active for run in active) else self.leave())
        timer.start()
        patience = QTimer(self)
        patience.setSingleShot(True)
        patience.timeout.connect(self.leave)
        patience.start(LEAVE_MILLISECONDS)

    def _shut_down(self) -> None:
        self.settings.set("geometry", bytes(self.saveGeometry().toBase64().data()).decode())
        self.settings.set("splitter", bytes(self.splitter.saveState().toBase64().data()).decode())
        self.sweeps.close_all()
        self.shut_down_monitor()
        self.setup_page.close_experiment()
        self.export.shut_down()
        self.teller.shut_down()
        self.control.shut_down()
        self.queue.shut_down()
        for timer in self.findChildren(QTimer, options=Qt.FindChildOption.FindChildrenRecursively):
            timer.stop()

    def focus_window(self) -> bool:
        """Whether the person is looking at this window."""
        return QApplication.activeWindow() is self
