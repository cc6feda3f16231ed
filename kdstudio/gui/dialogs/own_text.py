"""What a language model is to learn from a person's own text: its beginning, the task, the encoding."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from kdstudio.gui.language import mark, tr
from kdstudio.project.errors import KDStudioError
from kdstudio.project.own_texts import TASKS, text_head
from kdstudio.project.spec import LanguageTask

#: Letters of the text that are shown; a longer line is cut, because a window lays out a whole line at once.
SHOWN, LINE = 6000, 1500
ENCODINGS = ("utf-8", "cp1252", "latin-1", "utf-16")
WORDS = {
    "causal-lm": (
        mark("The next token, as GPT-2 does (causal-lm)"),
        mark("It can write text, and a small one can draft for a large one."),
    ),
    "masked-lm": (
        mark("Hidden tokens, as BERT does (masked-lm)"),
        mark("It knows the text from both sides: a beginning for classifiers."),
    ),
}


def encoding_box(encoding: str) -> QComboBox:
    """The choice of a file's encoding; another one than the usual can be written."""
    box = QComboBox()
    box.setEditable(True)
    box.addItems(ENCODINGS)
    box.setCurrentText(encoding)
    box.setAccessibleName(tr("Encoding"))
    box.setToolTip(tr("How the file's characters are encoded (usual utf-8; cp1252 for older files)"))
    return box


class TextDialog(QDialog):
    """`task` and `coding` are what was chosen, once it is accepted."""

    def __init__(self, path: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.path = path
        self.setWindowTitle(tr("A language model of {name}", name=path.name))
        self.resize(680, 520)
        heading = QLabel(tr("What is learned?"))
        heading.setObjectName("heading")
        layout = QVBoxLayout(self)
        layout.setSpacing(8)
        layout.addWidget(heading)
        self.choices: dict[LanguageTask, QRadioButton] = {}
        for task in TASKS:
            name, words = WORDS[task]
            choice = self.choices[task] = QRadioButton(tr(name))
            choice.setToolTip(tr(words))
            layout.addWidget(choice)
            about = QLabel(tr(words))
            about.setObjectName("soft")
            about.setIndent(26)
            layout.addWidget(about)
        self.choices[TASKS[0]].setChecked(True)
        self.encoding = encoding_box("utf-8")
        label = QLabel(tr("Encoding"))
        label.setBuddy(self.encoding)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(label)
        row.addWidget(self.encoding)
        row.addStretch(1)
        layout.addSpacing(8)
        layout.addLayout(row)
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setAccessibleName(tr("The beginning of the text"))
        layout.addWidget(self.text, 1)
        self.problem = QLabel()
        self.problem.setObjectName("error")
        self.problem.setWordWrap(True)
        self.problem.setTextFormat(Qt.TextFormat.PlainText)
        layout.addWidget(self.problem)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.make = buttons.addButton(tr("Make project"), QDialogButtonBox.ButtonRole.AcceptRole)
        self.make.setObjectName("primary")
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout.addWidget(buttons)
        self.encoding.currentTextChanged.connect(lambda _: self._read())
        self._read()

    @property
    def task(self) -> LanguageTask:
        return next(task for task, choice in self.choices.items() if choice.isChecked())

    @property
    def coding(self) -> str:
        return self.encoding.currentText().strip()

    def _read(self) -> None:
        problem, shown = "", ""
        try:
            head = text_head(self.path, self.coding)
        except KDStudioError as error:
            problem = "\n".join(part for part in (error.what, error.why, error.fix) if part)
        else:
            lines = [line[:LINE] + ("..." if len(line) > LINE else "") for line in head[:SHOWN].splitlines()]
            shown = "\n".join(lines)
        self.text.setPlainText(shown)
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))
        self.make.setEnabled(not problem)
