"""The probe samples to choose from: pictures, the beginnings of texts, or tiles with numbers for other samples."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PySide6.QtCore import QEvent, QModelIndex, QPersistentModelIndex, QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QHelpEvent, QImage, QPainter, QPen, QPolygonF, QTextLayout
from PySide6.QtWidgets import (
    QListView,
    QListWidget,
    QListWidgetItem,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QToolTip,
)

from kdstudio.gui.language import mark, tr
from kdstudio.gui.monitor.palettes import small_font
from kdstudio.gui.theme import Theme

THUMBNAIL = 44
#: The width of a tile that holds the beginning of a text.
PAGE = 116
MARGIN = 5
BADGE = 13
SCROLL_BAR = 12
UNLIMITED = 16777215
KEPT_PIXELS = 3 * THUMBNAIL


class ProbeStrip(QListWidget):
    """A row (or a column) of probe samples, each with its label and whether the student is right about it.

    Args:
        tell: Words for a sample, shown when the pointer rests on it.
    """

    def __init__(self, theme: Theme, tell: Callable[[int], str]) -> None:
        super().__init__()
        self.theme = theme
        self.tell = tell
        self.pictures: list[QImage | None] = []
        self.texts: list[str] = []
        self.right: list[bool] = []
        self.setObjectName("strip")
        self.setAccessibleName(tr("Probe samples"))
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setWrapping(False)
        self.setMovement(QListView.Movement.Static)
        self.setUniformItemSizes(True)
        self.setHorizontalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setItemDelegate(_Tile(self))
        self.upright = True
        self.set_upright(False)

    def _cell(self) -> QSize:
        return QSize(self.frame_width() + 2 * MARGIN, THUMBNAIL + 2 * MARGIN + QFontMetrics(small_font(self)).height())

    def frame_width(self) -> int:
        """The width of what a tile shows above its label."""
        return PAGE if self.texts else THUMBNAIL

    def set_upright(self, upright: bool) -> None:
        """A column at the side instead of a row above."""
        if upright != self.upright:
            self._place(upright)

    def _place(self, upright: bool) -> None:
        self.upright = upright
        off, needed = Qt.ScrollBarPolicy.ScrollBarAlwaysOff, Qt.ScrollBarPolicy.ScrollBarAsNeeded
        self.setFlow(QListView.Flow.TopToBottom if upright else QListView.Flow.LeftToRight)
        self.setVerticalScrollBarPolicy(needed if upright else off)
        self.setHorizontalScrollBarPolicy(off if upright else needed)
        frame = 2 * self.frameWidth() + SCROLL_BAR
        if upright:
            self.setFixedWidth(self._cell().width() + frame)
            self.setMinimumHeight(self._cell().height())
            self.setMaximumHeight(UNLIMITED)
        else:
            self.setFixedHeight(self._cell().height() + frame)
            self.setMinimumWidth(self._cell().width())
            self.setMaximumWidth(UNLIMITED)

    def fill(self, labels: list[str], images: np.ndarray | None, texts: list[str] | None = None) -> None:
        """Shows other samples: their labels, and pictures (P, H, W, C) of bytes or texts where there are any."""
        self.blockSignals(True)
        self.clear()
        self.pictures = [picture(image) for image in images] if images is not None else [None] * len(labels)
        self.right = []
        self.texts = list(texts or [])
        self._place(self.upright)
        for label in labels:
            item = QListWidgetItem(label)
            item.setSizeHint(self._cell())
            self.addItem(item)
        if labels:
            self.setCurrentRow(0)
        self.blockSignals(False)

    def set_right(self, right: list[bool]) -> None:
        """Whether the student gives each sample its label."""
        if right == self.right:
            return
        self.right = right
        for row, verdict in enumerate(right[: self.count()]):
            item = self.item(row)
            words = mark("{label}, the student is right") if verdict else mark("{label}, the student is wrong")
            item.setData(Qt.ItemDataRole.AccessibleTextRole, tr(words, label=item.text()))
        self.viewport().update()

    def viewportEvent(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            row = self.indexAt(event.pos()).row()
            if row >= 0:
                QToolTip.showText(event.globalPos(), self.tell(row), self)
                return True
        return super().viewportEvent(event)


class _Tile(QStyledItemDelegate):
    """Draws a sample: picture or words, a tick or a cross in a corner, the label below."""

    def __init__(self, strip: ProbeStrip) -> None:
        super().__init__(strip)
        self.strip = strip

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        strip, tokens, row = self.strip, self.strip.theme.tokens, index.row()
        rect: QRect = option.rect  # type: ignore[attr-defined]
        state: QStyle.StateFlag = option.state  # type: ignore[attr-defined]
        chosen = bool(state & QStyle.StateFlag.State_Selected)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if chosen or state & QStyle.StateFlag.State_MouseOver:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(tokens.selection if chosen else tokens.raised))
            painter.drawRoundedRect(rect, 6, 6)
        if state & QStyle.StateFlag.State_HasFocus:
            painter.setPen(QPen(QColor(tokens.accent), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(rect).adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
        frame = QRect(rect.left() + MARGIN, rect.top() + MARGIN, strip.frame_width(), THUMBNAIL)
        painter.setFont(small_font(strip))
        metrics = painter.fontMetrics()
        text = index.data() or ""
        shown = strip.pictures[row] if row < len(strip.pictures) else None
        if shown is not None:
            fitted = QRect(frame)
            fitted.setSize(shown.size().scaled(frame.size(), Qt.AspectRatioMode.KeepAspectRatio))
            fitted.moveCenter(frame.center())
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, shown.width() > THUMBNAIL)
            painter.drawImage(fitted, shown)
        else:
            painter.setPen(QPen(QColor(tokens.line), 1))
            painter.setBrush(QColor(tokens.field))
            painter.drawRoundedRect(QRectF(frame).adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
            painter.setPen(QColor(tokens.soft))
            if row < len(strip.texts):
                self._page(painter, frame.adjusted(4, 2, -4, -2), strip.texts[row])
            else:
                painter.drawText(frame, Qt.AlignmentFlag.AlignCenter, f"#{row + 1}")
        if row < len(strip.right):
            self._badge(painter, frame, strip.right[row])
        below = QRect(rect.left() + 1, frame.bottom() + 2, rect.width() - 2, rect.bottom() - frame.bottom() - 2)
        painter.setPen(QColor(tokens.ink if chosen else tokens.soft))
        text = metrics.elidedText(text, Qt.TextElideMode.ElideRight, below.width())
        painter.drawText(below, Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignVCenter, text)
        painter.restore()

    def _page(self, painter: QPainter, frame: QRect, text: str) -> None:
        """The beginning of a text, as many lines as there is room for."""
        layout = QTextLayout(" ".join(text.split()), painter.font())
        height, line_at = QFontMetrics(painter.font()).height(), 0
        layout.beginLayout()
        while (line := layout.createLine()).isValid() and (line_at + 1) * height <= frame.height():
            line.setLineWidth(frame.width())
            part = layout.text()[line.textStart() :]
            last = (line_at + 2) * height > frame.height()
            shown = part if last else part[: line.textLength()]
            shown = painter.fontMetrics().elidedText(shown.strip(), Qt.TextElideMode.ElideRight, frame.width())
            place = QRect(frame.left(), frame.top() + line_at * height, frame.width(), height)
            painter.drawText(place, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, shown)
            line_at += 1
        layout.endLayout()

    def _badge(self, painter: QPainter, frame: QRect, right: bool) -> None:
        """A tick in a circle or a cross in a square: the shapes differ too, not the colours alone."""
        tokens = self.strip.theme.tokens
        place = QRectF(frame.right() - BADGE + 4, frame.bottom() - BADGE + 4, BADGE, BADGE)
        painter.setPen(QPen(QColor(tokens.panel), 1.5))
        painter.setBrush(QColor(tokens.good if right else tokens.bad))
        if right:
            painter.drawEllipse(place)
        else:
            painter.drawRoundedRect(place, 2, 2)
        pen = QPen(QColor(tokens.panel), 1.8)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)

        def at(x: float, y: float) -> QPointF:
            return QPointF(place.left() + x * BADGE, place.top() + y * BADGE)

        if right:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawPolyline(QPolygonF([at(0.27, 0.52), at(0.44, 0.69), at(0.74, 0.34)]))
        else:
            painter.drawLine(at(0.3, 0.3), at(0.7, 0.7))
            painter.drawLine(at(0.3, 0.7), at(0.7, 0.3))


def picture(image: np.ndarray) -> QImage:
    """A picture (H, W, C) of bytes, with one channel or three, not larger than the strip can use."""
    height, width, channels = image.shape
    pixels = np.ascontiguousarray(np.repeat(image[:, :, :1], 3, axis=2) if channels < 3 else image[:, :, :3])
    found = QImage(pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888).copy()
    if max(width, height) > KEPT_PIXELS:
        found = found.scaled(
            KEPT_PIXELS,
            KEPT_PIXELS,
            Qt.AspectRatioMode.KeepAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )
    return found
