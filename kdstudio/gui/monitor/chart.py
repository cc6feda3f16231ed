"""The plot under curves: it follows the data until a person zooms or pans, and can be walked with the keyboard."""

from __future__ import annotations

from typing import Any

import pyqtgraph
from PySide6.QtCore import QEvent, QPointF, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent

from kdstudio.gui.monitor.axis import GRID, Axis
from kdstudio.gui.theme import Theme

LABELS_FROM = 220
AXIS_WIDTH = 50
ZOOM = 1.25
PIXELS = 6
#: How much of a side may be text, from how many numbers on.
FILL = [(0, 0.95), (2, 0.7), (4, 0.5), (6, 0.3)]
LEAST_SHARE = 1e-6


class _View(pyqtgraph.ViewBox):
    """The wheel zooms along x, dragging pans along what no longer follows, Shift and dragging zooms into a frame."""

    def __init__(self, chart: Chart) -> None:
        super().__init__(enableMenu=False, defaultPadding=0.0)
        self.chart = chart

    def wheelEvent(self, event: Any, axis: int | None = None) -> None:
        super().wheelEvent(event, axis=0 if axis is None else axis)

    def mouseDragEvent(self, event: Any, axis: int | None = None) -> None:
        if event.isStart():
            frame = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier) and axis is None
            self.state["mouseMode"] = self.RectMode if frame else self.PanMode
        chart = self.chart
        follows_x, follows_y = chart.follows_x, chart.follows_y
        if axis is None and follows_y and self.state["mouseMode"] == self.PanMode:
            axis = 0
        super().mouseDragEvent(event, axis=axis)
        # what was not dragged goes on following; the base class tells of both axes
        if axis == 0:
            chart.follows_y = follows_y
        elif axis == 1:
            chart.follows_x = follows_x


