"""The glossary: the words of distillation."""

from __future__ import annotations

from html import escape

from PySide6.QtWidgets import QDialog, QDialogButtonBox, QLineEdit, QTextBrowser, QVBoxLayout, QWidget

from kdstudio.gui.language import tr
from kdstudio.project.shipped import resource
from kdstudio.project.yaml_io import read_yaml


def words() -> dict[str, str]:
    """Each word with what it means, in alphabetical order."""
    found = read_yaml(resource("glossary.yaml"))
    translated = {}
    for word, meaning in found.items():
        translated[tr(word)] = tr(meaning)
    return {word: translated[word] for word in sorted(translated, key=str.lower)}


class GlossaryDialog(QDialog):
    """All words, filtered as you type."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Glossary"))
        self.resize(560, 520)
        self.line = QLineEdit()
        self.line.setPlaceholderText(tr("Search"))
        self.line.setAccessibleName(tr("Search the glossary"))
        self.line.setClearButtonEnabled(True)
        self.line.textChanged.connect(self._fill)
        self.text = QTextBrowser()
        self.text.setAccessibleName(tr("Glossary"))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.button(QDialogButtonBox.StandardButton.Close).setAutoDefault(False)  # Enter in the line searches
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
        self.text.setHtml("".join(parts) or f"<p>{escape(tr('No such word.'))}</p>")
