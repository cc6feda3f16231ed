"""The teacher's layers as boxes, those that the student keeps joined to its own. A click keeps or drops one."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFocusEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from kdstudio.gui.language import tr
from kdstudio.gui.theme import Theme

BOX, GAP, MOST_WIDE, LEAST_WIDE, BETWEEN, EDGE = 30, 6, 46, 14, 46, 4
#: Layers of a deep network are drawn in several rows of so many.
MOST_IN_ROW = 24


class LayersPicture(QWidget):
    """Keys: left and right go from layer to layer, space keeps or drops it.

    Signals:
        toggled: The number of a layer that the person keeps or drops.
    """

    toggled = Signal(int)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.layers = 0
        self.kept: list[int] = []
        self._focused = 0
        self.setAccessibleName(tr("Layers of the teacher"))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip(
            tr("Click a layer of the teacher to keep it or to drop it; the weights of kept ones are copied")
        )
        theme.changed.connect(self.update)

    def show_layers(self, count: int, kept: list[int]) -> None:
        """Draws so many layers, of which these are kept."""
        self.layers, self.kept = count, kept
        self._focused = min(self._focused, max(count - 1, 0))
        numbers = ", ".join(map(str, kept))
        self.setAccessibleDescription(tr("Kept of {count}: {numbers}", count=count, numbers=numbers))
        self.updateGeometry()
        self.update()

    @property
    def _rows(self) -> int:
        return max(1, -(-self.layers // MOST_IN_ROW))

    def _label_width(self) -> int:
        return max(self.fontMetrics().horizontalAdvance(word) for word in (tr("Teacher"), tr("Student"))) + 12

    def sizeHint(self) -> QSize:
        rows = self._rows
        return QSize(480, rows * (2 * BOX + BETWEEN) + (rows - 1) * GAP * 2 + 2 * EDGE)

    def minimumSizeHint(self) -> QSize:
        columns = min(self.layers, MOST_IN_ROW)
        return QSize(self._label_width() + columns * (LEAST_WIDE + GAP), self.sizeHint().height())

    def _width(self) -> float:
        columns = max(min(self.layers, MOST_IN_ROW), 1)
        room = (self.width() - self._label_width()) / columns - GAP
        return min(max(room, LEAST_WIDE), MOST_WIDE)

    def _box(self, column: float, row: int, student: bool) -> QRectF:
        top = EDGE + row * (2 * BOX + BETWEEN + 2 * GAP) + (BOX + BETWEEN if student else 0)
        return QRectF(self._label_width() + column * (self._width() + GAP), top, self._width(), BOX)

    def teacher_box(self, number: int) -> QRectF:
        """Where a layer of the teacher is drawn."""
        return self._box(number % MOST_IN_ROW, number // MOST_IN_ROW, False)

    def student_boxes(self) -> list[QRectF]:
        """Where the student's layers are drawn: below those that they come from, closed up."""
        found = []
        for row in range(self._rows):
            here = [number for number in self.kept if number // MOST_IN_ROW == row]
            columns = min(self.layers - row * MOST_IN_ROW, MOST_IN_ROW)
            start = (columns - len(here)) / 2
            found += [self._box(start + place, row, True) for place in range(len(here))]
        return found

    # -- painting ----------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        tokens = self.theme.tokens
        flags = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        for row in range(self._rows):
            for student, word in ((False, tr("Teacher")), (True, tr("Student"))):
                box = self._box(0, row, student)
                painter.setPen(QColor(tokens.soft))
                painter.drawText(QRectF(0, box.top(), self._label_width(), BOX), flags, word)
        boxes = self.student_boxes()
        painter.setPen(QPen(QColor(tokens.soft), 1.5))
        for number, box in zip(self.kept, boxes):
            above = self.teacher_box(number)
            painter.drawLine(QPointF(above.center().x(), above.bottom()), QPointF(box.center().x(), box.top()))
        for number in range(self.layers):
            self._paint_box(painter, self.teacher_box(number), str(number), tokens.teacher, number in self.kept)
        for place, box in enumerate(boxes):
            self._paint_box(painter, box, str(place), tokens.student, True)
        if self.hasFocus() and self.layers:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(tokens.accent), 2))
            painter.drawRoundedRect(self.teacher_box(self._focused).adjusted(-2, -2, 2, 2), 6, 6)

    def _paint_box(self, painter: QPainter, box: QRectF, text: str, colour: str, kept: bool) -> None:
        tokens = self.theme.tokens
        fill = QColor(colour)
        fill.setAlpha(70)
        painter.setBrush(fill if kept else Qt.BrushStyle.NoBrush)
        style = Qt.PenStyle.SolidLine if kept else Qt.PenStyle.DashLine
        painter.setPen(QPen(QColor(colour if kept else tokens.faint), 1.2, style))
        painter.drawRoundedRect(box, 5, 5)
        if painter.fontMetrics().horizontalAdvance(text) <= box.width():
            painter.setPen(QColor(tokens.ink if kept else tokens.soft))
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)

    # -- choosing ----------------------------------------------------------------------------------------------

    def layer_at(self, place: QPointF) -> int | None:
        """The teacher's layer at a place."""
        return next((number for number in range(self.layers) if self.teacher_box(number).contains(place)), None)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        number = self.layer_at(event.position())
        if number is not None and event.button() == Qt.MouseButton.LeftButton:
            self._focused = number
            self.toggled.emit(number)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        inside = self.layer_at(event.position()) is not None
        self.setCursor(Qt.CursorShape.PointingHandCursor if inside else Qt.CursorShape.ArrowCursor)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()), 0)
        if step:
            self._focused = max(0, min(self.layers - 1, self._focused + step))
            self.update()
        elif event.key() in (Qt.Key.Key_Space, Qt.Key.Key_Return) and self.layers:
            self.toggled.emit(self._focused)
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.update()
