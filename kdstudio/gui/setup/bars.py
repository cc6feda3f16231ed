"""The bars above the sections: how many settings need attention, and unsaved changes of a session that ended badly."""

from __future__ import annotations

from datetime import datetime

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QToolButton

from kdstudio.gui.icons import icon
from kdstudio.gui.language import tr, trn
from kdstudio.gui.setup.draft import Found
from kdstudio.gui.setup.words import path_text
from kdstudio.gui.theme import Theme


class ProblemBar(QFrame):
    """One line that says what is wrong. A click goes to the field, the next click to the next one.

    Signals:
        chosen: The path of the field to show.
    """

    chosen = Signal(str)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("message")
        self.theme = theme
        self._paths: list[str] = []
        self._next = 0
        self.icon = QLabel()
        self.text = QLabel()
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.button = QPushButton(tr("Show"))
        self.button.setObjectName("flat")
        self.button.setAccessibleName(tr("Show the setting that needs attention"))
        self.button.clicked.connect(self._clicked)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 4, 8, 4)
        row.setSpacing(8)
        row.addWidget(self.icon)
        row.addWidget(self.text, 1)
        row.addWidget(self.button)
        theme.changed.connect(self._recolour)
        self._recolour()
        self.hide()

    def _recolour(self) -> None:
        self.icon.setPixmap(icon("alert", self.theme.tokens.bad).pixmap(16, 16))

    def tell(self, problems: dict[str, list[str]]) -> None:
        """Shows what is wrong, by path."""
        self._paths = list(problems)
        self._next = min(self._next, max(len(self._paths) - 1, 0))
        if self._paths:
            path, (text, *_) = next(iter(problems.items()))
            problem = tr("{field}: {problem}", field=path_text(path), problem=text) if path else text
            count = len(self._paths)
            if count > 1:
                problem = trn(
                    "{count} setting needs attention.  {problem}",
                    "{count} settings need attention.  {problem}",
                    count,
                    problem=problem,
                )
            self.text.setText(problem)
            self.text.setToolTip(
                "\n".join(
                    tr("{field}: {problem}", field=path_text(path) if path else tr("Experiment"), problem=texts[0])
                    for path, texts in problems.items()
                )
            )
        self.setVisible(bool(self._paths))

    def _clicked(self) -> None:
        if self._paths:
            path = self._paths[self._next % len(self._paths)]
            self._next = (self._next + 1) % len(self._paths)
            self.chosen.emit(path)


class RecoveryBar(QFrame):
    """Offers unsaved changes that were found.

    Signals:
        restored, discarded: What the person wants.
    """

    restored = Signal()
    discarded = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("message")
        self.setProperty("tone", "note")
        self.text = QLabel()
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setWordWrap(True)
        self.restore = QPushButton(tr("Restore them"))
        self.restore.setObjectName("primary")
        self.restore.clicked.connect(self.restored)
        self.discard = QPushButton(tr("Discard"))
        self.discard.clicked.connect(self.discarded)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 6, 8, 6)
        row.setSpacing(8)
        row.addWidget(self.text, 1)
        row.addWidget(self.restore)
        row.addWidget(self.discard)
        self.hide()

    def offer(self, found: Found | None) -> None:
        """Shows the offer, or hides it where there is nothing."""
        if found is not None:
            when = datetime.fromtimestamp(found.time).strftime(tr("%d %B, %H:%M"))
            self.text.setText(tr("KD Studio ended with unsaved changes of this experiment ({when}).", when=when))
        self.setVisible(found is not None)


class IconButton(QToolButton):
    """A small button with an icon that follows the theme."""

    def __init__(self, theme: Theme, name: str, tip: str) -> None:
        super().__init__()
        self.theme = theme
        self.name = name
        self.setToolTip(tip)
        self.setAccessibleName(tip)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        theme.changed.connect(self._recolour)
        self._recolour()

    def _recolour(self) -> None:
        self.setIcon(icon(self.name, self.theme.tokens.soft, self.theme.tokens.line))
