"""Bars of teacher and student per class, on a linear or a logarithmic axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QEvent, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QHelpEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from kdstudio.gui.language import tr, trn
from kdstudio.gui.monitor.palettes import Scale, decade_below, number, round_number, small_font
from kdstudio.gui.theme import Theme

GAP = 8
NAME_SHARE = 0.3
#: Heights of a row in lines of text: the least when all classes fit so, and the least otherwise.
TIGHT, LOOSE = 0.72, 0.9
LOWEST, LEAST_DECADES = 1e-6, 1e-2
#: Ends of the linear axis, each with the number of its parts.
ENDS = ((1.0, 4), (0.5, 5), (0.2, 4), (0.1, 5), (0.05, 5), (0.02, 4), (0.01, 5))
DECADES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0)


#: What classes that are not named get together: from the teacher, from the student, and how many they are.
Beyond = tuple[float | None, float, int]


@dataclass(frozen=True)
class BarRow:
    """A class, or with `label` -1 what is left over."""

    label: int
    name: str
    teacher: float | None
    student: float


def linear_ticks(end: float) -> list[tuple[float, str]]:
    """Places and words of an axis from 0 to one of `ENDS`."""
    parts = dict(ENDS)[end]
    return [(end * index / parts, f"{end * index / parts:g}") for index in range(parts + 1)]


def chosen_rows(
    names: list[str],
    teacher: np.ndarray | None,
    student: np.ndarray,
    most: int,
    beyond: Beyond | None = None,
    label: int = -1,
) -> list[BarRow]:
    """The rows for a distribution.

    All classes in their order where they fit. Otherwise those that teacher and student together give the most, as the
    teacher orders them, and a last row with the sum of the others, and of what is `beyond` them; the row
    of the label is there in any case then.
    """

    def row(label: int) -> BarRow:
        return BarRow(label, names[label], None if teacher is None else float(teacher[label]), float(student[label]))

    count = len(student)
    if count <= most and beyond is None:
        return [row(label) for label in range(count)]
    both = student if teacher is None else student + teacher
    first = np.argsort(-np.nan_to_num(both), kind="stable")[: max(1, most - 1)]
    if beyond is not None and label >= 0 and label not in first:
        first[-1] = label
    order = student if teacher is None else teacher
    rows = [row(int(label)) for label in sorted(first, key=lambda label: -float(order[label]))]
    rest = np.ones(count, bool)
    rest[first] = False
    more, own, unnamed = beyond if beyond is not None else (0.0, 0.0, 0)
    given = None if teacher is None else float(teacher[rest].sum()) + (more or 0.0)
    others = trn("{count:,} other", "{count:,} others", count - len(rows) + unnamed)
    return [*rows, BarRow(-1, others, given, float(student[rest].sum()) + own)]


class ClassBars(QWidget):
    """For each class a bar of the teacher above one of the student, and both values. What is left over gets no bar."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.names: list[str] = []
        self.teacher: np.ndarray | None = None
        self.student: np.ndarray = np.empty(0)
        self.label = -1
        self.logarithmic = False
        self.beyond: Beyond | None = None
        self.setAccessibleName(tr("Teacher and student by class"))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def show_sample(
        self,
        names: list[str],
        teacher: np.ndarray | None,
        student: np.ndarray,
        label: int,
        logarithmic: bool,
        beyond: Beyond | None = None,
    ) -> None:
        """Shows the distributions (K) of one sample with its label; `beyond` is what no name is given for."""
        self.beyond = beyond
        self.names, self.teacher, self.student = names, teacher, student
        self.label, self.logarithmic = label, logarithmic
        self.setAccessibleDescription("; ".join(self._words(row) for row in self.rows()[:12]))
        self.update()

    def minimumSizeHint(self) -> QSize:
        return QSize(160, 80)

    def _words(self, row: BarRow) -> str:
        given = number(row.student)
        if row.teacher is None:
            return tr("{name}: student {student}", name=row.name, student=given)
        return tr(
            "{name}: teacher {teacher}, student {student}", name=row.name, teacher=number(row.teacher), student=given
        )

    # -- geometry --------------------------------------------------------------------------------------------

    def _body(self) -> QRectF:
        """Where the rows are; above them the head, below them the axis."""
        line = QFontMetricsF(small_font(self)).height()
        return QRectF(0, line + 2, self.width(), max(1.0, self.height() - 2 * line - 4))

    def rows(self) -> list[BarRow]:
        """The rows that are shown at this size."""
        if not len(self.student):
            return []
        fits = self._body().height() / QFontMetricsF(small_font(self)).height()
        most = int(fits / TIGHT) if len(self.student) <= fits / TIGHT else int(fits / LOOSE)
        return chosen_rows(self.names, self.teacher, self.student, max(3, most), self.beyond, self.label)

    def scale(self) -> Scale:
        """The axis: from 0 to a round value that no class exceeds, or a logarithmic one from a round value to 1."""
        both = [part for part in (self.teacher, self.student) if part is not None and np.isfinite(part).any()]
        if self.logarithmic:
            rows = [value for row in self.rows() if row.label >= 0 for value in (row.teacher, row.student) if value]
            return Scale(decade_below(np.array(rows, float), LOWEST, LEAST_DECADES), 1.0, logarithmic=True)
        most = max((float(np.nanmax(part)) for part in both), default=1.0)
        return Scale(0.0, min((end for end, _ in ENDS if end >= most), default=1.0))

    def _row_height(self, count: int) -> float:
        return min(self._body().height() / max(count, 1), 34.0)

    # -- drawing ---------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        rows = self.rows()
        if not rows:
            return
        painter = QPainter(self)
        painter.setFont(small_font(self))
        tokens, metrics, body = self.theme.tokens, QFontMetricsF(small_font(self)), self._body()
        height = self._row_height(len(rows))
        longest = max(metrics.horizontalAdvance(row.name) for row in rows) * 1.06
        names = min(longest, NAME_SHARE * self.width())
        heads = {"teacher": (tr("teacher"), tokens.teacher), "student": (tr("student"), tokens.student)}
        columns = ["student"] if self.teacher is None else list(heads)
        value = max(metrics.horizontalAdvance(words) for words in (tr("student"), "8.8e-88")) + GAP
        values = value * len(columns)
        bars = QRectF(names + GAP, body.top(), max(1.0, self.width() - names - values - 2 * GAP), height * len(rows))
        self._draw_axis(painter, bars, metrics)
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for index, (words, colour) in enumerate(heads[network] for network in columns):
            place = QRectF(bars.right() + GAP + index * value, 0, value, body.top() - 2)
            painter.setPen(QColor(colour))
            painter.drawText(place, right, words)
        for index, row in enumerate(rows):
            top = bars.top() + index * height
            self._draw_row(painter, row, QRectF(bars.left(), top, bars.width(), height), metrics)
            painter.setPen(QColor(tokens.ink if row.label >= 0 else tokens.soft))
            for column, network in enumerate(columns):
                place = QRectF(bars.right() + GAP + column * value, top, value, height)
                painter.drawText(place, right, number(getattr(row, network)))

    def _draw_axis(self, painter: QPainter, bars: QRectF, metrics: QFontMetricsF) -> None:
        tokens = self.theme.tokens
        scale = self.scale()
        ticks = (
            [(value, round_number(value)) for value in DECADES if value >= scale.low * 0.99]
            if self.logarithmic
            else linear_ticks(scale.high)
        )
        free = -1e9
        for at, words in ticks:
            x = bars.left() + float(scale.place(np.array(at))) * bars.width()
            painter.setPen(QColor(tokens.line))
            painter.drawLine(int(x), int(bars.top()), int(x), int(bars.bottom()))
            wide = metrics.horizontalAdvance(words)
            left = min(x - wide / 2, bars.right() - wide / 2)
            if left >= free:
                painter.setPen(QColor(tokens.soft))
                painter.drawText(QRectF(left, bars.bottom() + 1, wide + 2, metrics.height()), words)
                free = left + wide + 6

    def _draw_row(self, painter: QPainter, row: BarRow, place: QRectF, metrics: QFontMetricsF) -> None:
        tokens = self.theme.tokens
        scale = self.scale()
        font = painter.font()
        font.setBold(row.label == self.label)
        painter.setFont(font)
        painter.setPen(QColor(tokens.ink if row.label == self.label else tokens.soft))
        room = place.left() - GAP
        name = QFontMetricsF(font).elidedText(row.name, Qt.TextElideMode.ElideRight, room)
        flags = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(QRectF(0, place.top(), room, place.height()), flags, name)
        font.setBold(False)
        painter.setFont(font)
        margin = max(1.0, place.height() * 0.12)
        bars: list[tuple[float | None, str]] = [(row.student, tokens.student)]
        if self.teacher is not None:
            bars.insert(0, (row.teacher, tokens.teacher))
        thick = (place.height() - 2 * margin) / len(bars)
        for index, (given, colour) in enumerate(bars):
            if row.label >= 0 and given is not None and np.isfinite(given):
                long = float(scale.place(np.array(given))) * place.width()
                bar = QRectF(place.left(), place.top() + margin + index * thick, long, max(1.0, thick - 0.5))
                painter.fillRect(bar, QColor(colour))

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            rows = self.rows()
            index = int((event.pos().y() - self._body().top()) // self._row_height(len(rows)))
            if 0 <= index < len(rows):
                QToolTip.showText(event.globalPos(), self._words(rows[index]), self)
            else:
                QToolTip.hideText()
            return True
        return super().event(event)
