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
from kdstudio.project.pairing import Likeness, likeness_of_run, shapes_of
from kdstudio.project.spec import JOIN_RULES, JoinRule

CHANNEL = "likeness"


class LikenessQuestion:
    """Asks the engine, for a dialog, how alike the layers of teacher and untrained student are."""

    def __init__(self, context: Context, dialog: PairDialog) -> None:
        self.context = context
        self.dialog = dialog
        self.client = context.facts.client
        dialog.likeness_wanted.connect(self._ask)
        self.client.answered.connect(self._answered)
        self.client.failed.connect(self._failed)

    def _ask(self) -> None:
        value, project = self.context.document.value, self.context.project
        root = str(project.root) if project is not None else ""
        question = {"ask": CHANNEL, "root": root, "data": value.get("data"), "experiment": value}
        self.client.ask(CHANNEL, question, keep=False)

    def _answered(self, channel: str, answer: Any) -> None:
        if channel == CHANNEL:
            self.dialog.show_likeness(Likeness(answer["teacher"], answer["student"], answer["table"]))

    def _failed(self, channel: str, error: Any) -> None:
        if channel == CHANNEL:
            words = [getattr(error, "what", str(error)), getattr(error, "fix", "")]
            self.dialog.show_failure(". ".join(word for word in words if word))

    def end(self) -> None:
        """The dialog is closed."""
        self.client.cancel(CHANNEL)
        self.client.answered.disconnect(self._answered)
        self.client.failed.disconnect(self._failed)


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
        dialog = PairDialog(self.context.theme, teacher, student, self._pairs, self, self.rule, self._likeness())
        question = LikenessQuestion(self.context, dialog)
        if dialog.exec():
            self._pairs = dialog.pairs()
            self._write()
            self.edited.emit()
        question.end()

    def _likeness(self) -> Likeness | None:
        """How alike the layers were at the end of the newest run of this experiment that says so."""
        project, name = self.context.project, str(self.context.document.get("name"))
        found = (likeness_of_run(run) for run in reversed(project.runs(name))) if project is not None else ()
        return next((likeness for likeness in found if likeness is not None), None)

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
