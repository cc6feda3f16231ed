"""Projects: new, open, recent, close."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QDialog, QFileDialog, QMenu

from kdstudio.gui.dialogs.new_project import NewProjectDialog, projects_home
from kdstudio.gui.dialogs.own_text import TextDialog
from kdstudio.gui.language import mark, tr
from kdstudio.gui.setup.columns_dialog import ColumnsDialog
from kdstudio.project.errors import KDStudioError
from kdstudio.project.folder import Project, adopt_folder
from kdstudio.project.own_images import free_folder, image_project, is_image_folder
from kdstudio.project.own_texts import corpus_project, is_plain_text, is_table, table_project, tagged_project
from kdstudio.project.tagged import looks_tagged

if TYPE_CHECKING:
    from kdstudio.gui.main_window import MainWindow


OWN_TEXTS = mark(
    "Texts (*.csv *.tsv *.jsonl *.ndjson *.txt *.csv.gz *.tsv.gz *.jsonl.gz *.txt.gz *.conll *.bio *.iob *.iob2);;"
    "All files (*)"
)


class ProjectActions:
    """What the File menu does with projects."""

    def __init__(self, window: MainWindow) -> None:
        self.window = window

    def handlers(self) -> dict[str, Callable[[], None]]:
        return {
            "new": partial(self.new_from, ""),
            "open": self.ask_open,
            "images": self.ask_images,
            "texts": self.ask_texts,
            "close-project": self.window.close_project,
        }

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

    def ask_images(self) -> None:
        """Asks for a folder of images and makes a project that learns from them."""
        folder = QFileDialog.getExistingDirectory(
            self.window, tr("A folder with a sub-folder of images for each class"), str(Path.home())
        )
        if folder:
            self.from_images(Path(folder))

    def from_images(self, folder: Path) -> None:
        """Makes a project that learns from a folder's images, and shows where they are chosen."""
        if not is_image_folder(folder):
            self.window.message.tell(
                tr("{name}: this folder has no sub-folders with images.", name=folder.name),
                tr("The name of a sub-folder is the class of the images in it; there are two classes at least."),
                tr("Put the images of each class into a folder of their own, and choose the folder above them."),
            )
            return
        if not self.window.may_leave_experiment():
            return
        try:
            project = image_project(folder, projects_home())
        except KDStudioError as error:
            self.window.tell_error(error)
            return
        self._opened(project, tr("It learns from the images in {folder}.", folder=folder))
        self.window.setup_page.show_section("data")

    def ask_texts(self) -> None:
        """Asks for a file of texts and makes a project that learns from them."""
        chosen, _ = QFileDialog.getOpenFileName(
            self.window,
            tr("A table of texts with labels, words with tags, or a plain text"),
            str(Path.home()),
            tr(OWN_TEXTS),
        )
        if chosen:
            self.from_texts(Path(chosen))

    def from_texts(self, file: Path) -> None:
        """Makes a project that learns from a file of texts; of a table its columns are asked for."""
        if not self.window.may_leave_experiment():
            return
        target = free_folder(projects_home(), file.name.split(".")[0] or "texts")
        try:
            if looks_tagged(file):
                project = tagged_project(target, file)
            elif is_table(file):
                dialog = ColumnsDialog(self.window.theme, file, parent=self.window)
                accepted = dialog.exec() == QDialog.DialogCode.Accepted
                columns, encoding, gaps = dialog.columns, dialog.encoding.currentText().strip(), dialog.gaps
                dialog.deleteLater()
                if not accepted:
                    return
                project = table_project(target, file, columns, encoding, gaps)
            else:
                asked = TextDialog(file, self.window)
                accepted = asked.exec() == QDialog.DialogCode.Accepted
                encoding, task = asked.coding, asked.task
                asked.deleteLater()
                if not accepted:
                    return
                project = corpus_project(target, file, encoding, task)
        except KDStudioError as error:
            self.window.tell_error(error)
            return
        words = tr("It learns from the texts in {file}.", file=file)
        if looks_tagged(file):
            words = tr("It learns the tag of each word in {file}.", file=file)
        self._opened(project, words)
        self.window.setup_page.show_section("data")

    def make_here(self, folder: Path) -> None:
        """Makes a folder a project; what is in it stays as it is."""
        if not self.window.may_leave_experiment():
            return
        try:
            project = adopt_folder(folder)
        except KDStudioError as error:
            self.window.tell_error(error)
            return
        self._opened(project)

    def _opened(self, project: Project, words: str = "") -> None:
        """Opens a project that was just made, and says where it lies."""
        if self.window.open_project(project.root):
            made = tr("The project lies in {folder}.", folder=project.root)
            self.window.message.tell(made, words, note=True)

    def cannot_open(self, path: Path, error: KDStudioError) -> None:
        """Tells why a folder cannot be opened; one that is no project can become one."""
        if error.kind == "no-project":
            self._offer(path, tr("{name}: this folder is no KD Studio project.", name=path.name))
        elif not path.exists():
            self.window.message.tell(error.what, error.why, tr("Check the path, or make a project in another folder."))
        else:
            self.window.tell_error(error)

    def dropped(self, paths: list[Path]) -> None:
        """Something was dropped on the window that is no project."""
        text = tr("What was dropped is no KD Studio project and lies in none.")
        if paths and paths[0].is_dir():
            self._offer(paths[0], text)
        elif paths and (is_table(paths[0]) or is_plain_text(paths[0]) or looks_tagged(paths[0])):
            why = tr("{name} is a file of texts.", name=paths[0].name)
            if looks_tagged(paths[0]):
                why = tr("{name} is a file of words with tags.", name=paths[0].name)
            button = tr("Learn from these texts")
            self.window.message.tell(text, why, button=button, then=partial(self.from_texts, paths[0]))
        else:
            why = tr("A project is a folder with a project.yaml.")
            self.window.message.tell(text, why, tr("Make one with File > New project."))

    def _offer(self, folder: Path, what: str) -> None:
        """Offers to make a project of a folder, or of the images in it."""
        if is_image_folder(folder):
            why, button = tr("It has a sub-folder of images for each class."), tr("Learn from these images")
            make = self.from_images
        else:
            why, button = tr("A project is a folder with a project.yaml."), tr("Make a project here")
            make = self.make_here
        self.window.message.tell(what, why, button=button, then=partial(make, folder))

    def fill_recent(self, menu: QMenu) -> None:
        """Lists the recent projects that are still there."""
        menu.clear()
        for text in self.window.settings["recent"]:
            if (Path(text) / "project.yaml").exists():
                menu.addAction(text).triggered.connect(
                    lambda checked=False, path=Path(text): self.window.open_project(path)
                )
        menu.setEnabled(bool(menu.actions()))
