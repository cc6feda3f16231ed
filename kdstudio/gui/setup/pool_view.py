"""What the teacher says of samples without labels: how sure it is, with a threshold to move, and what is kept."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from kdstudio.gui.language import tr
from kdstudio.gui.theme import Theme
from kdstudio.project.pool import BINS, PoolReport

HEIGHT = 130
#: Steps of the threshold by the arrow keys.
STEP = 0.01
ROW = 22


class ConfidenceHistogram(QWidget):
    """How many samples the teacher is how sure of. The line is the threshold: it is dragged, or moved by the arrows.

    Signals:
        moved: The threshold while it moves.
        chosen: The threshold where it was left.
    """

    moved = Signal(float)
    chosen = Signal(float)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.threshold = 0.3
        self._counts: list[int] = []
        self.setAccessibleName(tr("Confidence of the teacher, with the threshold"))
        self.setToolTip(tr("Drag the line to see how many samples another threshold would keep"))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.SplitHCursor)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(HEIGHT)
        theme.changed.connect(self.update)

    def show_counts(self, counts: list[int], threshold: float) -> None:
        """Shows the numbers of samples in equal parts of 0..1."""
        self._counts, self.threshold = counts, threshold
        self.setAccessibleDescription(tr("threshold {value:.2f}", value=threshold))
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(360, HEIGHT)

    # -- moving ------------------------------------------------------------------------------------------------

    def _move(self, value: float, done: bool) -> None:
        self.threshold = min(1.0, max(0.0, round(value, 2)))
        self.update()
        (self.chosen if done else self.moved).emit(self.threshold)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self._counts:
            self._move(event.position().x() / max(1, self.width()), False)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if event.buttons() & Qt.MouseButton.LeftButton and self._counts:
            self._move(event.position().x() / max(1, self.width()), False)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self._counts:
            self._move(event.position().x() / max(1, self.width()), True)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        steps = {Qt.Key.Key_Left: -STEP, Qt.Key.Key_Right: STEP, Qt.Key.Key_PageDown: -0.1, Qt.Key.Key_PageUp: 0.1}
        by = steps.get(Qt.Key(event.key()))
        if by is None or not self._counts:
            super().keyPressEvent(event)
        else:
            self._move(self.threshold + by, True)

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent) and self._counts:
            place = min(BINS - 1, max(0, int(event.pos().x() / max(1, self.width()) * BINS)))
            low, high = 100 * place / BINS, 100 * (place + 1) / BINS
            words = tr(
                "{low:.0f} to {high:.0f} % sure: {count:,} samples", low=low, high=high, count=self._counts[place]
            )
            QToolTip.showText(event.globalPos(), words, self)
            return True
        return super().event(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self._counts:
            return
        tokens = self.theme.tokens
        painter = QPainter(self)
        line = painter.fontMetrics().height()
        room, width = self.height() - line - 4, self.width() / BINS
        # by the root: most samples are in the last part, and the others would not be seen
        heights = np.sqrt(np.array(self._counts, np.float64))
        highest = float(heights.max()) or 1.0
        painter.setPen(Qt.PenStyle.NoPen)
        for place, height in enumerate(heights):
            kept = (place + 0.5) / BINS >= self.threshold
            painter.setBrush(QColor(tokens.accent if kept else tokens.line))
            painter.drawRect(
                QRectF(place * width, room - room * height / highest, max(1.0, width - 1), room * height / highest)
            )
        painter.setPen(QPen(QColor(tokens.ink), 2))
        x = self.threshold * self.width()
        painter.drawLine(int(x), 0, int(x), int(room))
        painter.setPen(QColor(tokens.soft))
        below = QRectF(0, room + 4, self.width(), line)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, "0 %")
        painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, tr("confidence of the teacher (heights by the root)"))
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, "100 %")
        if self.hasFocus():
            painter.setPen(QPen(QColor(tokens.accent), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(QRectF(0.5, 0.5, self.width() - 1, self.height() - 1))


class KeptTable(QWidget):
    """A row for each class: how often the teacher answered it, how many it is sure of, and how many are learned."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self._report: PoolReport | None = None
        self.setAccessibleName(tr("Samples of each class that are kept"))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme.changed.connect(self.update)

    def show_report(self, report: PoolReport) -> None:
        """Shows what becomes of the pool."""
        self._report = report
        rows = [
            tr(
                "{name}: {kept} of {all} sure, {used} learned",
                name=name,
                kept=report.kept[name],
                all=count,
                used=report.used[name],
            )
            for name, count in report.answered.items()
        ]
        self.setAccessibleDescription("; ".join(rows[:20]))
        self.setFixedHeight(max(ROW, self.fontMetrics().height() + 6) * (len(rows) + 1))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        report = self._report
        if report is None:
            return
        tokens = self.theme.tokens
        painter = QPainter(self)
        metrics = painter.fontMetrics()
        height = max(ROW, metrics.height() + 6)
        digits = metrics.horizontalAdvance("000,000")
        names = min(
            self.width() // 3, max((metrics.horizontalAdvance(name) for name in report.answered), default=0) + 12
        )
        bars = max(20, self.width() - names - 2 * digits - 16)
        largest = max(max(report.answered.values(), default=1), max(report.used.values(), default=1), 1)
        middle, right = Qt.AlignmentFlag.AlignVCenter, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.setPen(QColor(tokens.soft))
        painter.drawText(QRectF(names, 0, bars, height), middle, tr("answered, and of these sure"))
        painter.drawText(QRectF(names + bars + 4, 0, digits, height), right, tr("sure"))
        painter.drawText(QRectF(names + bars + digits + 12, 0, digits, height), right, tr("learned"))
        for row, (name, count) in enumerate(report.answered.items(), 1):
            top = row * height
            painter.setPen(QColor(tokens.ink))
            painter.drawText(
                QRectF(0, top, names - 8, height),
                middle,
                metrics.elidedText(name, Qt.TextElideMode.ElideRight, names - 8),
            )
            painter.setPen(Qt.PenStyle.NoPen)
            for amount, colour in ((count, tokens.line), (report.kept[name], tokens.accent)):
                painter.setBrush(QColor(colour))
                painter.drawRect(QRectF(names, top + height / 2 - 5, bars * amount / largest, 10))
            painter.setPen(QColor(tokens.soft))
            painter.drawText(QRectF(names + bars + 4, top, digits, height), right, f"{report.kept[name]:,}")
            painter.setPen(QColor(tokens.ink))
            painter.drawText(QRectF(names + bars + digits + 12, top, digits, height), right, f"{report.used[name]:,}")
