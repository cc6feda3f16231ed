"""Parallel coordinates: an axis a field and one for the score, a line a trial, the better the stronger its colour."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from kdstudio.gui.language import tr
from kdstudio.gui.monitor.curve import mixed
from kdstudio.gui.sweeps.words import metric_words, shown, value_text
from kdstudio.gui.theme import Theme
from kdstudio.project.spec.sweep import SweepField
from kdstudio.project.sweeps.trials import Outcome, Trial, Trials

TOP, BOTTOM, SIDE, NEAR, TICKS = 40, 14, 60, 8.0, 5


@dataclass(frozen=True)
class Coordinate:
    """One axis: its title, the places of its numbers from 0 (bottom) to 1, and where a trial's value stands."""

    title: str
    ticks: list[tuple[float, str]]
    places: dict[int, float]


class ParallelView(QWidget):
    """Click a line to choose its trial; arrow keys go from line to line, the better ones upwards.

    Signals:
        picked: The number of the trial whose line was clicked.
    """

    picked = Signal(int)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.setAccessibleName(tr("Values and scores of the trials"))
        self.setMinimumHeight(180)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.axes: list[Coordinate] = []
        self.chosen: int | None = None
        self._scores: dict[int, float] = {}
        self._weak: set[int] = set()
        theme.changed.connect(self.update)

    def sizeHint(self) -> QSize:
        return QSize(480, 260)

    def show_trials(self, fields: dict[str, SweepField], trials: Trials, chosen: int | None) -> None:
        """Draws the trials that have a score; fields by what they are called."""
        scored = [trial for trial in trials.trials if trial.score is not None and math.isfinite(trial.score)]
        self.chosen = chosen
        self.axes = (
            [_axis_of(title, field, scored) for title, field in fields.items()] + [_score_axis(trials, scored)]
            if scored
            else []
        )
        sign = -1 if trials.lower else 1
        self._scores = {trial.number: sign * (trial.score or 0.0) for trial in scored}
        self._weak = {trial.number for trial in scored if trial.outcome is not Outcome.FINISHED}
        self.update()

    # -- painting ----------------------------------------------------------------------------------------------

    def _x(self, place: int) -> float:
        room = max(self.width() - 2 * SIDE, 1)
        return SIDE + room * place / max(len(self.axes) - 1, 1)

    def _y(self, share: float) -> float:
        return self.height() - BOTTOM - share * (self.height() - TOP - BOTTOM)

    def _line(self, number: int) -> list[QPointF]:
        return [QPointF(self._x(place), self._y(axis.places[number])) for place, axis in enumerate(self.axes)]

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        tokens = self.theme.tokens
        painter.fillRect(self.rect(), QColor(tokens.panel))
        if not self.axes:
            return
        low, high = min(self._scores.values()), max(self._scores.values())
        for number in sorted(self._scores, key=lambda each: self._scores[each]):  # the better ones on top
            share = (self._scores[number] - low) / (high - low) if high > low else 1.0
            colour = mixed(QColor(tokens.student), QColor(tokens.panel), 0.2 + 0.8 * share)
            style = Qt.PenStyle.DotLine if number in self._weak else Qt.PenStyle.SolidLine
            if number != self.chosen:
                painter.setPen(QPen(colour, 1.0 + share, style))
                painter.drawPolyline(QPolygonF(self._line(number)))
        if self.chosen in self._scores:
            painter.setPen(QPen(QColor(tokens.accent), 3.0))
            painter.drawPolyline(QPolygonF(self._line(self.chosen)))
        for place, axis in enumerate(self.axes):
            self._paint_axis(painter, place, axis)

    def _paint_axis(self, painter: QPainter, place: int, axis: Coordinate) -> None:
        tokens, x = self.theme.tokens, self._x(place)
        flags = Qt.AlignmentFlag
        painter.setPen(QPen(QColor(tokens.soft), 1))
        painter.drawLine(QPointF(x, self._y(0)), QPointF(x, self._y(1)))
        width = max((self.width() - 2 * SIDE) / max(len(self.axes) - 1, 1) - 8, 2 * SIDE - 8)
        left = min(max(x - width / 2, 0), self.width() - width)
        last = place == len(self.axes) - 1
        side = flags.AlignLeft if place == 0 else flags.AlignRight if last else flags.AlignHCenter
        if place == 0:
            left = 4
        if last:
            left = self.width() - width - 4
        title = painter.fontMetrics().elidedText(axis.title, Qt.TextElideMode.ElideLeft, int(width))
        painter.setPen(QColor(tokens.ink))
        painter.drawText(QRectF(left, 6, width, TOP - 16), side | flags.AlignVCenter, title)
        height = painter.fontMetrics().height()
        for share, text in axis.ticks:
            y = self._y(share)
            painter.setPen(QPen(QColor(tokens.soft), 1))
            painter.drawLine(QPointF(x - 3, y), QPointF(x + 3, y))
            room = painter.fontMetrics().horizontalAdvance(text)
            box = QRectF(x + 6 if last else x - room - 8, y - height / 2, room + 2, height)
            ground = QColor(tokens.panel)
            ground.setAlpha(200)
            painter.fillRect(box, ground)
            painter.setPen(QColor(tokens.soft))
            painter.drawText(box, flags.AlignVCenter | (flags.AlignLeft if last else flags.AlignRight), text)

    # -- choosing ----------------------------------------------------------------------------------------------

    def trial_at(self, place: QPointF) -> int | None:
        """The trial whose line is nearest, if it is near."""
        best, found = NEAR, None
        for number in self._scores:
            points = self._line(number)
            for first, second in itertools.pairwise(points):
                if first.x() - NEAR <= place.x() <= second.x() + NEAR and second.x() > first.x():
                    share = min(max((place.x() - first.x()) / (second.x() - first.x()), 0.0), 1.0)
                    away = abs(first.y() + share * (second.y() - first.y()) - place.y())
                    if away < best:
                        best, found = away, number
        return found

    def mousePressEvent(self, event: QMouseEvent) -> None:
        number = self.trial_at(event.position())
        if number is not None:
            self.picked.emit(number)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        number = self.trial_at(event.position())
        self.setCursor(Qt.CursorShape.PointingHandCursor if number is not None else Qt.CursorShape.ArrowCursor)
        if number is not None:
            QToolTip.showText(event.globalPosition().toPoint(), tr("Trial {number}", number=number), self)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        step = {Qt.Key.Key_Down: -1, Qt.Key.Key_Up: 1}.get(Qt.Key(event.key()), 0)
        order = sorted(self._scores, key=lambda each: self._scores[each])
        if not step or not order:
            super().keyPressEvent(event)
            return
        place = order.index(self.chosen) + step if self.chosen in order else len(order) - 1
        self.picked.emit(order[max(0, min(place, len(order) - 1))])


