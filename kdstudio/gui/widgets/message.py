"""The one style of message: what happened, why, what to do, and a fold with details."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from kdstudio.gui.language import tr
from kdstudio.project.errors import KDStudioError


class MessageBar(QFrame):
    """A message above the page; it stays until it is dismissed, and never blocks the window."""

    dismissed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("message")
        self.setAccessibleName(tr("Message"))
        self.what = self._label("heading")
        self.why = self._label("soft")
        self.fix = self._label("")
        self._then: Callable[[], None] | None = None
        self.button = QPushButton()
        self.button.clicked.connect(self._pressed)
        self.fold = QPushButton(tr("Details"))
        self.fold.setObjectName("flat")
        self.fold.setCheckable(True)
        self.details = QPlainTextEdit()
        self.details.setReadOnly(True)
        self.details.setAccessibleName(tr("Details"))
        self.details.setMinimumHeight(1)  # it scrolls, so it asks for no more height of the window
        self.details.setMaximumHeight(120)
        self.fold.toggled.connect(self.details.setVisible)
        close = QPushButton(tr("Dismiss"))
        close.setObjectName("flat")
        close.clicked.connect(self.dismiss)
        texts = QVBoxLayout()
        texts.setSpacing(4)
        for label in (self.what, self.why, self.fix):
            texts.addWidget(label)
        row = QHBoxLayout()
        row.addLayout(texts, 1)
        for widget in (self.button, self.fold, close):
            row.addWidget(widget, 0, Qt.AlignmentFlag.AlignTop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 8, 8, 8)
        layout.addLayout(row)
        layout.addWidget(self.details)
        self.hide()

    def _label(self, name: str) -> QLabel:
        label = QLabel()
        label.setObjectName(name)
        label.setWordWrap(True)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        return label

    def tell(
        self,
        what: str,
        why: str = "",
        fix: str = "",
        details: str = "",
        *,
        note: bool = False,
        button: str = "",
        then: Callable[[], None] | None = None,
    ) -> None:
        """Shows a message.

        Args:
            what, why, fix: The three parts.
            details: Longer text, folded away.
            note: Good or neutral news, in the accent's colour.
            button, then: A button and what it does; it dismisses the message, too.
        """
        for label, text in ((self.what, what), (self.why, why), (self.fix, fix)):
            label.setText(text)
            label.setVisible(bool(text))
        self.setProperty("tone", "note" if note else "error")
        self.style().unpolish(self)
        self.style().polish(self)
        self._then = then
        self.button.setText(button)
        self.button.setVisible(bool(button))
        self.details.setPlainText(details)
        self.fold.setVisible(bool(details))
        self.fold.setChecked(False)
        self.details.hide()
        self.show()

    def tell_error(self, error: KDStudioError) -> None:
        """Shows an error of ours."""
        self.tell(error.what, error.why, error.fix)

    def _pressed(self) -> None:
        then, self._then = self._then, None
        self.dismiss()
        if then is not None:
            then()

    def dismiss(self) -> None:
        self.hide()
        self.dismissed.emit()
