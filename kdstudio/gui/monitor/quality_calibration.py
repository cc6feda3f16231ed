"""The quality panel, calibration: is a network as often right as it says it is sure?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QHelpEvent, QKeyEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QToolTip, QVBoxLayout, QWidget

from kdstudio.gui.language import mark, tr
from kdstudio.gui.monitor.palettes import small_font
from kdstudio.gui.monitor.quality_legend import NetworkLegend
from kdstudio.gui.monitor.quality_state import Facts, QualityState, QualityView, colour_of
from kdstudio.gui.monitor.words import percent
from kdstudio.gui.theme import Theme
from kdstudio.gui.words import network_word

LEFT = 40
GAP = 4
#: Width to height from which the counts stand beside the diagram; its own widest; and its share of the width then.
BESIDE = 2.4
WIDEST = 3.2
SHARE = 0.6
BETWEEN = 40
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
COUNT_SHARE = 0.22


class ReliabilityDiagram(QWidget):
    """Accuracy against confidence, a dot for each bin and as large as the bin is full; below it how full the bins are.

    On the diagonal a network is as good as its word; below it, it is too sure of itself.
    """

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.facts: Facts | None = None
        self.at = -1
        self.setAccessibleName(tr("Reliability diagram"))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def show_facts(self, facts: Facts | None) -> None:
        self.facts = facts
        self.setAccessibleDescription(self.words(self.at) if self.at >= 0 and facts is not None else "")
        self.update()

    def minimumSizeHint(self) -> QSize:
        return QSize(160, 90)

    def _bins(self) -> int:
        assert self.facts is not None
        return len(next(iter(self.facts.networks.values()))["reliability"])

    def words(self, index: int) -> str:
        """What is known of a bin."""
        assert self.facts is not None
        count = self._bins()
        lines = [tr("Confidence {low:.0f} to {high:.0f} %", low=100 * index / count, high=100 * (index + 1) / count)]
        for name, entry in self.facts.networks.items():
            found = entry["reliability"][index]
            if found["count"]:
                share, network = percent(found["accuracy"]), network_word(name)
                text = tr(
                    "{network}: right in {share} of {count:,}", network=network, share=share, count=found["count"]
                )
                lines.append(text)
        return "\n".join(lines)

    # -- geometry --------------------------------------------------------------------------------------------

    def _areas(self) -> tuple[QRectF, QRectF]:
        """Where the diagram and the counts are: below each other, or side by side where it is low and wide."""
        line = QFontMetricsF(small_font(self)).height()
        height = max(1.0, self.height() - line - 8)
        room = max(1.0, self.width() - LEFT - 8.0)
        if room > BESIDE * height:
            wide = min(WIDEST * height, SHARE * (room - BETWEEN))
            left = LEFT + wide + BETWEEN
            return QRectF(LEFT, 5, wide, height), QRectF(left, 5, min(room + LEFT - left, wide), height)
        diagram = QRectF(LEFT, 5, room, height * (1 - COUNT_SHARE) - GAP)
        return diagram, QRectF(LEFT, diagram.bottom() + GAP, room, height * COUNT_SHARE)

    def bin_at(self, x: float) -> int:
        if self.facts is None:
            return -1
        for area in self._areas():
            index = int((x - area.left()) / area.width() * self._bins())
            if area.left() <= x <= area.right() and index < self._bins():
                return index
        return -1

    # -- drawing ---------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        if self.facts is None or not self.facts.networks:
            return
        painter = QPainter(self)
        painter.setFont(small_font(self))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        (area, counts), tokens = self._areas(), self.theme.tokens
        if self.at >= 0 and self.hasFocus():
            for place in (area, counts):
                width = place.width() / self._bins()
                spot = QRectF(place.left() + self.at * width, place.top(), width, place.height())
                painter.fillRect(spot, QColor(tokens.raised))
        self._draw_axes(painter, area, counts)
        painter.setPen(QPen(QColor(tokens.faint), 1, Qt.PenStyle.DashLine))
        painter.drawLine(area.bottomLeft(), area.topRight())
        for name, entry in self.facts.networks.items():
            self._draw_network(painter, area, name, entry["reliability"])
        self._draw_counts(painter, counts)
        if self.hasFocus():
            painter.setPen(QPen(QColor(tokens.accent), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(area)

    def _draw_axes(self, painter: QPainter, area: QRectF, counts: QRectF) -> None:
        tokens, metrics = self.theme.tokens, QFontMetricsF(painter.font())
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        ticks = TICKS if area.height() > 5 * metrics.height() else (0.0, 0.5, 1.0)
        for tick in ticks:
            y = area.bottom() - tick * area.height()
            painter.setPen(QColor(tokens.line))
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
            painter.setPen(QColor(tokens.soft))
            words = f"{100 * tick:.0f} %" if tick == 1 else f"{100 * tick:.0f}"
            painter.drawText(QRectF(0, y - metrics.height() / 2, LEFT - 5, metrics.height()), right, words)
        beside = counts.left() > area.right()
        base = counts.bottom()
        for place in (area, counts) if beside else (area,):
            for tick in ticks:
                x = place.left() + tick * place.width()
                painter.setPen(QColor(tokens.line))
                painter.drawLine(QPointF(x, place.top()), QPointF(x, base))
            painter.setPen(QColor(tokens.soft))
            for tick, words, flag in (
                (0.0, "0", Qt.AlignmentFlag.AlignLeft),
                (0.5, tr("confidence"), Qt.AlignmentFlag.AlignHCenter),
                (1.0, "100 %", Qt.AlignmentFlag.AlignRight),
            ):
                x = place.left() + tick * place.width()
                wide = 120.0
                left = {0.0: x, 0.5: x - wide / 2, 1.0: x - wide}[tick]
                painter.drawText(QRectF(left, base + 2, wide, metrics.height()), flag, words)
        # where points and bars are rare: sure and always wrong; half sure
        corner = QRectF(area.right() - 126, area.bottom() - metrics.height() - 2, 120, metrics.height())
        painter.drawText(corner, Qt.AlignmentFlag.AlignRight, tr("accuracy"))
        if beside:
            head = QRectF(counts.center().x() - 60, counts.top(), 120, metrics.height())
            painter.drawText(head, Qt.AlignmentFlag.AlignHCenter, tr("samples"))

    def _draw_network(self, painter: QPainter, area: QRectF, name: str, bins: list[dict[str, Any]]) -> None:
        colour = QColor(colour_of(name, self.theme.tokens))
        full = max((found["count"] for found in bins), default=0) or 1
        points = [
            QPointF(area.left() + found["confidence"] * area.width(), area.bottom() - found["accuracy"] * area.height())
            for found in bins
            if found["count"]
        ]
        dashed = Qt.PenStyle.DashLine if name == "baseline" else Qt.PenStyle.SolidLine
        painter.setPen(QPen(colour, 1.4, dashed))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPolyline(points)
        painter.setPen(QPen(QColor(self.theme.tokens.panel), 1))
        painter.setBrush(colour)
        for point, found in zip(points, (found for found in bins if found["count"])):
            radius = 2.5 + 4 * (found["count"] / full) ** 0.5
            painter.drawEllipse(point, radius, radius)

    def _draw_counts(self, painter: QPainter, area: QRectF) -> None:
        assert self.facts is not None
        networks = self.facts.networks
        most = max((found["count"] for entry in networks.values() for found in entry["reliability"]), default=0) or 1
        width = area.width() / self._bins()
        each = (width - 3) / len(networks)
        for order, (name, entry) in enumerate(networks.items()):
            colour = QColor(colour_of(name, self.theme.tokens))
            for index, found in enumerate(entry["reliability"]):
                if found["count"]:
                    height = max(1.0, area.height() * found["count"] / most)
                    left = area.left() + index * width + 1.5 + order * each
                    painter.fillRect(QRectF(left, area.bottom() - height, max(1.0, each - 0.5), height), colour)

    # -- pointer and keys ------------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        move = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()))
        if move is None or self.facts is None:
            super().keyPressEvent(event)
            return
        self.at = max(0, min(self._bins() - 1, self.at + move if self.at >= 0 else self._bins() - 1))
        self.show_facts(self.facts)
        area, _ = self._areas()
        place = QPointF(area.left() + (self.at + 0.5) * area.width() / self._bins(), area.center().y())
        QToolTip.showText(self.mapToGlobal(place.toPoint()), self.words(self.at), self)

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            index = self.bin_at(event.pos().x())
            if index >= 0:
                QToolTip.showText(event.globalPos(), self.words(index), self)
            else:
                QToolTip.hideText()
            return True
        return super().event(event)


class CalibrationView(QualityView):
    """The reliability diagram and the expected calibration errors."""

    title = mark("Calibration")
    hint = mark("Whether the networks are as often right as they are sure")
    needs = ("reliability",)
    reasons = {
        "perplexity": mark(
            "Calibration is that of classifiers. How sure a language model is of the right token is in its perplexity."
        )
    }

    def __init__(self, theme: Theme, state: QualityState) -> None:
        super().__init__(theme, state)
        self.legend = NetworkLegend(theme)
        self.legend.setToolTip(
            tr(
                "Expected calibration error (Guo et al. 2017): mean distance of confidence and accuracy over 15 bins, "
                "usual 0.01 to 0.1"
            )
        )
        self.diagram = ReliabilityDiagram(theme)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.legend)
        layout.addWidget(self.diagram, 1)

    def clear(self) -> None:
        self.diagram.show_facts(None)

    def recolour(self) -> None:
        self.legend.recolour()
        self.diagram.update()

    def redraw(self) -> None:
        facts = self.usable()
        if facts is not None:
            errors = {name: entry["ece"] for name, entry in facts.networks.items()}
            words = {name: f"ECE {error:.3f}" if error is not None else "–" for name, error in errors.items()}
            self.legend.show_facts(facts, words)
            self.diagram.show_facts(facts)

    def table(self) -> Sequence[Sequence[object]]:
        facts = self.usable()
        rows: list[Sequence[object]] = [("samples", "network", "ece", "from", "count", "confidence", "accuracy")]
        for name, entry in facts.networks.items() if facts is not None else ():
            for found in entry["reliability"]:
                values = (found["low"], found["count"], found["confidence"], found["accuracy"])
                rows.append((facts.words if facts else "", name, entry["ece"], *values))
        return rows
