"""The editor of a term's layer pairs: what is paired and how, and the button that opens the picker."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QPushButton, QSizePolicy, QVBoxLayout

from kdstudio.gui.language import tr
from kdstudio.gui.setup.context import Context
from kdstudio.gui.setup.editors import Editor
from kdstudio.gui.setup.joins import join
from kdstudio.gui.setup.pair_dialog import PairDialog
from kdstudio.gui.setup.schema import FieldSchema
from kdstudio.project.pairing import shapes_of
from kdstudio.project.spec import JOIN_RULES, JoinRule


class PairsEditor(Editor):
    """Pairs as lines of text; they are chosen in a dialog."""

    def __init__(self, schema: FieldSchema, context: Context, path: str) -> None:
        super().__init__(schema)
        self.context = context
        self._term = f"{path.rpartition('.')[0]}.term"
        self._pairs: list[Any] = []
        self.text = QLabel()
        self.text.setTextFormat(Qt.TextFormat.RichText)
        self.text.setWordWrap(True)
        self.text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.button = QPushButton(tr("Choose layers..."))
        self.button.clicked.connect(self._choose)
        column = QVBoxLayout()
        column.setSpacing(8)
        column.addWidget(self.text)
        column.addWidget(self.button, 0, Qt.AlignmentFlag.AlignLeft)
        self._row.addLayout(column, 1)
        self.button.setToolTip(schema.tip)
        self.button.setAccessibleName(tr("Choose layers"))
        self.setFocusProxy(self.button)
        context.facts.changed.connect(self._write)
        context.theme.changed.connect(self._write)

    def finish(self) -> None:
        """The text takes the whole row."""

    @property
    def rule(self) -> JoinRule:
        """How the term joins two layers."""
        return JOIN_RULES.get(str(self.context.document.get(self._term)), "regressor")

    def _choose(self) -> None:
        teacher, student = (fact.known for fact in self.context.facts.sides(self._term))
        dialog = PairDialog(self.context.theme, teacher, student, self._pairs, self, self.rule)
        if dialog.exec():
            self._pairs = dialog.pairs()
            self._write()
            self.edited.emit()

    def value(self) -> list[Any]:
        return self._pairs

    def set_value(self, value: Any) -> None:
        self._pairs = value if isinstance(value, list) else []
        self._write()

    def _write(self) -> None:
        teacher, student = (shapes_of(fact.known) for fact in self.context.facts.sides(self._term))
        tokens = self.context.theme.tokens
        lines = []
        for pair in self._pairs:
            names = pair if isinstance(pair, dict) else {}
            one, other = str(names.get("teacher", "?")), str(names.get("student", "?"))
            words = ""
            if one in teacher and other in student:
                found = join(student[other], teacher[one], self.rule)
                words = f' <span style="color:{tokens.soft if found.possible else tokens.bad}">{found.text}</span>'
            arrow = f'<span style="color:{tokens.faint}">→</span>'
            lines.append(
                f'<span style="color:{tokens.teacher}">{one}</span> {arrow} '
                f'<span style="color:{tokens.student}">{other}</span>{words}'
            )
        nothing = f'<span style="color:{tokens.faint}">{tr("No layers are paired yet.")}</span>'
        self.text.setText("<br>".join(lines) or nothing)
