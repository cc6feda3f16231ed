"""What a teacher says of one sample, as painted bars at a temperature."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from kdstudio.gui.language import tr
from kdstudio.gui.theme import Theme
from kdstudio.project.runs.snapshots import soften

#: Of more classes than this only the likeliest are shown.
MOST_CLASSES = 12
GAP = 6


class DistributionView(QWidget):
    """A bar for each class; a thin line marks what the class has at T = 1."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.setAccessibleName(tr("The teacher's distribution"))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._names: list[str] = []
        self._soft = np.zeros(0)
        self._sharp = np.zeros(0)
        self._label = -1
        theme.changed.connect(self._restyled)

    def _restyled(self) -> None:
        self.updateGeometry()
        self.update()

    def show_sample(self, logits: np.ndarray, classes: list[str], label: int, temperature: float) -> None:
        """Draws softmax(logits / T); logits are (K)."""
        soft, sharp = soften(logits, temperature), soften(logits, 1.0)
        order = np.arange(len(classes))
        if len(classes) > MOST_CLASSES:
            order = np.argsort(-soft, kind="stable")[:MOST_CLASSES]
        self._names = [classes[index] for index in order]
        self._soft, self._sharp = soft[order], sharp[order]
        self._label = int(np.flatnonzero(order == label)[0]) if label in order else -1
        words = [f"{name} {percent(share)}" for name, share in zip(self._names, self._soft)]
        self.setAccessibleDescription(", ".join(words))
        self.updateGeometry()
        self.update()

    @property
    def _row(self) -> int:
        return self.fontMetrics().height() + GAP

    def sizeHint(self) -> QSize:
        return QSize(300, max(len(self._names), 1) * self._row)

    def minimumSizeHint(self) -> QSize:
        return QSize(180, self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self._names:
            return
        tokens = self.theme.tokens
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        metrics = self.fontMetrics()
        flags = Qt.AlignmentFlag
        names = min(140, max(map(metrics.horizontalAdvance, self._names)) + 20)
        numbers = metrics.horizontalAdvance("< 0.01 %") + 8
        width = max(self.width() - names - numbers, 20)
        for index, name in enumerate(self._names):
            top = index * self._row
            painter.setPen(QColor(tokens.ink if index == self._label else tokens.soft))
            text = metrics.elidedText(name, Qt.TextElideMode.ElideRight, names - 20)
            painter.drawText(QRectF(12, top, names - 16, self._row), flags.AlignLeft | flags.AlignVCenter, text)
            area = QRectF(names, top + GAP / 2, width, self._row - GAP)
            painter.setPen(Qt.PenStyle.NoPen)
            if index == self._label:
                painter.setBrush(QColor(tokens.teacher))
                painter.drawEllipse(QRectF(0, top + self._row / 2 - 3, 6, 6))
            painter.setBrush(QColor(tokens.raised))
            painter.drawRoundedRect(area, 3, 3)
            painter.setBrush(QColor(tokens.teacher))
            painter.drawRoundedRect(
                QRectF(area.left(), area.top(), area.width() * self._soft[index], area.height()), 3, 3
            )
            painter.setPen(QPen(QColor(tokens.ink), 2))
            x = area.left() + area.width() * self._sharp[index]
            painter.drawLine(
                QRectF(x, area.top(), 0, area.height()).topLeft(), QRectF(x, area.top(), 0, area.height()).bottomLeft()
            )
            painter.setPen(QColor(tokens.ink))
            right = QRectF(self.width() - numbers, top, numbers, self._row)
            painter.drawText(right, flags.AlignRight | flags.AlignVCenter, percent(self._soft[index]))


def percent(share: float) -> str:
    """A share in few letters: 62 %, 4.1 %, 0.09 %, < 0.01 %."""
    value = 100 * float(share)
    if value < 0.01:
        return "< 0.01 %"
    if 99.5 <= value < 100:
        return f"{value:.1f} %" if value < 99.95 else "> 99.9 %"
    return f"{value:.0f} %" if value >= 9.95 else f"{value:.1f} %" if value >= 0.95 else f"{value:.2g} %"
