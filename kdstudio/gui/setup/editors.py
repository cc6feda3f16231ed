"""The editors of single values. Each has `value()`, `set_value()` and the signal `edited`."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLabel, QPlainTextEdit, QSizePolicy, QWidget

from kdstudio.gui.language import tr
from kdstudio.gui.setup.inputs import INT_LIMIT, Combo, Line, NumberSpin, Spin
from kdstudio.gui.setup.schema import FieldSchema
from kdstudio.gui.setup.words import OFFERED, choice_text, empty_text
from kdstudio.project.errors import InputError
from kdstudio.project.yaml_io import parse_yaml
from kdstudio.project.yaml_text import flow_yaml


class Editor(QWidget):
    """A value of the spec. What is typed is kept as typed: the spec's own check says what is wrong with it."""

    edited = Signal()

    def __init__(self, schema: FieldSchema) -> None:
        super().__init__()
        self.schema = schema
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(8)

    def _adopt(self, widget: QWidget, stretch: int = 0) -> None:
        widget.setToolTip(self.schema.tip)
        widget.setAccessibleName(self.schema.label)
        widget.setAccessibleDescription(self.schema.words)
        self._row.addWidget(widget, stretch)
        if self.focusProxy() is None:
            self.setFocusProxy(widget)

    def add_unit(self, text: str) -> None:
        """Says behind the field what its numbers count."""
        unit = QLabel(text)
        unit.setObjectName("soft")
        self._row.addWidget(unit)

    def finish(self) -> None:
        """Called when all is in the row: fields of a fixed width stand at its left."""
        items = [self._row.itemAt(index) for index in range(self._row.count())]
        widgets = [item.widget() for item in items if item is not None]
        policies = {widget.sizePolicy().horizontalPolicy() for widget in widgets if widget is not None}
        if not policies & {QSizePolicy.Policy.Expanding, QSizePolicy.Policy.MinimumExpanding}:
            self._row.addStretch(1)

    def value(self) -> Any:
        raise TypeError("an editor gives a value")

    def set_value(self, value: Any) -> None:
        raise TypeError("an editor takes a value")

    def others(self) -> dict[str, Any]:
        """What else changes with the value that was chosen now, by dotted path."""
        return {}

    def mark(self, wrong: bool) -> None:
        """Shows or hides the mark of a wrong value."""
        for widget in self.findChildren(QWidget):
            if bool(widget.property("wrong")) != wrong:
                widget.setProperty("wrong", wrong)
                widget.style().unpolish(widget)
                widget.style().polish(widget)


class BoolEditor(Editor):
    def __init__(self, schema: FieldSchema) -> None:
        super().__init__(schema)
        self.box = QCheckBox(schema.label)
        self.box.setMinimumHeight(line_height(self))
        self._adopt(self.box)
        self.box.toggled.connect(lambda _: self.edited.emit())

    def value(self) -> bool:
        return self.box.isChecked()

    def set_value(self, value: Any) -> None:
        self.box.setChecked(bool(value))


class IntEditor(Editor):
    """A whole number. One that may be left out is empty a step below its smallest value, and says what that means."""

    def __init__(self, schema: FieldSchema) -> None:
        super().__init__(schema)
        self.spin = Spin()
        self._low = low = int(schema.low) + int(schema.strict_low) if schema.low is not None else -INT_LIMIT
        high = INT_LIMIT if schema.high is None else int(min(schema.high, INT_LIMIT))
        self.spin.set_bounds(low, high, schema.optional)
        if schema.optional:
            self.spin.setSpecialValueText(empty_text(schema.description))
        self._adopt(self.spin)
        self.spin.valueChanged.connect(lambda _: self.edited.emit())

    def value(self) -> int | None:
        number = self.spin.value()
        return None if self.schema.optional and number == self.spin.minimum() else number

    def set_value(self, value: Any) -> None:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        least = self.spin.minimum()
        if number:
            self.spin.setValue(max(least, min(int(value), INT_LIMIT)))
        else:
            self.spin.setValue(least if self.schema.optional else self._low)


class TextEditor(Editor):
    """Text, and the base of everything that is typed as text."""

    def __init__(self, schema: FieldSchema) -> None:
        super().__init__(schema)
        self.line = Line()
        if schema.optional:
            self.line.setPlaceholderText(empty_text(schema.description))
        self._adopt(self.line)
        self.line.textEdited.connect(lambda _: self.edited.emit())

    def value(self) -> Any:
        text = self.line.text()
        return None if self.schema.optional and not text.strip() else text

    def set_value(self, value: Any) -> None:
        self.line.setText("" if value is None else str(value))
        self.line.setCursorPosition(0)


class NotesEditor(Editor):
    """Text of several lines."""

    def __init__(self, schema: FieldSchema) -> None:
        super().__init__(schema)
        self.text = QPlainTextEdit()
        self.text.setObjectName("notes")
        self.text.setTabChangesFocus(True)
        self.text.setUndoRedoEnabled(False)  # the window's undo does it
        self.text.setFixedHeight(72)
        self.text.setPlaceholderText(tr("What is this experiment to find out?"))
        self._adopt(self.text)
        self.text.textChanged.connect(self.edited)

    def value(self) -> str:
        return self.text.toPlainText()

    def set_value(self, value: Any) -> None:
        self.text.setPlainText(str(value or ""))


