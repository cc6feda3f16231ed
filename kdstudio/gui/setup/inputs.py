"""Input widgets that behave in a long form: a wheel scrolls the form, Ctrl+Z is the experiment's undo."""

from __future__ import annotations

import math

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QKeySequence, QValidator, QWheelEvent
from PySide6.QtWidgets import QAbstractSpinBox, QComboBox, QLineEdit, QSizePolicy, QSpinBox

#: Width of a field for a number: digits, and room for its frame and arrows.
DIGITS, FRAME = 9, 44
#: Whole numbers of Qt's spin boxes.
INT_LIMIT = 2**31 - 1


class Line(QLineEdit):
    """A line whose undo is the experiment's: it leaves Ctrl+Z to the window."""

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ShortcutOverride:
            keys = QKeySequence.StandardKey
            if any(event.matches(key) for key in (keys.Undo, keys.Redo)):  # type: ignore[attr-defined]
                event.ignore()
                return False
        return super().event(event)


class Spin(QSpinBox):
    """A wheel over a form scrolls the form; it must not change a number that was passed over."""

    def __init__(self) -> None:
        super().__init__()
        self.set_bounds(-INT_LIMIT, INT_LIMIT, optional=False)
        self.setLineEdit(Line())
        self.lineEdit().setTextMargins(6, 0, 0, 0)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def set_bounds(self, low: int, high: int, optional: bool) -> None:
        """What the arrows reach. Typed is what is typed: the spec says what is wrong with a number beyond.

        Args:
            low, high: The bounds.
            optional: Whether the number may be left out, one step below the lowest.
        """
        self.setRange(-INT_LIMIT - 1, INT_LIMIT)
        self._low, self._high, self._optional = low, high, optional

    def stepEnabled(self) -> QAbstractSpinBox.StepEnabledFlag:
        flags = QAbstractSpinBox.StepEnabledFlag
        number = self.value()
        least = self.minimum() if self._optional else self._low
        up = flags.StepUpEnabled if number < self._high else flags.StepNone
        return up | (flags.StepDownEnabled if number > least else flags.StepNone)

    def stepBy(self, steps: int) -> None:
        number = self.value()
        empty = self._low - 1
        target = (empty if self._optional and number == self.minimum() else number) + steps
        if self._optional and target <= empty:
            self.setValue(self.minimum())
        else:
            self.setValue(max(self._low, min(self._high, target)))
        self.selectAll()

    def sizeHint(self) -> QSize:
        return QSize(number_width(self), super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class Combo(QComboBox):
    """See `Spin`."""

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumContentsLength(6)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class NumberSpin(QAbstractSpinBox):
    """A number as people write it (0.05, 1e-3) with arrows that move its first digit."""

    typed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setLineEdit(Line())
        self.lineEdit().setTextMargins(6, 0, 0, 0)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.lineEdit().textEdited.connect(lambda _: self.typed.emit())

    def stepEnabled(self) -> QAbstractSpinBox.StepEnabledFlag:
        flags = QAbstractSpinBox.StepEnabledFlag
        return flags.StepUpEnabled | flags.StepDownEnabled

    def stepBy(self, steps: int) -> None:
        try:
            number = float(self.text())
        except ValueError:
            number = 0.0
        for _ in range(abs(steps)):
            number = stepped(number, steps > 0)
        self.lineEdit().setText(f"{number:g}")
        self.typed.emit()

    def validate(self, text: str, position: int) -> tuple[QValidator.State, str, int]:
        return QValidator.State.Acceptable, text, position

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()

    def sizeHint(self) -> QSize:
        return QSize(number_width(self), super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()


def number_width(widget: QAbstractSpinBox) -> int:
    """The width of a field for a number, at the size of text in force; wider where it says what empty means."""
    metrics = widget.fontMetrics()
    return max(metrics.horizontalAdvance("0") * DIGITS, metrics.horizontalAdvance(widget.specialValueText())) + FRAME


def stepped(number: float, up: bool) -> float:
    """The next number up or down in the first digit: 0.05, 0.06; 9, 10, 20; 0.1, 0.09."""
    if number == 0:
        return 0.1 if up else 0.0
    size = 10.0 ** math.floor(math.log10(abs(number)) + 1e-9)
    digits = round(abs(number) / size, 9)
    towards_zero = up == (number < 0)
    if towards_zero and digits <= 1:
        size /= 10
    return float(f"{number + (size if up else -size):.6g}")
