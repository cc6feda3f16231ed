"""The glossary: the words of distillation."""

from __future__ import annotations

from html import escape

from PySide6.QtWidgets import QDialog, QDialogButtonBox, QLineEdit, QTextBrowser, QVBoxLayout, QWidget

from kdstudio.project.shipped import resource
from kdstudio.project.yaml_io import read_yaml


def words() -> dict[str, str]:
    """Each word with what it means, in alphabetical order."""
    found = read_yaml(resource("glossary.yaml"))
    return {str(word): str(found[word]) for word in sorted(found, key=str.lower)}


class GlossaryDialog(QDialog):
    """All words, filtered as you type."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Glossary")
        self.resize(560, 520)
        self.line = QLineEdit()
        self.line.setPlaceholderText("Search")
        self.line.setAccessibleName("Search the glossary")
        self.line.setClearButtonEnabled(True)
        self.line.textChanged.connect(self._fill)
        self.text = QTextBrowser()
        self.text.setAccessibleName("Glossary")
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setSpacing(12)
        layout.addWidget(self.line)
        layout.addWidget(self.text, 1)
        layout.addWidget(buttons)
        self._words = words()
        self._fill("")

    def _fill(self, letters: str) -> None:
        wanted = letters.lower().strip()
        parts = [
            f"<p><b>{escape(word)}</b><br>{escape(meaning)}</p>"
            for word, meaning in self._words.items()
            if wanted in word.lower() or wanted in meaning.lower()
        ]
        self.text.setHtml("".join(parts) or "<p>No such word.</p>")
