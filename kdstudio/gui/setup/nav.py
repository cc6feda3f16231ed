"""The list of sections: what each is called, what it says now in a few words, and a mark where something is wrong."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QListWidget, QListWidgetItem, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from kdstudio.gui.language import tr
from kdstudio.gui.theme import Theme

SUMMARY = Qt.ItemDataRole.UserRole
WRONG = Qt.ItemDataRole.UserRole + 1
#: Width of the list in digits, and what a row is higher than its two lines of text.
DIGITS, ROOM = 21, 14


class SectionList(QListWidget):
    """The sections, one of which is shown. Arrow keys move through them."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("sections")
        self.setAccessibleName(tr("Sections of the experiment"))
        self.setVerticalScrollMode(QListWidget.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setItemDelegate(_Delegate(theme, self))
        theme.changed.connect(self._rescale)
        self._rescale()

    def _rescale(self) -> None:
        """Follows the size of the text."""
        self.setFixedWidth(DIGITS * self.fontMetrics().horizontalAdvance("0"))
        for row in range(self.count()):
            self.item(row).setSizeHint(self._row_size())
        self.viewport().update()

    def _row_size(self) -> QSize:
        return QSize(self.width() - 24, 2 * self.fontMetrics().height() + ROOM)

    def add(self, name: str, title: str) -> None:
        item = QListWidgetItem(title)
        item.setData(Qt.ItemDataRole.AccessibleTextRole, title)
        item.setSizeHint(self._row_size())
        self.addItem(item)

    def describe(self, row: int, summary: str, wrong: bool) -> None:
        """What a section says now."""
        item = self.item(row)
        item.setData(SUMMARY, summary)
        item.setData(WRONG, wrong)
        item.setToolTip(summary)
        words = tr("{section}: {summary}", section=item.text(), summary=summary)
        if wrong:
            words = tr("{section}: {summary}, needs attention", section=item.text(), summary=summary)
        item.setData(Qt.ItemDataRole.AccessibleTextRole, words)


class _Delegate(QStyledItemDelegate):
    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self.theme = theme

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        tokens = self.theme.tokens
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area: QRect = option.rect.adjusted(0, 1, 0, -1)
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        hovered = bool(option.state & QStyle.StateFlag.State_MouseOver)
        if selected or hovered:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(tokens.selection if selected else tokens.raised))
            painter.drawRoundedRect(area, 6, 6)
        if option.state & QStyle.StateFlag.State_HasFocus:
            painter.setPen(QColor(tokens.accent))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(area.adjusted(1, 1, -1, -1), 6, 6)
        wrong = bool(index.data(WRONG))
        inner = area.adjusted(10, 5, -10, -5)
        if wrong:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(tokens.bad))
            painter.drawEllipse(inner.right() - 8, inner.top() + 5, 8, 8)
        font = option.font
        painter.setFont(font)
        painter.setPen(QColor(tokens.ink))
        flags = Qt.AlignmentFlag
        room = inner.width() - (16 if wrong else 0)
        upper = QRect(inner.left(), inner.top(), room, inner.height() // 2)
        painter.drawText(upper, flags.AlignLeft | flags.AlignVCenter, str(index.data(Qt.ItemDataRole.DisplayRole)))
        font.setPointSizeF(font.pointSizeF() * 0.88)
        painter.setFont(font)
        painter.setPen(QColor(tokens.bad if wrong and not selected else tokens.soft))
        lower = QRect(inner.left(), inner.top() + inner.height() // 2, inner.width(), inner.height() // 2 + 2)
        metrics = painter.fontMetrics()
        text = metrics.elidedText(str(index.data(SUMMARY) or ""), Qt.TextElideMode.ElideRight, lower.width())
        painter.drawText(lower, flags.AlignLeft | flags.AlignVCenter, text)
        painter.restore()
