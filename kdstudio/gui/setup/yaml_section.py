"""The YAML section: what the file will say, to read, copy and edit."""

from __future__ import annotations

import re

from PySide6.QtCore import Qt
from PySide6.QtGui import (
    QColor,
    QFontDatabase,
    QGuiApplication,
    QKeySequence,
    QShortcut,
    QSyntaxHighlighter,
    QTextCharFormat,
    QTextDocument,
)
from PySide6.QtWidgets import QPlainTextEdit, QPushButton, QSizePolicy

from kdstudio.gui.language import tr
from kdstudio.gui.setup.context import Context
from kdstudio.gui.setup.form import error_label, show_error
from kdstudio.gui.setup.section import Card, Section
from kdstudio.gui.theme import Theme
from kdstudio.project.errors import KDStudioError


class YamlColours(QSyntaxHighlighter):
    """Keys, numbers and comments in colours of the theme."""

    def __init__(self, document: QTextDocument, theme: Theme) -> None:
        super().__init__(document)
        self.theme = theme
        theme.changed.connect(self.rehighlight)

    def highlightBlock(self, text: str) -> None:
        tokens = self.theme.tokens
        rules = (
            (r"[\w.-]+(?=:(\s|$))", tokens.accent),
            (r"(?<![\w.-])[-+]?\d[\d_.]*(e[-+]?\d+)?(?![\w.-])|\b(true|false|null)\b", tokens.curve3),
            (r"(^|\s)#.*$", tokens.faint),
        )
        for pattern, colour in rules:
            shape = QTextCharFormat()
            shape.setForeground(QColor(colour))
            for match in re.finditer(pattern, text):
                self.setFormat(match.start(), match.end() - match.start(), shape)


class YamlSection(Section):
    """The text of the file. What is typed here is applied as one edit."""

    def __init__(self, context: Context) -> None:
        sentence = tr("What the file will say. Comments stay; what is typed here is applied as one edit.")
        super().__init__(context, tr("YAML"), sentence, ("yaml",))
        self.editor = QPlainTextEdit()
        self.editor.setObjectName("yaml")
        self.editor.setAccessibleName(tr("The experiment as YAML"))
        self.editor.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.editor.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.editor.setTabChangesFocus(True)
        self.editor.setMinimumHeight(320)
        self.colours = YamlColours(self.editor.document(), context.theme)
        self.problem = error_label()
        self.copy = QPushButton(tr("Copy"))
        self.copy.setToolTip(tr("Copy the whole text"))
        self.back = QPushButton(tr("Discard what was typed"))
        self.apply = QPushButton(tr("Apply"))
        self.apply.setObjectName("primary")
        self.apply.setToolTip(tr("Take over what was typed (Ctrl+Return)"))
        card = Card(tr("The file"))
        for button in (self.copy, self.back, self.apply):
            card.head.addWidget(button)
        card.body.addWidget(self.problem)
        card.body.addWidget(self.editor, 1)
        card.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        # The text takes all the height that there is
        self.column.removeWidget(self.columns)
        self.columns.hide()
        self.column.insertWidget(2, card, 100)
        self.copy.clicked.connect(self._copy)
        self.back.clicked.connect(self._discard)
        self.apply.clicked.connect(self.apply_typed)
        shortcut = QShortcut(QKeySequence("Ctrl+Return"), self.editor)
        shortcut.setContext(Qt.ShortcutContext.WidgetShortcut)
        shortcut.activated.connect(self.apply_typed)
        self.editor.modificationChanged.connect(self._typed)
        self._typed(False)

    @property
    def typed(self) -> bool:
        """Whether there is text that is not applied yet."""
        return self.editor.document().isModified()

    def _typed(self, modified: bool) -> None:
        for button in (self.back, self.apply):
            button.setEnabled(modified)
        self.context.yaml_typed.emit(modified)

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.editor.toPlainText())

    def forget_typed(self) -> None:
        """What was typed is not wanted any more."""
        show_error(self.problem, [])
        self.editor.document().setModified(False)

    def _discard(self) -> None:
        self.forget_typed()
        self.refresh()

    def apply_typed(self) -> bool:
        """Takes over what was typed. False (and the error shown) where it is no experiment."""
        if not self.typed:
            return True
        try:
            self.context.draft.apply_yaml(self.editor.toPlainText())
        except KDStudioError as error:
            show_error(self.problem, [". ".join(part for part in (error.what, error.fix) if part)])
            return False
        show_error(self.problem, [])
        self.editor.document().setModified(False)
        self.refresh()
        return True

    def refresh(self) -> None:
        """Shows the text as it is now; what was typed and not applied stays."""
        super().refresh()
        if self.typed:
            return
        text = self.context.draft.yaml_text(self.context.experiment)
        if text != self.editor.toPlainText():
            place = self.editor.verticalScrollBar().value()
            self.editor.setPlainText(text)
            self.editor.verticalScrollBar().setValue(place)
            self.editor.document().setModified(False)
