"""One term of the objective as a card."""

from __future__ import annotations

from pydantic import BaseModel
from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QLabel

from kdstudio.gui.language import mark, tr
from kdstudio.gui.setup.bars import IconButton
from kdstudio.gui.setup.context import Context
from kdstudio.gui.setup.form import ModelForm
from kdstudio.gui.setup.section import Card
from kdstudio.gui.setup.text_presets import CAUSAL, MASKED, task_of
from kdstudio.gui.setup.words import term_inside, term_words
from kdstudio.gui.theme import term_colour

STRIPE = 4


HARD = {
    MASKED: (mark("Masked tokens"), mark("what the hidden tokens are, by cross-entropy (MLM)")),
    CAUSAL: (mark("Next tokens"), mark("which token comes next, by cross-entropy")),
}


def hard_words(task: str | None, title: str, words: str) -> tuple[str, str]:
    """What the term `hard` is called for a task of texts."""
    found = HARD.get(task or "")
    return (tr(found[0]), tr(found[1])) if found else (title, words)


class TermCard(Card):
    """A term: what it is, its settings, and buttons that move and remove it.

    Signals:
        moved: By how many places the person moves it.
        removed: The person removes it.
    """

    moved = Signal(int)
    removed = Signal()

    def __init__(self, context: Context, index: int, tag: str, model: type[BaseModel] | None, name: str) -> None:
        title, words = term_words(tag, (model.__doc__ or "") if model is not None else "")
        super().__init__(title if name == tag else f"{title} ({name})")
        self.context = context
        self.index = index
        self.setAccessibleName(tr("Term {number}: {title}", number=index + 1, title=title))
        self._tag, self._words = tag, (self.heading.text(), words)
        self._sentence = QLabel(words)
        self._sentence.setObjectName("soft")
        self.head.insertWidget(1, self._sentence)
        thing = term_inside(tag)
        self.up = IconButton(context.theme, "arrow-up", tr("Move {thing} up", thing=thing))
        self.down = IconButton(context.theme, "arrow-down", tr("Move {thing} down", thing=thing))
        self.remove = IconButton(context.theme, "trash", tr("Remove {thing}", thing=thing))
        self.up.clicked.connect(lambda: self.moved.emit(-1))
        self.down.clicked.connect(lambda: self.moved.emit(1))
        self.remove.clicked.connect(lambda: self.removed.emit())
        for button in (self.up, self.down, self.remove):
            self.head.addWidget(button)
        self.form: ModelForm | None = None
        if model is not None:
            self.form = ModelForm(context, f"objective.{index}", model, skip=("term",))
            self.body.addWidget(self.form)
        context.theme.changed.connect(self.update)

    def refresh(self, count: int) -> None:
        """Shows what the document says; `count` terms there are."""
        if self._tag == "hard":  # what the labels are depends on the data
            title, words = hard_words(task_of(self.context.document.value), *self._words)
            self.heading.setText(title)
            self._sentence.setText(words)
        self.up.setEnabled(self.index > 0)
        self.down.setEnabled(self.index < count - 1)
        self.remove.setEnabled(count > 1)
        if self.form is not None:
            self.form.refresh()

    def forget(self) -> None:
        """The card goes away."""
        if self.form is not None:
            self.form.forget()
        self.setParent(None)
        self.deleteLater()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(term_colour(self.context.theme.tokens, self.index)))
        painter.drawRoundedRect(QRectF(1, 12, STRIPE, self.height() - 24), 2, 2)
