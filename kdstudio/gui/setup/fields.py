"""Fields on screen: label, editor, unit, hint or error; a grid that takes as many columns as fit; the Advanced fold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QContextMenuEvent, QResizeEvent
from PySide6.QtWidgets import (
    QGridLayout,
    QLabel,
    QMenu,
    QSizePolicy,
    QSpacerItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from kdstudio.gui.icons import icon
from kdstudio.gui.language import tr, trn
from kdstudio.gui.setup.context import Context
from kdstudio.gui.setup.editors import BoolEditor, Editor, editor_for
from kdstudio.gui.setup.labels import UNITS
from kdstudio.gui.setup.pickers import special_editor
from kdstudio.gui.setup.schema import FieldSchema
from kdstudio.gui.setup.words import SPANS, hint_of
from kdstudio.gui.sweeps.suggestions import sweepable

#: Width of a column of fields, in digits at the size of text in force.
COLUMN = 21
GAP = 16
MOST_COLUMNS = 4


class FieldBox(QWidget):
    """One field of the spec, bound to its place in the document.

    Args:
        context: Of the page.
        path: Dotted path in the document.
        schema: What the field is.
        owner: Name of the spec model that has it.
        phrase: What an edit is called on the undo stack.
    """

    def __init__(self, context: Context, path: str, schema: FieldSchema, owner: str = "", phrase: str = "") -> None:
        super().__init__()
        self.context = context
        self.path = path
        self.schema = schema
        self.phrase = phrase or tr("Change {thing}", thing=schema.inner_label)
        self.span = SPANS.get(schema.name, 1)
        self.setObjectName(path)
        self.editor: Editor = special_editor(schema, owner, context, path) or editor_for(schema)
        self.label = QLabel("" if isinstance(self.editor, BoolEditor) else schema.label)
        self.label.setObjectName("label")
        self.label.setToolTip(schema.tip)
        self.label.setBuddy(self.editor)
        self.note = QLabel()
        self.note.setObjectName("hint")
        self.note.setWordWrap(True)
        self.note.setTextFormat(Qt.TextFormat.PlainText)
        self.note.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.note.hide()
        if schema.name in UNITS:
            self.editor.add_unit(tr(UNITS[schema.name]))
        self.editor.finish()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.label)
        layout.addWidget(self.editor)
        layout.addWidget(self.note)
        layout.addStretch(1)
        self.editor.edited.connect(self._edited)
        context.boxes[path] = self

    def _edited(self) -> None:
        changes = {self.path: self.editor.value(), **self.editor.others()}
        self.context.document.edit(self.phrase, changes, merge=True)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """A click with the other button on a field's name: it can vary."""
        if self.context.experiment is None or self.path not in sweepable(self.context.experiment):
            super().contextMenuEvent(event)
            return
        menu = QMenu(self)
        menu.addAction(tr("Vary {thing} in a sweep...", thing=self.schema.inner_label)).triggered.connect(
            lambda: self.context.vary.emit(self.path)
        )
        menu.exec(event.globalPos())
        menu.deleteLater()

    @property
    def is_default(self) -> bool:
        return bool(self.context.document.get(self.path, self.schema.default) == self.schema.default)

    def refresh(self, values: dict[str, Any]) -> None:
        """Shows what the document says, with the problem that was found or the usual range."""
        value = self.context.document.get(self.path, self.schema.default)
        if self.editor.value() != value or type(self.editor.value()) is not type(value):
            self.editor.blockSignals(True)
            self.editor.set_value(value)
            self.editor.blockSignals(False)
        # What a list or a mapping says of its items is said here, too
        place = self.context.problem_below(self.path)
        texts = [text for path, found in self.context.problems.items() if path == place for text in found]
        self.editor.mark(bool(texts))
        text = "\n".join(texts) or hint_of(self.schema.description, values)
        name = "error" if texts else "hint"
        if self.note.objectName() != name:
            self.note.setObjectName(name)
            self.note.style().unpolish(self.note)
            self.note.style().polish(self.note)
        if text != self.note.text():
            self.note.setText(text)
            self.note.setVisible(bool(text))

    def forget(self) -> None:
        """The field goes away."""
        if self.context.boxes.get(self.path) is self:
            del self.context.boxes[self.path]


