"""The temperature of the soft-targets panel: a slider on a logarithmic scale, the exact value, the objective's own."""

from __future__ import annotations

import math

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QDoubleSpinBox, QHBoxLayout, QLabel, QToolButton, QWidget

from kdstudio.gui.language import tr
from kdstudio.gui.theme import Theme
from kdstudio.gui.widgets.marked_slider import MarkedSlider

LOW, HIGH = 0.5, 50.0
LOWEST, HIGHEST = 0.05, 1000.0
NOTCHES = 400
START = 4.0


def to_notch(temperature: float) -> int:
    """The slider's place for a temperature; the ends stand for all beyond them."""
    share = math.log(temperature / LOW) / math.log(HIGH / LOW)
    return round(NOTCHES * min(max(share, 0.0), 1.0))


def to_temperature(notch: int) -> float:
    """The temperature of a place of the slider, at three digits."""
    return float(f"{LOW * (HIGH / LOW) ** (notch / NOTCHES):.3g}")


class TemperatureControl(QWidget):
    """A slider from 0.5 to 50, a field for any value, and a button back to the temperature of the objective.

    Signals:
        changed: The temperature is another one.
    """

    changed = Signal(float)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.value = START
        self.objective: list[float] = []
        label = QLabel("T")
        label.setObjectName("soft")
        tip = tr("Temperature of the bars, maps and figures: 1 is the plain output, 2 to 8 shows dark knowledge")
        label.setToolTip(tip)
        self.slider = MarkedSlider(theme)
        self.slider.setAccessibleName(tr("Temperature"))
        self.slider.setToolTip(tip)
        self.slider.setRange(0, NOTCHES)
        self.slider.setPageStep(NOTCHES // 20)
        self.slider.setMinimumWidth(80)
        self.slider.setValue(to_notch(START))
        self.slider.valueChanged.connect(lambda notch: self.set_value(to_temperature(notch)))
        self.field = QDoubleSpinBox()
        self.field.setAccessibleName(tr("Exact temperature"))
        self.field.setToolTip(tr("The exact temperature, {lowest:g} to {highest:g}", lowest=LOWEST, highest=HIGHEST))
        self.field.setRange(LOWEST, HIGHEST)
        self.field.setDecimals(2)
        self.field.setSingleStep(0.5)
        self.field.setKeyboardTracking(False)
        self.field.setFixedWidth(84)
        self.field.setValue(START)
        self.field.valueChanged.connect(self.set_value)
        self.reset = QToolButton()
        self.reset.setAccessibleName(tr("Temperature of the objective"))
        self.reset.clicked.connect(self._reset)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        for widget in (label, self.slider, self.field, self.reset):
            row.addWidget(widget, 1 if widget is self.slider else 0)
        self.set_objective([])

    def set_objective(self, temperatures: list[float]) -> None:
        """Marks the temperatures of the objective's soft terms, and starts at the first."""
        self.objective = temperatures
        self.slider.set_marks(
            [(to_notch(value), tr("T = {value:g} in the objective", value=value)) for value in temperatures]
        )
        self.reset.setVisible(bool(temperatures))
        if temperatures:
            self.reset.setText(f"T = {temperatures[0]:g}")
            self.reset.setToolTip(tr("Back to T = {value:g}, the temperature of the objective", value=temperatures[0]))
            self.set_value(temperatures[0])
        self._show()

    def set_value(self, temperature: float) -> None:
        """Takes a temperature."""
        temperature = min(max(temperature, LOWEST), HIGHEST)
        if temperature != self.value:
            self.value = temperature
            self._show()
            self.changed.emit(temperature)

    def _show(self) -> None:
        for widget in (self.slider, self.field):
            widget.blockSignals(True)
        self.field.setValue(self.value)
        if to_temperature(self.slider.value()) != self.value:
            self.slider.setValue(to_notch(self.value))
        for widget in (self.slider, self.field):
            widget.blockSignals(False)
        self.reset.setEnabled(bool(self.objective) and self.value != self.objective[0])

    def _reset(self) -> None:
        if self.objective:
            self.set_value(self.objective[0])
