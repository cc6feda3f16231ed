"""One field that varies: its name, its values as a line of text, and what they are taken as."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QFrame, QHBoxLayout, QLabel, QLineEdit, QSpinBox, QVBoxLayout

from kdstudio.gui.language import tr
from kdstudio.gui.setup.bars import IconButton
from kdstudio.gui.sweeps.suggestions import field_title, partners_of
from kdstudio.gui.theme import Theme
from kdstudio.gui.widgets.elided import ElidedLabel
from kdstudio.project.errors import KDStudioError
from kdstudio.project.spec import Experiment, validate
from kdstudio.project.spec.sweep import GRID_POINTS, SweepField
from kdstudio.project.sweeps.fields import text_of, values_of


class FieldRow(QFrame):
    """A field of the sweep.

    Args:
        theme: The window's.
        experiment: The one that is varied.
        path: Of the field.
        text: The values to begin with.

    Signals:
        edited: Something was changed.
        removed: The person does not want it to vary.
    """

    edited = Signal()
    removed = Signal()

    def __init__(self, theme: Theme, experiment: Experiment, path: str, text: str) -> None:
        super().__init__()
        self.setObjectName("group")
        self.path, self._experiment = path, experiment
        name = field_title(experiment, path)
        self.title = ElidedLabel(name)
        self.title.setToolTip(path)
        self.remove = IconButton(theme, "trash", tr("{field} does not vary", field=name))
        self.remove.clicked.connect(lambda: self.removed.emit())
        self.line = QLineEdit(text)
        self.line.setAccessibleName(tr("Values of {field}", field=name))
        self.line.setPlaceholderText("1, 2, 4, 8")
        self.line.setToolTip(tr("Values with commas between, or bounds with two dots between: 0.001..0.1"))
        self.line.textChanged.connect(lambda _: self._changed())
        self.log = QCheckBox(tr("Logarithmic"))
        self.log.setToolTip(tr("Spread evenly in the logarithm, as is usual for learning rates"))
        self.whole = QCheckBox(tr("Whole"))
        self.whole.setToolTip(tr("Whole numbers only"))
        self.points = QSpinBox()
        self.points.setRange(2, 1000)
        self.points.setValue(GRID_POINTS)
        self.points.setAccessibleName(tr("Points of {field}", field=name))
        self.points.setToolTip(tr("How many values a grid takes between the bounds, both included"))
        self.points.setSuffix(tr(" points"))
        self.rest = QComboBox()
        self.rest.setAccessibleName(tr("The rest to 1 of {field}", field=name))
        self.rest.setToolTip(tr("Another weight that gets 1 minus this one, as in L = a hard + (1 - a) soft"))
        self.rest.addItem(tr("nothing gets the rest"), "")
        self.rest.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.rest.setMinimumContentsLength(12)
        for partner in partners_of(experiment, path):
            self._add_partner(partner)
        self.rest.setCurrentIndex(self.rest.count() - 1)
        for box in (self.log, self.whole):
            box.toggled.connect(lambda _: self._changed())
        self.points.valueChanged.connect(lambda _: self._changed())
        self.rest.activated.connect(lambda _: self._changed())
        self.error = QLabel()
        self.error.setObjectName("error")
        self.error.setWordWrap(True)
        head = QHBoxLayout()
        head.addWidget(self.title, 1)
        head.addWidget(self.remove)
        ways = QHBoxLayout()
        ways.setSpacing(12)
        ways.addWidget(self.log)
        ways.addWidget(self.whole)
        ways.addStretch(1)
        ways.addWidget(self.points)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 4, 8, 8)
        column.setSpacing(6)
        column.addLayout(head)
        column.addWidget(self.line)
        column.addLayout(ways)
        column.addWidget(self.rest)
        column.addWidget(self.error)
        self._grid = True
        self._show()

    def set_grid(self, grid: bool) -> None:
        """Whether the search takes points between bounds."""
        self._grid = grid
        self._show()

    def lock(self, locked: bool) -> None:
        """Nothing can be changed in a sweep that has trials."""
        for widget in (self.remove, self.line, self.log, self.whole, self.points, self.rest):
            widget.setEnabled(not locked)

    def fill(self, field: SweepField) -> None:
        """Shows a field that there is."""
        self.line.setText(text_of(field))
        self.log.setChecked(field.log)
        self.whole.setChecked(field.whole)
        self.points.setValue(field.points)
        if field.rest and self.rest.findData(field.rest) < 0:
            self._add_partner(field.rest)
        self.rest.setCurrentIndex(max(0, self.rest.findData(field.rest or "")))
        self._show()

    def _add_partner(self, path: str) -> None:
        name = field_title(self._experiment, path)
        self.rest.addItem(tr("{field} gets the rest to 1", field=name), path)

    def read(self) -> SweepField | None:
        """The field; None where it is wrong, which the row says then."""
        try:
            said: dict[str, Any] = {"path": self.path, **values_of(self.line.text())}
            if "low" in said:
                said |= {"log": self.log.isChecked(), "whole": self.whole.isChecked(), "points": self.points.value()}
            if self.rest.currentData():
                said["rest"] = self.rest.currentData()
            field = validate(SweepField, said)
        except KDStudioError as error:
            self.tell(str(error))
            return None
        self.tell("")
        return field

    def tell(self, text: str) -> None:
        """Says what is wrong with it; empty for nothing."""
        self.error.setText(text)
        self.error.setVisible(bool(text))

    def _changed(self) -> None:
        self._show()
        self.edited.emit()

    def _show(self) -> None:
        bounds = ".." in self.line.text()
        self.log.setVisible(bounds)
        self.whole.setVisible(bounds)
        self.points.setVisible(bounds and self._grid)
        self.rest.setVisible(self.rest.count() > 1)
        self.error.setVisible(bool(self.error.text()))
