"""Opens the sweeps of a project, and says on the Runs page that one is going."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kdstudio.gui.language import tr
from kdstudio.gui.runs.ready import alone
from kdstudio.gui.setup.words import path_text
from kdstudio.project.errors import KDStudioError
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.sweeps.folder import Sweep, sweep_names
from kdstudio.project.sweeps.trials import Outcome, read_trials

if TYPE_CHECKING:
    from kdstudio.gui.main_window import MainWindow
    from kdstudio.gui.sweeps.dialog import SweepDialog


class SweepActions:
    """One dialog at a time; it stands beside the window."""

    def __init__(self, window: MainWindow) -> None:
        self.window = window
        self.dialog: SweepDialog | None = None

    def handlers(self) -> dict[str, Callable[[], None]]:
        return {"sweep": self.open}

    def build(self) -> None:
        """Connects the pages that lead here."""
        self.window.runs.sweeps.clicked.connect(self.open)
        self.window.setup_page.context.vary.connect(self.vary)

    def open(self) -> None:
        """Shows the sweeps of the open experiment."""
        from kdstudio.gui.sweeps.dialog import SweepDialog

        window, page = self.window, self.window.setup_page
        if window.project is None or page.path is None:
            return
        if self.dialog is not None and page.experiment is not None and page.experiment == self.dialog.experiment:
            self.dialog.raise_()
            self.dialog.activateWindow()
            return
        if not page.check() or page.experiment is None:
            window.show_page("setup")
            text = tr("A sweep varies fields of the open experiment.")
            window.message.tell(tr("This experiment is not complete."), text, tr("See to the fields that are marked."))
            return
        self.close()
        window.message.hide()
        self.dialog = SweepDialog(
            window.theme,
            window.project,
            page.experiment,
            lambda: alone(window, window.control.going),
            window.control.spare,
            window,
        )
        self.dialog.run_chosen.connect(self._show_run)
        self.dialog.values_chosen.connect(self._use)
        self.dialog.destroyed.connect(self._gone)
        self.dialog.show()

    def vary(self, path: str) -> None:
        """Lets a field of the open experiment vary."""
        self.open()
        if self.dialog is not None:
            self.dialog.vary(path)

    def _show_run(self, run: RunFolder) -> None:
        self.window.control.show(run)
        self.window.show_page("monitor")
        self.window.raise_()

    def _use(self, changes: dict[str, Any]) -> None:
        page = self.window.setup_page
        page.context.document.edit(tr("Use the values of a trial"), changes)
        self.window.show_page("setup")
        names = ", ".join(path_text(path) for path in changes)
        self.window.message.tell(tr("The trial's values are in the experiment: {fields}.", fields=names), note=True)

    def _gone(self) -> None:
        self.dialog = None

    def close(self) -> None:
        """Closes the dialog; a sweep that is going goes on."""
        if self.dialog is not None:
            self.dialog.close()

    def close_all(self) -> None:
        """Closes what stands beside the window: this dialog, and the comparison of methods."""
        self.window.methods.close()
        self.close()

    def stop_for_leaving(self) -> None:
        """Asks the sweeps that are going to make no further trials, as their runs are parked."""
        for sweep in self._sweeps():
            if read_trials(sweep).count(Outcome.RUNNING):
                sweep.ask_stop()

    def _sweeps(self) -> list[Sweep]:
        project, found = self.window.project, []
        for name in sweep_names(project) if project is not None else []:
            try:
                found.append(Sweep.open(project, name))  # type: ignore[arg-type]
            except KDStudioError:
                continue
        return found
