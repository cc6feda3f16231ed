"""Projects: new, open, recent, close."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QDialog, QFileDialog, QMenu

from kdstudio.gui.dialogs.new_project import NewProjectDialog, projects_home
from kdstudio.gui.language import tr

if TYPE_CHECKING:
    from kdstudio.gui.main_window import MainWindow


class ProjectActions:
    """What the File menu does with projects."""

    def __init__(self, window: MainWindow) -> None:
        self.window = window

    def handlers(self) -> dict[str, Callable[[], None]]:
        return {"new": partial(self.new_from, ""), "open": self.ask_open, "close-project": self.window.close_project}

    def new_from(self, template: str) -> None:
        """Asks for a name and a place, makes the project and opens it."""
        if not self.window.may_leave_experiment():
            return
        dialog = NewProjectDialog(self.window, template)
        if dialog.exec() == QDialog.DialogCode.Accepted and dialog.project is not None:
            self.window.open_project(dialog.project.root)
        dialog.deleteLater()

    def ask_open(self) -> None:
        """Asks for a folder and opens it."""
        recent = self.window.settings["recent"]
        start = str(Path(recent[0]).parent) if recent else str(projects_home())
        folder = QFileDialog.getExistingDirectory(self.window, tr("Open a project folder"), start)
        if folder:
            self.window.open_project(Path(folder))

    def fill_recent(self, menu: QMenu) -> None:
        """Lists the recent projects that are still there."""
        menu.clear()
        for text in self.window.settings["recent"]:
            if (Path(text) / "project.yaml").exists():
                menu.addAction(text).triggered.connect(
                    lambda checked=False, path=Path(text): self.window.open_project(path)
                )
        menu.setEnabled(bool(menu.actions()))
