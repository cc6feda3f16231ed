"""The Setup page: the open experiment's form, checked as it is edited."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QScrollArea, QStackedWidget, QVBoxLayout, QWidget

from kdstudio.gui.setup.form import ModelForm
from kdstudio.gui.widgets.empty import EmptyState
from kdstudio.project.errors import KDStudioError, SpecError
from kdstudio.project.folder import Project
from kdstudio.project.spec import Experiment, validate

CHECK_MILLISECONDS = 150


class SetupPage(QWidget):
    """Edits one experiment. What is typed is checked by the spec itself, and errors stand at their fields.

    Signals:
        changed: The edited contents differ from the file, or do so no longer.
        failed: An error that belongs to no field.
    """

    changed = Signal(bool)
    failed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.project: Project | None = None
        self.path: Path | None = None
        self.experiment: Experiment | None = None
        self._saved: dict[str, Any] = {}
        self._dirty = False
        self.title = QLabel()
        self.title.setObjectName("title")
        self.file = QLabel()
        self.file.setObjectName("soft")
        self.problem = QLabel()
        self.problem.setObjectName("error")
        self.problem.setWordWrap(True)
        self.problem.hide()
        self.form = ModelForm(Experiment, skip=("version",))
        self.form.edited.connect(self._edited)
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(24, 16, 24, 24)
        column.setSpacing(12)
        head = QHBoxLayout()
        head.addWidget(self.title)
        head.addWidget(self.file, 1, Qt.AlignmentFlag.AlignBottom)
        column.addLayout(head)
        column.addWidget(self.problem)
        column.addWidget(self.form)
        column.addStretch()
        inner.setMaximumWidth(900)
        self.scroll_area = QScrollArea()
        self.scroll_area.setWidgetResizable(True)
        self.scroll_area.setFrameShape(QFrame.Shape.NoFrame)
        self.scroll_area.setWidget(inner)
        self.stack = QStackedWidget()
        self.stack.addWidget(
            EmptyState("No experiment is open", "Choose one in the project at the left to see and edit what it does.")
        )
        self.stack.addWidget(self.scroll_area)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.stack)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(CHECK_MILLISECONDS)
        self._timer.timeout.connect(self.check)

    @property
    def dirty(self) -> bool:
        """Whether there are changes that are not in the file."""
        return self._dirty

    def close_experiment(self) -> None:
        """Shows the empty state."""
        self._timer.stop()
        self.path, self.experiment, self._dirty = None, None, False
        self.stack.setCurrentIndex(0)

    def open_experiment(self, project: Project, path: Path) -> None:
        """Reads an experiment into the form.

        Raises:
            KDStudioError: The file is wrong; the page shows its empty state then.
        """
        self.close_experiment()
        self.project = project
        experiment = project.load(path)
        self.path = path
        self.form.set_value(experiment.model_dump(mode="json"))
        self._saved = self.form.value()
        self.title.setText(experiment.name)
        self.file.setText(project.shown(path))
        self.stack.setCurrentIndex(1)
        self.check()

    def _edited(self) -> None:
        self._timer.start()

    def check(self) -> bool:
        """Checks the form now. True if it describes an experiment."""
        self._timer.stop()
        if self.path is None:
            return False
        value = self.form.value()
        try:
            self.experiment = validate(Experiment, value)
            problems = []
        except SpecError as error:
            self.experiment = None
            problems = error.problems
        rest = self.form.show_problems(problems)
        self.problem.setText("\n".join(problem.text() for problem in rest))
        self.problem.setVisible(bool(rest))
        dirty = value != self._saved
        self._dirty = dirty
        self.changed.emit(dirty)
        return self.experiment is not None

    def save(self) -> bool:
        """Writes the experiment to its file. False (and the errors shown) if it is wrong or cannot be written."""
        if not self.check() or self.project is None or self.experiment is None:
            return False
        try:
            self.project.save(self.experiment, self.path)
        except KDStudioError as error:
            self.failed.emit(error)
            return False
        self._saved = self.form.value()
        self.check()
        return True
