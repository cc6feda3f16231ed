"""The table of a comparison of methods: means and spreads, and the difference to soft targets as a painted interval."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QPersistentModelIndex,
    QPointF,
    QRectF,
    QSize,
    QSortFilterProxyModel,
    Qt,
)
from PySide6.QtGui import QColor, QFont, QPainter, QPen, QPolygonF
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from kdstudio.gui.language import mark, tr
from kdstudio.gui.runs.method_words import VERDICTS, title_of
from kdstudio.gui.runs.page import Header
from kdstudio.gui.theme import Theme, Tokens
from kdstudio.project.method_bench import REFERENCE, Row
from kdstudio.project.paired import BETTER, NO_DIFFERENCE, WORSE

Index = QModelIndex | QPersistentModelIndex
SORT = Qt.ItemDataRole.UserRole
ROW = Qt.ItemDataRole.UserRole + 1
#: The painted interval's axis reaches this many times the middle difference, or as far as the largest.
REACH = 2.0
PLOT_WIDTH, MOST_WIDTH, DOT, CAP = 150, 320, 3.5, 4
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter


@dataclass(frozen=True)
class Column:
    """A column: its heading, what it sorts by, how it is written, and what it means."""

    title: str
    value: Callable[[Row], Any]
    write: Callable[[Row], str]
    tip: str
    number: bool = True


def _mean(pair: tuple[float, float | None] | None) -> float | None:
    return pair[0] if pair is not None else None


def _spread(pair: tuple[float, float | None] | None) -> str:
    if pair is None:
        return "–"
    mean, spread = pair
    return f"{100 * mean:.2f}" if spread is None else f"{100 * mean:.2f} ± {100 * spread:.2f}"


def _points(value: float) -> str:
    return f"{100 * value:+.2f}".replace("-", "−")


def _against(row: Row) -> str:
    return _points(row.against[0]) if row.against is not None else "–"


def _interval(row: Row) -> str:
    """The numbers that are painted."""
    if row.against is None:
        return ""
    mean, spread = row.against
    if spread is None or row.interval is None:
        return tr("{mean} points with one seed", mean=_points(mean))
    low, high = _points(mean - row.interval), _points(mean + row.interval)
    parts = {"mean": _points(mean), "spread": f"{100 * spread:.2f}", "low": low, "high": high}
    return tr("{mean} ± {spread} points; 95 % interval of the mean {low} to {high}", **parts)


def _verdict(row: Row) -> str:
    if row.method == REFERENCE:
        return tr("reference")
    if not row.seeds and not row.fits:
        return tr("does not fit")
    if not row.seeds and row.why_not:
        return tr("failed")
    return tr(VERDICTS[row.verdict]) if row.verdict in VERDICTS else "–"


def _steps(row: Row) -> str:
    return f"{row.step_ratio:.2f} ×" if row.step_ratio is not None else "–"


def _memory(row: Row) -> str:
    return f"{row.memory_bytes / 1e6:,.0f} MB" if row.memory_bytes is not None else "–"


COLUMNS = (
    Column(mark("Method"), lambda r: title_of(r.method), lambda r: title_of(r.method), mark("How it passes knowledge"),
           False),
    Column(mark("Seeds"), lambda r: r.seeds, lambda r: str(r.seeds), mark("Seeds that are finished")),
    Column(mark("Validation %"), lambda r: _mean(r.validation), lambda r: _spread(r.validation),
           mark("Accuracy on validation samples: mean and standard deviation over seeds; by it methods are chosen")),
    Column(mark("Test %"), lambda r: _mean(r.test), lambda r: _spread(r.test),
           mark("Accuracy on test samples: mean and standard deviation over seeds")),
    Column(mark("Against soft targets"), lambda r: _mean(r.against), _against,
           mark("The mean difference in points, seed by seed, and its 95 % interval; an arrow lies beyond the axis")),
    Column(mark("Verdict"), _verdict, _verdict,
           mark("Better or worse with three seeds or more whose 95 % interval lies on one side of zero"), False),
    Column(mark("Step"), lambda r: r.step_ratio, _steps, mark("Time of a step, against hard labels alone")),
    Column(mark("Memory"), lambda r: r.memory_bytes, _memory,
           mark("The most on the device; where there is none, of the whole process")),
)  # fmt: skip
AGAINST = [column.title for column in COLUMNS].index("Against soft targets")
VERDICT = AGAINST + 1


class MethodsModel(QAbstractTableModel):
    """One row a method, in the order of the table's file: the best validation accuracy first."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.rows: list[Row] = []

    def fill(self, rows: list[Row]) -> None:
        """Shows these rows."""
        self.beginResetModel()
        self.rows = rows
        self.endResetModel()

    @property
    def reach(self) -> float:
        """How far the axis of the intervals goes to each side of zero. One far away must not flatten the others."""
        ends = [abs(row.against[0]) + (row.interval or 0.0) for row in self.rows if row.against is not None]
        return min(max(ends), REACH * statistics.median(ends)) or 1.0 if ends else 1.0

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 (Qt's own signature)
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation is not Qt.Orientation.Horizontal or section >= len(COLUMNS):
            return None
        column = COLUMNS[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return tr(column.title)
        if role == Qt.ItemDataRole.ToolTipRole:
            return tr(column.tip)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return RIGHT if column.number and section != AGAINST else LEFT
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row, column = self.rows[index.row()], COLUMNS[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.write(row)
        if role == SORT:
            value = column.value(row)
            return value if value is not None else float("-inf")
        if role == ROW:
            return row
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return RIGHT if column.number and index.column() != AGAINST else LEFT
        if role == Qt.ItemDataRole.FontRole and row.method == REFERENCE:
            font = QFont()
            font.setBold(True)
            return font
        if role == Qt.ItemDataRole.BackgroundRole and row.method == REFERENCE:
            return QColor(self.theme.tokens.raised)
        if role == Qt.ItemDataRole.ForegroundRole:
            return self._ink(row, index.column())
        if role == Qt.ItemDataRole.ToolTipRole:
            told = {0: row.source, AGAINST: _interval(row)}.get(index.column(), "")
            return row.why_not or told or tr(column.tip)
        return None

    def _ink(self, row: Row, column: int) -> QColor | None:
        tokens = self.theme.tokens
        if not row.seeds:
            return QColor(tokens.faint)
        return QColor(verdict_colour(tokens, row.verdict)) if column == VERDICT and row.verdict else None


def verdict_colour(tokens: Tokens, verdict: str) -> str:
    """Of the verdict's word and of its interval."""
    return {BETTER: tokens.good, WORSE: tokens.bad, NO_DIFFERENCE: tokens.ink}.get(verdict, tokens.soft)


class IntervalDelegate(QStyledItemDelegate):
    """Paints the difference to soft targets: its number, and a dot with its 95 % interval about a line at zero."""

    def __init__(self, model: MethodsModel, parent: QWidget) -> None:
        super().__init__(parent)
        self._model = model

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        found = super().sizeHint(option, index)
        return QSize(_text_width(option) + PLOT_WIDTH + 24, found.height())

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        super().paint(painter, option, index)  # ground and number
        row: Row = index.data(ROW)
        place = QRectF(option.rect)  # type: ignore[attr-defined]
        place.setLeft(place.left() + _text_width(option) + 16)
        place.setRight(min(place.right() - 12, place.left() + MOST_WIDTH))
        if place.width() < 40:
            return
        tokens, reach, middle = self._model.theme.tokens, self._model.reach, place.center()
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(tokens.faint), 1))
        painter.drawLine(QPointF(middle.x(), place.top()), QPointF(middle.x(), place.bottom()))
        if row.against is not None:
            self._interval(painter, place, row.against[0] / reach, (row.interval or 0.0) / reach, row)
        painter.restore()

    def _interval(self, painter: QPainter, place: QRectF, mean: float, half: float, row: Row) -> None:
        colour = QColor(verdict_colour(self._model.theme.tokens, row.verdict))
        middle, scale = place.center(), place.width() / 2 - DOT

        def at(value: float) -> float:
            return middle.x() + scale * max(-1.0, min(1.0, value))

        y = middle.y()
        painter.setPen(QPen(colour, 1.5))
        if row.interval is not None:
            painter.drawLine(QPointF(at(mean - half), y), QPointF(at(mean + half), y))
            for end in (mean - half, mean + half):
                if abs(end) <= 1:
                    painter.drawLine(QPointF(at(end), y - CAP), QPointF(at(end), y + CAP))
        painter.setBrush(colour if row.interval is not None else Qt.BrushStyle.NoBrush)
        if abs(mean) <= 1 + 1e-9:
            painter.drawEllipse(QPointF(at(mean), y), DOT, DOT)
        else:
            side = 1 if mean > 0 else -1
            tip = at(mean) + side * DOT
            corners = (QPointF(tip, y), QPointF(tip - 7 * side, y - 4), QPointF(tip - 7 * side, y + 4))
            painter.drawPolygon(QPolygonF(list(corners)))


def _text_width(option: QStyleOptionViewItem) -> int:
    return int(option.fontMetrics.horizontalAdvance("−00.00"))  # type: ignore[attr-defined]


class MethodsTable(QTableView):
    """In the order of the file until a heading is clicked."""

    def __init__(self, model: MethodsModel) -> None:
        super().__init__()
        self._proxy = QSortFilterProxyModel(self)
        self._proxy.setSourceModel(model)
        self._proxy.setSortRole(SORT)
        self.setAccessibleName(tr("Methods compared"))
        header = Header()
        self.setHorizontalHeader(header)
        self.setModel(self._proxy)
        self.setSortingEnabled(True)
        self.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
        self.setItemDelegateForColumn(AGAINST, IntervalDelegate(model, self))
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(28)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(AGAINST, QHeaderView.ResizeMode.Stretch)
