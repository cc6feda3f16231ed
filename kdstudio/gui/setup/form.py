"""Forms generated from spec models: common fields first, the others under Advanced, models inside models below."""

from __future__ import annotations

import functools
from typing import Any

from pydantic import BaseModel
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QFrame, QHBoxLayout, QLabel, QMenu, QPushButton, QVBoxLayout, QWidget

from kdstudio.gui.language import tr
from kdstudio.gui.setup.context import Context
from kdstudio.gui.setup.editors import ChoiceEditor
from kdstudio.gui.setup.fields import FieldBox, FieldGrid, Fold
from kdstudio.gui.setup.first_items import first_item
from kdstudio.gui.setup.pickers import has_special_editor
from kdstudio.gui.setup.schema import FieldSchema, complete, fields_of, variants_of
from kdstudio.gui.setup.words import COMMON, is_relevant, label_inside

NESTED = ("model", "variants", "models")


def below(path: str, name: str) -> str:
    """The path of a field below a path."""
    return f"{path}.{name}" if path else name


class ModelForm(QWidget):
    """The fields of one spec model.

    Args:
        context: Of the page.
        path: Where the model's data are in the document; empty for the experiment itself.
        model: The spec model.
        skip: Fields that are shown elsewhere.
    """

    def __init__(self, context: Context, path: str, model: type[BaseModel], skip: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.context = context
        self.path = path
        self.model = model
        schemas = fields_of(model, skip)
        plain = [s for s in schemas if s.kind not in NESTED or has_special_editor(s, model.__name__)]
        common = COMMON.get(model.__name__)
        first = [s.name for s in plain] if common is None else [n for n in common if n in {s.name for s in plain}]
        by_name = {schema.name: schema for schema in plain}
        self.boxes = {
            schema.name: FieldBox(context, below(path, schema.name), schema, model.__name__) for schema in plain
        }
        self.grid = FieldGrid([self.boxes[name] for name in first])
        self.rest = FieldGrid([self.boxes[name] for name in by_name if name not in first])
        self.nested: list[NestedForm | ListForm] = []
        for schema in schemas:
            if schema not in plain:
                kind = ListForm if schema.kind == "models" else NestedForm
                self.nested.append(kind(context, below(path, schema.name), schema))
        self.error = error_label()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(12)
        layout.addWidget(self.error)
        layout.addWidget(self.grid)
        self.fold: Fold | None = None
        if self.rest.boxes or (self.nested and common is not None):
            content = QWidget()
            inner = QVBoxLayout(content)
            inner.setContentsMargins(0, 0, 0, 0)
            inner.setSpacing(12)
            inner.addWidget(self.rest)
            for part in self.nested:
                inner.addWidget(part)
            self.fold = Fold(context, tr("Advanced"), content)
            layout.addWidget(self.fold)
        else:
            for part in self.nested:
                layout.addWidget(part)

    def refresh(self) -> None:
        """Shows what the document says now."""
        values = self.context.document.get(self.path)
        values = values if isinstance(values, dict) else {}
        changed = 0
        for name, box in self.boxes.items():
            box.refresh(values)
            shown = is_relevant(name, values) or not box.is_default or bool(self.context.problem_below(box.path))
            grid = self.grid if box in self.grid.boxes else self.rest
            grid.set_shown(box, shown)
            changed += grid is self.rest and not box.is_default
        self.grid.place()
        self.rest.place()
        for part in self.nested:
            part.refresh()
            part.setVisible(is_relevant(part.schema.name, values) or part.used)
            changed += part.used
        if self.fold is not None:
            self.fold.set_changed(changed)
            self.fold.setVisible(self.rest.any_shown or bool(self.nested))
        known = tuple(self.model.model_fields)
        show_error(self.error, self.context.own_problems(self.path, known))

    def forget(self) -> None:
        """The form goes away."""
        for box in self.boxes.values():
            box.forget()
        for part in self.nested:
            part.forget()


class NestedForm(QFrame):
    """A model inside a model: one fixed kind, or one of several variants; with a check box where it may be absent."""

    def __init__(self, context: Context, path: str, schema: FieldSchema, title: bool = True) -> None:
        super().__init__()
        self.context = context
        self.path = path
        self.schema = schema
        self.setObjectName("group")
        self.form: ModelForm | None = None
        self.present: QCheckBox | None = None
        self.tag: ChoiceEditor | None = None
        self._key, self._table = "", {"": schema.models[0]}
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(12, 12, 12, 12)
        self._layout.setSpacing(12)
        if schema.optional:
            self.present = QCheckBox(schema.label)
            self.present.setToolTip(schema.words)
            self.present.toggled.connect(self._toggled)
            self._layout.addWidget(self.present)
        elif title:
            heading = QLabel(schema.label)
            heading.setObjectName("heading")
            heading.setToolTip(schema.words)
            self._layout.addWidget(heading)
        if schema.kind == "variants":
            self._key, self._table = variants_of(schema.models)
            tag = FieldSchema(
                self._key,
                "choice",
                tr("Which {thing}.", thing=label_inside(self._key)),
                None,
                True,
                choices=tuple(self._table),
            )
            self.tag = ChoiceEditor(tag)
            self.tag.setObjectName(below(path, self._key))
            self.tag.edited.connect(self._variant_chosen)
            self._layout.addWidget(self.tag, 0, Qt.AlignmentFlag.AlignLeft)

    @property
    def used(self) -> bool:
        """Whether there is something in it that may be absent."""
        return self.present is not None and self.present.isChecked()

    def refresh(self) -> None:
        value = self.context.document.get(self.path, self.schema.default)
        if self.present is not None:
            self.present.blockSignals(True)
            self.present.setChecked(value is not None)
            self.present.blockSignals(False)
        if value is None:
            self._build(None)
            return
        word = str(value.get(self._key)) if isinstance(value, dict) and self._key else ""
        if self.tag is not None:
            self.tag.set_value(word)
        self._build(self._table.get(word, next(iter(self._table.values()))))
        if self.form is not None:
            self.form.refresh()

    def _build(self, model: type[BaseModel] | None) -> None:
        if self.form is not None and self.form.model is not model:
            self.form.forget()
            self.form.setParent(None)
            self.form.deleteLater()
            self.form = None
        if self.form is None and model is not None:
            self.form = ModelForm(self.context, self.path, model, skip=(self._key,) if self._key else ())
            self._layout.addWidget(self.form)

    def _toggled(self, on: bool) -> None:
        value = complete(next(iter(self._table.values())), {}) if on else None
        thing = self.schema.inner_label
        phrase = tr("Add {thing}", thing=thing) if on else tr("Remove {thing}", thing=thing)
        self.context.document.edit(phrase, {self.path: value})

    def _variant_chosen(self) -> None:
        assert self.tag is not None
        choose_variant(self.context, self.path, self._key, self._table, str(self.tag.value()))

    def forget(self) -> None:
        if self.form is not None:
            self.form.forget()


def choose_variant(context: Context, path: str, key: str, table: dict[str, type[BaseModel]], word: str) -> None:
    """Changes which variant stands at a path; what both have stays."""
    old = context.document.get(path)
    kept = {name: value for name, value in (old or {}).items() if name in table[word].model_fields and name != key}
    context.document.edit(
        tr("Change {thing}", thing=label_inside(key)), {path: complete(table[word], {key: word, **kept})}
    )


class ListForm(QFrame):
    """A list of models, each in a frame of its own, with Add and Remove."""

    used = False

    def __init__(self, context: Context, path: str, schema: FieldSchema) -> None:
        super().__init__()
        self.context = context
        self.path = path
        self.schema = schema
        self.setObjectName("group")
        self.items: list[NestedForm] = []
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(12, 12, 12, 12)
        self._layout.setSpacing(8)
        heading = QLabel(schema.label)
        heading.setObjectName("heading")
        heading.setToolTip(schema.words)
        self._layout.addWidget(heading)
        kind = "variants" if len(schema.models) > 1 else "model"
        self._item = FieldSchema("", kind, schema.description, None, True, models=schema.models)
        self.add_button = QPushButton(tr("Add"))
        self.add_button.setAccessibleName(tr("Add to {thing}", thing=schema.inner_label))
        if kind == "variants":
            key, table = variants_of(schema.models)
            menu = QMenu(self.add_button)
            for name in table:
                menu.addAction(name).triggered.connect(functools.partial(self._add, complete(table[name], {key: name})))
            self.add_button.setMenu(menu)
        else:
            self.add_button.clicked.connect(lambda: self._add(self._first()))
        self._layout.addWidget(self.add_button, 0, Qt.AlignmentFlag.AlignLeft)

    def _value(self) -> list[Any]:
        value = self.context.document.get(self.path)
        return value if isinstance(value, list) else []

    def _first(self) -> Any:
        like = "teacher" if self.path == "teachers" else "student"
        return first_item(self.schema.models[0], self.context.document, len(self._value()) + 1, like)

    def _add(self, value: dict[str, Any], checked: bool = False) -> None:
        self.context.document.edit(
            tr("Add to {thing}", thing=self.schema.inner_label), {self.path: [*self._value(), value]}
        )

    def _remove(self, index: int) -> None:
        rest = [item for place, item in enumerate(self._value()) if place != index]
        self.context.document.edit(tr("Remove from {thing}", thing=self.schema.inner_label), {self.path: rest})

    def refresh(self) -> None:
        wanted = len(self._value())
        while len(self.items) > wanted:
            item = self.items.pop()
            item.forget()
            item.setParent(None)
            item.deleteLater()
        while len(self.items) < wanted:
            index = len(self.items)
            item = NestedForm(self.context, f"{self.path}.{index}", self._item, title=False)
            remove = QPushButton(tr("Remove"))
            remove.setObjectName("flat")
            remove.clicked.connect(functools.partial(self._remove, index))
            line = QHBoxLayout()
            line.addStretch()
            line.addWidget(remove)
            item._layout.insertLayout(0, line)
            self.items.append(item)
            self._layout.insertWidget(len(self.items), item)
        for item in self.items:
            item.refresh()

    def forget(self) -> None:
        for item in self.items:
            item.forget()


def error_label() -> QLabel:
    """The label for problems of a group as a whole."""
    label = QLabel()
    label.setObjectName("error")
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.hide()
    return label


def show_error(label: QLabel, texts: list[str]) -> None:
    label.setText("\n".join(texts))
    label.setVisible(bool(texts))
