"""The colour bar that belongs to matrices."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from kdstudio.gui.monitor.palettes import Scale, small_font, viridis
from kdstudio.gui.theme import Theme


class ColourBar(QWidget):
    """The colours of a scale with a few of its values below.

    Args:
        ticks: Places on the scale and the words there; the first and the last are kept inside the bar.
    """

    def __init__(self, theme: Theme, name: str, palette: Callable[[], np.ndarray] = viridis) -> None:
        super().__init__()
        self.theme = theme
        self.palette_of = palette
        self.scale: Scale | None = None
        self.ticks: list[tuple[float, str]] = []
        self.inset = 0
        self.setAccessibleName(name)
        self.setFixedHeight(26)

    def show_scale(self, scale: Scale, ticks: Sequence[tuple[float, str]]) -> None:
        self.scale, self.ticks = scale, list(ticks)
        self.setAccessibleDescription(", ".join(words for _, words in self.ticks))
        self.update()

    def set_inset(self, inset: int) -> None:
        """Starts the bar this many pixels from the left, below the cells of its map."""
        if inset != self.inset:
            self.inset = inset
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        if self.scale is None:
            return
        painter = QPainter(self)
        table = np.ascontiguousarray(self.palette_of())
        image = QImage(table.tobytes(), len(table), 1, 3 * len(table), QImage.Format.Format_RGB888).copy()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        width = max(1, self.width() - self.inset)
        painter.translate(self.inset, 0)
        bar = QRectF(0, 0, width, 7)
        painter.drawImage(bar, image)
        font = small_font(self)
        painter.setFont(font)
        painter.setPen(QColor(self.theme.tokens.soft))
        metrics = QFontMetricsF(font)
        free = 0.0
        for value, words in self.ticks:
            wide = metrics.horizontalAdvance(words)
            place = float(self.scale.place(np.array(value))) * width
            left = min(max(place - wide / 2, 0.0), width - wide)
            if left < free:
                continue
            painter.drawLine(int(min(place, width - 1)), 7, int(min(place, width - 1)), 9)
            painter.drawText(QRectF(left, 9, wide + 1, metrics.height()), Qt.AlignmentFlag.AlignLeft, words)
            free = left + wide + 6
