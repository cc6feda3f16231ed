"""The trials of a sweep as a table, the best first until a heading is clicked."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QSortFilterProxyModel, Qt, Signal
from PySide6.QtGui import QColor, QFont
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from kdstudio.gui.language import tr
from kdstudio.gui.runs.page import Header
from kdstudio.gui.sweeps.words import OUTCOMES, metric_words, shown, value_text
from kdstudio.gui.theme import Theme
from kdstudio.project.sweeps.trials import Outcome, Trial, Trials

Index = QModelIndex | QPersistentModelIndex
SORT = Qt.ItemDataRole.UserRole
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
TRIAL, STATUS, SCORE, SEEDS, FIRST_VALUE = 0, 1, 2, 3, 4


class TrialsModel(QAbstractTableModel):
    """One row a trial."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.rows: list[Trial] = []
        self.paths: list[str] = []
        self.titles: list[str] = []
        self.trials = Trials([], "accuracy", False)
        self._best: int | None = None

    def fill(self, fields: dict[str, str], trials: Trials) -> None:
        """Shows these trials; fields by path, with what they are called."""
        self.beginResetModel()
        self.paths, self.titles, self.trials = list(fields), list(fields.values()), trials
        sign = 1 if trials.lower else -1
        self.rows = sorted(
            trials.trials,
            key=lambda t: (t.outcome is not Outcome.FINISHED, t.score is None, sign * (t.score or 0.0), t.number),
        )
        best = trials.best
        self._best = best.number if best is not None else None
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 (Qt's own signature)
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else FIRST_VALUE + len(self.paths)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation is not Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            heads = (tr("Trial"), tr("Status"), metric_words(self.trials.metric), tr("Seeds"))
            return heads[section] if section < FIRST_VALUE else self.titles[section - FIRST_VALUE]
        if role == Qt.ItemDataRole.ToolTipRole:
            tips = (
                tr("In the order in which they were made"),
                tr("Where the trial stands"),
                tr("The best epoch's score on validation samples: mean and standard deviation over seeds"),
                tr("Trainings that have a score"),
            )
            return tips[section] if section < FIRST_VALUE else self.paths[section - FIRST_VALUE]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return LEFT if section == STATUS else RIGHT
        return None

    def _value(self, trial: Trial, column: int) -> Any:
        if column >= FIRST_VALUE:
            return trial.values.get(self.paths[column - FIRST_VALUE])
        return (trial.number, tr(OUTCOMES[trial.outcome]), trial.score, len(trial.scores))[column]

    def _text(self, trial: Trial, column: int) -> str:
        value = self._value(trial, column)
        if column == SCORE:
            if value is None:
                return "–"
            metric, spread = self.trials.metric, trial.spread
            text = f"{shown(metric, value):.2f}"
            return text if spread is None else f"{text} ± {shown(metric, spread):.2f}"
        return value_text(value) if column >= FIRST_VALUE else str(value)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        trial, column = self.rows[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(trial, column)
        if role == SORT:
            value = self._value(trial, column)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            return float("-inf") if value is None else value if number or isinstance(value, str) else str(value)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return LEFT if column == STATUS else RIGHT
        if role == Qt.ItemDataRole.FontRole and trial.number == self._best:
            font = QFont()
            font.setBold(True)
            return font
        if role == Qt.ItemDataRole.ForegroundRole and trial.outcome is Outcome.FAILED:
            return QColor(self.theme.tokens.bad)
        if role == Qt.ItemDataRole.ForegroundRole and trial.outcome is not Outcome.FINISHED:
            return QColor(self.theme.tokens.soft)
        if role == Qt.ItemDataRole.ToolTipRole:
            return "\n".join(run.run.name for run in trial.runs)
        return None


class TrialsTable(QTableView):
    """Signals:
    picked: The number of the trial that was selected by the person.
    opened: A trial was double clicked, or Enter was pressed on it.
    """

    picked = Signal(int)
    opened = Signal(int)

    def __init__(self, model: TrialsModel) -> None:
        super().__init__()
        self._rows = model
        self._proxy = QSortFilterProxyModel(self)
        self._proxy.setSourceModel(model)
        self._proxy.setSortRole(SORT)
        self.setAccessibleName(tr("Trials"))
        header = Header()
        self.setHorizontalHeader(header)
        self.setModel(self._proxy)
        self.setSortingEnabled(True)
        self.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(28)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)
        self.selectionModel().currentRowChanged.connect(lambda *_: self._selected())
        self.activated.connect(lambda index: self.opened.emit(self._number(index)))
        self._quiet = False

    def _number(self, index: Index) -> int:
        return self._rows.rows[self._proxy.mapToSource(index).row()].number

    def _selected(self) -> None:
        if not self._quiet and self.currentIndex().isValid():
            self.picked.emit(self._number(self.currentIndex()))

    def fill(self, fields: dict[str, str], trials: Trials, chosen: int | None) -> None:
        """Shows these trials, one of them selected."""
        self._quiet = True
        self._rows.fill(fields, trials)
        self.choose(chosen)
        self._quiet = False

    def choose(self, number: int | None) -> None:
        """Selects a trial."""
        quiet, self._quiet = self._quiet, True
        rows = [row for row, trial in enumerate(self._rows.rows) if trial.number == number]
        if rows:
            self.setCurrentIndex(self._proxy.mapFromSource(self._rows.index(rows[0], 0)))
        else:
            self.clearSelection()
        self._quiet = quiet
