"""Compares methods on an experiment's pair of networks: what is compared, how far it is, and what it says."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import (
    QDialog,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from kdstudio.gui.engine_client import EngineClient
from kdstudio.gui.language import tr, trn
from kdstudio.gui.runs.comparing import Comparing
from kdstudio.gui.runs.method_picker import MethodPicker
from kdstudio.gui.runs.method_table import MethodsModel, MethodsTable
from kdstudio.gui.runs.method_words import title_of
from kdstudio.gui.theme import Theme
from kdstudio.gui.widgets.empty import EmptyState
from kdstudio.project.comparison import folder_of
from kdstudio.project.errors import KDStudioError
from kdstudio.project.folder import Project
from kdstudio.project.method_tables import judged_rows
from kdstudio.project.paired import BETTER
from kdstudio.project.spec import Experiment
from kdstudio.project.yaml_io import storage_error

CHANNEL = "methods"
SIZE = (1240, 660)
SIDE, MOST_SEEDS, MOST_EPOCHS = 288, 100, 100_000
DEFAULT_SEEDS = 3


class MethodsDialog(QDialog):
    """It may be closed at any time: the comparison goes on, and is followed again when it is opened again.

    Args:
        theme: The window's theme.
        client: Asks the engine which methods fit.
        project: The open project.
        experiment: Its data, teacher, student and budget are the comparison's.
        path: The experiment's file.
        ready: Writes the experiment to its file; False if that fails, or if nothing is to be started now.
        spare: Whether one core is left to the window.
        parent: The dialog's parent.
    """

    def __init__(
        self,
        theme: Theme,
        client: EngineClient,
        project: Project,
        experiment: Experiment,
        path: Path,
        ready: Callable[[], bool],
        spare: bool,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("methods")
        self.setWindowTitle(tr("Compare methods · {experiment}", experiment=experiment.name))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.path, self._project, self._experiment = path, project, experiment
        self._client, self._ready, self._spare = client, ready, spare
        self.comparing = Comparing(folder_of(project, experiment.name), self)
        self.picker = MethodPicker()
        self.seeds = self._box(MOST_SEEDS, DEFAULT_SEEDS, tr("Seeds"))
        self.seeds.setToolTip(tr("Trainings of each method, with other first weights (usual: 3 to 5)"))
        self.epochs = self._box(MOST_EPOCHS, experiment.train.epochs, tr("Epochs"))
        self.epochs.setToolTip(tr("Of the student's training, for every method (usual: as in the experiment)"))
        self.amount = self._label("soft")
        self.start, self.stop = QPushButton(tr("&Start")), QPushButton(tr("S&top"))
        self.start.setObjectName("primary")
        self.start.clicked.connect(self._start)
        self.stop.setToolTip(tr("Save what is going and end; Start goes on from there"))
        self.stop.clicked.connect(self._stop)
        self.state = self._label("heading")
        self.progress = QProgressBar()
        self.progress.setObjectName("thin")
        self.progress.setTextVisible(False)
        self.progress.setAccessibleName(tr("Runs of the comparison that are finished"))
        self.error = self._label("error")
        self.sentence = self._label("soft")
        self.model = MethodsModel(theme)
        self.table = MethodsTable(self.model)
        self.page = self._button(tr("Open as a page"), tr("Open the table in the browser"), self._open)
        self.csv = self._button(tr("Save CSV..."), tr("Save the figures as comma-separated values"), self._save_csv)
        self.markdown = self._button(tr("Save Markdown..."), tr("Save the table as Markdown"), self._save_markdown)
        self.close_button = self._button(tr("Close"), tr("Close; a comparison that is going goes on"), self.close)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 16, 16, 16)
        row.setSpacing(16)
        row.addWidget(self._side())
        row.addLayout(self._main(), 1)
        self.resize(*SIZE)
        self._take_settings()
        self.picker.changed.connect(self._count)
        self.seeds.valueChanged.connect(self._count)
        self.epochs.valueChanged.connect(self._ask)
        self.comparing.changed.connect(self._show)
        client.answered.connect(self._answered)
        theme.changed.connect(self.table.viewport().update)
        self._ask()
        self._show()

    # -- building ----------------------------------------------------------------------------------------------

    @staticmethod
    def _box(most: int, value: int, name: str) -> QSpinBox:
        box = QSpinBox()
        box.setRange(1, most)
        box.setValue(value)
        box.lineEdit().setTextMargins(6, 0, 0, 0)
        box.setAccessibleName(name)
        return box

    @staticmethod
    def _label(name: str) -> QLabel:
        label = QLabel()
        label.setObjectName(name)
        label.setWordWrap(True)
        label.setTextFormat(Qt.TextFormat.PlainText)
        return label

    @staticmethod
    def _button(text: str, tip: str, slot: Callable[[], Any]) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(tip)
        button.setAutoDefault(False)
        button.clicked.connect(lambda: slot())
        return button

    def _side(self) -> QWidget:
        side = QFrame()
        side.setObjectName("card")
        side.setFixedWidth(SIDE)
        column = QVBoxLayout(side)
        column.setContentsMargins(12, 12, 12, 12)
        column.setSpacing(12)
        name, words = self._label("heading"), self._label("soft")
        name.setText(self._experiment.name)
        words.setText(self._pair_words())
        numbers = QHBoxLayout()
        numbers.setSpacing(8)
        for text, box in ((tr("Seeds"), self.seeds), (tr("Epochs"), self.epochs)):
            label = QLabel(text)
            label.setObjectName("label")
            label.setBuddy(box)
            numbers.addWidget(label)
            numbers.addWidget(box, 1)
        note = self._label("hint")
        note.setText(tr("It goes on in the background when the window is closed, and is found here again."))
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        buttons.addWidget(self.start, 1)
        buttons.addWidget(self.stop, 1)
        column.addWidget(name)
        column.addWidget(words)
        column.addWidget(self.picker, 1)
        column.addLayout(numbers)
        column.addWidget(self.amount)
        column.addLayout(buttons)
        column.addWidget(note)
        return side

    def _pair_words(self) -> str:
        experiment = self._experiment
        assert experiment.teacher is not None
        return tr(
            "{teacher} teaches {student} on {data}. Every method has the same data, teacher, first weights and budget, "
            "and its published weight.",
            teacher=_called(experiment.teacher),
            student=_called(experiment.student),
            data=experiment.data.source,
        )

    def _main(self) -> QVBoxLayout:
        words = tr(
            "Tick methods and start: each is trained with every seed. Accuracy, the difference to soft targets, time "
            "and memory appear here as the runs finish."
        )
        self.stack = QStackedLayout()
        self.stack.addWidget(EmptyState(tr("Nothing compared yet"), words))
        filled = QWidget()
        inner = QVBoxLayout(filled)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(8)
        inner.addWidget(self.table, 1)
        inner.addWidget(self.sentence)
        self.stack.addWidget(filled)
        foot = QHBoxLayout()
        foot.setSpacing(8)
        for button in (self.page, self.csv, self.markdown):
            foot.addWidget(button)
        foot.addStretch(1)
        foot.addWidget(self.close_button)
        column = QVBoxLayout()
        column.setSpacing(8)
        column.addWidget(self.state)
        column.addWidget(self.progress)
        column.addWidget(self.error)
        column.addLayout(self.stack, 1)
        column.addLayout(foot)
        return column

    # -- what is asked for -------------------------------------------------------------------------------------

    def _take_settings(self) -> None:
        """Those of the comparison that there is, so that Start goes on with it."""
        state = self.comparing.state
        if state is not None and state.seeds:
            self.seeds.setValue(state.seeds)
            self.epochs.setValue(state.epochs)
            self.picker.choose(state.methods)

    def _ask(self) -> None:
        """Asks the engine which methods fit the networks."""
        experiment = self._experiment.model_dump(mode="json")
        root = str(self._project.root)
        question = {"ask": "methods", "root": root, "experiment": experiment, "epochs": self.epochs.value()}
        self._client.ask(CHANNEL, question)
        self._count()

    def _answered(self, channel: str, answer: Any) -> None:
        if channel == CHANNEL:
            self.picker.set_unfit(answer["unfit"])

    def _count(self) -> None:
        methods, seeds = len(self.picker.chosen()), self.seeds.value()
        self.amount.setText(
            trn(
                "{methods} methods: {count} run of {epochs} epochs",
                "{methods} methods: {count} runs of {epochs} epochs",
                methods * seeds,
                methods=methods,
                epochs=self.epochs.value(),
            )
        )

    def _start(self) -> None:
        if not self._ready():
            return
        self.error.hide()
        try:
            self.comparing.start(self.path, self.picker.chosen(), self.seeds.value(), self.epochs.value(), self._spare)
        except KDStudioError as error:
            self._tell(error)

    def _stop(self) -> None:
        self.stop.setEnabled(False)
        self.comparing.stop()
        self.state.setText(tr("Saving..."))

    # -- what there is -----------------------------------------------------------------------------------------

    def _show(self) -> None:
        comparing, going = self.comparing, self.comparing.going
        state = comparing.state
        self.start.setEnabled(not going)
        over = state is None or state.status == "finished"
        self.start.setText(tr("&Start") if over or going else tr("&Go on"))
        self.stop.setEnabled(going and state is not None and state.going and state.here)
        for box in (self.seeds, self.epochs):
            box.setEnabled(not going)
        self.picker.lock(going)
        self.state.setText(self._state_words())
        known = state is not None and state.total > 0 and not comparing.starting
        self.progress.setRange(0, state.total if known and state is not None else 0 if going else 1)
        self.progress.setValue(state.done if known and state is not None else 0)
        self.progress.setVisible(going or known)
        error = comparing.error()
        self.error.setVisible(error is not None)
        if error is not None:
            self._tell(error)
        self._fill()

    def _state_words(self) -> str:
        state = self.comparing.state
        if self.comparing.starting:
            return tr("Starting...")
        if state is None:
            return ""
        if self.comparing.going and not state.going:
            return tr("Saving...")
        numbers = {"done": state.done, "total": state.total}
        match state.status:
            case "preparing":
                return tr("Looking at the networks...")
            case "running":
                words = {"method": title_of(state.method), "seed": state.seed, **numbers}
                return tr("{done} of {total} finished; now {method}, seed {seed}", **words)
            case "finished" if state.failed:
                return tr("{done} of {total} finished; {failed} failed", failed=state.failed, **numbers)
            case "finished":
                return trn("Finished: {count} run", "Finished: {count} runs", state.done)
            case "failed":
                return tr("It could not go on")
            case _:
                return tr("Stopped at {done} of {total}; Go on finishes the rest", **numbers)

    def _fill(self) -> None:
        rows = self.comparing.rows
        self.stack.setCurrentIndex(1 if rows else 0)
        if rows != self.model.rows:
            chosen = self.table.currentIndex().row()
            self.model.fill(rows)
            if 0 <= chosen < len(rows):
                self.table.selectRow(chosen)
        for button in (self.page, self.csv, self.markdown):
            button.setEnabled(bool(rows))
        self.sentence.setText(self._sentence() if rows else "")

    def _sentence(self) -> str:
        judged = judged_rows(self.comparing.rows)
        if not judged:
            return tr("No method has the three seeds yet that a verdict against soft targets takes.")
        names = [title_of(row.method) for row in judged if row.verdict != BETTER]
        if not names:
            return trn(
                "The one method judged beat soft targets.", "All {count} methods judged beat soft targets.", len(judged)
            )
        return tr(
            "{few} of {all} methods judged did not beat soft targets: {names}.",
            few=len(names), all=len(judged), names=", ".join(names),
        )  # fmt: skip

    def _tell(self, error: KDStudioError) -> None:
        self.error.setText("\n".join(part for part in (error.what, error.why, error.fix) if part))
        self.error.show()

    # -- taking it away ----------------------------------------------------------------------------------------

    def _open(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.comparing.folder / "methods.html")))

    def _save_csv(self) -> None:
        self._copy("methods.csv", tr("Comma-separated values (*.csv)"))

    def _save_markdown(self) -> None:
        self._copy("methods.md", tr("Markdown (*.md)"))

    def _copy(self, name: str, kind: str) -> None:
        place = str(Path.home() / f"{self._experiment.name}-{name}")
        chosen, _ = QFileDialog.getSaveFileName(self, tr("Save the table"), place, kind)
        if chosen:
            try:
                shutil.copyfile(self.comparing.folder / name, chosen)
            except OSError as error:
                self._tell(storage_error(Path(chosen), error))

    def done(self, result: int) -> None:
        self._leave()
        super().done(result)

    def closeEvent(self, event: Any) -> None:
        self._leave()
        super().closeEvent(event)

    def _leave(self) -> None:
        """Stops to follow and to ask; what is going goes on."""
        self.comparing.shut_down()
        self._client.cancel(CHANNEL)


def _called(spec: Any) -> str:
    """A network as a person says it: its kind and its widths."""
    widths = getattr(spec, "widths", None)
    return f"{spec.model} {'-'.join(str(width) for width in widths)}" if widths else str(spec.model)