class FieldGrid(QWidget):
    """Fields in as many columns as the width has room for. What is hidden leaves no hole."""

    def __init__(self, boxes: Sequence[QWidget]) -> None:
        super().__init__()
        self.boxes = list(boxes)
        self._shown: tuple[int, tuple[bool, ...]] = (0, ())
        self._hidden: set[QWidget] = set()
        self._spacers: list[QSpacerItem] = []
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(GAP)
        self._grid.setVerticalSpacing(12)
        bare = all(isinstance(box, FieldBox) and isinstance(box.editor, BoolEditor) for box in self.boxes)
        for box in self.boxes:
            box.setParent(self)
            if bare and isinstance(box, FieldBox):
                box.label.hide()
        self.place()

    def set_shown(self, box: QWidget, shown: bool) -> None:
        """Shows or hides a field; `place` has to be called after the last one."""
        self._hidden.discard(box) if shown else self._hidden.add(box)

    def place(self) -> None:
        """Puts the fields into their columns."""
        columns = min(MOST_COLUMNS, max(1, (self.width() + GAP) // (self._column_width + GAP)))
        shown = (columns, tuple(box not in self._hidden for box in self.boxes))
        if shown == self._shown:
            return
        self._shown = shown
        # Not takeAt: it leaves the old item alive, and the widget then tells that one when its size changes
        for box in self.boxes:
            self._grid.removeWidget(box)
        for spacer in self._spacers:
            self._grid.removeItem(spacer)
        row = column = 0
        for box in self.boxes:
            box.setVisible(box not in self._hidden)
            if box in self._hidden:
                continue
            span = min(getattr(box, "span", 1), columns)
            if column + span > columns:
                row, column = row + 1, 0
            self._grid.addWidget(box, row, column, 1, span)
            column += span
        # An empty column takes as much room as its neighbours
        self._spacers = [QSpacerItem(0, 0) for _ in range(columns)]
        for index, spacer in enumerate(self._spacers):
            self._grid.addItem(spacer, row + 1, index)
        for index in range(MOST_COLUMNS):
            self._grid.setColumnStretch(index, 1 if index < columns else 0)
            self._grid.setColumnMinimumWidth(index, 0)

    @property
    def _column_width(self) -> int:
        return COLUMN * self.fontMetrics().horizontalAdvance("0")

    @property
    def any_shown(self) -> bool:
        return len(self._hidden) < len(self.boxes)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.place()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self.place()

    def minimumSizeHint(self) -> QSize:
        # The grid must be able to become narrower than its columns of the moment
        return QSize(self._column_width, super().minimumSizeHint().height())


class Fold(QWidget):
    """A heading that shows and hides what is below it."""

    def __init__(self, context: Context, title: str, content: QWidget) -> None:
        super().__init__()
        self.context = context
        self.title = title
        self.content = content
        self.button = QToolButton()
        self.button.setObjectName("fold")
        self.button.setCheckable(True)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.button.setAccessibleName(title)
        self.button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.button.toggled.connect(self._toggled)
        self._changed = 0
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(self.button, 0, Qt.AlignmentFlag.AlignLeft)
        layout.addWidget(content)
        content.hide()
        context.theme.changed.connect(self._show_state)
        self._show_state()

    def _toggled(self, on: bool) -> None:
        self.content.setVisible(on)
        self._show_state()

    def open(self) -> None:
        self.button.setChecked(True)

    def set_changed(self, count: int) -> None:
        """How many settings in the fold are not at their defaults."""
        self._changed = count
        self._show_state()

    def _show_state(self) -> None:
        name = "chevron-down" if self.button.isChecked() else "chevron-right"
        self.button.setIcon(icon(name, self.context.theme.tokens.soft))
        changed = trn("{count} changed", "{count} changed", self._changed)
        self.button.setText(f"{self.title}  ·  {changed}" if self._changed else self.title)
