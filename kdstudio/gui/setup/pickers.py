"""Editors for what is chosen rather than typed: paths, models, weights."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from PySide6.QtCore import QStringListModel, Qt
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QStandardItem, QStandardItemModel
from PySide6.QtWidgets import QComboBox, QCompleter, QFileDialog, QPushButton, QStackedWidget

from kdstudio.gui.language import mark, tr
from kdstudio.gui.setup.context import Context
from kdstudio.gui.setup.editors import Editor
from kdstudio.gui.setup.inputs import Combo, Line
from kdstudio.gui.setup.model_change import fitting, is_model
from kdstudio.gui.setup.schema import FieldSchema
from kdstudio.gui.setup.words import empty_text
from kdstudio.project.errors import KDStudioError
from kdstudio.project.runs.state import RunStatus
from kdstudio.project.runs.summary import Catalogue
from kdstudio.project.spec import AS_RUN, FROM_TEACHER, HUB_PREFIX, KNOWN

WEIGHTS_FILTER = mark("Weights (*.safetensors *.pt *.pth);;All files (*)")
ARRAYS_FILTER = mark("NumPy files (*.npz);;All files (*)")
TABLES_FILTER = mark("Tables (*.csv *.tsv *.jsonl *.csv.gz *.tsv.gz *.jsonl.gz);;All files (*)")
TAGGED_FILTER = mark("Tagged words (*.conll *.txt *.tsv *.bio *.jsonl *.conll.gz *.jsonl.gz);;All files (*)")
TEXTS_FILTER = mark("Texts (*.txt *.txt.gz *.jsonl *.jsonl.gz);;All files (*)")
FOLDER = ""
#: What a path field looks for, by model and field (empty for a folder), and the title of the dialog that asks for it.
PATHS = {
    ("ImageFolder", "path"): (FOLDER, mark("Choose the folder of images")),
    ("KnownImages", "folder"): (FOLDER, mark("Choose the folder with the image set's files")),
    ("NumpyFile", "path"): (ARRAYS_FILTER, mark("Choose a NumPy file")),
    ("TextTable", "path"): (TABLES_FILTER, mark("Choose a table of texts")),
    ("TextTable", "test_path"): (TABLES_FILTER, mark("Choose a table of texts to test on")),
    ("TaggedText", "path"): (TAGGED_FILTER, mark("Choose a file of tagged words")),
    ("TaggedText", "test_path"): (TAGGED_FILTER, mark("Choose a file of tagged words to test on")),
    ("TextCorpus", "path"): (TEXTS_FILTER, mark("Choose a text")),
}
IN_PROJECT = mark("In this project")
CHOOSE_FOLDER = mark("Choose a folder...")
TEXT_SOURCES = ("table", "tagged", "corpus", "hub")
#: Architectures of the transformers library that a new network can have.
KINDS = ("bert", "distilbert", "roberta", "electra", "modernbert", "gpt2", "llama", "qwen2")
LIBRARIES = ("timm:", "torchvision:", "transformers:")


def special_editor(schema: FieldSchema, owner: str, context: Context, path: str) -> Editor | None:
    """The editor of a field that needs more than its kind says, or None."""
    if (owner, schema.name) in PATHS:
        pattern, title = PATHS[owner, schema.name]
        return PathEditor(schema, context, pattern, tr(title))
    if schema.name == "model" and schema.kind == "text":
        return ModelEditor(schema, context, owner, path)
    if schema.name == "weights" and schema.kind == "text":
        return WeightsEditor(schema, context, owner)
    if has_special_editor(schema, owner):
        from kdstudio.gui.setup.pairs_editor import PairsEditor

        return PairsEditor(schema, context, path)
    return None


def has_special_editor(schema: FieldSchema, owner: str) -> bool:
    """Whether a field made of models is edited as one value."""
    return schema.kind == "models" and schema.name == "pairs"


class _PathLine(Line):
    """A line that takes a dropped file as its path."""

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if event.mimeData().hasUrls():
            event.acceptProposedAction()
        else:
            super().dragEnterEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:
        urls = event.mimeData().urls()
        if urls and urls[0].isLocalFile():
            self.setText(urls[0].toLocalFile())
            self.textEdited.emit(self.text())
            event.acceptProposedAction()
        else:
            super().dropEvent(event)


class PathEditor(Editor):
    """A file or folder, typed, dropped or chosen; relative to the project where it lies inside.

    Args:
        schema: The field.
        context: Of the page.
        pattern: The file dialog's filter; empty for folders.
        title: The file dialog's title, which says what is chosen.
    """

    def __init__(self, schema: FieldSchema, context: Context, pattern: str, title: str) -> None:
        super().__init__(schema)
        self.context = context
        self.pattern = pattern
        self.title = title
        self.line = _PathLine()
        self.line.setPlaceholderText(empty_text(schema.description) if schema.optional else tr("not chosen"))
        self.browse = QPushButton(tr("Browse..."))
        self._adopt(self.line)
        self._adopt(self.browse)
        self.browse.setAccessibleName(tr("Browse for {thing}", thing=schema.inner_label))
        self.line.textEdited.connect(lambda _: self.edited.emit())
        self.browse.clicked.connect(self._ask)

    def _ask(self) -> None:
        project = self.context.project
        start = str(project.root) if project is not None else ""
        if self.pattern:
            chosen, _ = QFileDialog.getOpenFileName(self, self.title, start, tr(self.pattern))
        else:
            chosen = QFileDialog.getExistingDirectory(self, self.title, start)
        if chosen:
            self.line.setText(project.shown(Path(chosen)) if project is not None else chosen)
            self.edited.emit()

    def value(self) -> Any:
        text = self.line.text()
        return None if self.schema.optional and not text.strip() else text

    def set_value(self, value: Any) -> None:
        self.line.setText("" if value is None else str(value))
        self.line.setCursorPosition(0)


class ModelEditor(Editor):
    """A known model, one of a library's, or a function in a Python file of the project."""

    def __init__(self, schema: FieldSchema, context: Context, owner: str, path: str) -> None:
        super().__init__(schema)
        self.context = context
        self.owner = owner
        self.network = path.rpartition(".")[0]
        self._model = ""  # the last one that was whole: names are wrong while they are typed
        self.combo = Combo()
        self.combo.setEditable(True)
        self.line = Line()
        self.combo.setLineEdit(self.line)
        self.combo.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.combo.setMaxVisibleItems(24)
        self.line.setPlaceholderText(tr("resnet20, timm:NAME, models.py:build"))
        self._adopt(self.combo)
        self._completions = QStringListModel(self)
        self.completer = QCompleter(self._completions, self)
        self.completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.completer.setFilterMode(Qt.MatchFlag.MatchContains)
        self.completer.setMaxVisibleItems(12)
        self.completer.activated.connect(lambda _: self.edited.emit())
        self.combo.setCompleter(self.completer)
        self._fill()
        self.combo.activated.connect(self._chosen)
        self.line.textEdited.connect(self._typed)
        context.facts.names_changed.connect(self._names_came)

    def _groups(self) -> dict[str, list[str]]:
        made = [FROM_TEACHER, AS_RUN] if self.owner == "StudentSpec" else [AS_RUN]
        if str(self.context.document.get("data.source")) in TEXT_SOURCES:
            return {
                mark("Out of other networks"): made,
                mark("Of the hub, or a folder (type it)"): [HUB_PREFIX],
                mark("A folder on this computer"): [CHOOSE_FOLDER],
                mark("New ones, by their kind"): [f"{HUB_PREFIX}{kind}" for kind in KINDS],
            }
        return {
            mark("Plain networks"): [name for name in KNOWN if name in ("mlp", "cnn")],
            mark("ResNets for small pictures"): [name for name in KNOWN if name.startswith("resnet")],
            mark("Wide ResNets"): [name for name in KNOWN if name.startswith("wrn")],
            mark("Of a library (type to search)"): ["timm:", "torchvision:"],
            mark("Out of other networks"): [AS_RUN],
            IN_PROJECT: functions_of(self.context.project.root) if self.context.project else [],
        }

    def _words(self) -> list[str]:
        offered = [name for names in self._groups().values() for name in names if name != CHOOSE_FOLDER]
        return list(dict.fromkeys([*offered, *self.context.facts.names]))

    def _fill(self) -> None:
        model = QStandardItemModel(self)
        for title, names in self._groups().items():
            if not names:
                continue
            heading = QStandardItem(tr(title))
            heading.setFlags(Qt.ItemFlag.NoItemFlags)
            model.appendRow(heading)
            for name in names:
                model.appendRow(QStandardItem(tr(name) if name == CHOOSE_FOLDER else name))
        text = self.line.text()
        self.combo.setModel(model)  # which gives the completer this model, too
        self._completions.setStringList(self._words())
        self.completer.setModel(self._completions)
        self.combo.setEditText(text)

    def _chosen(self) -> None:
        if self.line.text() == tr(CHOOSE_FOLDER):
            self._ask_folder()
            return
        self._typed(self.line.text())
        if self.line.text() in LIBRARIES:
            self.line.setFocus()
            self.line.end(False)

    def _ask_folder(self) -> None:
        """A folder with a model of the transformers library."""
        project = self.context.project
        start = str(project.root) if project is not None else ""
        chosen = QFileDialog.getExistingDirectory(self, tr("Choose a folder with a model"), start)
        name = project.shown(Path(chosen)) if project is not None and chosen else chosen
        self.combo.setEditText(f"{HUB_PREFIX}{name}" if name else self._model)
        if name:
            self.edited.emit()

    def _typed(self, text: str) -> None:
        if text.startswith(LIBRARIES):
            self.context.facts.want_names()
        self.edited.emit()

    def _names_came(self) -> None:
        self._completions.setStringList(self._words())
        if self.line.hasFocus() and self.line.text().startswith(LIBRARIES):
            self.completer.setCompletionPrefix("")  # the same prefix again would not look at the new names
            self.completer.setCompletionPrefix(self.line.text())
            self.completer.complete()

    def value(self) -> str:
        return self.combo.currentText()

    def others(self) -> dict[str, Any]:
        word, before = self.value(), self._model
        values = self.context.document.get(self.network)
        if word == before or not isinstance(values, dict) or not is_model(word):
            return {}
        self._model = word
        changes = fitting(values, self.owner, before, word)
        if word == AS_RUN and not str(values.get("weights") or "").startswith("run:"):
            changes["weights"] = next(iter(finished_runs(self.context.project)), None)
        return {f"{self.network}.{name}": value for name, value in changes.items()}

    def set_value(self, value: Any) -> None:
        self._model = "" if value is None else str(value)
        self._fill()
        self.combo.setEditText("" if value is None else str(value))
        self.line.setCursorPosition(0)


