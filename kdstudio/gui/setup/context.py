"""What all parts of the Setup page share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from kdstudio.gui.setup.document import Document
from kdstudio.gui.theme import Theme
from kdstudio.project.folder import Project
from kdstudio.project.spec import Experiment

if TYPE_CHECKING:
    from kdstudio.gui.setup.draft import Draft
    from kdstudio.gui.setup.facts import Facts
    from kdstudio.gui.setup.fields import FieldBox


class Context(QObject):
    """The open experiment and what is known about it.

    Attributes:
        document: What is edited.
        facts: What the engine says of it.
        draft: What is in the file, and what is not.
        project: The open project.
        experiment: The document, checked; None where it is wrong.
        problems: Messages by dotted path; a path that ends at a group belongs to the group as a whole.
        boxes: The fields on screen by dotted path.

    Signals:
        problems_changed: `problems` is another one now.
        run_wanted: The person wants to see this run.
        vary: The person wants the field at a path to vary in a sweep.
        train_teacher: The person wants the teacher trained.
        show_path: The person wants to see the field at a path.
        yaml_typed: Whether there is YAML that was typed and not applied yet.
    """

    problems_changed = Signal()
    vary = Signal(str)
    run_wanted = Signal(object)
    train_teacher = Signal()
    show_path = Signal(str)
    yaml_typed = Signal(bool)

    def __init__(
        self, document: Document, draft: Draft, facts: Facts, theme: Theme, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.document = document
        self.draft = draft
        self.facts = facts
        self.theme = theme
        self.project: Project | None = None
        self.experiment: Experiment | None = None
        self.problems: dict[str, list[str]] = {}
        self.boxes: dict[str, FieldBox] = {}

    def set_problems(self, problems: dict[str, list[str]]) -> None:
        self.problems = problems
        self.problems_changed.emit()

    def problem_below(self, path: str) -> str:
        """The path of the first problem at or below a path, empty where there is none."""
        return next((place for place in self.problems if place == path or place.startswith(f"{path}.")), "")

    def own_problems(self, path: str, fields: tuple[str, ...]) -> list[str]:
        """The messages at or below a path that no field of a group shows: the group shows them itself."""
        found = []
        for place, texts in self.problems.items():
            if place != path and not (place.startswith(f"{path}.") if path else True):
                continue
            rest = place.removeprefix(path).lstrip(".")
            if rest.split(".")[0] not in fields:
                found += texts
        return found
