"""The one style of message: what happened, why, what to do, and a fold with details."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from kdstudio.project.errors import KDStudioError


class MessageBar(QFrame):
    """A message above the page; it stays until it is dismissed, and never blocks the window."""

    dismissed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("message")
        self.setAccessibleName("Message")
        self.what = self._label("heading")
        self.why = self._label("soft")
        self.fix = self._label("")
        close = QPushButton("Dismiss")
        close.setObjectName("flat")
        close.clicked.connect(self.dismiss)
        texts = QVBoxLayout()
        texts.setSpacing(4)
        for label in (self.what, self.why, self.fix):
            texts.addWidget(label)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(12, 8, 8, 8)
        layout.addLayout(texts, 1)
        layout.addWidget(close, 0, Qt.AlignmentFlag.AlignTop)
        self.hide()

    def _label(self, name: str) -> QLabel:
        label = QLabel()
        label.setObjectName(name)
        label.setWordWrap(True)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        return label

    def tell(self, what: str, why: str = "", fix: str = "") -> None:
        """Shows a message."""
        for label, text in ((self.what, what), (self.why, why), (self.fix, fix)):
            label.setText(text)
            label.setVisible(bool(text))
        self.show()

    def tell_error(self, error: KDStudioError) -> None:
        """Shows an error of ours."""
        self.tell(error.what, error.why, error.fix)

    def dismiss(self) -> None:
        self.hide()
        self.dismissed.emit()
