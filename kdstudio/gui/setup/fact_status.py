"""The line that says how a question to the engine stands: asked, given up, failed; with the button that helps."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QMessageBox,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from kdstudio.gui.language import mark, tr
from kdstudio.gui.setup.context import Context
from kdstudio.gui.setup.facts import Fact, FactState

TRUST = mark(
    "{name} holds a Python file that makes a network. It is a program: while it builds the network it can do on this "
    "computer whatever you can do: read and delete your files, and use the network.\n\n"
    "Trust the project only if you wrote the file, or read it, or know who did. Trust is remembered on this computer "
    "for this folder; kdstudio trust --remove takes it back."
)


class FactStatus(QWidget):
    """Shown while there is no answer, and hidden when there is one.

    Args:
        context: Of the page.
        part: See `Facts`.
        doing: What is being done, while it is asked: "Reading the data".
    """

    def __init__(self, context: Context, part: str, doing: str) -> None:
        super().__init__()
        self.context = context
        self.part = part
        self.doing = doing
        self.text = QLabel()
        self.text.setObjectName("soft")
        self.text.setWordWrap(True)
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setObjectName("thin")
        self.bar.setAccessibleName(doing)
        self.cancel = QPushButton(tr("Cancel"))
        self.cancel.clicked.connect(lambda: context.facts.cancel(part))
        self.again = QPushButton(tr("Look again"))
        self.again.setToolTip(tr("Ask again: a file was changed, or what was missing is there now"))
        self.again.clicked.connect(lambda: context.facts.look_again("data"))
        self.download = QPushButton(tr("Download"))
        self.download.setObjectName("primary")
        self.download.clicked.connect(context.facts.allow_download)
        self.trust = QPushButton(tr("Trust this project..."))
        self.trust.clicked.connect(self._ask_trust)
        row = QHBoxLayout()
        row.setSpacing(8)
        for button in (self.download, self.trust, self.again, self.cancel):
            row.addWidget(button)
        row.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(self.text)
        layout.addWidget(self.bar)
        layout.addLayout(row)

    def refresh(self) -> None:
        """Shows how the question stands."""
        facts = self.context.facts
        fact = facts.parts.get(self.part, Fact())
        # Quick answers come without a flicker: nothing is said for the first half second
        busy = fact.state is FactState.ASKING and (fact.progress is not None or fact.answer is None)
        downloading = self.part == "data" and facts.needs_download
        failed = fact.state is FactState.FAILED
        self.bar.setVisible(busy)
        self.cancel.setVisible(busy and fact.progress is not None)
        self.download.setVisible(downloading)
        self.trust.setVisible(failed and fact.error is not None and fact.error.kind == "untrusted")
        self.again.setVisible(failed or fact.state is FactState.CANCELLED)
        label, done, total = fact.progress or ("", 0, 0)
        self.bar.setRange(0, total if busy else 1)
        self.bar.setValue(done)
        if busy:
            words = label or tr("{doing}...", doing=self.doing)
            if label and total:
                words = tr("{doing}, {percent:.0f} %", doing=label, percent=100 * done / total)
            self.text.setText(words)
        elif downloading:
            self.text.setText(tr("These data are not on this computer yet. They are fetched once, for all projects."))
        elif failed and fact.error is not None:
            self.text.setText("\n".join(words for words in (fact.error.what, fact.error.why, fact.error.fix) if words))
        elif fact.state is FactState.CANCELLED:
            self.text.setText(tr("This was given up."))
        elif fact.state is FactState.NONE:
            self.text.setText(self._nothing())
        self.setVisible(busy or downloading or failed or fact.state in (FactState.CANCELLED, FactState.NONE))

    def _nothing(self) -> str:
        if self.part == "data" or self.context.problem_below(self.part):
            return tr("This appears when the settings are right.")
        if self.context.facts.data.error is not None:
            return tr("This appears when the data can be read.")
        return tr("This appears when the data are known.")

    def _ask_trust(self) -> None:
        project = self.context.project
        if project is None:
            return
        box = QMessageBox(self)
        box.setWindowTitle(tr("Trust this project?"))
        box.setText(tr("Let the Python files of {project} run?", project=project.title))
        box.setInformativeText(tr(TRUST, name=project.title))
        yes = box.addButton(tr("Trust this project"), QMessageBox.ButtonRole.AcceptRole)
        box.setDefaultButton(box.addButton(QMessageBox.StandardButton.Cancel))
        box.exec()
        if box.clickedButton() is yes:
            project.trust()
            self.context.facts.look_again("data")
