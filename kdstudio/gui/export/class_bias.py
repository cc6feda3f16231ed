"""Class bias: what the student says of a class is shifted, seen at once on validation samples, and kept."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QLineEdit, QPushButton, QSlider, QVBoxLayout

from kdstudio.gui.language import mark, tr
from kdstudio.gui.setup.inputs import Combo
from kdstudio.gui.words import split_word
from kdstudio.project.class_bias import Effect, check_name, effect, prior_shares, shift_for_prior
from kdstudio.project.errors import InputError
from kdstudio.project.runs.evaluation import EVALUATION_FILE, ValidationLogits, read_validation_logits
from kdstudio.project.runs.folder import RunFolder

#: The slider counts in tenths, and goes so far either way.
TENTHS, FARTHEST = 10, 10
WORDS = mark(
    "Shifts what the student says of a class: of one that its training samples lacked, or one that is more or less "
    "frequent where it will be used. The figures are those on the validation samples; test samples choose nothing."
)
NOT_STORED = mark(
    "What the student says of the validation samples is not stored in this run. Evaluate again stores it."
)
PRIORS = {"uniform": mark("Even shares"), "data": mark("Shares as in the data")}
TIPS = {
    "uniform": mark("Shifts all classes so that each is predicted equally often, on average"),
    "data": mark("Shifts all classes so that each is predicted as often as it occurs among the validation samples"),
}


class Slider(QSlider):
    """A wheel over the page scrolls the page; it must not shift a class that was passed over."""

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class ClassBiasCard(QFrame):
    """A class, a slider and live figures; or a shift of all classes to a prior; and a button that keeps the student.

    Signals:
        asked: The arguments of `kdstudio bias`, without the run, that write the new student.
    """

    asked = Signal(list)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("card")
        self.run_folder: RunFolder | None = None
        self._key: object = None
        self._known: ValidationLogits | None = None
        self._before: Effect | None = None
        self._shift = np.zeros(0)
        self._prior = ""
        self._busy = False
        title = QLabel(tr("Class bias"))
        title.setObjectName("heading")
        self.words = QLabel()
        self.words.setObjectName("soft")
        self.words.setWordWrap(True)
        self.classes = Combo()
        self.classes.setAccessibleName(tr("Class to shift"))
        self.classes.currentIndexChanged.connect(self._class_chosen)
        self.slider = Slider(Qt.Orientation.Horizontal)
        self.slider.setRange(-FARTHEST * TENTHS, FARTHEST * TENTHS)
        self.slider.setPageStep(TENTHS // 2)
        self.slider.setAccessibleName(tr("Shift of the class"))
        self.slider.setToolTip(tr("Added to what the student says of this class (usual -5 to 5)"))
        self.slider.valueChanged.connect(self._moved)
        self.value = QLabel()
        self.value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.priors = {kind: QPushButton(tr(text)) for kind, text in PRIORS.items()}
        for kind, button in self.priors.items():
            button.setToolTip(tr(TIPS[kind]))
            button.clicked.connect(lambda _, kind=kind: self.match(kind))
        self.reset = QPushButton(tr("No shift"))
        self.reset.setToolTip(tr("Takes all shifts back"))
        self.reset.clicked.connect(lambda: self._set(np.zeros(len(self._shift)), ""))
        self.name = QLineEdit()
        self.name.setAccessibleName(tr("Name of the new student"))
        self.name.textChanged.connect(self._check)
        self.button = QPushButton(tr("Save as a new student"))
        self.button.setToolTip(tr("Keeps the shifted student beside the run's own, which stays as it is"))
        self.button.clicked.connect(self._save)
        self.problem = QLabel()
        self.problem.setObjectName("error")
        self.result = QLabel()
        for label in (self.problem, self.result):
            label.setWordWrap(True)
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.hide()
        self.figures = [[QLabel() for _ in range(3)] for _ in range(3)]
        self.content = QFrame()
        self._lay_out(title)

    def _lay_out(self, title: QLabel) -> None:
        self.value.setMinimumWidth(self.value.fontMetrics().horizontalAdvance("+10.0 ") + 8)
        choice = QHBoxLayout()
        choice.setSpacing(8)
        choice.addWidget(self.classes, 1)
        choice.addWidget(self.slider, 2)
        choice.addWidget(self.value)
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        for button in (*self.priors.values(), self.reset):
            buttons.addWidget(button)
        buttons.addStretch(1)
        keep = QHBoxLayout()
        keep.setSpacing(8)
        keep.addWidget(self.name, 1)
        keep.addWidget(self.button)
        left = QVBoxLayout()
        left.setSpacing(12)
        for row in (choice, buttons, keep):
            left.addLayout(row)
        left.addStretch(1)
        grid = QGridLayout()
        grid.setHorizontalSpacing(24)
        grid.setVerticalSpacing(8)
        for column, text in enumerate((tr("On validation samples"), tr("Now"), tr("Shifted"))):
            head = QLabel(text)
            head.setObjectName("heading")
            grid.addWidget(head, 0, column, _side(column))
        for place, cells in enumerate(self.figures, 1):
            for column, label in enumerate(cells):
                label.setObjectName("soft" if column == 0 else "")
                grid.addWidget(label, place, column, _side(column))
        grid.setColumnStretch(0, 1)
        grid.setRowStretch(len(self.figures) + 1, 1)
        both = QHBoxLayout(self.content)
        both.setContentsMargins(0, 0, 0, 0)
        both.setSpacing(32)
        both.addLayout(left, 1)
        both.addLayout(grid, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 12, 16, 16)
        layout.setSpacing(12)
        for widget in (title, self.words, self.content, self.problem, self.result):
            layout.addWidget(widget)

    # -- showing -----------------------------------------------------------------------------------------------

    def show_run(self, run: RunFolder, lacking: list[str]) -> None:
        """Shows a run's student; what was shifted stays while it is the same.

        Args:
            run: With a finished student.
            lacking: Classes that its training samples lack.
        """
        path = run.path / EVALUATION_FILE
        key = (run.path, path.stat().st_mtime_ns if path.exists() else None)
        self.run_folder = run
        if key == self._key:
            return
        self._key = key
        self._known = known = read_validation_logits(run)
        self.content.setVisible(known is not None)
        self.words.setText(tr(WORDS) if known is not None else tr(NOT_STORED))
        self.problem.hide()
        self.result.hide()
        if known is None:
            return
        self._before = effect(known.logits, known.labels, np.zeros(len(known.classes)))
        scores = [1.0 if score is None else score for score in self._before.per_class]
        chosen = known.classes.index(lacking[0]) if lacking and lacking[0] in known.classes else int(np.argmin(scores))
        self.classes.blockSignals(True)
        self.classes.clear()
        self.classes.addItems([name or str(place) for place, name in enumerate(known.classes)])
        self.classes.setCurrentIndex(chosen)
        self.classes.blockSignals(False)
        self.name.setModified(False)
        self._set(np.zeros(len(known.classes)), "")

    def match(self, prior: str) -> None:
        """Shifts all classes so that their mean shares are the prior."""
        known = self._known
        if known is not None:
            self._set(shift_for_prior(known.logits, prior_shares(prior, known.labels, len(known.classes))), prior)

    def _set(self, shift: np.ndarray, prior: str) -> None:
        self._shift, self._prior = shift, prior
        self._class_chosen()

    def _class_chosen(self) -> None:
        """The slider goes to the shift of the class; a shift beyond its ends stays as it is."""
        place = self.classes.currentIndex()
        if 0 <= place < len(self._shift):
            self.slider.blockSignals(True)
            self.slider.setValue(round(self._shift[place] * TENTHS))
            self.slider.blockSignals(False)
            self._draw()

    def _moved(self, tenths: int) -> None:
        place = self.classes.currentIndex()
        if 0 <= place < len(self._shift):
            self._shift = self._shift.copy()
            self._shift[place] = tenths / TENTHS
            self._prior = ""
            self._draw()

    def _draw(self) -> None:
        known, before, place = self._known, self._before, self.classes.currentIndex()
        if known is None or before is None:
            return
        after = effect(known.logits, known.labels, self._shift)
        self.value.setText(f"{self._shift[place]:+.1f}".replace("-", "−"))
        name = self.classes.currentText()
        rows = (
            (tr("Accuracy"), before.accuracy, after.accuracy),
            (tr("Accuracy of class {name}", name=name), before.per_class[place], after.per_class[place]),
            (tr("Share predicted as {name}", name=name), before.shares[place], after.shares[place]),
        )
        for labels, (text, *shares) in zip(self.figures, rows):
            labels[0].setText(text)
            for label, share in zip(labels[1:], shares):
                label.setText("–" if share is None else f"{100 * share:.2f} %")
        self.reset.setEnabled(bool(self._shift.any()))
        self.result.hide()
        if not self.name.isModified():
            self.name.setText(self._suggested())
        self._check()

    def _suggested(self) -> str:
        names = {"uniform": "even-shares", "data": "shares-as-data"}
        word = re.sub(r"[^A-Za-z0-9]+", "-", self.classes.currentText()).strip("-")[:40] or "class"
        base = names.get(self._prior, f"bias-{word}")
        taken = self.run_folder.derived() if self.run_folder is not None else []
        name, number = base, 2
        while name in taken:
            name, number = f"{base}-{number}", number + 1
        return name

    def _check(self) -> None:
        """Whether it can be saved under this name, and what is wrong with it."""
        problem = ""
        name = self.name.text().strip()
        try:
            check_name(name)
        except InputError:
            problem = tr("A name begins with a letter or digit; dots, dashes and underscores may follow.")
        if not problem and self.run_folder is not None and name in self.run_folder.derived():
            problem = tr("There is a student of this name already; choose another one.")
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem) and self._known is not None)
        self.button.setEnabled(self._busy or (not problem and bool(self._shift.any())))

    # -- saving ------------------------------------------------------------------------------------------------

    def _save(self) -> None:
        known = self._known
        if known is None:
            return
        arguments = ["--write", self.name.text().strip()]
        if self._prior:
            arguments += ["--prior", self._prior]
        else:
            for place, amount in enumerate(self._shift.tolist()):
                if amount:
                    arguments += [f"--class={known.classes[place]}", f"--by={amount!r}"]
        self.asked.emit(arguments)

    def set_busy(self, busy: bool) -> None:
        """Whether a new student is being saved."""
        self._busy = busy
        self.button.setText(tr("Cancel") if busy else tr("Save as a new student"))
        for widget in (self.classes, self.slider, self.name, *self.priors.values(), self.reset):
            widget.setEnabled(not busy)
        self.reset.setEnabled(not busy and bool(self._shift.any()))
        if busy:
            self.result.setText(tr("Saving it, and scoring it on the test samples..."))
            self.result.show()
        else:
            self.result.hide()
            self._check()

    def saved(self, name: str, said: dict[str, Any]) -> None:
        """A new student was written; the answer of `kdstudio bias` is told, once, with its test score."""
        split = "test" if "test" in said else "validation"
        self.name.setModified(False)
        self._draw()
        self.result.setText(
            tr(
                "Saved as {name}; it can be shipped above. Accuracy on {split} samples: {before:.2%} → {after:.2%}.",
                name=name,
                split=split_word(split),
                before=said[split]["before"]["accuracy"],
                after=said[split]["after"]["accuracy"],
            )
        )
        self.result.show()


def read_answer(text: str) -> dict[str, Any] | None:
    """The JSON object that a command printed, None where it printed none."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _side(column: int) -> Qt.AlignmentFlag:
    return Qt.AlignmentFlag.AlignLeft if column == 0 else Qt.AlignmentFlag.AlignRight
