"""A strip that shows which terms count in which epochs, and how their weights move."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from kdstudio.gui.language import tr, trn
from kdstudio.gui.theme import Theme, term_colour

GAP = 6
#: A long training is drawn from as many points at most.
POINTS = 400


@dataclass(frozen=True)
class Lane:
    """One term: its name and its weight in each epoch, None where it does not count."""

    name: str
    weights: list[float | None]


class Timeline(QWidget):
    """A lane for each term. The height of its band is the weight, against the term's own largest."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.setAccessibleName(tr("Epochs in which each term counts"))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._lanes: list[Lane] = []
        theme.changed.connect(self._restyled)

    def _restyled(self) -> None:
        self.updateGeometry()
        self.update()

    def show_lanes(self, lanes: list[Lane]) -> None:
        """Draws these terms; all lanes are as long as the training."""
        self._lanes = lanes
        self.setAccessibleDescription("; ".join(map(_words, lanes)))
        self.updateGeometry()
        self.update()

    @property
    def _lane_height(self) -> int:
        return self.fontMetrics().height()

    def sizeHint(self) -> QSize:
        lanes = max(len(self._lanes), 1)
        return QSize(360, lanes * (self._lane_height + GAP) + self.fontMetrics().height() + 2)

    def minimumSizeHint(self) -> QSize:
        return QSize(160, self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self._lanes or not self._lanes[0].weights:
            return
        tokens = self.theme.tokens
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        metrics = self.fontMetrics()
        left = max(metrics.horizontalAdvance(lane.name) for lane in self._lanes) + 12
        width = self.width() - left - 8
        epochs = len(self._lanes[0].weights)
        flags = Qt.AlignmentFlag
        edges = {0, epochs}
        for index, lane in enumerate(self._lanes):
            top = index * (self._lane_height + GAP)
            painter.setPen(QColor(tokens.soft))
            painter.drawText(
                QRectF(0, top, left - 8, self._lane_height), flags.AlignLeft | flags.AlignVCenter, lane.name
            )
            area = QRectF(left, top, width, self._lane_height)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(tokens.raised))
            painter.drawRoundedRect(area, 3, 3)
            edges |= self._draw_band(painter, area, lane.weights, QColor(term_colour(tokens, index)))
        painter.setPen(QColor(tokens.soft))
        below = len(self._lanes) * (self._lane_height + GAP) - 2
        whole = trn("{count:,} epoch", "{count:,} epochs", epochs)
        last = -1000.0
        for edge in sorted(edges):
            x = left + edge / epochs * width
            text = f"{edge:,}" if edge < epochs else whole
            room = metrics.horizontalAdvance(text) + 8
            begin = min(x, left + width - room) if edge == epochs else max(left, x - room / 2) if edge else x
            if edge != epochs and (begin < last or x + room / 2 > left + width - metrics.horizontalAdvance(whole)):
                continue
            last = begin + room
            side = flags.AlignRight if edge == epochs else flags.AlignHCenter if edge else flags.AlignLeft
            painter.drawText(QRectF(begin, below, room, metrics.height()), side | flags.AlignTop, text)

    def _draw_band(self, painter: QPainter, area: QRectF, weights: list[float | None], colour: QColor) -> set[int]:
        """Draws where a term counts; returns the epochs where it begins and ends."""
        epochs = len(weights)
        inside = [epoch for epoch, weight in enumerate(weights) if weight is not None]
        if not inside:
            return set()
        first, end = inside[0], inside[-1] + 1
        largest = max((weight or 0.0) for weight in weights) or 1.0
        step = max(1, (end - first) // POINTS)
        points = []
        for epoch in [*range(first, end, step), end]:
            weight = weights[min(epoch, end - 1)] or 0.0
            x = area.left() + epoch / epochs * area.width()
            points.append(QPointF(x, area.bottom() - weight / largest * area.height()))
        faint = QColor(colour)
        faint.setAlpha(110)
        painter.setBrush(faint)
        painter.drawPolygon(
            QPolygonF([QPointF(points[0].x(), area.bottom()), *points, QPointF(points[-1].x(), area.bottom())])
        )
        painter.setPen(QPen(colour, 2))
        painter.drawPolyline(QPolygonF(points))
        return {first, end}


def _words(lane: Lane) -> str:
    inside = [epoch for epoch, weight in enumerate(lane.weights) if weight is not None]
    if not inside:
        return tr("{term} never counts", term=lane.name)
    return tr("{term} counts in epochs {first} to {last}", term=lane.name, first=inside[0], last=inside[-1])