def functions_of(root: Path) -> list[str]:
    """`FILE.py:FUNCTION` for each function of the project's Python files that takes what a model needs.

    The files are parsed, not run.
    """
    found = []
    for path in sorted(root.glob("*.py")):
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, SyntaxError):
            continue
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                names = {argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)}
                if {"input_shape", "num_classes"} <= names:
                    found.append(f"{path.name}:{node.name}")
    return found


class WeightsEditor(Editor):
    """No weights, a file, or the student of a finished run."""

    NONE, FILE, RUN = range(3)

    def __init__(self, schema: FieldSchema, context: Context, owner: str) -> None:
        super().__init__(schema)
        self.context = context
        self.kind = Combo()
        none = tr("None: train it first") if owner == "TeacherSpec" else tr("None: start at random")
        self.kind.addItems([none, tr("A file"), tr("A run's student")])
        self.detail = QStackedWidget()
        self.nothing = QStackedWidget()
        self.file = PathEditor(schema, context, WEIGHTS_FILTER, tr("Choose a weights file"))
        self.file.line.setPlaceholderText(tr("not chosen"))
        self.runs = Combo()
        for widget in (self.nothing, self.file, self.runs):
            self.detail.addWidget(widget)
        self._adopt(self.kind)
        self._row.addWidget(self.detail, 2)
        self.runs.setAccessibleName(tr("The run's experiment"))
        self.detail.hide()
        self.kind.activated.connect(self._kind_chosen)
        self.file.edited.connect(self.edited)
        self.runs.activated.connect(lambda _: self.edited.emit())

    def _kind_chosen(self, index: int) -> None:
        self._show(index)
        if index == self.RUN:
            self._fill(None)
        if index == self.FILE:
            self.file.line.setFocus()
        self.edited.emit()

    def _show(self, index: int) -> None:
        self.kind.setCurrentIndex(index)
        self.detail.setCurrentIndex(index)
        self.detail.setVisible(index != self.NONE)

    def _fill(self, chosen: str | None) -> None:
        self.runs.clear()
        for weights, text in finished_runs(self.context.project).items():
            self.runs.addItem(text, weights)
        if not self.runs.count() and chosen is None:
            self.runs.addItem(tr("no run is finished yet"), None)
        if chosen is not None:
            index = self.runs.findData(chosen)
            if index < 0:
                self.runs.addItem(chosen.removeprefix("run:"), chosen)
                index = self.runs.count() - 1
            self.runs.setCurrentIndex(index)

    def value(self) -> Any:
        index = self.kind.currentIndex()
        if index == self.FILE:
            return self.file.value()
        return self.runs.currentData() if index == self.RUN else None

    def set_value(self, value: Any) -> None:
        if value is None:
            self._show(self.NONE)
            self.file.set_value(None)
        elif str(value).startswith("run:"):
            self._show(self.RUN)
            self._fill(str(value))
        else:
            self._show(self.FILE)
            self.file.set_value(value)


def finished_runs(project: Any) -> dict[str, str]:
    """Experiments with a finished run: what stands for it in `weights`, and what it is called."""
    names = project.experiment_names() if project is not None else []
    found = {f"run:{name}": _finished(project, name) for name in names}
    return {weights: text for weights, text in found.items() if text}


def _finished(project: Any, name: str) -> str:
    """How the newest finished run of an experiment is called, with its score; empty where there is none."""
    for run in reversed(project.runs(name)):
        try:
            if run.status() is RunStatus.FINISHED and (run.student_dir / "model.safetensors").exists():
                summary = Catalogue().summary(run)
                if summary.scorecard is None or summary.score is None:
                    return name
                if summary.is_language:
                    return tr("{run} (perplexity {figure})", run=name, figure=f"{summary.score:.1f}")
                return f"{name} ({100 * summary.score:.1f} %)"
        except KDStudioError:
            continue
    return ""
