"""The Setup page: the open experiment in sections, checked as it is edited, every edit undoable."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QAction, QHideEvent, QShowEvent, QUndoStack
from PySide6.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QLabel,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from kdstudio.gui.engine_client import EngineClient
from kdstudio.gui.language import tr
from kdstudio.gui.setup.bars import ProblemBar, RecoveryBar
from kdstudio.gui.setup.context import Context
from kdstudio.gui.setup.document import Document
from kdstudio.gui.setup.draft import Draft, read_experiment
from kdstudio.gui.setup.facts import Facts
from kdstudio.gui.setup.nav import SectionList
from kdstudio.gui.setup.presets import preset_button
from kdstudio.gui.setup.problems import placed
from kdstudio.gui.setup.reveal import reveal
from kdstudio.gui.setup.section import Section
from kdstudio.gui.setup.sections import SECTIONS, section_of
from kdstudio.gui.setup.summaries import summary_of
from kdstudio.gui.setup.yaml_section import YamlSection
from kdstudio.gui.theme import Theme
from kdstudio.gui.widgets.empty import EmptyState
from kdstudio.project.errors import KDStudioError, Problem, SpecError
from kdstudio.project.folder import Project
from kdstudio.project.spec import Experiment, validate

CHECK_MILLISECONDS = 150


class SetupPage(QWidget):
    """Edits one experiment. What is typed is checked by the spec itself, and errors stand at their fields.

    Signals:
        changed: Whether the edited contents differ from the file.
        failed: An error that belongs to no field.
        train_teacher_requested: The person wants the teacher trained, to see its soft targets.
    """

    changed = Signal(bool)
    failed = Signal(object)
    train_teacher_requested = Signal()

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.project: Project | None = None
        self.path: Path | None = None
        self.experiment: Experiment | None = None
        self._dirty = False
        self.document = Document(self)
        self.client = EngineClient(self)
        self.facts = Facts(self.client, self)
        self.draft = Draft(self.document, self)
        self.context = Context(self.document, self.draft, self.facts, theme, self)
        self._wrong: list[Problem] = []
        self._yaml_typed = False
        self._build_head(theme)
        self._build_body(theme)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(CHECK_MILLISECONDS)
        self._timer.timeout.connect(self.check)
        self.document.changed.connect(self._edited)
        self.document.reverted.connect(self.show_field)
        self.facts.changed.connect(self._facts_changed)
        self.context.problems_changed.connect(self._show_problems)
        self.context.show_path.connect(self.show_field)
        self.context.train_teacher.connect(self.train_teacher_requested)
        self.context.yaml_typed.connect(self._yaml_was_typed)
        self.draft.failed.connect(self.failed)
        theme.changed.connect(self.refresh)
        application = QApplication.instance()
        if isinstance(application, QApplication):
            application.focusChanged.connect(self._focus_moved)

    # -- building ----------------------------------------------------------------------------------------------

    def _build_head(self, theme: Theme) -> None:
        self.title = QLabel()
        self.title.setObjectName("title")
        self.file = QLabel()
        self.file.setObjectName("soft")
        self.state = QLabel()
        self.state.setObjectName("soft")
        self.presets = preset_button(self.context)
        self.problem_bar = ProblemBar(theme)
        self.problem_bar.chosen.connect(self.show_field)
        self.recovery = RecoveryBar()
        self.recovery.restored.connect(self.restore_draft)
        self.recovery.discarded.connect(self.discard_draft)
        self.head = QHBoxLayout()
        self.head.setContentsMargins(16, 8, 16, 8)
        self.head.setSpacing(12)
        self.head.addWidget(self.title)
        self.head.addWidget(self.file)
        self.head.addWidget(self.state, 1)
        self.head.addWidget(self.presets)

    def _build_body(self, theme: Theme) -> None:
        self.sections = SectionList(theme)
        self.stack = QStackedWidget()
        self._built: dict[str, Section] = {}
        self._placeholders: dict[str, QWidget] = {}
        for spec in SECTIONS:
            self.sections.add(spec.name, tr(spec.title))
            self._placeholders[spec.name] = QWidget()
            self.stack.addWidget(self._placeholders[spec.name])
        self.sections.currentRowChanged.connect(self._section_chosen)
        bars = QVBoxLayout()
        bars.setContentsMargins(16, 0, 16, 0)
        bars.setSpacing(8)
        bars.addWidget(self.recovery)
        bars.addWidget(self.problem_bar)
        body = QHBoxLayout()
        body.setContentsMargins(10, 0, 0, 0)
        body.setSpacing(0)
        body.addWidget(self.sections)
        body.addWidget(self.stack, 1)
        opened = QWidget()
        column = QVBoxLayout(opened)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addLayout(self.head)
        column.addLayout(bars)
        column.addLayout(body, 1)
        self.whole = QStackedWidget()
        self.empty = EmptyState(" ", "")
        self.show_empty(True)
        self.whole.addWidget(self.empty)
        self.whole.addWidget(opened)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.whole)

    # -- the experiment ----------------------------------------------------------------------------------------

    @property
    def undo_stack(self) -> QUndoStack:
        """All edits of the open experiment."""
        return self.document.undo_stack

    @property
    def dirty(self) -> bool:
        """Whether there are changes that are not in the file."""
        return self._dirty

    @property
    def complete(self) -> bool:
        """Whether the contents were right when they were last checked."""
        return self.experiment is not None and not self._yaml_typed

    def show_empty(self, experiments: bool, new: QAction | None = None) -> None:
        """Says what to do while no experiment is open.

        Args:
            experiments: Whether the project has some.
            new: Makes one; offered where there is none.
        """
        if experiments:
            words = tr("Choose one in the project at the left to see and edit what it does.")
            self.empty.set_text(words, tr("No experiment is open"))
        else:
            words = tr("An experiment says what the student learns, from which teacher, and on which data.")
            self.empty.set_text(words, tr("This project has no experiment yet"))
        self.empty.offer(None if experiments else new)

    def open_experiment(self, project: Project, path: Path) -> None:
        """Reads an experiment. One with wrong fields is opened too, and says so at the fields.

        Raises:
            KDStudioError: The file cannot be read or is no experiment at all; the page shows its empty state then.
        """
        self._leave()
        value = read_experiment(project, path)
        self.project = self.context.project = project
        self.path = path
        self.file.setText(project.shown(path))
        self.draft.open(project, path, value)
        self.document.load(value)
        self.whole.setCurrentIndex(1)
        self.sections.setCurrentRow(max(self.sections.currentRow(), 0))
        self.recovery.offer(self.draft.found)
        self.refresh()
        self.check()

    def close_experiment(self) -> None:
        """Shows the empty state, forgets unsaved changes, and ends the engine process."""
        self._leave()
        self.client.shut_down()

    def _leave(self) -> None:
        self._timer.stop()
        self.draft.close()
        yaml = self._built.get("yaml")
        if isinstance(yaml, YamlSection):
            yaml.forget_typed()
        self.path = self.project = self.context.project = None
        self.experiment = self.context.experiment = None
        self.facts.clear()
        self.document.load({})
        self._timer.stop()
        self._set_dirty(False)
        self.recovery.hide()
        self.context.set_problems({})
        self.whole.setCurrentIndex(0)

    def check(self) -> bool:
        """Checks the contents now. True if they are an experiment that can run."""
        self._timer.stop()
        if self.path is None:
            return False
        try:
            self.experiment = validate(Experiment, self.document.value)
            self._wrong = []
        except SpecError as error:
            self.experiment = None
            self._wrong = error.problems
        self.context.experiment = self.experiment
        self.facts.update(self.document.value, self.project)
        self._place_problems()
        self.changed.emit(self._dirty)
        return self.complete

    def save(self) -> bool:
        """Writes the experiment to its file. False (and the errors shown) if it is wrong or cannot be written."""
        yaml = self._built.get("yaml")
        applied = not isinstance(yaml, YamlSection) or yaml.apply_typed()
        if not applied or not self.check() or self.project is None or self.experiment is None:
            return False
        try:
            self.draft.save(self.experiment)
        except KDStudioError as error:
            self.failed.emit(error)
            return False
        self.undo_stack.setClean()
        self.recovery.hide()
        self._edited()
        self.check()
        return True

    def restore_draft(self) -> None:
        """Takes over the unsaved changes of a session that ended badly, as an edit."""
        found = self.draft.take_found()
        self.recovery.hide()
        if found is not None:
            self.document.edit(tr("Restore unsaved changes"), {"": found.value})

    def discard_draft(self) -> None:
        """Forgets the unsaved changes of a session that ended badly."""
        self.draft.discard_found()
        self.recovery.hide()

    # -- following ---------------------------------------------------------------------------------------------

    def _edited(self) -> None:
        if self.path is None:
            return
        self._set_dirty(self.draft.changed or self._yaml_typed)
        self.draft.keep(self.draft.changed)
        self._timer.start()
        self.refresh()

    def _set_dirty(self, dirty: bool) -> None:
        flipped, self._dirty = dirty != self._dirty, dirty
        self.state.setText(tr("not saved") if dirty else "")
        if flipped:
            self.changed.emit(dirty)

    def refresh(self) -> None:
        """Shows the contents in the section on screen and in the list of sections."""
        if self.path is None:
            return
        self.title.setText(str(self.document.get("name") or self.path.stem))
        section = self.current_section()
        if section is not None:
            section.refresh()
        self._describe()

    def _describe(self) -> None:
        for row, spec in enumerate(SECTIONS):
            wrong = any(section_of(path) is spec for path in self.context.problems)
            self.sections.describe(row, summary_of(spec.name, self.document.value, self.facts), wrong)

    def _place_problems(self) -> None:
        problems = placed(self._wrong)
        if self._yaml_typed:
            problems["yaml"] = [tr("What was typed is not applied yet.")]
        for path, texts in self.facts.problems().items():
            problems.setdefault(path, []).extend(texts)
        self.context.set_problems(problems)

    def _show_problems(self) -> None:
        self.problem_bar.tell(self.context.problems)
        self.refresh()

    def _facts_changed(self, part: str) -> None:
        if self.path is None:
            return
        self._place_problems()
        section = self.current_section()
        if section is not None:
            section.facts_changed(part)

    def _yaml_was_typed(self, typed: bool) -> None:
        self._yaml_typed = typed
        if self.path is not None:
            self._set_dirty(self.draft.changed or typed)
            self._timer.start()

    def _focus_moved(self) -> None:
        self.document.seal()

    # -- sections ----------------------------------------------------------------------------------------------

    def current_section(self) -> Section | None:
        """The section on screen."""
        row = self.sections.currentRow()
        return self._built.get(SECTIONS[row].name) if row >= 0 else None

    def section(self, name: str) -> Section:
        """A section by its name, built if it was not yet."""
        if name not in self._built:
            row = next(index for index, spec in enumerate(SECTIONS) if spec.name == name)
            section = SECTIONS[row].build(self.context)
            placeholder = self._placeholders.pop(name)
            self.stack.insertWidget(row, section)
            self.stack.removeWidget(placeholder)
            placeholder.deleteLater()
            self._built[name] = section
        return self._built[name]

    def show_section(self, name: str) -> Section:
        """Shows a section."""
        section = self.section(name)
        self.sections.setCurrentRow(next(index for index, spec in enumerate(SECTIONS) if spec.name == name))
        return section

    def _section_chosen(self, row: int) -> None:
        if row < 0:
            return
        section = self.section(SECTIONS[row].name)
        self.stack.setCurrentIndex(row)
        if self.path is not None:
            section.refresh()
        section.shown()

    def show_field(self, path: str) -> None:
        """Shows the field at a dotted path, and puts the cursor into it."""
        section = self.show_section(section_of(path).name)
        section.refresh()
        QTimer.singleShot(0, self, functools.partial(reveal, section, self.context, path))

    def settings(self) -> list[tuple[str, str, str]]:
        """Label, section and dotted path of every field of the open experiment, in the order of the sections."""
        if self.path is None:
            return []
        for spec in SECTIONS:
            self.section(spec.name).refresh()
        titles = {path: section_of(path).title for path in self.context.boxes}
        order = [spec.title for spec in SECTIONS]
        found = [(box.schema.label, titles[path], path) for path, box in self.context.boxes.items()]
        return sorted(found, key=lambda field: order.index(field[1]))

    def field(self, path: str) -> Any:
        """The field at a dotted path, on screen."""
        self.show_field(path)
        return self.context.boxes[path]

    # -- coming and going --------------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.facts.active = True
        self.look_again()

    def look_again(self, *_: object) -> None:
        """A run has ended, or the page is shown anew: there may be a trained teacher now."""
        if self.isVisible():
            self.facts.look_again("logits")

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self.facts.active = False
