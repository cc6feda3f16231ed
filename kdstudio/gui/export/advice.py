"""Advice on the Export page: what the run's figures suggest to try, each with the figures that it rests on."""

from __future__ import annotations

import functools

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from kdstudio.gui.icons import icon
from kdstudio.gui.language import tr
from kdstudio.gui.theme import Theme
from kdstudio.project.advice import Statement, advice_of
from kdstudio.project.runs.folder import RunFolder

ICON = QSize(20, 20)


class AdviceCard(QFrame):
    """The statements of one run. They are worked out when the card comes on screen.

    Signals:
        field_asked: The dotted path of a field that a statement suggests to change.
    """

    field_asked = Signal(str)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.setObjectName("card")
        self.setAccessibleName(tr("Advice"))
        self.statements: tuple[Statement, ...] = ()
        self.buttons: list[QPushButton] = []
        self._run: RunFolder | None = None
        self._stale = False
        self._icons: list[tuple[QLabel, bool]] = []
        heading = QLabel(tr("Advice"))
        heading.setObjectName("heading")
        words = QLabel(tr("Rules of thumb on this run's own figures. One run with one seed is one sample."))
        words.setObjectName("soft")
        words.setWordWrap(True)
        head = QHBoxLayout()
        head.setSpacing(12)
        head.addWidget(heading)
        head.addWidget(words, 1)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(16, 12, 16, 16)
        self._layout.setSpacing(12)
        self._layout.addLayout(head)
        self._rows: QWidget | None = None
        theme.changed.connect(self._recolour)

    def show_run(self, run: RunFolder | None) -> None:
        """Shows what a run says, at once or when the card comes on screen."""
        self._run, self._stale = run, True
        if self.isVisible():
            self._look()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._stale:
            self._look()

    def _look(self) -> None:
        self._stale = False
        self.statements = advice_of(self._run).statements if self._run is not None else ()
        if self._rows is not None:
            self._layout.removeWidget(self._rows)
            self._rows.deleteLater()
        self._icons, self.buttons = [], []
        self._rows = QWidget()
        grid = QGridLayout(self._rows)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(16)
        grid.setColumnStretch(1, 1)
        for row, statement in enumerate(self.statements):
            self._add(grid, row, statement)
        if not self.statements:
            empty = QLabel(tr("Without a teacher there is nothing to compare the student with."))
            empty.setObjectName("soft")
            grid.addWidget(empty, 0, 1)
        self._layout.addWidget(self._rows)
        self._recolour()

    def _add(self, grid: QGridLayout, row: int, statement: Statement) -> None:
        head, reason = statement.told(tr)
        picture = QLabel()
        picture.setFixedSize(ICON)
        picture.setToolTip(tr("Worth trying") if statement.field else tr("For your information"))
        self._icons.append((picture, bool(statement.field)))
        says, because = QLabel(head), QLabel(reason)
        says.setObjectName("heading")
        because.setObjectName("soft")
        texts = QVBoxLayout()
        texts.setSpacing(4)
        for label in (says, because):
            label.setWordWrap(True)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            texts.addWidget(label)
        grid.addWidget(picture, row, 0, Qt.AlignmentFlag.AlignTop)
        grid.addLayout(texts, row, 1)
        if statement.field:
            button = QPushButton(tr("Show in Setup"))
            button.setToolTip(tr("Opens the field {field} of this run's experiment", field=statement.field))
            button.setAccessibleName(tr("{what}: show in Setup", what=head))
            button.clicked.connect(functools.partial(self._asked, statement.field))
            grid.addWidget(button, row, 2, Qt.AlignmentFlag.AlignTop)
            self.buttons.append(button)

    def _asked(self, field: str, checked: bool = False) -> None:
        self.field_asked.emit(field)

    def _recolour(self) -> None:
        tokens = self.theme.tokens
        for picture, suggests in self._icons:
            name, colour = ("bulb", tokens.accent) if suggests else ("info", tokens.soft)
            picture.setPixmap(icon(name, colour).pixmap(ICON))
