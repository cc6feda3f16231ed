"""What teacher and student write from the same beginning, side by side."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QDoubleSpinBox, QGridLayout, QHBoxLayout, QLabel, QLineEdit, QSpinBox, QWidget

from kdstudio.gui.export.command_card import CommandCard
from kdstudio.gui.language import mark, tr
from kdstudio.gui.theme import Theme
from kdstudio.project.runs.folder import RunFolder

NETWORKS = {"teacher": mark("Teacher"), "student": mark("Student"), "baseline": mark("Student alone")}
MODES = {"sampled": mark("Drawn from what is possible"), "greedy": mark("The likeliest tokens")}
MOST = 4


class WrittenCard(CommandCard):
    """For runs of causal language models."""

    def __init__(self, theme: Theme) -> None:
        super().__init__(
            tr("What they write"),
            tr("Teacher and student go on with the same text. After a run, with text that none of them has learned."),
            "write",
            tr("Write"),
        )
        self.theme = theme
        self.button.setAccessibleName(tr("Let the networks go on with the text"))
        self.prompt = QLineEdit()
        self.prompt.setAccessibleName(tr("Text to go on with"))
        self.prompt.setPlaceholderText(tr("A text to go on with"))
        self.prompt.textChanged.connect(lambda _: self._enable())
        self.prompt.returnPressed.connect(self.button.click)
        self.tokens = QSpinBox()
        self.tokens.setRange(1, 2000)
        self.tokens.setValue(48)
        self.tokens.setPrefix(tr("tokens: "))
        self.tokens.setToolTip(tr("How many tokens are written (usual 48)"))
        self.temperature = QDoubleSpinBox()
        self.temperature.setRange(0.05, 10)
        self.temperature.setSingleStep(0.1)
        self.temperature.setValue(0.8)
        self.temperature.setPrefix(tr("temperature: "))
        self.temperature.setToolTip(tr("Of what is drawn (usual 0.7 to 1)"))
        for box in (self.tokens, self.temperature):
            box.setAccessibleName(box.toolTip())
            box.lineEdit().setTextMargins(6, 0, 0, 0)
        self.mode = QComboBox()
        self.mode.setAccessibleName(tr("How they write"))
        for mode, words in MODES.items():
            self.mode.addItem(tr(words), mode)
        self.mode.activated.connect(lambda _: self._fill())
        while self.row.count():
            self.row.takeAt(0)
        self.row.addWidget(self.prompt, 1)
        for widget in (self.tokens, self.temperature, self.button):
            self.row.addWidget(widget)
        head = QHBoxLayout()
        head.addWidget(self.mode)
        head.addStretch(1)
        self._answer: dict[str, Any] | None = None
        self._made = False
        self.rows = QWidget()
        self._grid = QGridLayout(self.rows)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(16)
        self._grid.setVerticalSpacing(8)
        self.body.addLayout(head)
        self.body.addWidget(self.rows)
        theme.changed.connect(self._fill)
        self._enable()

    def arguments(self) -> list[str]:
        settings = ["--tokens", str(self.tokens.value()), "--temperature", f"{self.temperature.value():g}"]
        return [f"--prompt={self.prompt.text()}", *settings]

    def show_run(self, run: RunFolder | None) -> None:
        if run != self.run_folder:
            self._answer, self._made = None, False
        super().show_run(run)
        if not self._made and run is not None:
            self._answer = run.written()
        self._enable()
        self._fill()

    def show_answer(self, answer: dict[str, Any]) -> None:
        self._answer, self._made = answer, True
        self._fill()

    def _show_busy(self) -> None:
        super()._show_busy()
        self._enable()

    def _enable(self) -> None:
        self.button.setEnabled(self.busy or bool(self.prompt.text().strip()))

    def _fill(self) -> None:
        while (item := self._grid.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.deleteLater()
        samples = self._answer["samples"][:MOST] if self._answer is not None else []
        self.rows.setVisible(bool(samples))
        self.mode.setVisible(bool(samples))
        names = list(dict.fromkeys(name for sample in samples for name in sample["networks"]))
        order = [name for name in NETWORKS if name in names]
        colours = self.theme.tokens
        for column, name in enumerate(order):
            head = QLabel(f'<span style="color:{getattr(colours, name)}">●</span> {tr(NETWORKS[name])}')
            self._grid.addWidget(head, 0, column)
            self._grid.setColumnStretch(column, 1)
        mode = str(self.mode.currentData())
        for place, sample in enumerate(samples):
            prompt = QLabel(tr("“{text}”", text=" ".join(sample["prompt"].split())))
            prompt.setObjectName("soft")
            prompt.setWordWrap(True)
            prompt.setTextFormat(Qt.TextFormat.PlainText)
            self._grid.addWidget(prompt, 2 * place + 1, 0, 1, max(len(order), 1))
            for column, name in enumerate(order):
                text = " ".join(str(sample["networks"].get(name, {}).get(mode, "")).split())
                said = QLabel(text or tr("(nothing that can be read)"))
                said.setWordWrap(True)
                said.setTextFormat(Qt.TextFormat.PlainText)
                said.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
                self._grid.addWidget(said, 2 * place + 2, column, Qt.AlignmentFlag.AlignTop)
