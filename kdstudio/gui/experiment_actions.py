"""Experiments and runs as things: new, copy, rename, delete with undo, save, undo and redo."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kdstudio.gui.experiments import (
    ask_name,
    duplicate_experiment,
    free_name,
    new_experiment,
    rename_experiment,
)
from kdstudio.gui.language import tr
from kdstudio.project.errors import KDStudioError
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.trash import Trashed, move_to_trash, restore
from kdstudio.project.yaml_io import storage_error

if TYPE_CHECKING:
    from kdstudio.gui.main_window import MainWindow


class ExperimentActions:
    """What the File and Edit menus do with experiments."""

    def __init__(self, window: MainWindow) -> None:
        self.window = window
        self._wrong: tuple[Path | None, str] = (None, "")  # the experiment that cannot run, and what is said of it

    def handlers(self) -> dict[str, Callable[[], None]]:
        return {
            "new-experiment": self.new,
            "duplicate": self.duplicate,
            "rename": self.rename,
            "delete": self.delete,
            "save": self.save,
            "revert": self.revert,
            "undo": self.undo,
            "redo": self.redo,
        }

    # -- edits -----------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Saves the open experiment."""
        if self.window.setup_page.save():
            self.window.strip.say(tr("Saved"), 3000)
            self.window.refresh()

    def revert(self) -> None:
        """Reads the experiment from its file again."""
        path = self.window.setup_page.path
        if path is not None:
            self.window.setup_page.close_experiment()
            self.window.open_experiment(path)

    def undo(self) -> None:
        self.window.show_page("setup")
        self.window.setup_page.undo_stack.undo()

    def redo(self) -> None:
        self.window.show_page("setup")
        self.window.setup_page.undo_stack.redo()

    def tell_wrong(self, what: str, why: str, button: str = "", then: Callable[[], None] | None = None) -> None:
        """Says why the open experiment cannot run, as long as it is so."""
        self._wrong = (self.window.setup_page.path, what)
        self.window.message.tell(what, why, button=button, then=then)

    def forget_wrong(self) -> None:
        """The experiment is right again, or another one is open: what was said of it is not true any more."""
        page, (path, what) = self.window.setup_page, self._wrong
        if path is not None and (page.path != path or not page.context.problems):
            self._wrong = (None, "")
            if self.window.message.what.text() == what:
                self.window.message.hide()

    # -- files -----------------------------------------------------------------------------------------------

    def new(self) -> None:
        """Asks for a name and adds an experiment."""
        project = self.window.project
        if project is not None and self.window.may_leave_experiment():
            name = ask_name(self.window, project, tr("New experiment"), free_name(project, "experiment"))
            self._open(lambda: new_experiment(project, name) if name else None)

    def duplicate(self) -> None:
        """Asks for a name and copies the open experiment."""
        project, source = self.window.project, self.window.setup_page.path
        if project is not None and source is not None and self.window.may_leave_experiment():
            name = ask_name(self.window, project, tr("Duplicate experiment"), free_name(project, f"{source.stem}-copy"))
            self._open(lambda: duplicate_experiment(project, source, name) if name else None)

    def rename(self) -> None:
        """Asks for another name; the experiment's runs go with it."""
        project, source = self.window.project, self.window.setup_page.path
        if project is None or source is None or not self.window.may_leave_experiment():
            return
        name = ask_name(self.window, project, tr("Rename experiment"), source.stem)
        if name and name != source.stem:
            run = self.window.control.run
            if run is not None and run.experiment_name == source.stem:
                self.window.control.show(None)
            self._open(lambda: rename_experiment(project, source, name))

    def _open(self, make: Callable[[], Path | None]) -> None:
        try:
            path = make()
        except KDStudioError as error:
            self.window.tell_error(error)
            return
        except OSError as error:
            self.window.tell_error(storage_error(Path(error.filename or "experiments"), error))
            return
        if path is not None:
            self.window.control.look()
            self.window.refresh()
            self.window.open_experiment(path)
            self.window.show_page("setup")

    def delete(self) -> None:
        """Moves the chosen run or experiment to the trash; a button brings it back."""
        window, project = self.window, self.window.project
        chosen = window.tree.chosen()
        if window.pages.currentWidget() is window.runs and window.runs.chosen_run() is not None:
            chosen = window.runs.chosen_run()
        if project is None or chosen is None:
            return
        path = chosen.path if isinstance(chosen, RunFolder) else chosen
        name = chosen.name if isinstance(chosen, RunFolder) else chosen.stem
        if isinstance(chosen, RunFolder) and chosen == window.control.run and not window.control.going:
            window.control.show(None)
        if chosen == window.setup_page.path:
            if not window.may_leave_experiment():
                return
            window.setup_page.close_experiment()
        try:
            trashed = move_to_trash(project.root, path)
        except KDStudioError as error:
            window.tell_error(error)
            return
        window.control.look()
        window.refresh()
        undo = partial(self._undelete, trashed)
        window.message.tell(tr("{name} is in the trash.", name=name), note=True, button=tr("Undo"), then=undo)

    def _undelete(self, trashed: Trashed) -> None:
        try:
            restore(trashed)
        except KDStudioError as error:
            self.window.tell_error(error)
        self.window.control.look()
        self.window.refresh()
