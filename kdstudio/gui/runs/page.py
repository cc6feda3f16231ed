"""The Runs page: a table of all runs with their figures."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QStackedLayout, QTableWidget, QTableWidgetItem, QWidget

from kdstudio.gui.theme import Theme
from kdstudio.gui.widgets.empty import EmptyState
from kdstudio.project.folder import Project
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.state import RunStatus, status_of

COLUMNS = ("Run", "Status", "Student %", "Alone %", "Teacher %", "Agreement %", "Parameters", "Smaller")


class RunsPage(QWidget):
    """Double click or Enter shows a run on the Monitor page.

    Signals:
        chosen: A run folder to be shown.
    """

    chosen = Signal(object)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.runs: list[RunFolder] = []
        self.table = QTableWidget(0, len(COLUMNS))
        self.table.setAccessibleName("Runs")
        self.table.setHorizontalHeaderLabels(COLUMNS)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(32)
        self.table.setShowGrid(False)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        header.setHighlightSections(False)
        self.table.itemActivated.connect(lambda item: self.chosen.emit(self.runs[item.row()]))
        self.stack = QStackedLayout(self)
        self.stack.addWidget(EmptyState("No runs yet", "Every run of this project is listed here with its score."))
        holder = QWidget()
        inner = QStackedLayout(holder)
        inner.setContentsMargins(10, 10, 10, 10)
        inner.addWidget(self.table)
        self.stack.addWidget(holder)

    def show_project(self, project: Project | None) -> None:
        """Fills the table anew."""
        self.runs = list(reversed(project.runs())) if project is not None else []
        self.stack.setCurrentIndex(1 if self.runs else 0)
        self.table.setRowCount(len(self.runs))
        for row, run in enumerate(self.runs):
            state = run.state()
            status = status_of(state)
            for column, text in enumerate([run.name, status.text(state), *figures(run.scorecard())]):
                item = QTableWidgetItem(text)
                if column > 1:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                if column == 1 and status in (RunStatus.FAILED, RunStatus.INTERRUPTED):
                    item.setForeground(QColor(self.theme.tokens.bad))
                self.table.setItem(row, column, item)


def figures(scorecard: dict[str, Any] | None) -> list[str]:
    """What the table says of a run, from its scorecard; dashes where there is none."""
    if scorecard is None:
        return ["–"] * (len(COLUMNS) - 2)
    networks, split = scorecard["networks"], scorecard["reported_split"]

    def accuracy(name: str) -> str:
        measured = networks.get(name, {}).get(split)
        return f"{100 * measured['accuracy']:.2f}" if measured else "–"

    student = networks["student"]
    fidelity = (student.get(split) or {}).get("fidelity")
    teacher = networks.get("teacher")
    return [
        accuracy("student"),
        accuracy("baseline"),
        accuracy("teacher"),
        f"{100 * fidelity['agreement']:.2f}" if fidelity else "–",
        f"{student['parameters']:,}",
        f"{teacher['parameters'] / student['parameters']:.1f} ×" if teacher else "–",
    ]
