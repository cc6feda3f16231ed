"""Sweeps of a project: what varies at the left; at the right the trials as they come, and the best of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSplitter,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from kdstudio.gui.language import tr, trn
from kdstudio.gui.sweeps.best_plot import BestPlot
from kdstudio.gui.sweeps.editor import SweepEditor
from kdstudio.gui.sweeps.following import Following
from kdstudio.gui.sweeps.parallel import ParallelView
from kdstudio.gui.sweeps.suggestions import field_title
from kdstudio.gui.sweeps.table import TrialsModel, TrialsTable
from kdstudio.gui.sweeps.words import value_text
from kdstudio.gui.theme import Theme
from kdstudio.gui.widgets.empty import EmptyState
from kdstudio.project.errors import KDStudioError
from kdstudio.project.folder import Project
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.spec import Experiment
from kdstudio.project.sweeps.folder import Sweep, sweep_names
from kdstudio.project.sweeps.table import csv_table, markdown_table, score_text, summary_of
from kdstudio.project.sweeps.trials import Outcome, Trial
from kdstudio.project.yaml_io import write_text

SIZE, SIDE = (1240, 720), 332


class SweepDialog(QDialog):
    """It may be closed at any time: the sweep goes on, and is found again when it is opened again.

    Args:
        theme: The window's theme.
        project: The open project.
        experiment: New sweeps vary it.
        ready: Whether something may be started now.
        spare: Whether one core is left to the window.
        parent: The dialog's parent.

    Signals:
        run_chosen: A run is to be shown.
        values_chosen: The best values are to be put into the experiment, by path.
    """

    run_chosen = Signal(object)
    values_chosen = Signal(dict)

    def __init__(
        self,
        theme: Theme,
        project: Project,
        experiment: Experiment,
        ready: Callable[[], bool],
        spare: bool,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("sweeps")
        self.setWindowTitle(tr("Sweeps · {experiment}", experiment=experiment.name))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.project, self.experiment = project, experiment
        self._ready, self._spare = ready, spare
        self.chosen: int | None = None
        self._by_hand = False
        self.following = Following(self)
        self.which = QComboBox()
        self.which.setAccessibleName(tr("Sweep"))
        self.which.setToolTip(tr("A sweep of this project, or a new one of the open experiment"))
        self.editor = SweepEditor(theme, experiment)
        self.start, self.stop = QPushButton(tr("&Start")), QPushButton(tr("S&top"))
        self.start.setObjectName("primary")
        self.start.clicked.connect(self._start)
        self.stop.setToolTip(tr("Park what is going; Go on continues where it was"))
        self.stop.clicked.connect(self._stop)
        self.state = _label("heading")
        self.progress = QProgressBar()
        self.progress.setObjectName("thin")
        self.progress.setTextVisible(False)
        self.progress.setAccessibleName(tr("Trials that are over"))
        self.error = _label("error")
        self.best, self.parallel = BestPlot(theme), ParallelView(theme)
        self.model = TrialsModel(theme)
        self.table = TrialsTable(self.model)
        self.sentence = _label("soft")
        self.use = _button(tr("Use these values"), tr("Put the chosen trial's values into the experiment"), self._use)
        self.show_run = _button(
            tr("Show the run"), tr("Show the chosen trial's run on the Monitor page"), self._show_run
        )
        self.csv = _button(tr("Save CSV..."), tr("Save the trials as comma-separated values"), self._save_csv)
        self.markdown = _button(tr("Save Markdown..."), tr("Save the table as Markdown"), self._save_markdown)
        self.close_button = _button(tr("Close"), tr("Close; a sweep that is going goes on"), self.close)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 16, 16, 16)
        row.setSpacing(16)
        row.addWidget(self._side())
        row.addLayout(self._main(), 1)
        self.resize(*SIZE)
        self.which.activated.connect(lambda _: self._choose_sweep())
        self.editor.edited.connect(self._enable)
        self.following.changed.connect(self._show)
        for part in (self.best, self.parallel, self.table):
            part.picked.connect(self.choose)
        self.table.opened.connect(lambda _: self._show_run())
        self._offer()
        self._choose_sweep()

    # -- building ----------------------------------------------------------------------------------------------

    def _side(self) -> QWidget:
        side = QFrame()
        side.setObjectName("card")
        side.setFixedWidth(SIDE)
        column = QVBoxLayout(side)
        column.setContentsMargins(12, 12, 12, 12)
        column.setSpacing(10)
        note = _label("hint")
        note.setText(tr("It goes on in the background when this window is closed, and is found here again."))
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        buttons.addWidget(self.start, 1)
        buttons.addWidget(self.stop, 1)
        column.addWidget(self.which)
        column.addWidget(self.editor, 1)
        column.addLayout(buttons)
        column.addWidget(note)
        return side

    def _main(self) -> QVBoxLayout:
        words = tr(
            "Choose what varies and start: every combination is trained, and its score on validation samples appears "
            "here. Test samples choose nothing; the best trial's score on them is told at the end."
        )
        self.stack = QStackedLayout()
        self.stack.addWidget(EmptyState(tr("No trials yet"), words))
        plots = QSplitter(Qt.Orientation.Horizontal)
        plots.addWidget(self.best)
        plots.addWidget(self.parallel)
        plots.setSizes([400, 480])
        whole = QSplitter(Qt.Orientation.Vertical)
        whole.addWidget(plots)
        whole.addWidget(self.table)
        whole.setSizes([300, 260])
        for splitter in (plots, whole):
            splitter.setChildrenCollapsible(False)
        filled = QWidget()
        inner = QVBoxLayout(filled)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(8)
        inner.addWidget(whole, 1)
        inner.addWidget(self.sentence)
        self.stack.addWidget(filled)
        foot = QHBoxLayout()
        foot.setSpacing(8)
        for button in (self.use, self.show_run, self.csv, self.markdown):
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

    # -- which sweep -------------------------------------------------------------------------------------------

    def _offer(self) -> None:
        """The sweeps that there are; the one of the open experiment that was made last is chosen."""
        self.which.clear()
        self.which.addItem(tr("New sweep of {experiment}", experiment=self.experiment.name), "")
        latest = (0.0, 0)
        for name in sweep_names(self.project):
            self.which.addItem(name, name)
            try:
                sweep = Sweep.open(self.project, name)
            except KDStudioError:
                continue
            if sweep.spec.experiment == self.experiment.name:
                latest = max(latest, ((sweep.path / "sweep.yaml").stat().st_mtime, self.which.count() - 1))
        self.which.setCurrentIndex(latest[1])

    def _choose_sweep(self) -> None:
        name = str(self.which.currentData())
        self.chosen, self._by_hand = None, False
        self.error.hide()
        sweep = None
        if name:
            try:
                sweep = Sweep.open(self.project, name)
            except KDStudioError as error:
                self.tell(error)
        self.editor.fill(name or self._free_name(), sweep)
        self.following.show(sweep)
        self._show()

    def _free_name(self) -> str:
        taken = {*sweep_names(self.project), *self.project.experiment_names()}
        base = name = f"{self.experiment.name}-sweep"
        number = 2
        while name in taken or (self.project.runs_dir / name).exists():
            name, number = f"{base}-{number}", number + 1
        return name

    def vary(self, path: str) -> None:
        """Lets a field vary, in a new sweep."""
        if self.following.sweep is not None:
            self.which.setCurrentIndex(0)
            self._choose_sweep()
        self.editor.add_field(path)

    # -- going -------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        spec = self.editor.read()
        if spec is None or not self._ready():
            return
        self.error.hide()
        earlier = self.following.sweep
        base = earlier.base if earlier is not None else self.experiment
        if earlier is not None:  # its fields are frozen; its numbers may grow
            spec = earlier.spec.model_copy(
                update={"trials": spec.trials, "prune": spec.prune, "seeds": _more(earlier.spec.seeds, len(spec.seeds))}
            )
        try:
            sweep = Sweep.create(self.project, self.editor.name.text().strip(), spec, base)
            self.following.show(sweep)
            self.following.start(self.editor.workers.value(), self._spare)
        except KDStudioError as error:
            self.tell(error)
            return
        if earlier is None:
            self.which.addItem(sweep.name, sweep.name)
            self.which.setCurrentIndex(self.which.count() - 1)
        self._show()

    def _stop(self) -> None:
        try:
            self.following.stop()
        except KDStudioError as error:
            self.tell(error)
            return
        self.stop.setEnabled(False)
        self.state.setText(tr("Saving..."))

    # -- what there is -----------------------------------------------------------------------------------------

    def choose(self, number: int | None) -> None:
        """Marks a trial in both plots and in the table. Until a person does so, it is the best one."""
        self.chosen, self._by_hand = number, True
        self._draw()
        self.table.choose(number)
        self._enable()

    def _draw(self) -> None:
        sweep, trials = self.following.sweep, self.following.trials
        fields = {self._title(field.path): field for field in sweep.spec.fields} if sweep is not None else {}
        self.best.show_trials(trials, self.chosen)
        self.parallel.show_trials(fields, trials, self.chosen)

    def _title(self, path: str) -> str:
        return field_title(self.editor.base, path)

    def _show(self) -> None:
        sweep, trials, going = self.following.sweep, self.following.trials, self.following.going
        self.stack.setCurrentIndex(1 if trials.trials else 0)
        if not self._by_hand and trials.best is not None:
            self.chosen = trials.best.number
        self._draw()
        fields = sweep.spec.fields if sweep is not None else []
        self.table.fill({field.path: self._title(field.path) for field in fields}, trials, self.chosen)
        total = sweep.spec.total if sweep is not None else 0
        self.progress.setVisible(sweep is not None and bool(going or trials.trials))
        self.progress.setRange(0, 0 if self.following.starting else max(total, 1))
        self.progress.setValue(trials.over)
        self.state.setText(self._state_words(total))
        error = self.following.error()
        if error is not None:
            self.tell(error)
        self.sentence.setText(self._best_words())
        self._enable()

    def _state_words(self, total: int) -> str:
        trials = self.following.trials
        if self.following.sweep is None:
            return tr("A new sweep")
        if self.following.starting:
            return tr("Starting...")
        over, failed = trials.over, trials.count(Outcome.FAILED)
        words = {"over": over, "total": total}
        if self.following.going:
            return tr("{over} of {total} trials are over", **words)
        if over < total:
            return tr("Stopped at {over} of {total} trials; Go on does the rest", **words)
        if failed:
            return tr("Finished: {over} of {total} trials; {failed} failed", failed=failed, **words)
        return trn("Finished: {count} trial", "Finished: {count} trials", over)

    def _best_words(self) -> str:
        sweep, trials = self.following.sweep, self.following.trials
        found = summary_of(sweep, trials) if sweep is not None else None
        if found is None:
            return ""
        values = ", ".join(f"{self._title(path)} {value_text(value)}" for path, value in found["values"].items())
        unit = "" if trials.metric == "perplexity" else " %"
        validation = score_text(trials.metric, found["validation"], found["spread"])
        words = tr("Best on validation samples: {values}, {score}.", values=values, score=f"{validation}{unit}")
        if found["test"] is None:
            return words
        test = score_text(trials.metric, found["test"], found["test_spread"])
        return f"{words} {tr('On test samples it has {score}.', score=f'{test}{unit}')}"

    def _enable(self) -> None:
        sweep, going = self.following.sweep, self.following.going
        self.editor.lock(sweep is not None, going)
        spec = self.editor.read() if self.editor.rows else None
        over = sweep is not None and self.following.trials.over >= self._wanted(sweep)
        self.start.setEnabled(not going and spec is not None and not over)
        self.start.setText(tr("&Go on") if sweep is not None and self.following.trials.trials else tr("&Start"))
        self.stop.setEnabled(going)
        trial = self._trial()
        self.use.setEnabled(trial is not None)
        self.show_run.setEnabled(trial is not None and bool(trial.runs))
        for button in (self.csv, self.markdown):
            button.setEnabled(bool(self.following.trials.trials))

    def _wanted(self, sweep: Sweep) -> int:
        """How many trials there are to be; none is over while it lacks seeds that are asked for now."""
        if self.editor.seeds.value() > len(sweep.spec.seeds):
            return sweep.spec.total + 1
        return sweep.spec.total if sweep.spec.search == "grid" else self.editor.trials.value()

    def _trial(self) -> Trial | None:
        return next((trial for trial in self.following.trials.trials if trial.number == self.chosen), None)

    def tell(self, error: KDStudioError) -> None:
        """Shows an error of ours."""
        self.error.setText("\n".join(part for part in (error.what, error.why, error.fix) if part))
        self.error.show()

    # -- taking it away ----------------------------------------------------------------------------------------

    def _use(self) -> None:
        trial, sweep = self._trial(), self.following.sweep
        if trial is None or sweep is None:
            return
        changes: dict[str, object] = {}
        for field in sweep.spec.fields:
            changes |= field.changes(trial.values[field.path])
        self.values_chosen.emit(changes)

    def _show_run(self) -> None:
        trial = self._trial()
        if trial is not None and trial.runs:
            run: RunFolder = trial.runs[0].run
            self.run_chosen.emit(run)

    def _save_csv(self) -> None:
        self._save("csv", tr("Comma-separated values (*.csv)"))

    def _save_markdown(self) -> None:
        self._save("md", tr("Markdown (*.md)"))

    def _save(self, ending: str, kind: str) -> None:
        sweep, trials = self.following.sweep, self.following.trials
        if sweep is None:
            return
        place = str(Path.home() / f"{sweep.name}.{ending}")
        chosen, _ = QFileDialog.getSaveFileName(self, tr("Save the table"), place, kind)
        if chosen:
            try:
                table = csv_table(sweep, trials) if ending == "csv" else f"{markdown_table(sweep, trials)}\n"
                write_text(Path(chosen), table)
            except KDStudioError as error:
                self.tell(error)

    def done(self, result: int) -> None:
        self.following.shut_down()
        super().done(result)

    def closeEvent(self, event: object) -> None:
        self.following.shut_down()
        super().closeEvent(event)  # type: ignore[arg-type]


def _more(seeds: list[int], count: int) -> list[int]:
    """The seeds that there are, and further ones up to a number of them."""
    further = (seed for seed in range(len(seeds) + count) if seed not in seeds)
    return [*seeds, *(next(further) for _ in range(count - len(seeds)))]


def _label(name: str) -> QLabel:
    label = QLabel()
    label.setObjectName(name)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    return label


def _button(text: str, tip: str, slot: Callable[[], object]) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setAutoDefault(False)
    button.clicked.connect(lambda: slot())
    return button
