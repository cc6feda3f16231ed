"""Teacher and student side by side: parameters, FLOPs, file size, and how much smaller the student is."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QWidget

from kdstudio.gui.language import mark, tr
from kdstudio.gui.setup.context import Context
from kdstudio.gui.setup.fact_status import FactStatus
from kdstudio.gui.setup.section import Card
from kdstudio.gui.setup.words import amount, file_size, label_of, times

#: Weights are kept as float32.
BYTES_PER_PARAMETER = 4
#: Figures farther apart than this are hard to compare.
WIDEST = 560
ROWS = (mark("Parameters"), mark("FLOPs per sample"), mark("File, about"))
#: What a cell is called, by column.
COLUMNS = {"teacher": mark("{figure}, teacher"), "student": mark("{figure}, student"), "ratio": mark("{figure}, ratio")}
BUILDING = {"teacher": mark("Building the teacher"), "student": mark("Building the student")}


class CostCard(Card):
    """The costs of both networks."""

    def __init__(self, context: Context) -> None:
        super().__init__(tr("Side by side"))
        self.context = context
        self.sentence = QLabel()
        self.sentence.setObjectName("verdict")
        self.sentence.setWordWrap(True)
        self.statuses = {side: FactStatus(context, side, tr(doing)) for side, doing in BUILDING.items()}
        self.grid = QWidget()
        grid = QGridLayout(self.grid)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(24)
        grid.setVerticalSpacing(8)
        self.grid.setMaximumWidth(WIDEST)
        self.cells: dict[tuple[str, str], QLabel] = {}
        self.names = {side: QLabel() for side in ("teacher", "student")}
        for column, side in enumerate(("teacher", "student"), start=1):
            self.names[side].setTextFormat(Qt.TextFormat.RichText)
            grid.addWidget(self.names[side], 0, column, Qt.AlignmentFlag.AlignRight)
        heading = QLabel(tr("Ratio"))
        heading.setObjectName("soft")
        grid.addWidget(heading, 0, 3, Qt.AlignmentFlag.AlignRight)
        for row, title in enumerate(ROWS, start=1):
            label = QLabel(tr(title))
            label.setObjectName("soft")
            grid.addWidget(label, row, 0)
            for column, (side, words) in enumerate(COLUMNS.items(), start=1):
                cell = QLabel()
                cell.setAccessibleName(tr(words, figure=tr(title)))
                self.cells[title, side] = cell
                grid.addWidget(cell, row, column, Qt.AlignmentFlag.AlignRight)
        grid.setColumnStretch(0, 1)
        self.body.addWidget(self.sentence)
        self.body.addWidget(self.grid)
        for side in ("teacher", "student"):
            self.body.addWidget(self.statuses[side])
        context.theme.changed.connect(self.refresh)

    def refresh(self) -> None:
        facts, tokens = self.context.facts, self.context.theme.tokens
        reports = {side: facts.parts[side].answer for side in ("teacher", "student")}
        present = {side: self.context.document.get(side) is not None for side in reports}
        for side, colour in (("teacher", tokens.teacher), ("student", tokens.student)):
            self.names[side].setText(f'<span style="color:{colour}">●</span> {label_of(side)}')
            self.names[side].setVisible(present[side])
            self.statuses[side].refresh()
            if not present[side]:
                self.statuses[side].hide()
        figures = {side: _figures(report) if report and present[side] else None for side, report in reports.items()}
        for index, title in enumerate(ROWS):
            for side in ("teacher", "student"):
                row = figures[side]
                self.cells[title, side].setText(row[index][1] if row else "–" if present[side] else "")
            both = figures["teacher"] and figures["student"]
            ratio = figures["teacher"][index][0] / max(figures["student"][index][0], 1) if both else 0.0  # type: ignore[index]
            self.cells[title, "ratio"].setText(f"{times(ratio)} ×" if ratio else "")
        self.grid.setVisible(any(figures.values()))
        self.sentence.setText(sentence(reports["teacher"], reports["student"], present["teacher"]))
        self.sentence.setVisible(bool(self.sentence.text()))


def _figures(report: dict[str, Any]) -> list[tuple[float, str]]:
    size = report["parameters"] * BYTES_PER_PARAMETER
    return [
        (report["parameters"], f"{report['parameters']:,}"),
        (report["flops"], amount(report["flops"])),
        (size, file_size(size)),
    ]


def sentence(teacher: dict[str, Any] | None, student: dict[str, Any] | None, distilled: bool) -> str:
    """The ratio in words."""
    if student is None:
        return ""
    if not distilled:
        return tr("The student has {count} parameters; there is no teacher.", count=amount(student["parameters"]))
    if teacher is None:
        return ""
    smaller = teacher["parameters"] / max(student["parameters"], 1)
    fewer = teacher["flops"] / max(student["flops"], 1)
    if smaller < 1:
        return tr("The student is {ratio}× larger than its teacher.", ratio=times(1 / smaller))
    return tr(
        "The student is {smaller}× smaller and needs {fewer}× fewer FLOPs.", smaller=times(smaller), fewer=times(fewer)
    )
