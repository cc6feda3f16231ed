"""The form: generated from a spec model, nested as the spec is, with errors at their fields."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from kdstudio.gui.setup.editors import ChoiceEditor, Editor, editor_for
from kdstudio.gui.setup.schema import FieldSchema, fields_of, plain, variants_of
from kdstudio.project.errors import Problem


class ModelForm(QWidget):
    """The fields of one spec model.

    Args:
        model: The spec model.
        skip: Fields that are shown elsewhere.
    """

    edited = Signal()

    def __init__(self, model: type[BaseModel], skip: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.model = model
        self.parts: dict[str, Editor | NestedForm | ListForm] = {}
        self._errors: dict[str, QLabel] = {}
        self._extra: dict[str, Any] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(10)
        rows: QFormLayout | None = None
        for schema in fields_of(model, skip):
            if schema.kind in ("model", "variants"):
                part: Editor | NestedForm | ListForm = NestedForm(schema)
            elif schema.kind == "models":
                part = ListForm(schema)
            else:
                part = editor_for(schema)
            part.edited.connect(self.edited)
            part.setObjectName(schema.name)
            self.parts[schema.name] = part
            error = QLabel()
            error.setObjectName("error")
            error.setWordWrap(True)
            error.hide()
            self._errors[schema.name] = error
            if isinstance(part, Editor):
                if rows is None:
                    rows = QFormLayout()
                    rows.setHorizontalSpacing(16)
                    rows.setVerticalSpacing(8)
                    rows.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
                    rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
                    layout.addLayout(rows)
                label = QLabel(schema.label)
                label.setToolTip(schema.description)
                label.setBuddy(part)
                label.setMinimumWidth(140)
                rows.addRow(label, part)
                rows.addRow("", error)
                rows.setRowVisible(error, False)
            else:
                rows = None
                layout.addWidget(part)
                layout.addWidget(error)
        self._rows = list(self.findChildren(QFormLayout))

    def value(self) -> dict[str, Any]:
        """The form's contents as plain data, unchecked."""
        return {**self._extra, **{name: part.value() for name, part in self.parts.items()}}

    def set_value(self, value: dict[str, Any]) -> None:
        """Fills the form; keys that it does not show are kept."""
        self._extra = {key: item for key, item in value.items() if key not in self.parts}
        for name, part in self.parts.items():
            schema = part.schema
            part.set_value(value.get(name, schema.default))

    def show_problems(self, problems: list[Problem]) -> list[Problem]:
        """Shows each problem at its field; returns those that belong to no field here."""
        rest = []
        own: dict[str, list[str]] = {}
        nested: dict[str, list[Problem]] = {}
        for problem in problems:
            name, _, tail = problem.path.partition(".")
            part = self.parts.get(name)
            if part is None:
                rest.append(problem)
            elif isinstance(part, Editor) or not tail:
                own.setdefault(name, []).append(Problem("", problem.message, problem.fix).text())
            else:
                nested.setdefault(name, []).append(Problem(tail, problem.message, problem.fix))
        for name, part in self.parts.items():
            texts = own.get(name, [])
            if not isinstance(part, Editor):
                left = part.show_problems(nested.get(name, []))
                texts += [problem.text() for problem in left]
            else:
                part.mark(bool(texts))
            self._say(name, "\n".join(texts))
        return rest

    def _say(self, name: str, text: str) -> None:
        label = self._errors[name]
        label.setText(text)
        label.setVisible(bool(text))
        for rows in self._rows:
            if rows.indexOf(label) >= 0:
                rows.setRowVisible(label, bool(text))

    def editors(self) -> Iterator[tuple[str, Editor]]:
        """All value editors with their dotted paths."""
        for name, part in self.parts.items():
            if isinstance(part, Editor):
                yield name, part
            else:
                for path, editor in part.editors():
                    yield f"{name}.{path}", editor


