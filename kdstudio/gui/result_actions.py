"""What can be done with what the shown run has left: its report, its folder, its networks, and advice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QDialog, QFileDialog

from kdstudio.gui.language import mark, tr
from kdstudio.gui.runs.difference_dialog import DifferenceDialog
from kdstudio.gui.runs.marks_dialog import MarksDialog
from kdstudio.project.errors import KDStudioError
from kdstudio.project.run_difference import difference
from kdstudio.project.run_table import as_csv, as_html, as_markdown, compare
from kdstudio.project.yaml_io import write_text

if TYPE_CHECKING:
    from kdstudio.gui.main_window import MainWindow


TABLES = mark("Comma-separated values (*.csv);;Markdown (*.md);;Page (*.html)")


class ResultActions:
    """Opens and measures the shown run's results; shows its advice, and the fields that this is about."""

    def __init__(self, window: MainWindow) -> None:
        self.window = window

    def handlers(self) -> dict[str, Callable[[], None]]:
        return {
            "advice": self.show_advice,
            "report": self.open_report,
            "open-folder": self.open_folder,
            "marks": self.mark,
            "difference": self.show_difference,
            "save-table": self.save_table,
            "evaluate": self.evaluate,
        }

    def enabled(self) -> dict[str, bool]:
        """Which of them make sense now."""
        run, going = self.window.control.run, self.window.control.going
        return {
            "advice": run is not None and run.scorecard_path.exists(),
            "report": run is not None and run.report_path.exists(),
            "evaluate": run is not None and not going and (run.student_dir / "student.json").exists(),
            "open-folder": run is not None,
            "marks": run is not None,
            "difference": self.window.project is not None,
            "save-table": self.window.project is not None,
        }

    def open_report(self) -> None:
        """In the browser."""
        if self.window.control.run is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.window.control.run.report_path)))

    def open_folder(self) -> None:
        """In the desktop's file manager."""
        if self.window.control.run is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.window.control.run.path)))

    def mark(self) -> None:
        """A star, tags and a note on the shown run."""
        if self.window.control.run is None:
            return
        dialog = MarksDialog(self.window.control.run, self.window)
        if dialog.exec() == QDialog.DialogCode.Accepted:
            self.window.control.look()
        dialog.deleteLater()

    def show_difference(self) -> None:
        """Of the two ticked runs."""
        window = self.window
        ticked = window.runs.model.compared
        if len(ticked) != 2:
            window.show_page("runs")
            fix = tr("Tick two runs in the table; {count} are ticked now.", count=len(ticked))
            window.message.tell(tr("Two runs are compared."), fix, note=True)
            return
        try:
            found = difference(*ticked)
        except KDStudioError as error:
            window.tell_error(error)
            return
        dialog = DifferenceDialog(window.theme, found, window)
        dialog.exec()
        dialog.deleteLater()

    def save_table(self) -> None:
        """The finished runs of the project, mean and spread over seeds."""
        project = self.window.project
        if project is None:
            return
        place = str(Path.home() / f"{project.root.name}-runs.csv")
        chosen, _ = QFileDialog.getSaveFileName(self.window, tr("Save the table of runs"), place, tr(TABLES))
        if not chosen:
            return
        rows, _ = compare(project)
        path = Path(chosen)
        makers = {".md": as_markdown, ".html": lambda found: as_html(found, project.title)}
        try:
            write_text(path, makers.get(path.suffix.lower(), as_csv)(rows))
        except KDStudioError as error:
            self.window.tell_error(error)

    def evaluate(self) -> None:
        """Measures the networks again."""
        if self.window.control.run is not None:
            self.window.teller.evaluate(self.window.control.run)

    def show_advice(self) -> None:
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
