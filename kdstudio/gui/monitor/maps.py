"""A matrix as coloured cells with names on its axes, and the colour bar that belongs to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QEvent, QPoint, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFontMetricsF,
    QHelpEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from kdstudio.gui.monitor.palettes import Scale, colours, fitted, number, small_font, viridis
from kdstudio.gui.theme import Theme

GAP = 4
#: Room above the cells for the upper half of the first name.
TOP = 3
LABEL_SHARE = 0.34
COLUMN_SHARE = 0.27
LEAST_ROOM = 40
#: Names are drawn this close, in lines of text.
CLOSE = 0.78
KEYS = {
    Qt.Key.Key_Left: (0, -1),
    Qt.Key.Key_Right: (0, 1),
    Qt.Key.Key_Up: (-1, 0),
    Qt.Key.Key_Down: (1, 0),
}
Cell = tuple[int, int]


@dataclass(frozen=True)
class Matrix:
    """What a `MatrixMap` shows: values (rows, columns) with NaN for nothing, the names of both axes, the scale."""

    values: np.ndarray
    rows: Sequence[str]
    columns: Sequence[str]
    scale: Scale


class MatrixMap(QWidget):
    """A matrix as coloured cells.

    Names stand on the axes where they fit; where cells are smaller than text, every n-th name does. Where cells are
    smaller than a pixel, a pixel shows the most extreme of its cells, so that no bright one is lost. Arrow keys move a
    cell cursor, Return chooses like a click. `margin` is the room for the names of the rows, None for what they need
    and 0 for no names.

    Args:
        name: Accessible name.
        palette: Gives the colour table, (n, 3) bytes, for the theme in force.
        describe: Words for a cell, shown when the pointer rests on it.

    Signals:
        hovered: The pointer or the cursor is on the cell (row, column); (-1, -1) when it left.
        clicked: A cell was chosen.
    """

    hovered = Signal(int, int)
    clicked = Signal(int, int)

    def __init__(
        self,
        theme: Theme,
        name: str,
        palette: Callable[[], np.ndarray] = viridis,
        describe: Callable[[int, int], str] | None = None,
    ) -> None:
        super().__init__()
        self.theme = theme
        self.palette_of = palette
        self.describe = describe or self._describe
        self.matrix: Matrix | None = None
        self.square = False
        self.margin: int | None = None
        self.rings: list[Cell] = []
        self.dots: list[Cell] = []
        self.chosen: Cell = (-1, -1)
        self.cursor_cell: Cell = (-1, -1)
        self._image: QImage | None = None
        self._image_size = QSize()
        self._area = QRectF()
        self.setAccessibleName(name)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    # -- what is shown ---------------------------------------------------------------------------------------

    def show_matrix(self, matrix: Matrix | None) -> None:
        """Shows a matrix, or nothing."""
        self.matrix = matrix
        self._image = None
        if matrix is None or not self._inside(*self.cursor_cell):
            self.cursor_cell = (-1, -1)
        self._tell_cell()
        self.update()

    def set_marks(self, rings: Sequence[Cell] = (), dots: Sequence[Cell] = (), chosen: Cell = (-1, -1)) -> None:
        """Rings around some cells, dots in others, and the one that is looked at."""
        self.rings, self.dots, self.chosen = list(rings), list(dots), chosen
        self.update()

    def point_at(self, row: int, column: int) -> None:
        """Puts the cell cursor on a cell without telling anyone, for maps that are looked at together."""
        if (row, column) != self.cursor_cell:
            self.cursor_cell = (row, column)
            self._tell_cell()
            self.update()

    def recolour(self) -> None:
        self._image = None
        self.update()

    def minimumSizeHint(self) -> QSize:
        return QSize(80, 80)

    def _describe(self, row: int, column: int) -> str:
        assert self.matrix is not None
        value = number(float(self.matrix.values[row, column]))
        return f"{self.matrix.rows[row]}, {self.matrix.columns[column]}: {value}"

    def _tell_cell(self) -> None:
        words = self.describe(*self.cursor_cell) if self._inside(*self.cursor_cell) else ""
        self.setAccessibleDescription(words)

    def _inside(self, row: int, column: int) -> bool:
        if self.matrix is None:
            return False
        rows, columns = self.matrix.values.shape
        return 0 <= row < rows and 0 <= column < columns

    # -- geometry --------------------------------------------------------------------------------------------

    def wanted_margin(self, most: float) -> float:
        """The width that the names of the rows take, of at most `most`."""
        if self.matrix is None or not self.matrix.rows:
            return 0.0
        metrics = QFontMetricsF(small_font(self))
        return min(max(metrics.horizontalAdvance(name) for name in self.matrix.rows), most) + GAP

    def _layout(self) -> tuple[QRectF, bool]:
        """The area of the cells, and whether the names of the columns stand upright."""
        assert self.matrix is not None
        rows, columns = self.matrix.values.shape
        metrics = QFontMetricsF(small_font(self))
        left = self.wanted_margin(LABEL_SHARE * self.width()) if self.margin is None else self.margin
        width = max(1.0, self.width() - left - 1)
        longest = max((metrics.horizontalAdvance(name) for name in self.matrix.columns), default=0.0)
        upright = longest + 2 <= width / max(columns, 1)
        below = metrics.height() if upright else min(longest, COLUMN_SHARE * self.height())
        if not upright and below < min(longest, LEAST_ROOM):
            below = -GAP  # no names rather than stumps of them
        height = max(1.0, self.height() - below - GAP - TOP)
        if self.square:
            side = min(width / max(columns, 1), height / max(rows, 1))
            width, height = side * columns, side * rows
        return QRectF(left, TOP, width, height), upright

    def area(self) -> QRectF:
        """The rectangle of the cells."""
        return self._layout()[0] if self.matrix is not None and self.matrix.values.size else QRectF()

    def cell_at(self, place: QPoint) -> Cell:
        """The cell at a place of the widget, (-1, -1) outside."""
        area = self.area()
        if not area.contains(place):
            return (-1, -1)
        assert self.matrix is not None
        rows, columns = self.matrix.values.shape
        row = int((place.y() - area.top()) * rows / area.height())
        column = int((place.x() - area.left()) * columns / area.width())
        return (row, column) if self._inside(row, column) else (-1, -1)

    def centre_of(self, row: int, column: int) -> QPoint:
        """The middle of a cell."""
        return self._cell(row, column, self.area()).center().toPoint()

    def _cell(self, row: int, column: int, area: QRectF) -> QRectF:
        assert self.matrix is not None
        rows, columns = self.matrix.values.shape
        width, height = area.width() / columns, area.height() / rows
        return QRectF(area.left() + column * width, area.top() + row * height, width, height)

    # -- drawing ---------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        if self.matrix is None or not self.matrix.values.size:
            return
        painter = QPainter(self)
        painter.setFont(small_font(self))
        area, upright = self._layout()
        painter.drawImage(area, self._picture(area))
        self._draw_values(painter, area)
        self._draw_marks(painter, area)
        self._draw_names(painter, area, upright)

    def _picture(self, area: QRectF) -> QImage:
        assert self.matrix is not None
        scale = self.devicePixelRatioF()
        size = QSize(max(1, int(area.width() * scale)), max(1, int(area.height() * scale)))
        if self._image is None or self._image_size != size:
            values = condensed(self.matrix.values, size.height(), size.width())
            missing = QColor(self.theme.tokens.panel)
            pixels = np.ascontiguousarray(colours(values, self.matrix.scale, self.palette_of(), missing))
            rows, columns = values.shape
            image = QImage(pixels.tobytes(), columns, rows, 3 * columns, QImage.Format.Format_RGB888)
            self._image, self._image_size = image.copy(), size
        return self._image

    def _draw_values(self, painter: QPainter, area: QRectF) -> None:
        """The values themselves, where they fit into their cells."""
        assert self.matrix is not None
        rows, columns = self.matrix.values.shape
        metrics = QFontMetricsF(painter.font())
        width, height = area.width() / columns, area.height() / rows
        if width < metrics.horizontalAdvance("−0.000") + 4 or height < metrics.height() + 2:
            return
        picked = colours(self.matrix.values, self.matrix.scale, self.palette_of(), QColor(self.theme.tokens.panel))
        light = picked @ np.array([0.299, 0.587, 0.114]) > 140
        for row in range(rows):
            for column in range(columns):
                value = float(self.matrix.values[row, column])
                if np.isfinite(value):
                    painter.setPen(QColor("#101010") if light[row, column] else QColor("#f4f4f4"))
                    cell = self._cell(row, column, area)
                    painter.drawText(cell, Qt.AlignmentFlag.AlignCenter, number(value).replace("-", "−"))

    def _draw_marks(self, painter: QPainter, area: QRectF) -> None:
        tokens = self.theme.tokens
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for cell in self.dots:
            if self._inside(*cell):
                place = self._cell(*cell, area)
                radius = max(1.5, min(3.0, min(place.width(), place.height()) / 5))
                middle = place.center()
                if place.width() > 36:  # beside the value, not on it
                    middle.setX(place.right() - 3 - radius)
                    middle.setY(place.top() + 3 + radius)
                painter.setPen(QPen(QColor("#101010"), 1))
                painter.setBrush(QColor("#ffffff"))
                painter.drawEllipse(middle, radius, radius)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for cell in self.rings:
            if self._inside(*cell):
                self._frame(painter, self._cell(*cell, area), QColor("#ffffff"), QColor("#101010"))
        if self._inside(*self.chosen):
            chosen = self._cell(*self.chosen, area)
            if self.chosen in self.rings and min(chosen.width(), chosen.height()) > 16:
                chosen.adjust(3, 3, -3, -3)  # within the ring, so that both are seen
            self._frame(painter, chosen, QColor(tokens.accent), QColor("#ffffff"))
        if self._inside(*self.cursor_cell):
            self._frame(painter, self._cell(*self.cursor_cell, area), QColor(tokens.ink), QColor(tokens.window))
        if self.hasFocus():
            painter.setPen(QPen(QColor(tokens.accent), 1))
            painter.drawRect(area.adjusted(-0.5, -0.5, 0.5, 0.5))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)

    @staticmethod
    def _frame(painter: QPainter, cell: QRectF, colour: QColor, rim: QColor) -> None:
        """A frame that is seen on any colour: light within dark, or dark within light."""
        painter.setPen(QPen(rim, 3))
        painter.drawRect(cell.adjusted(1, 1, -1, -1))
        painter.setPen(QPen(colour, 1.4))
        painter.drawRect(cell.adjusted(1, 1, -1, -1))

    def _draw_names(self, painter: QPainter, area: QRectF, upright: bool) -> None:
        assert self.matrix is not None
        metrics = QFontMetricsF(painter.font())
        rows, columns = self.matrix.values.shape
        painter.setPen(QColor(self.theme.tokens.soft))
        if area.left() > GAP:
            room = area.left() - GAP
            height = area.height() / rows
            every = max(1, int(np.ceil(metrics.height() * CLOSE / height)))
            names = fitted(self.matrix.rows, metrics, room)
            for row in range(0, rows, every):
                middle = area.top() + (row + 0.5) * height
                place = QRectF(0, middle - metrics.height() / 2, room, metrics.height())
                flags = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                painter.drawText(place, flags, names[row])
        if not self.matrix.columns or self.height() - area.bottom() < GAP:
            return
        width = area.width() / columns
        if upright:
            flags = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop
            for column, name in enumerate(self.matrix.columns):
                place = QRectF(area.left() + column * width, area.bottom() + GAP / 2, width, metrics.height())
                painter.drawText(place, flags, name)
            return
        room = self.height() - area.bottom() - GAP
        every = max(1, int(np.ceil(metrics.height() * CLOSE / width)))
        names = fitted(self.matrix.columns, metrics, room)
        for column in range(0, columns, every):
            painter.save()
            painter.translate(area.left() + (column + 0.5) * width, area.bottom() + GAP)
            painter.rotate(-90)
            text = names[column]
            place = QRectF(-room, -metrics.height() / 2, room, metrics.height())
            painter.drawText(place, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, text)
            painter.restore()

    # -- pointer and keys ------------------------------------------------------------------------------------

    def _move(self, cell: Cell) -> None:
        if cell != self.cursor_cell:
            self.point_at(*cell)
            self.hovered.emit(*cell)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._move(self.cell_at(event.position().toPoint()))

    def leaveEvent(self, event: QEvent) -> None:
        if not self.hasFocus():
            self._move((-1, -1))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        cell = self.cell_at(event.position().toPoint())
        if event.button() == Qt.MouseButton.LeftButton and cell != (-1, -1):
            self._move(cell)
            self.clicked.emit(*cell)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        move = KEYS.get(Qt.Key(event.key()))
        if self.matrix is not None and move is not None:
            row, column = self.cursor_cell[0] + move[0], self.cursor_cell[1] + move[1]
            cell = (row, column) if self._inside(*self.cursor_cell) else (0, 0)
            if self._inside(*cell):
                self._move(cell)
                QToolTip.showText(self.mapToGlobal(self.centre_of(*cell)), self.describe(*cell), self)
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._inside(*self.cursor_cell):
            self.clicked.emit(*self.cursor_cell)
        else:
            super().keyPressEvent(event)

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            cell = self.cell_at(event.pos())
            if self._inside(*cell):
                QToolTip.showText(event.globalPos(), self.describe(*cell), self)
            else:
                QToolTip.hideText()
            return True
        return super().event(event)


def condensed(values: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """A matrix of at most (rows, columns) cells, in which each holds the most extreme value of those it stands for."""
    for axis, most in ((0, rows), (1, columns)):
        count = values.shape[axis]
        if count > most:
            starts = np.unique(np.arange(most) * count // most)
            high = np.fmax.reduceat(values, starts, axis=axis)
            low = np.fmin.reduceat(values, starts, axis=axis)
            values = np.where(-low > high, low, high)
    return values