def _axis_of(title: str, field: SweepField, trials: list[Trial]) -> Coordinate:
    values = {trial.number: trial.values.get(field.path) for trial in trials}
    numbers = [value for value in (field.values or [*field.bounds]) if _is_number(value)]
    if field.values and (len(numbers) < len(field.values) or len(numbers) <= TICKS):
        # few values, or words: evenly spread in their order
        order = sorted(field.values) if len(numbers) == len(field.values) else list(field.values)
        last = max(len(order) - 1, 1)
        share = {repr(value): place / last if len(order) > 1 else 0.5 for place, value in enumerate(order)}
        ticks = [(share[repr(value)], value_text(value)) for value in order]
        return Coordinate(title, ticks, {number: share.get(repr(value), 0.5) for number, value in values.items()})
    low, high = min(numbers), max(numbers)
    logarithmic = field.log or (low > 0 and high / low >= 50)
    return _numeric(title, {number: float(value) for number, value in values.items()}, low, high, logarithmic)  # type: ignore[arg-type]


def _score_axis(trials: Trials, scored: list[Trial]) -> Coordinate:
    scores = {trial.number: shown(trials.metric, trial.score or 0.0) for trial in scored}
    low, high = min(scores.values()), max(scores.values())
    axis = _numeric(metric_words(trials.metric), scores, low, high, False)
    if not trials.lower:
        return axis
    # the better end is above
    ticks = [(1 - share, text) for share, text in axis.ticks]
    return Coordinate(axis.title, ticks, {number: 1 - share for number, share in axis.places.items()})


def _numeric(title: str, values: dict[int, float], low: float, high: float, logarithmic: bool) -> Coordinate:
    def scaled(value: float) -> float:
        return math.log(value) if logarithmic else value

    first, last = scaled(low), scaled(high)
    span = last - first

    def share(value: float) -> float:
        return (scaled(value) - first) / span if span else 0.5

    marks = [first + span * place / (TICKS - 1) for place in range(TICKS)] if span else [first]
    ticks = [(share(mark), f"{mark:.3g}") for mark in (math.exp(m) if logarithmic else m for m in marks)]
    return Coordinate(title, ticks, {number: share(value) for number, value in values.items()})


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