class NestedForm(QGroupBox):
    """A model inside a model: one fixed kind, or one of several variants; with a check box where it may be absent."""

    edited = Signal()

    def __init__(self, schema: FieldSchema) -> None:
        super().__init__(schema.label)
        self.schema = schema
        self.setToolTip(schema.description)
        self._layout = QVBoxLayout(self)
        self._layout.setSpacing(8)
        self.form: ModelForm | None = None
        self.present: QCheckBox | None = None
        self.tag: ChoiceEditor | None = None
        self._table: dict[str, type[BaseModel]] = {}
        self._key = ""
        if schema.optional:
            self.present = QCheckBox(f"Use a {schema.label.lower()}")
            self.present.setToolTip(schema.description)
            self.present.toggled.connect(self._toggled)
            self._layout.addWidget(self.present)
        if schema.kind == "variants":
            self._key, self._table = variants_of(schema.models)
            text = f"Which {self._key}"
            tag = FieldSchema(self._key, "choice", text, None, True, choices=tuple(self._table))
            self.tag = ChoiceEditor(tag)
            self.tag.setObjectName(self._key)
            self.tag.edited.connect(self._variant_chosen)
            row = QFormLayout()
            row.setHorizontalSpacing(16)
            label = QLabel(tag.label)
            label.setMinimumWidth(140)
            row.addRow(label, self.tag)
            self._layout.addLayout(row)

    def _build(self, model: type[BaseModel]) -> ModelForm:
        if self.form is None or self.form.model is not model:
            if self.form is not None:
                self.form.setParent(None)
                self.form.deleteLater()
            self.form = ModelForm(model, skip=(self._key,) if self._key else ())
            self.form.edited.connect(self.edited)
            self._layout.addWidget(self.form)
        return self.form

    def _toggled(self, on: bool) -> None:
        form = self._build(self.schema.models[0])
        form.setVisible(on)
        self.edited.emit()

    def _variant_chosen(self) -> None:
        assert self.tag is not None
        kept = self.form.value() if self.form is not None else {}
        model = self._table[str(self.tag.value())]
        changed = self.form is None or self.form.model is not model
        form = self._build(model)
        if changed:  # what both variants have stays
            form.set_value({key: item for key, item in kept.items() if key in model.model_fields})
        self.edited.emit()

    def value(self) -> Any:
        if self.present is not None and not self.present.isChecked():
            return None
        if self.form is None:
            return {}
        value = self.form.value()
        return {self._key: self.tag.value(), **value} if self.tag is not None else value

    def set_value(self, value: Any) -> None:
        if self.present is not None:
            self.present.blockSignals(True)
            self.present.setChecked(value is not None)
            self.present.blockSignals(False)
        if self.tag is not None:
            first = next(iter(self._table))
            chosen = str((value or {}).get(self._key, first))
            self.tag.set_value(chosen)
            model = self._table.get(chosen, self._table[first])
        else:
            model = self.schema.models[0]
        form = self._build(model)
        form.set_value({key: item for key, item in (value or {}).items() if key != self._key})
        form.setVisible(value is not None)

    def show_problems(self, problems: list[Problem]) -> list[Problem]:
        return self.form.show_problems(problems) if self.form is not None else problems

    def editors(self) -> Iterator[tuple[str, Editor]]:
        if self.tag is not None:
            yield self._key, self.tag
        if self.form is not None and (self.present is None or self.present.isChecked()):
            yield from self.form.editors()


class ListForm(QGroupBox):
    """A list of models, each in a frame of its own, with Add and Remove."""

    edited = Signal()

    def __init__(self, schema: FieldSchema) -> None:
        super().__init__(schema.label)
        self.schema = schema
        self.setToolTip(schema.description)
        self._layout = QVBoxLayout(self)
        self._layout.setSpacing(10)
        self.items: list[NestedForm] = []
        self._item_schema = FieldSchema(
            "", "variants" if len(schema.models) > 1 else "model", schema.description, None, True, models=schema.models
        )
        self.add_button = QPushButton("Add")
        if len(schema.models) > 1:
            _, table = variants_of(schema.models)
            menu = QMenu(self.add_button)
            for name in table:
                menu.addAction(name).triggered.connect(functools.partial(self._add_variant, name))
            self.add_button.setMenu(menu)
        else:
            self.add_button.clicked.connect(lambda: self._added({}))
        row = QHBoxLayout()
        row.addWidget(self.add_button)
        row.addStretch()
        self._layout.addLayout(row)

    def _add_variant(self, name: str, checked: bool = False) -> None:
        key, _ = variants_of(self.schema.models)
        self._added({key: name})

    def _added(self, value: dict[str, Any]) -> None:
        self._append(value)
        self.edited.emit()

    def _append(self, value: Any) -> None:
        frame = NestedForm(self._item_schema)
        frame.setTitle("")
        frame.edited.connect(self.edited)
        frame.set_value(value)
        remove = QPushButton("Remove")
        remove.setObjectName("flat")
        remove.clicked.connect(lambda: self._remove(frame))
        line = QHBoxLayout()
        line.addStretch()
        line.addWidget(remove)
        frame.layout().addLayout(line)  # type: ignore[union-attr]
        self.items.append(frame)
        self._layout.insertWidget(len(self.items) - 1, frame)

    def _remove(self, frame: NestedForm) -> None:
        self.items.remove(frame)
        frame.setParent(None)
        frame.deleteLater()
        self.edited.emit()

    def value(self) -> list[Any]:
        return [item.value() for item in self.items]

    def set_value(self, value: Any) -> None:
        for item in self.items:
            item.setParent(None)
            item.deleteLater()
        self.items = []
        for entry in plain(value) or []:
            self._append(entry)

    def show_problems(self, problems: list[Problem]) -> list[Problem]:
        rest = []
        by_item: dict[int, list[Problem]] = {}
        for problem in problems:
            head, _, tail = problem.path.partition(".")
            if head.isdigit() and int(head) < len(self.items):
                by_item.setdefault(int(head), []).append(Problem(tail, problem.message, problem.fix))
            else:
                rest.append(problem)
        for index, item in enumerate(self.items):
            left = item.show_problems(by_item.get(index, []))
            rest += [Problem(f"{index}.{p.path}" if p.path else str(index), p.message, p.fix) for p in left]
        return rest

    def editors(self) -> Iterator[tuple[str, Editor]]:
        for index, item in enumerate(self.items):
            for path, editor in item.editors():
                yield f"{index}.{path}", editor
