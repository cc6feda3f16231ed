"""The runs of the open project: which one is shown, what is asked of it, and what happens to the others."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Signal

from kdstudio.gui.worker import Outcome, TrainingWorker, outcome_of
from kdstudio.project.errors import KDStudioError
from kdstudio.project.folder import Project
from kdstudio.project.runs.control import Request
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.state import RunState, RunStatus
from kdstudio.project.runs.summary import Catalogue, RunSummary
from kdstudio.project.spec import Experiment

LOOK_MILLISECONDS = 2000


class RunController(QObject):
    """Starts, resumes, shows and asks. One run is followed closely by a worker; the others are looked at now and then.

    Signals:
        shown_changed: Another run is shown, or none.
        state_changed: `RunState` and `RunStatus` of the shown run.
        runs_changed: The list of runs, or a status in it, is another one.
        ended: A run that was going has ended: its `RunFolder` and `Outcome`, whether it is shown or not.
        failed: A `KDStudioError`.
    """

    shown_changed = Signal()
    state_changed = Signal(object, object)
    runs_changed = Signal()
    ended = Signal(object, object)
    failed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.project: Project | None = None
        self.worker: TrainingWorker | None = None
        self.state = RunState()
        self.status = RunStatus.CREATED
        self.catalogue = Catalogue()
        self.summaries: list[RunSummary] = []
        self.spare = True  # runs that are started leave one core to the window
        self._unfinished: set[RunFolder] = set()  # that wait or go
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MILLISECONDS)
        self._timer.timeout.connect(self.look)

    # -- the project -----------------------------------------------------------------------------------------

    def set_project(self, project: Project | None) -> None:
        """Opens another project's runs; shows none of them."""
        self.show(None)
        self.project = project
        self.summaries = []
        self._unfinished = set()
        self.look()
        if project is not None:
            self._timer.start()
        else:
            self._timer.stop()

    def look(self) -> None:
        """Reads the list of runs anew; tells of changes and of runs that have ended out of sight."""
        before = [summary.mark for summary in self.summaries]
        self.summaries = self.catalogue.read(self.project)
        unfinished = self._unfinished
        self._unfinished = {
            summary.run for summary in self.summaries if summary.status.active or summary.status is RunStatus.CREATED
        }
        over = unfinished - self._unfinished
        for summary in self.summaries:
            if not self._is_followed(summary) and summary.run in over:
                self.ended.emit(summary.run, outcome_of(summary.state, summary.status, None, ""))
        if before != [summary.mark for summary in self.summaries]:
            self.runs_changed.emit()

    def _is_followed(self, summary: RunSummary) -> bool:
        """Whether a worker tells of the run's end. One that waited in the queue when it was shown is shown anew."""
        if self.worker is None or self.worker.run_folder != summary.run:
            return False
        began = self.status is RunStatus.CREATED and summary.status is not RunStatus.CREATED
        if not self.worker.isFinished() or not (began or summary.status.active):
            return True
        self.show(summary.run)
        return summary.status.active

    def active(self) -> list[RunFolder]:
        """The runs that are going, the newest last."""
        going = [summary for summary in self.catalogue.read(self.project) if summary.status.active]
        return [summary.run for summary in sorted(going, key=lambda summary: summary.state.started)]

    # -- the shown run ---------------------------------------------------------------------------------------

    @property
    def run(self) -> RunFolder | None:
        """The shown run."""
        return self.worker.run_folder if self.worker is not None else None

    @property
    def going(self) -> bool:
        """Whether the shown run is at work (or about to be)."""
        followed = self.worker is not None and self.worker.isRunning()
        return followed and (self.status.active or self.status is RunStatus.CREATED)

    def start(self, experiment: Experiment, until: str = "") -> RunFolder | None:
        """Makes a run of the experiment, starts its engine and shows it. `until` is `TrainingWorker`'s."""
        if self.project is None:
            return None
        try:
            run = self.project.create_run(experiment)
        except KDStudioError as error:
            self.failed.emit(error)
            return None
        self.show(run, start=True, until=until)
        self.look()
        return run

    def resume(self) -> None:
        """Goes on with the shown run from its last checkpoint."""
        if self.run is not None:
            self.show(self.run, start=True)
            self.look()

    def show(self, run: RunFolder | None, start: bool = False, until: str = "") -> None:
        """Follows a run. The one that was shown goes on unseen."""
        if self.worker is not None:
            self.worker.detach()
            self.worker.deleteLater()
        self.worker = TrainingWorker(run, start, self, until, self.spare) if run is not None else None
        self.state, self.status = RunState(), RunStatus.CREATED
        if self.worker is not None:
            self.worker.state_changed.connect(self._state_changed)
            self.worker.ended.connect(self._ended)
        self.shown_changed.emit()
        if self.worker is not None:
            self.worker.start()

    def request(self, what: Request) -> None:
        """Asks the shown run to hold, continue, park, stop or stop now."""
        if self.worker is not None:
            try:
                self.worker.request(what)
            except KDStudioError as error:
                self.failed.emit(error)

    def shut_down(self) -> None:
        """Stops to follow; what is going goes on."""
        self._timer.stop()
        if self.worker is not None:
            self.worker.detach()

    def _state_changed(self, state: RunState, status: RunStatus) -> None:
        if self.sender() is not self.worker:
            return  # the last word of a worker that is no longer shown
        before, self.state, self.status = self.status, state, status
        self.state_changed.emit(state, status)
        if status is not before:
            self.look()

    def _ended(self, outcome: Outcome) -> None:
        worker = self.sender()
        if worker is not self.worker or self.worker is None:
            return
        self.look()
        self.ended.emit(self.worker.run_folder, outcome)
