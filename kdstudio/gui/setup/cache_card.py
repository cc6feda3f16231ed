"""The card of the teacher's kept answers: the settings, what the project keeps, and a way to clear it."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QLabel, QMessageBox, QPushButton

from kdstudio.gui.language import tr
from kdstudio.gui.setup.context import Context
from kdstudio.gui.setup.form import ModelForm
from kdstudio.gui.setup.section import Card
from kdstudio.project.amounts import size_text
from kdstudio.project.cache import CacheEntry, clear, entries
from kdstudio.project.spec import CacheSpec


class CacheCard(Card):
    """What is kept of the teacher's answers, so that it is asked once and not in every epoch."""

    def __init__(self, context: Context) -> None:
        super().__init__(tr("Kept answers"))
        self.context = context
        words = QLabel(
            tr(
                "The teacher is asked once about each view of a sample; every epoch and every run of this project that "
                "asks the same reads its answers. With augmentation give a number of views under Data: new views in "
                "each epoch are read only once."
            )
        )
        self.held = QLabel()
        for label in (words, self.held):
            label.setObjectName("soft")
            label.setWordWrap(True)
        self.form = ModelForm(context, "cache", CacheSpec)
        self.clear = QPushButton(tr("Clear…"))
        self.clear.setToolTip(tr("Deletes all that this project keeps; the next run makes it again"))
        self.clear.clicked.connect(self._clear)
        row = QHBoxLayout()
        row.addWidget(self.held, 1)
        row.addWidget(self.clear)
        self.body.addWidget(words)
        self.body.addWidget(self.form)
        self.body.addLayout(row)

    def refresh(self) -> None:
        self.form.refresh()

    def show_held(self) -> None:
        """Says what the project keeps."""
        held = self._entries()
        self.clear.setEnabled(bool(held))
        if not held:
            self.held.setText(tr("This project keeps no answers yet."))
            return
        pictures = sum(entry.size for entry in held if entry.is_images)
        answers = size_text(sum(entry.size for entry in held) - pictures)
        if pictures:
            more = size_text(pictures)
            said = tr("This project keeps {size} of answers and {more} of decoded images.", size=answers, more=more)
        else:
            said = tr("This project keeps {size} of answers.", size=answers)
        self.held.setText(said)

    def _entries(self) -> list[CacheEntry]:
        return entries(self.context.project.root) if self.context.project else []

    def _clear(self) -> None:
        held = self._entries()
        if not held or self.context.project is None:
            return
        size = size_text(sum(entry.size for entry in held))
        if any(entry.is_images for entry in held):
            text = tr("Delete {size} of the teachers' answers and decoded images?", size=size)
        else:
            text = tr("Delete {size} of the teachers' answers?", size=size)
        text += "\n\n" + tr("No result is lost. Runs that read them now make them again.")
        buttons = QMessageBox.StandardButton
        answer = QMessageBox.question(self, tr("Kept answers"), text, buttons.Yes | buttons.No, buttons.No)
        if answer == buttons.Yes:
            clear(self.context.project.root)
        self.show_held()
