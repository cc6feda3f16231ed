"""The empty state of a panel or page: what will appear here, and the button that makes it appear."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget


class EmptyState(QWidget):
    """A sentence and, with an action, its button."""

    def __init__(self, title: str, text: str, action: QAction | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.heading = heading = QLabel(title)
        heading.setObjectName("heading")
        heading.setVisible(bool(title))
        self.words = words = QLabel(text)
        words.setObjectName("soft")
        words.setWordWrap(True)
        words.setMaximumWidth(420)
        words.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        layout = QVBoxLayout(self)
        layout.setSpacing(8)
        layout.addStretch()
        layout.addWidget(heading, 0, Qt.AlignmentFlag.AlignHCenter)
        row = QHBoxLayout()  # not an alignment: with one the words do not get the height that their lines need
        row.addStretch(1)
        row.addWidget(words, 1000)
        row.addStretch(1)
        layout.addLayout(row)
        self.action: QAction | None = None
        self.button = QPushButton()
        self.button.setObjectName("primary")
        self.button.clicked.connect(self._press)
        layout.addWidget(self.button, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch()
        self.offer(action)

    def offer(self, action: QAction | None) -> None:
        """Shows an action's button, or none."""
        if self.action is not None:
            self.action.changed.disconnect(self._follow)
        self.action = action
        self.button.setVisible(action is not None)
        if action is not None:
            action.changed.connect(self._follow)
            self._follow()

    def _follow(self) -> None:
        if self.action is not None:
            self.button.setText(self.action.text().replace("&", "").removesuffix("..."))
            self.button.setEnabled(self.action.isEnabled())

    def _press(self) -> None:
        if self.action is not None:
            self.action.trigger()

    def set_text(self, text: str, title: str = "") -> None:
        """Says something else; without a title the old one stays."""
        self.words.setText(text)
        if title:
            self.heading.setText(title)
