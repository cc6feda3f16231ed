"""Advice: what the shown run suggests to try, and the way from there to the field."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kdstudio.gui.language import tr

if TYPE_CHECKING:
    from kdstudio.gui.main_window import MainWindow


class AdviceActions:
    """Shows the advice of the shown run, and the fields that it is about."""

    def __init__(self, window: MainWindow) -> None:
        self.window = window

    def handlers(self) -> dict[str, Callable[[], None]]:
        return {"advice": self.show}

    def possible(self) -> bool:
        """Whether the shown run has figures to advise on."""
        run = self.window.control.run
        return run is not None and run.scorecard_path.exists()

    def show(self) -> None:
        """The card on the Export page."""
        self.window.show_page("export")
        self.window.export.show_advice()

    def show_field(self, path: str) -> None:
        """A field of the shown run's experiment on the Setup page; the experiment is opened where another one is."""
        window, run = self.window, self.window.control.run
        if window.project is None or run is None:
            return
        experiment = window.project.path_of(run.experiment_name)
        if window.setup_page.path != experiment:
            if not experiment.exists():
                window.message.tell(tr("The experiment {name} is gone.", name=run.experiment_name), note=True)
                return
            if not window.may_leave_experiment():
                return
            window.open_experiment(experiment)
        window.show_page("setup")
        window.setup_page.show_field(path)
