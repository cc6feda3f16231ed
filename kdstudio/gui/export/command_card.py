"""A card whose button runs a command on the shown run, in a process of its own, and shows its answer."""

from __future__ import annotations

import sys
from typing import Any

from PySide6.QtCore import QProcess, Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout

from kdstudio.gui.export.class_bias import read_answer
from kdstudio.gui.language import tr
from kdstudio.project.runs.folder import RunFolder


class CommandCard(QFrame):
    """What is below `body` is the card's own; `row` holds its settings and the button."""

    def __init__(self, title: str, words: str, verb: str, button: str) -> None:
        super().__init__()
        self.setObjectName("card")
        self.run_folder: RunFolder | None = None
        self.verb, self._button_words = verb, button
        self._process: QProcess | None = None
        self._cancelled = False
        heading, text = QLabel(title), QLabel(words)
        heading.setObjectName("heading")
        text.setObjectName("soft")
        text.setWordWrap(True)
        self.button = QPushButton(button)
        self.button.clicked.connect(self._press)
        self.problem = QLabel()
        self.problem.setObjectName("error")
        self.problem.setWordWrap(True)
        self.problem.setTextFormat(Qt.TextFormat.PlainText)
        self.problem.hide()
        self.bar = QProgressBar()
        self.bar.setRange(0, 0)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(6)
        self.bar.setAccessibleName(tr("{thing} is going on", thing=title))
        self.bar.hide()
        self.row = QHBoxLayout()
        self.row.setSpacing(8)
        self.row.addWidget(self.button)
        self.row.addStretch(1)
        self.body = QVBoxLayout()
        self.body.setSpacing(8)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 12, 16, 12)
        column.setSpacing(8)
        column.addWidget(heading)
        column.addWidget(text)
        column.addLayout(self.row)
        column.addWidget(self.bar)
        column.addWidget(self.problem)
        column.addLayout(self.body)

    @property
    def busy(self) -> bool:
        """Whether its command is going on."""
        return self._process is not None

    def arguments(self) -> list[str]:
        """What the command is told beside the run."""
        return []

    def show_answer(self, answer: dict[str, Any]) -> None:
        """Shows what the command found."""
        raise TypeError("a card shows its answer")

    def show_run(self, run: RunFolder | None) -> None:
        """Takes another run; what goes on for the last one ends."""
        if run != self.run_folder:
            self.shut_down()
            self.problem.hide()
        self.run_folder = run

    def _press(self) -> None:
        if self._process is not None:
            self._cancelled = True
            self._process.waitForStarted(1000)  # one that has not begun cannot be ended
            self._process.terminate()
            return
        if self.run_folder is None:
            return
        self.problem.hide()
        self._cancelled = False
        self._process = QProcess(self)
        self._process.finished.connect(self._finished)
        self._show_busy()
        self._process.start(
            sys.executable, ["-m", "kdstudio", self.verb, str(self.run_folder.path), *self.arguments(), "--json"]
        )

    def _show_busy(self) -> None:
        self.bar.setVisible(self.busy)
        self.button.setText(tr("Stop") if self.busy else self._button_words)

    def _finished(self, code: int, status: QProcess.ExitStatus) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        said = bytes(process.readAllStandardError().data()).decode("utf-8", "replace").strip()
        answer = read_answer(bytes(process.readAllStandardOutput().data()).decode("utf-8", "replace"))
        process.deleteLater()
        self._show_busy()
        if code == 0 and answer is not None:
            self.show_answer(answer)
        elif not self._cancelled:
            self.problem.setText(said.removeprefix("kdstudio: ") or tr("The process died."))
            self.problem.show()

    def shut_down(self) -> None:
        """Ends what is going on."""
        if self._process is not None:
            self._process.blockSignals(True)
            self._process.terminate()
            if not self._process.waitForFinished(3000):
                self._process.kill()
                self._process.waitForFinished(1000)
            self._process.deleteLater()
            self._process = None
            self._show_busy()
