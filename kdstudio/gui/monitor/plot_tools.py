"""Buttons of a plot: how it smooths and what its axes are, in a small window of their own; and Fit."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QSlider,
    QToolButton,
    QWidget,
)

from kdstudio.gui.icons import icon
from kdstudio.gui.language import mark, tr
from kdstudio.gui.monitor.plot import SeriesPlot
from kdstudio.gui.monitor.xaxis import KINDS
from kdstudio.gui.theme import Theme

#: Positions of the slider: what a thousandth of the curve's length leaves of the past, and how that is called.
SMOOTHINGS = (
    (0.0, mark("none")),
    (0.8, mark("slight")),
    (0.9, mark("light")),
    (0.95, mark("medium")),
    (0.98, mark("strong")),
    (0.99, mark("heaviest")),
)
X_WORDS = {"step": mark("Step"), "epoch": mark("Epoch"), "time": mark("Time of training")}
KEYS = mark(
    "The wheel zooms, dragging pans, Shift and dragging zooms into a frame, a double click fits.\n"
    "Keys: ← → walk along the samples (Shift: by ten), + − zoom, Ctrl+← → pan, 0 fits, Esc leaves."
)


class _Popup(QFrame):
    """The small window; Escape or a click elsewhere closes it."""

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Escape, Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.close()
        else:
            super().keyPressEvent(event)


class PlotTools(QWidget):
    """The buttons for one plot.

    Args:
        name: Of the plot, for accessible names.
        smoothing, logarithmic, x_axis: Whether these can be chosen.
    """

    def __init__(
        self,
        series: SeriesPlot,
        theme: Theme,
        name: str,
        smoothing: bool = True,
        logarithmic: bool = True,
        x_axis: bool = True,
    ) -> None:
        super().__init__()
        self.series = series
        self.theme = theme
        self.options = QToolButton()
        self.options.setAccessibleName(tr("{plot}: axes and smoothing", plot=name))
        self.options.setToolTip(tr("Smoothing and axes of this plot"))
        self.options.clicked.connect(self.open)
        self.fit = QToolButton()
        self.fit.setAccessibleName(tr("{plot}: fit", plot=name))
        self.fit.setToolTip(tr("Fit the curves and follow them again (double click into the plot, or 0)"))
        self.fit.clicked.connect(series.chart.fit)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        row.addWidget(self.options)
        row.addWidget(self.fit)
        self.popup = _Popup(self, Qt.WindowType.Popup)
        self.popup.setObjectName("popup")
        self.popup.setAccessibleName(tr("{plot}: axes and smoothing", plot=name))
        form = QFormLayout(self.popup)
        form.setContentsMargins(12, 12, 12, 12)
        form.setHorizontalSpacing(12)
        form.setVerticalSpacing(8)
        self.smoothing = QSlider(Qt.Orientation.Horizontal)
        self.smoothing.setAccessibleName(tr("Smoothing"))
        self.smoothing.setRange(0, len(SMOOTHINGS) - 1)
        self.smoothing.setPageStep(1)
        self.smoothing.setMinimumWidth(140)
        self.smoothing.setToolTip(tr("Moving average over the raw curve, which stays faint behind it; usual is medium"))
        self.smoothing.setValue([value for value, _ in SMOOTHINGS].index(series.smoothing))
        self.smoothing_words = QLabel()
        longest = max((self._smoothing_text(place) for place in range(len(SMOOTHINGS))), key=len)
        self.smoothing_words.setMinimumWidth(self.smoothing_words.fontMetrics().horizontalAdvance(longest) + 4)
        self.smoothing.valueChanged.connect(self._smooth)
        line = QHBoxLayout()
        line.addWidget(self.smoothing, 1)
        line.addWidget(self.smoothing_words)
        if smoothing:
            form.addRow(tr("Smoothing"), line)
        self.x_axis = QComboBox()
        self.x_axis.setAccessibleName(tr("Horizontal axis"))
        self.x_axis.setToolTip(tr("Time of training leaves out holds and the time between a park and its resume"))
        for kind in KINDS:
            self.x_axis.addItem(tr(X_WORDS[kind]), kind)
        self.x_axis.setCurrentIndex(KINDS.index(series.x_kind))
        self.x_axis.activated.connect(lambda _: series.set_options(x_kind=self.x_axis.currentData()))
        if x_axis:
            form.addRow(tr("Horizontal axis"), self.x_axis)
        self.log = QCheckBox(tr("Logarithmic"))
        self.log.setToolTip(tr("Equal distances are equal factors; values of 0 or less have no place on such an axis"))
        self.log.toggled.connect(lambda on: series.set_options(logarithmic=on))
        if logarithmic:
            form.addRow(tr("Vertical axis"), self.log)
        keys = QLabel(tr(KEYS))
        keys.setObjectName("soft")
        form.addRow(keys)
        self._tell_smoothing()
        series.chart.moved.connect(self._refresh)
        series.chart.fitted.connect(self._refresh)
        theme.changed.connect(self._recolour)
        self._recolour()
        self._refresh()

    def open(self) -> None:
        """Opens the small window under its button, inside the screen."""
        self.popup.adjustSize()
        corner = self.options.mapToGlobal(QPoint(self.options.width(), self.options.height() + 4))
        screen = self.options.screen().availableGeometry()
        left = max(screen.left(), corner.x() - self.popup.width())
        top = min(corner.y(), screen.bottom() - self.popup.height())
        self.popup.move(left, top)
        self.popup.show()
        first = next((widget for widget in (self.smoothing, self.x_axis, self.log) if widget.isVisible()), self.popup)
        first.setFocus()

    def _smooth(self, position: int) -> None:
        self._tell_smoothing()
        self.series.set_options(smoothing=SMOOTHINGS[position][0])

    def _tell_smoothing(self) -> None:
        text = self._smoothing_text(self.smoothing.value())
        self.smoothing_words.setText(text)
        self.smoothing.setAccessibleDescription(text)

    @staticmethod
    def _smoothing_text(position: int) -> str:
        value, words = SMOOTHINGS[position]
        return f"{tr(words)} ({value:g})" if value else tr(words)

    def _refresh(self) -> None:
        self.fit.setEnabled(not self.series.chart.follows)

    def _recolour(self) -> None:
        for button, name in ((self.options, "sliders"), (self.fit, "fit")):
            button.setIcon(icon(name, self.theme.tokens.soft))
