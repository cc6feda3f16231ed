"""Two runs side by side: their specs, and where their students disagree."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from kdstudio.gui.language import tr, trn
from kdstudio.gui.setup.words import path_text
from kdstudio.gui.theme import Theme
from kdstudio.project.run_difference import Difference

RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class DifferenceDialog(QDialog):
    """Shows a difference; changes nothing."""

    def __init__(self, theme: Theme, found: Difference, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        names = [summary.run.name for summary in found.runs]
        self.setWindowTitle(tr("{first} and {second}", first=names[0], second=names[1]))
        self.resize(980, 560)
        self.theme, self.found = theme, found
        self.fields = _table([tr("Field"), *names], tr("Fields that differ"))
        rows: list[list[str]] = [[tr("Score"), *(_score(summary) for summary in found.runs)]]
        rows += [[path_text(path), _value(one), _value(other)] for path, one, other in found.spec]
        _fill(self.fields, rows)
        for row, (path, _, _) in enumerate(found.spec, 1):
            item = self.fields.item(row, 0)
            if item is not None:
                item.setToolTip(path)
        spec_title = QLabel(
            trn("{count} field differs", "{count} fields differ", len(found.spec))
            if found.spec
            else tr("The experiments are the same")
        )
        spec_title.setObjectName("heading")
        left = QVBoxLayout()
        left.setSpacing(6)
        left.addWidget(spec_title)
        left.addWidget(self.fields, 1)
        right = QVBoxLayout()
        right.setSpacing(6)
        students = QLabel(tr("The students"))
        students.setObjectName("heading")
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.words.setTextFormat(Qt.TextFormat.PlainText)
        self.classes = _table([tr("Class"), tr("Samples"), *names, tr("Points")], tr("Right answers by class"))
        right.addWidget(students)
        right.addWidget(self.words)
        right.addWidget(self.classes, 1)
        self._show_students(names)
        body = QHBoxLayout()
        body.setSpacing(16)
        body.addLayout(left, 1)
        body.addLayout(right, 1)
        close = QPushButton(tr("Close"))
        close.clicked.connect(self.accept)
        foot = QHBoxLayout()
        foot.addStretch(1)
        foot.addWidget(close)
        column = QVBoxLayout(self)
        column.setSpacing(12)
        column.addLayout(body, 1)
        column.addLayout(foot)

    def _show_students(self, names: list[str]) -> None:
        said = self.found.students
        self.classes.setVisible(said is not None)
        if said is None:
            self.words.setText(tr("They cannot be compared: {why}.", why=self.found.why_not))
            return
        self.words.setText(
            tr(
                "On {count:,} validation samples they agree on {share:.1f} %. Right are both on {both:,}, only {first} "
                "on {one:,}, only {second} on {other:,}, and neither on {neither:,}.",
                count=said.count,
                share=100 * said.agreement,
                both=said.both,
                first=names[0],
                one=said.first_only,
                second=names[1],
                other=said.second_only,
                neither=said.neither,
            )
        )
        rows = []
        for name, (count, one, other) in zip(said.classes, said.per_class):
            figures = (
                [f"{100 * one:.1f} %", f"{100 * other:.1f} %", f"{100 * (other - one):+.1f}"] if count else ["–"] * 3
            )
            rows.append([name, f"{count:,}", *figures])
        _fill(self.classes, rows, numbers=True)
        for row, (count, one, other) in enumerate(said.per_class):
            item = self.classes.item(row, 4)
            if item is not None and count and one != other:
                item.setForeground(QColor(self.theme.tokens.good if other > one else self.theme.tokens.bad))


def _table(heads: list[str], name: str) -> QTableWidget:
    table = QTableWidget(0, len(heads))
    table.setAccessibleName(name)
    table.setHorizontalHeaderLabels(heads)
    table.verticalHeader().hide()
    table.verticalHeader().setDefaultSectionSize(26)
    table.setShowGrid(False)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    header = table.horizontalHeader()
    header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    header.setStretchLastSection(True)
    return table


def _fill(table: QTableWidget, rows: list[list[str]], numbers: bool = False) -> None:
    table.setRowCount(len(rows))
    for row, cells in enumerate(rows):
        for column, text in enumerate(cells):
            item = QTableWidgetItem(text)
            if numbers and column:
                item.setTextAlignment(RIGHT)
            table.setItem(row, column, item)


def _score(summary: Any) -> str:
    if summary.score is None:
        return "–"
    return f"{summary.score:.2f}" if summary.is_language else f"{100 * summary.score:.2f} %"


def _value(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
