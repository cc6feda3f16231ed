"""The Data section: where the samples come from, and what is in them."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QLabel, QPushButton, QVBoxLayout, QWidget

from kdstudio.gui.language import mark, tr
from kdstudio.gui.setup.columns_dialog import ColumnsDialog
from kdstudio.gui.setup.context import Context
from kdstudio.gui.setup.data_view import DataCard
from kdstudio.gui.setup.fields import FieldBox, FieldGrid
from kdstudio.gui.setup.form import ModelForm, choose_variant
from kdstudio.gui.setup.schema import FieldSchema, variants_of
from kdstudio.gui.setup.section import Card, Section
from kdstudio.project.spec import (
    Digits,
    HubText,
    ImageFolder,
    KnownImages,
    NumpyFile,
    TaggedText,
    TextCorpus,
    TextTable,
)
from kdstudio.project.table_head import Columns

SOURCES = (Digits, KnownImages, ImageFolder, NumpyFile, TextTable, TaggedText, TextCorpus, HubText)


class SourceBox(FieldBox):
    """The choice of the source: it changes which other fields there are."""

    def __init__(self, context: Context, table: dict[str, type[BaseModel]], key: str) -> None:
        schema = FieldSchema(key, "choice", mark("Where the samples come from."), None, True, choices=tuple(table))
        super().__init__(context, f"data.{key}", schema)
        self._table = table

    def _edited(self) -> None:
        choose_variant(self.context, "data", self.schema.name, self._table, str(self.editor.value()))


class DataSection(Section):
    """Source, batches and views; examples and counts per class; problems found."""

    def __init__(self, context: Context) -> None:
        sentence = tr("The transfer set: what the student learns from, and how it is split.")
        super().__init__(context, tr("Data"), sentence, ("data",))
        self._key, self._table = variants_of(SOURCES)
        self.source = SourceBox(context, self._table, self._key)
        self.words = QLabel()
        self.words.setObjectName("soft")
        self.words.setWordWrap(True)
        self.form: ModelForm | None = None
        self.card = Card(tr("Where the samples come from"))
        self.card.body.addWidget(FieldGrid([self.source]))
        self.card.body.addWidget(self.words)
        self._holder = QWidget()
        self._inner = QVBoxLayout(self._holder)
        self._inner.setContentsMargins(0, 0, 0, 0)
        self.card.body.addWidget(self._holder)
        self.pick = QPushButton(tr("Choose columns..."))
        self.pick.setToolTip(tr("Look at the table's first rows and say which columns hold the text and the label"))
        self.pick.clicked.connect(self._choose_columns)
        self.card.body.addWidget(self.pick, 0, Qt.AlignmentFlag.AlignLeft)
        self.view = DataCard(context)
        self.columns.add(self.card)
        self.columns.add(self.view, side=True)

    def refresh(self) -> None:
        super().refresh()
        value: Any = self.context.document.get("data")
        value = value if isinstance(value, dict) else {}
        model = self._table.get(str(value.get(self._key)))
        if self.form is not None and self.form.model is not model:
            self.form.forget()
            self.form.setParent(None)
            self.form.deleteLater()
            self.form = None
        if self.form is None and model is not None:
            self.form = ModelForm(self.context, "data", model, skip=(self._key,))
            self._inner.addWidget(self.form)
        about = inspect.getdoc(model) if model is not None else None
        self.words.setText(tr(about) if about else "")
        self.source.refresh(value)
        self.pick.setVisible(model is TextTable)
        self.pick.setEnabled(bool(value.get("path")))
        if self.form is not None:
            self.form.refresh()
        self.view.refresh()

    def _choose_columns(self) -> None:
        """Shows the table, and takes what is chosen there as one step."""
        value: Any = self.context.document.get("data")
        root = self.context.project.root if self.context.project is not None else Path()
        columns = Columns(value.get("text"), value.get("second"), value.get("label"))
        path = root / Path(str(value.get("path"))).expanduser()
        dialog = ColumnsDialog(self.context.theme, path, str(value.get("encoding") or "utf-8"), columns, self)
        if dialog.exec() == QDialog.DialogCode.Accepted:
            chosen = dialog.columns
            changes: dict[str, Any] = {
                "data.text": chosen.text,
                "data.second": chosen.second,
                "data.label": chosen.label,
                "data.encoding": dialog.encoding.currentText().strip(),
            }
            if dialog.gaps:
                changes["data.bad_rows"] = "leave_out"
            self.context.document.edit(tr("Choose columns"), changes)
        dialog.deleteLater()

    def facts_changed(self, part: str) -> None:
        if part == "data":
            self.view.refresh()
