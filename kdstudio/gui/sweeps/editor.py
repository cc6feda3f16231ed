"""What a sweep is asked for: its fields, how their values are searched, and the budget."""

from __future__ import annotations

import functools
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QPushButton,
    QScrollArea,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from kdstudio.gui.language import mark, tr, trn
from kdstudio.gui.setup.words import label_of
from kdstudio.gui.sweeps.field_row import FieldRow
from kdstudio.gui.sweeps.suggestions import field_title, sweepable, usual_values
from kdstudio.gui.theme import Theme
from kdstudio.project.errors import KDStudioError
from kdstudio.project.spec import Experiment, validate
from kdstudio.project.spec.sweep import SweepSpec
from kdstudio.project.sweeps.folder import Sweep

SEARCHES = {
    "grid": mark("Grid: every combination"),
    "random": mark("Random"),
    "tpe": mark("TPE: where it was good before"),
}
PRUNES = {
    "none": mark("no trial early"),
    "median": mark("trials below the median"),
    "halving": mark("by successive halving"),
}
MOST_TRIALS, MOST_SEEDS, MOST_WORKERS = 100_000, 100, 64


class SweepEditor(QWidget):
    """The form of a sweep.

    Signals:
        edited: It asks for something else now.
    """

    edited = Signal()

    def __init__(self, theme: Theme, experiment: Experiment) -> None:
        super().__init__()
        self.theme, self.experiment, self.base = theme, experiment, experiment
        self.rows: list[FieldRow] = []
        self._locked = False
        self.name = QLineEdit()
        self.name.setAccessibleName(tr("Name of the sweep"))
        self.name.setToolTip(tr("Its trials are runs in runs/NAME"))
        self.add = QPushButton(tr("Add a field"))
        self.add.setToolTip(tr("A field of the experiment that is to vary; or right-click it on the Setup page"))
        self.add.setMenu(self._menu())
        self.search = _combo(SEARCHES, tr("Search"), tr("How combinations are chosen (TPE pays from about 20 trials)"))
        self.prune = _combo(PRUNES, tr("Stop early"), tr("Which trials end before their last epoch (usual: none)"))
        self.trials = _spin(MOST_TRIALS, 20, tr("Trials"), tr("Combinations that are tried; a grid has all of its own"))
        self.seeds = _spin(MOST_SEEDS, 1, tr("Seeds"), tr("Trainings of each combination (usual: 1 to 3)"))
        self.workers = _spin(MOST_WORKERS, 1, tr("At once"), tr("Trials at once on this computer (usual: 1 a device)"))
        self.amount = QLabel()
        self.amount.setObjectName("soft")
        self.amount.setWordWrap(True)
        self.error = QLabel()
        self.error.setObjectName("error")
        self.error.setWordWrap(True)
        self.error.setTextFormat(Qt.TextFormat.PlainText)
        self.error.hide()
        self._build()
        for box in (self.search, self.prune):
            box.activated.connect(lambda _: self._changed())
        for spin in (self.trials, self.seeds, self.workers):
            spin.valueChanged.connect(lambda _: self._changed())
        self.name.textChanged.connect(lambda _: self._changed())
        self._changed()

    def _build(self) -> None:
        self.list = QWidget()
        self._column = QVBoxLayout(self.list)
        self._column.setContentsMargins(0, 0, 4, 0)
        self._column.setSpacing(8)
        self._column.addStretch(1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(self.list)
        self.empty = QLabel(tr("Nothing varies yet. Add a field here, or right-click it on the Setup page."))
        self.empty.setObjectName("hint")
        self.empty.setWordWrap(True)
        form = QFormLayout()
        form.setHorizontalSpacing(12)
        form.setVerticalSpacing(8)
        form.addRow(tr("Name"), self.name)
        search = QFormLayout()
        search.setHorizontalSpacing(12)
        search.setVerticalSpacing(8)
        search.addRow(tr("Search"), self.search)
        search.addRow(tr("Stop early"), self.prune)
        numbers = QHBoxLayout()
        numbers.setSpacing(8)
        for text, box in ((tr("Trials"), self.trials), (tr("Seeds"), self.seeds), (tr("At once"), self.workers)):
            column = QVBoxLayout()
            column.setSpacing(2)
            label = QLabel(text)
            label.setObjectName("label")
            label.setBuddy(box)
            column.addWidget(label)
            column.addWidget(box)
            numbers.addLayout(column, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(10)
        layout.addLayout(form)
        layout.addWidget(self.empty)
        layout.addWidget(area, 1)
        layout.addWidget(self.add)
        layout.addLayout(search)
        layout.addLayout(numbers)
        layout.addWidget(self.amount)
        layout.addWidget(self.error)

    def _menu(self) -> QMenu:
        menu = QMenu(self)
        groups: dict[str, QMenu] = {}
        for path in sweepable(self.experiment):
            group = path.split(".")[0]
            if "." in path and group not in groups:
                groups[group] = menu.addMenu(label_of(group))
            target = groups.get(group, menu)
            target.addAction(field_title(self.experiment, path)).triggered.connect(
                functools.partial(self.add_field, path)
            )
        return menu

    # -- fields ------------------------------------------------------------------------------------------------

    def add_field(self, path: str, checked: bool = False) -> None:
        """Lets a field vary, about the value that it has in the experiment."""
        if self._locked or any(row.path == path for row in self.rows):
            return
        text, logarithmic = usual_values(self.experiment, path)
        row = FieldRow(self.theme, self.experiment, path, text)
        row.log.setChecked(logarithmic)
        self._insert(row)
        row.line.setFocus()
        row.line.selectAll()

    def _insert(self, row: FieldRow) -> None:
        row.edited.connect(self._changed)
        row.removed.connect(functools.partial(self._remove, row))
        self.rows.append(row)
        self._column.insertWidget(len(self.rows) - 1, row)
        row.show()
        self._changed()

    def _remove(self, row: FieldRow) -> None:
        self.rows.remove(row)
        row.setParent(None)
        row.deleteLater()
        self._changed()

    # -- as a whole --------------------------------------------------------------------------------------------

    def fill(self, name: str, sweep: Sweep | None) -> None:
        """Shows a sweep that there is, or a new one of this name."""
        self.base = sweep.base if sweep is not None else self.experiment
        spec = sweep.spec if sweep is not None else None
        for row in list(self.rows):
            self._remove(row)
        self.name.setText(name)
        if spec is None:
            self.lock(False)
            return
        for field in spec.fields:
            row = FieldRow(self.theme, self.base, field.path, "")
            row.fill(field)
            self._insert(row)
        self.search.setCurrentIndex(self.search.findData(spec.search))
        self.prune.setCurrentIndex(self.prune.findData(spec.prune))
        self.trials.setValue(spec.trials)
        self.seeds.setValue(len(spec.seeds))
        self.lock(True)

    def lock(self, frozen: bool, going: bool = False) -> None:
        """What is searched is frozen once there are trials; while they go, so are the numbers."""
        self._locked = frozen
        for row in self.rows:
            row.lock(frozen)
        asked: tuple[QWidget, ...] = (self.name, self.add, self.search)
        numbers: tuple[QWidget, ...] = (self.prune, self.seeds, self.workers)
        for widget in asked:
            widget.setEnabled(not frozen)
        for widget in numbers:
            widget.setEnabled(not going)
        self.trials.setEnabled(not going and self.search.currentData() != "grid")

    def read(self) -> SweepSpec | None:
        """The sweep; None where it is wrong, which is said then."""
        fields = [row.read() for row in self.rows]
        if not fields or any(field is None for field in fields):
            return None
        said: dict[str, Any] = {
            "experiment": self.experiment.name,
            "search": self.search.currentData(),
            "prune": self.prune.currentData(),
            "trials": self.trials.value(),
            "seeds": list(range(self.seeds.value())),
            "fields": [field.model_dump(exclude_defaults=True) for field in fields if field is not None],
        }
        try:
            return validate(SweepSpec, said)
        except KDStudioError as error:
            self.tell(str(error))
            return None

    def tell(self, text: str) -> None:
        """Says what is wrong with the whole."""
        self.error.setText(text)
        self.error.setVisible(bool(text))

    def _changed(self) -> None:
        grid = self.search.currentData() == "grid"
        for row in self.rows:
            row.set_grid(grid)
        self.trials.setEnabled(not grid and self.workers.isEnabled())
        self.empty.setVisible(not self.rows)
        self.tell("")
        spec = self.read()
        if spec is None:
            self.amount.setText("")
        else:
            runs = spec.total * len(spec.seeds)
            words = {"trials": spec.total, "epochs": self.base.train.epochs}
            self.amount.setText(
                trn(
                    "{trials} trials: {count} run of {epochs} epochs",
                    "{trials} trials: {count} runs of {epochs} epochs",
                    runs,
                    **words,
                )
            )
        self.edited.emit()


def _combo(choices: dict[str, str], name: str, tip: str) -> QComboBox:
    combo = QComboBox()
    for value, words in choices.items():
        combo.addItem(tr(words), value)
    combo.setAccessibleName(name)
    combo.setToolTip(tip)
    return combo


def _spin(most: int, value: int, name: str, tip: str) -> QSpinBox:
    box = QSpinBox()
    box.setRange(1, most)
    box.setValue(value)
    box.lineEdit().setTextMargins(6, 0, 0, 0)
    box.setAccessibleName(name)
    box.setToolTip(tip)
    return box
