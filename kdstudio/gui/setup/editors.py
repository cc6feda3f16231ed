"""The editors of single values. Each has `value()`, `set_value()` and the signal `edited`."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLineEdit, QSpinBox, QWidget

from kdstudio.gui.setup.schema import FieldSchema
from kdstudio.project.errors import InputError
from kdstudio.project.yaml_io import parse_yaml
from kdstudio.project.yaml_text import flow_yaml

INT_LIMIT = 2**31 - 1


class Editor(QWidget):
    """A value of the spec. What is typed is kept as typed: the spec's own check says what is wrong with it."""

    edited = Signal()

    def __init__(self, schema: FieldSchema) -> None:
        super().__init__()
        self.schema = schema
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(8)

    def _adopt(self, widget: QWidget, stretch: int = 1) -> None:
        widget.setToolTip(self.schema.description)
        widget.setAccessibleName(self.schema.label)
        widget.setAccessibleDescription(self.schema.description)
        self._row.addWidget(widget, stretch)
        if stretch:
            self.setFocusProxy(widget)

    def value(self) -> Any:
        raise TypeError("an editor gives a value")

    def set_value(self, value: Any) -> None:
        raise TypeError("an editor takes a value")

    def mark(self, wrong: bool) -> None:
        """Shows or hides the mark of a wrong value."""
        for widget in self.findChildren(QWidget):
            if widget.property("wrong") != wrong:
                widget.setProperty("wrong", wrong)
                widget.style().unpolish(widget)
                widget.style().polish(widget)


class BoolEditor(Editor):
    def __init__(self, schema: FieldSchema) -> None:
        super().__init__(schema)
        self.box = QCheckBox()
        self._adopt(self.box)
        self.box.toggled.connect(self.edited)

    def value(self) -> bool:
        return self.box.isChecked()

    def set_value(self, value: Any) -> None:
        self.box.setChecked(bool(value))


class _Spin(QSpinBox):
    """A wheel over a form scrolls the form; it must not change a number that was passed over."""

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class _Combo(QComboBox):
    """See `_Spin`."""

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class IntEditor(Editor):
    def __init__(self, schema: FieldSchema) -> None:
        super().__init__(schema)
        self.spin = _Spin()
        low = int(schema.low) if schema.low is not None else -INT_LIMIT
        self.spin.setRange(low + (1 if schema.strict_low else 0), int(min(schema.high or INT_LIMIT, INT_LIMIT)))
        self.spin.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._adopt(self.spin)
        self.spin.valueChanged.connect(lambda _: self.edited.emit())

    def value(self) -> int:
        return self.spin.value()

    def set_value(self, value: Any) -> None:
        self.spin.setValue(int(value) if isinstance(value, (int, float)) else self.spin.minimum())


class TextEditor(Editor):
    """Text, and the base of everything that is typed as text."""

    def __init__(self, schema: FieldSchema) -> None:
        super().__init__(schema)
        self.line = QLineEdit()
        if schema.optional:
            self.line.setPlaceholderText("not set")
        self._adopt(self.line)
        self.line.textEdited.connect(lambda _: self.edited.emit())

    def value(self) -> Any:
        text = self.line.text()
        return None if self.schema.optional and not text.strip() else text

    def set_value(self, value: Any) -> None:
        self.line.setText("" if value is None else str(value))
        self.line.setCursorPosition(0)


class NumberEditor(TextEditor):
    """A number as people write it: 0.05, 1e-3."""

    def value(self) -> Any:
        text = self.line.text().strip()
        if self.schema.optional and not text:
            return None
        try:
            number = float(text)
        except ValueError:
            return text
        return int(number) if self.schema.kind == "int" and number == int(number) else number

    def set_value(self, value: Any) -> None:
        text = "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
        super().set_value(text)


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
        super().set_value(", ".join(str(item) for item in value) if value else "")


class MappingEditor(TextEditor):
    """Keyword arguments, as YAML on one line: {drop_rate: 0.1}."""

    def value(self) -> Any:
        text = self.line.text().strip()
        if not text:
            return {}
        try:
            return parse_yaml(text if text.startswith("{") else "{" + text + "}", self.schema.name)
        except InputError:
            return text

    def set_value(self, value: Any) -> None:
        super().set_value(", ".join(f"{flow_yaml(key)}: {flow_yaml(item)}" for key, item in (value or {}).items()))


class ChoiceEditor(Editor):
    def __init__(self, schema: FieldSchema) -> None:
        super().__init__(schema)
        self.combo = _Combo()
        self.combo.addItems([*(["not set"] if schema.optional else []), *schema.choices])
        self.combo.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._adopt(self.combo)
        self.combo.activated.connect(lambda _: self.edited.emit())

    def value(self) -> Any:
        text = self.combo.currentText()
        return None if self.schema.optional and text == "not set" else text

    def set_value(self, value: Any) -> None:
        self.combo.setCurrentText("not set" if value is None else str(value))


class FlagsEditor(Editor):
    """Any of a few choices, as check boxes."""

    def __init__(self, schema: FieldSchema) -> None:
        super().__init__(schema)
        self.boxes = {choice: QCheckBox(choice) for choice in schema.choices}
        for box in self.boxes.values():
            self._adopt(box, 0)
            box.toggled.connect(lambda _: self.edited.emit())
        self._row.addStretch(1)

    def value(self) -> list[str]:
        return [choice for choice, box in self.boxes.items() if box.isChecked()]

    def set_value(self, value: Any) -> None:
        for choice, box in self.boxes.items():
            box.setChecked(choice in (value or []))


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
    """The editor of a field. A whole number that may be left out is typed, because a spin box is never empty."""
    if schema.kind == "int" and schema.optional:
        return NumberEditor(schema)
    return EDITORS[schema.kind](schema)
