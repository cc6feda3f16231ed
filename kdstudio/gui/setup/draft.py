"""The file behind the document: reading, saving, and a copy of unsaved edits that survives a crash."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from kdstudio.gui.language import tr
from kdstudio.gui.setup.document import Document
from kdstudio.gui.setup.schema import complete, lean
from kdstudio.project.errors import InputError, KDStudioError, SpecError
from kdstudio.project.folder import Project, compact
from kdstudio.project.migrations import EXPERIMENT_STEPS, migrate
from kdstudio.project.spec import SPEC_VERSION, Experiment
from kdstudio.project.yaml_io import parse_yaml, read_yaml, updated_text, write_text, write_yaml

AUTOSAVE_MILLISECONDS = 3000


@dataclass(frozen=True)
class Found:
    """Unsaved edits of an earlier session."""

    value: dict[str, Any]
    time: float


def read_experiment(project: Project, path: Path) -> dict[str, Any]:
    """An experiment as plain data with all defaults. One with wrong fields is read as it stands in the file.

    Raises:
        KDStudioError: The file cannot be read, or is no experiment.
    """
    try:
        return project.load(path).model_dump(mode="json")
    except SpecError:
        name = project.shown(path)
        data = migrate(read_yaml(path, name), EXPERIMENT_STEPS, SPEC_VERSION, name)
        data.setdefault("name", path.stem)
        return complete(Experiment, data)


class Draft(QObject):
    """What is in the file, and what is not in it yet.

    Signals:
        failed: The copy of the unsaved edits cannot be written; said once.
    """

    failed = Signal(object)

    def __init__(self, document: Document, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.document = document
        self.saved: dict[str, Any] = {}
        self.base = ""  # the text that is edited: the file's, or what was typed as YAML
        self.found: Found | None = None
        self._project: Project | None = None
        self._path: Path | None = None
        self._found_on_disk = False
        self._told = False
        self._text: str | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(AUTOSAVE_MILLISECONDS)
        self._timer.timeout.connect(self.write)

    @property
    def autosave_path(self) -> Path:
        """Where unsaved edits are kept."""
        assert self._project is not None
        assert self._path is not None
        return self._project.root / ".kdstudio" / "autosave" / f"{self._path.stem}.yaml"

    def open(self, project: Project, path: Path, value: dict[str, Any]) -> None:
        """Follows another experiment; looks for unsaved edits of it."""
        self._project, self._path = project, path
        self.saved = value
        self._told = False
        self._text = _text_of(path)
        self.base = self._text or ""
        self.found = self._look(value)
        self._found_on_disk = self.found is not None

    @property
    def changed(self) -> bool:
        """Whether there is something that is not in the file."""
        return self.document.value != self.saved or self.base != (self._text or "")

    def yaml_text(self, experiment: Experiment | None) -> str:
        """What the file will say: comments, order and style of what it says now stay.

        Args:
            experiment: The document, checked; None where it is wrong.
        """
        if experiment is not None:
            return updated_text(self.base, compact(experiment), experiment.model_dump(mode="json"))
        return updated_text(self.base, lean(Experiment, self.document.value), self.document.value)

    def apply_yaml(self, text: str) -> None:
        """Takes over what was typed as YAML, as one edit. Its comments and order go into the file, too.

        Raises:
            KDStudioError: It is no YAML, or no experiment at all. Wrong fields are taken over, and said at the fields.
        """
        assert self._path is not None
        data = migrate(parse_yaml(text, "YAML"), EXPERIMENT_STEPS, SPEC_VERSION, "YAML")
        data.setdefault("name", self._path.stem)
        self.base = text if text.endswith("\n") else f"{text}\n"
        self.document.edit(tr("Edit the YAML"), {"": complete(Experiment, data)})

    def close(self) -> None:
        """The experiment is left; unsaved edits are not wanted any more. An offer that was not answered stays."""
        self._timer.stop()
        if self._path is not None and not self._found_on_disk:
            self._remove()
        self._project = self._path = self.found = None
        self.saved = {}

    def _look(self, value: dict[str, Any]) -> Found | None:
        try:
            data = read_yaml(self.autosave_path)
            time = self.autosave_path.stat().st_mtime
        except (KDStudioError, OSError):
            return None
        found = complete(Experiment, data)
        if not isinstance(found, dict) or found == value:
            self._remove()
            return None
        return Found(found, time)

    def take_found(self) -> Found | None:
        """The unsaved edits that were found; from now on they are the document's affair."""
        found, self.found = self.found, None
        self._found_on_disk = False
        return found

    def discard_found(self) -> None:
        """Forgets the unsaved edits that were found."""
        self.take_found()
        self._remove()
        self.keep(self.changed)

    def keep(self, dirty: bool) -> None:
        """The contents changed: they are written soon, or their copy goes away."""
        if dirty:
            if not self._timer.isActive():
                self._timer.start()
        else:
            self._timer.stop()
            if not self._found_on_disk:
                self._remove()

    def write(self) -> None:
        """Writes the copy of the unsaved edits now. What was found and not answered yet stays in memory only."""
        self._timer.stop()
        if self._path is None:
            return
        try:
            write_yaml(self.autosave_path, self.document.value)
            self._found_on_disk = False
        except KDStudioError as error:
            if not self._told:
                self._told = True
                self.failed.emit(error)

    def save(self, experiment: Experiment) -> None:
        """Writes the experiment to its file.

        Raises:
            InputError: The file was changed by somebody else; saving again replaces that.
            StorageError: It cannot be written.
        """
        assert self._project is not None
        assert self._path is not None
        text = _text_of(self._path)
        if text != self._text:
            self._text = text
            raise InputError(
                tr("{file}: the file was changed outside of this window", file=self._project.shown(self._path)),
                tr("It is not the one that was opened here."),
                tr("Save again to replace it, or open another experiment and come back to see what it says now."),
                kind="changed",
            )
        if self.base == (text or ""):
            self._project.save(experiment, self._path)
        else:  # it was typed as YAML, with its comments
            write_text(self._path, self.yaml_text(experiment))
        self._text = _text_of(self._path)
        self.base = self._text or ""
        self.saved = self.document.value
        self.take_found()
        self._timer.stop()
        self._remove()

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            self.autosave_path.unlink(missing_ok=True)
            self.autosave_path.parent.rmdir()


def _text_of(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