class Chart(pyqtgraph.PlotWidget):
    """Axes, grid and navigation.

    While `follows_x` (or `follows_y`) is set, `show_extent` moves that axis; zooming or panning it ends that, `fit`
    starts it again. Keys: arrows walk from sample to sample (with Shift by ten), Home and End go to the ends, plus and
    minus zoom, Ctrl with an arrow pans, 0 fits, Escape leaves the sample.

    Signals:
        moved: The visible range is another one.
        fitted: Both axes follow again.
        pointed: The pointer is at this x; NaN when it has left.
        walked: Go on by so many samples.
        ended: Go to the first (-1) or the last (1) sample.
    """

    moved = Signal()
    fitted = Signal()
    pointed = Signal(float)
    walked = Signal(int)
    ended = Signal(int)

    def __init__(self, theme: Theme, name: str) -> None:
        self.follows_x = self.follows_y = True
        self.logarithmic = False
        super().__init__(viewBox=_View(self), axisItems={name: Axis(name) for name in ("bottom", "left", "top")})
        self.theme = theme
        self.setObjectName("chart")
        self.setAccessibleName(name)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.item = self.getPlotItem()
        self.item.setMenuEnabled(False)
        self.item.hideButtons()
        self.view: _View = self.item.getViewBox()
        self.view.disableAutoRange()
        self.view.setMouseEnabled(True, True)
        self.view.sigRangeChangedManually.connect(self._moved_by_hand)
        self.view.sigRangeChanged.connect(lambda *_: self.moved.emit())
        self.item.showGrid(x=True, y=True, alpha=GRID)
        for axis in ("left", "bottom", "top"):
            self.item.getAxis(axis).enableAutoSIPrefix(False)
        self.item.getAxis("left").setWidth(AXIS_WIDTH)
        # a low axis shows its few numbers close together
        self.item.getAxis("left").setStyle(textFillLimits=FILL)
        self.item.showAxis("top", False)
        self.item.getAxis("top").setStyle(tickLength=0, tickTextOffset=1)
        self.item.getAxis("top").setGrid(False)
        self.item.layout.setContentsMargins(0, 2, 6, 3)
        self.x_label = self.y_label = ""
        self.x_form = "{}"

    # -- what is visible -------------------------------------------------------------------------------------

    def visible(self) -> tuple[float, float]:
        """The visible range of x."""
        low, high = self.view.viewRange()[0]
        return float(low), float(high)

    def show_extent(self, x: tuple[float, float] | None, y: tuple[float, float] | None) -> None:
        """Moves the axes that follow to where the data are."""
        if x is not None:
            if x[1] <= x[0]:  # a single sample stands in the middle
                x = (x[0] - 0.5, x[0] + 0.5)
            span = x[1] - x[0]
            self.view.setLimits(xMin=x[0] - span, xMax=x[1] + span, minXRange=LEAST_SHARE * span, maxXRange=2.5 * span)
            if self.follows_x:
                self.view.setXRange(x[0] - 0.01 * span, x[1] + 0.02 * span, padding=0)
        if y is not None and self.follows_y:
            span = y[1] - y[0] or abs(y[1]) * 0.2 or 1.0
            self.view.setYRange(y[0] - 0.05 * span, y[1] + 0.05 * span, padding=0)

    def set_logarithmic(self, on: bool) -> None:
        """Whether y is the logarithm of what the axis says."""
        self.logarithmic = on
        self.item.getAxis("left").setLogMode(on)

    def margin(self) -> QPointF:
        """A few pixels, on the axes."""
        (left, right), (low, high) = self.view.viewRange()
        return QPointF(
            PIXELS * (right - left) / max(self.view.width(), 1), PIXELS * (high - low) / max(self.view.height(), 1)
        )

    def fit(self) -> None:
        """Follows the data again, on both axes."""
        self.follows_x = self.follows_y = True
        self.fitted.emit()

    @property
    def follows(self) -> bool:
        return self.follows_x and self.follows_y

    def _moved_by_hand(self, axes: list[bool]) -> None:
        self.follows_x = self.follows_x and not axes[0]
        self.follows_y = self.follows_y and not axes[1]
        self.moved.emit()

    def set_labels(self, x: str, y: str, x_form: str) -> None:
        """The words at the axes. A low chart leaves them out, so that its curves keep their room.

        Args:
            x_form: How one of the numbers of a low chart says what they are: "step {}".
        """
        self.x_label, self.y_label, self.x_form = x, y, x_form
        self._label()

    def _label(self) -> None:
        roomy = self.height() >= LABELS_FROM
        for axis, words in (("bottom", self.x_label), ("left", self.y_label)):
            item = self.item.getAxis(axis)
            shown = words if roomy else ""
            if item.labelText != shown:
                item.setLabel(shown)
                item.showLabel(bool(shown))
        bottom = self.item.getAxis("bottom")
        form = "{}" if roomy else self.x_form
        if bottom.form != form:
            bottom.form = form
            bottom.picture = None
            bottom.update()
        self.item.getAxis("left").setWidth(AXIS_WIDTH + (20 if roomy and self.y_label else 0))

    def recolour(self) -> None:
        tokens = self.theme.tokens
        self.setBackground(tokens.panel)
        for name in ("left", "bottom", "top"):
            axis = self.item.getAxis(name)
            axis.dress(tokens)
        self.item.getAxis("top").setPen(None)

    # -- pointer and keys ------------------------------------------------------------------------------------

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        if hasattr(self, "x_label"):
            self._label()
            self.moved.emit()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        super().mouseMoveEvent(event)
        place = self.mapToScene(event.position().toPoint())
        inside = self.view.sceneBoundingRect().contains(place)
        self.pointed.emit(self.view.mapSceneToView(place).x() if inside else float("nan"))

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.fit()
        event.accept()

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self.pointed.emit(float("nan"))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, modifiers = event.key(), event.modifiers()
        direction = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(key), 0)
        if direction and modifiers & Qt.KeyboardModifier.ControlModifier:
            low, high = self.visible()
            self.pan(direction * (high - low) / 4)
        elif direction:
            self.walked.emit(direction * (10 if modifiers & Qt.KeyboardModifier.ShiftModifier else 1))
        elif key in (Qt.Key.Key_Home, Qt.Key.Key_End):
            self.ended.emit(-1 if key == Qt.Key.Key_Home else 1)
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self.zoom(1 / ZOOM)
        elif key == Qt.Key.Key_Minus:
            self.zoom(ZOOM)
        elif key == Qt.Key.Key_0:
            self.fit()
        elif key == Qt.Key.Key_Escape:
            self.pointed.emit(float("nan"))
        else:
            event.ignore()

    def zoom(self, factor: float, centre: float | None = None) -> None:
        """Zooms x about `centre`, the middle by default."""
        low, high = self.visible()
        centre = (low + high) / 2 if centre is None or not low <= centre <= high else centre
        self._by_hand(centre - (centre - low) * factor, centre + (high - centre) * factor)

    def pan(self, by: float) -> None:
        """Moves the visible range of x."""
        low, high = self.visible()
        self._by_hand(low + by, high + by)

    def _by_hand(self, low: float, high: float) -> None:
        self.follows_x = False
        self.view.setXRange(low, high, padding=0)
        self.moved.emit()

    def place_of(self, x: float, y: float) -> QPointF:
        """Where a point of the axes is on the widget."""
        return QPointF(self.mapFromScene(self.view.mapViewToScene(QPointF(x, y))))