class NumberEditor(Editor):
    def __init__(self, schema: FieldSchema) -> None:
        super().__init__(schema)
        self.spin = NumberSpin()
        self.line = self.spin.lineEdit()
        if schema.optional:
            self.line.setPlaceholderText(empty_text(schema.description))
        self._adopt(self.spin)
        self.spin.typed.connect(self.edited)

    def value(self) -> Any:
        text = self.line.text().strip()
        if self.schema.optional and not text:
            return None
        try:
            return float(text)
        except ValueError:
            return text

    def set_value(self, value: Any) -> None:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        self.line.setText("" if value is None else f"{value:.12g}" if number else str(value))
        self.line.setCursorPosition(0)


class ListEditor(TextEditor):
    """Numbers or words, with commas between."""

    def value(self) -> Any:
        text = self.line.text().strip().strip("[]")
        if not text:
            return None if self.schema.optional else []
        parts = [part.strip() for part in text.split(",") if part.strip()]
        return [self._item(part) for part in parts] if self.schema.kind == "numbers" else parts

    @staticmethod
    def _item(text: str) -> Any:
        try:
            return int(text)
        except ValueError:
            try:
                return float(text)
            except ValueError:
                return text

    def set_value(self, value: Any) -> None:
        items = value if isinstance(value, list) else [] if value is None else [value]
        super().set_value(", ".join(str(item) for item in items))


class MappingEditor(TextEditor):
    """Keyword arguments, as YAML on one line: {drop_rate: 0.1}."""

    def __init__(self, schema: FieldSchema) -> None:
        super().__init__(schema)
        self.line.setPlaceholderText("drop_rate: 0.1, depth: 4")

    def value(self) -> Any:
        text = self.line.text().strip()
        if not text:
            return {}
        try:
            return parse_yaml(text if text.startswith("{") else "{" + text + "}", self.schema.name)
        except InputError:
            return text

    def set_value(self, value: Any) -> None:
        if not isinstance(value, dict):
            super().set_value(value)
            return
        super().set_value(flow_yaml(value)[1:-1] if value else "")


class ChoiceEditor(Editor):
    """One of a few choices, in people's words. A value that is none of them is shown as it is."""

    def __init__(self, schema: FieldSchema) -> None:
        super().__init__(schema)
        self.combo = Combo()
        if schema.optional:
            self.combo.addItem(empty_text(schema.description), None)
        for choice in schema.choices:
            self.combo.addItem(choice_text(schema.name, choice), choice)
        self._own = self.combo.count()
        self._adopt(self.combo)
        self.combo.activated.connect(lambda _: self.edited.emit())

    def value(self) -> Any:
        return self.combo.currentData()

    def set_value(self, value: Any) -> None:
        while self.combo.count() > self._own:
            self.combo.removeItem(self._own)
        index = self.combo.findData(value)
        if index < 0:
            self.combo.addItem(tr("not set") if value is None else str(value), value)
            index = self._own
        self.combo.setCurrentIndex(index)


class OfferedEditor(Editor):
    """Text with a few usual values to choose from."""

    def __init__(self, schema: FieldSchema) -> None:
        super().__init__(schema)
        self.combo = Combo()
        self.combo.setEditable(True)
        self.line = Line()
        self.combo.setLineEdit(self.line)
        self.combo.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.combo.addItems(OFFERED[schema.name])
        self._adopt(self.combo)
        self.combo.activated.connect(lambda _: self.edited.emit())
        self.line.textEdited.connect(lambda _: self.edited.emit())

    def value(self) -> str:
        return self.combo.currentText()

    def set_value(self, value: Any) -> None:
        self.combo.setCurrentText("" if value is None else str(value))


class FlagsEditor(Editor):
    """Any of a few choices, as check boxes."""

    def __init__(self, schema: FieldSchema) -> None:
        super().__init__(schema)
        self.boxes = {choice: QCheckBox(choice_text(schema.name, choice)) for choice in schema.choices}
        for choice, box in self.boxes.items():
            self._adopt(box)
            box.setMinimumHeight(line_height(self))
            box.setAccessibleName(tr("{field}: {choice}", field=schema.label, choice=choice_text(schema.name, choice)))
            box.toggled.connect(lambda _: self.edited.emit())
        self._row.setSpacing(16)

    def value(self) -> list[str]:
        return [choice for choice, box in self.boxes.items() if box.isChecked()]

    def set_value(self, value: Any) -> None:
        for choice, box in self.boxes.items():
            box.setChecked(choice in (value or []))


def line_height(widget: QWidget) -> int:
    """The height of a field of one line: a check box beside one is as high."""
    return widget.fontMetrics().height() + 14


EDITORS: dict[str, type[Editor]] = {
    "bool": BoolEditor,
    "int": IntEditor,
    "float": NumberEditor,
    "text": TextEditor,
    "numbers": ListEditor,
    "texts": ListEditor,
    "mapping": MappingEditor,
    "choice": ChoiceEditor,
    "flags": FlagsEditor,
}


def editor_for(schema: FieldSchema) -> Editor:
    """The editor of a field by its kind."""
    if schema.name == "notes":
        return NotesEditor(schema)
    if schema.kind == "text" and schema.name in OFFERED:
        return OfferedEditor(schema)
    return EDITORS[schema.kind](schema)
