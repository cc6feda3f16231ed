"""The losses panel: every term of the objective as it is optimised, training and validation."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
from PySide6.QtWidgets import QComboBox, QLabel, QVBoxLayout

from kdstudio.gui.language import mark, tr
from kdstudio.gui.monitor.base import Panel
from kdstudio.gui.monitor.marks import event_marks, term_marks
from kdstudio.gui.monitor.plot import Curve, Line, SeriesPlot
from kdstudio.gui.monitor.plot_tools import PlotTools
from kdstudio.gui.monitor.run_styles import RunStyles
from kdstudio.gui.monitor.xaxis import steps_per_epoch
from kdstudio.gui.theme import Theme, Tokens, term_colour
from kdstudio.gui.words import network_word
from kdstudio.gui.worker import TrainingWorker
from kdstudio.project.errors import KDStudioError
from kdstudio.project.runs.evaluation import Evaluations
from kdstudio.project.runs.metrics import MetricStore, Series
from kdstudio.project.runs.state import RunState
from kdstudio.project.spec import Experiment
from kdstudio.project.weight_balance import SPLIT

#: What is shown of the terms.
WEIGHTED, PLAIN, SHARES = "weighted", "plain", "shares"
TOTAL, VALIDATION = mark("total"), mark("validation")
TOTAL_TIP = mark("The weighted sum of all terms: what is minimised")
VALIDATION_TIP = mark("Cross-entropy with the labels on validation samples, without augmentation")
#: What a network reached, by its name: the words and the tip of its line.
REACHED = {
    "teacher": (
        mark("teacher's validation"),
        mark("Validation loss that the teacher reached: cross-entropy with the labels"),
    ),
    "baseline": (
        mark("baseline's validation"),
        mark("Validation loss that the baseline reached: cross-entropy with the labels"),
    ),
}


class LossesPanel(Panel):
    """Raw values faint, smoothed ones on top; weighted as they are summed, or as each loss itself."""

    def __init__(self, theme: Theme) -> None:
        empty = tr("The loss of every term appears here as soon as training starts.")
        super().__init__("losses", tr("Losses"), empty, theme)
        self.stage = QComboBox()
        self.stage.setAccessibleName(tr("Stage"))
        self.stage.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)  # stages come one after another
        self.stage.setToolTip(tr("The network whose training is shown"))
        self.stage.activated.connect(self._stage_chosen)
        self.weighted = QComboBox()
        self.weighted.addItem(tr("weighted"), WEIGHTED)
        self.weighted.addItem(tr("unweighted"), PLAIN)
        self.weighted.addItem(tr("gradient shares"), SHARES)
        self.weighted.setAccessibleName(tr("Weighted or unweighted terms"))
        self.weighted.setToolTip(
            tr(
                "Weighted: what is summed and optimised. Unweighted: each loss itself. "
                "Gradient shares: how much each weighted term moves the student"
            )
        )
        self.weighted.activated.connect(self._kind_chosen)
        self.series = SeriesPlot(theme, tr("loss"))
        # what a loss does after its first steps is small against where it began
        self.series.set_options(logarithmic=True)
        self.tools = PlotTools(self.series, theme, tr("Losses"))
        for widget in (self.stage, self.weighted, self.tools):
            self.head.addWidget(widget)
        layout = QVBoxLayout(self.body)
        layout.setContentsMargins(0, 0, 0, 0)
        self.note = QLabel(
            tr("This run has no gradient shares: they are measured after an epoch, where two terms or more count.")
        )
        self.note.setObjectName("soft")
        self.note.setWordWrap(True)
        self.note.hide()
        layout.addWidget(self.note)
        layout.addWidget(self.series, 1)
        self.compared: list[TrainingWorker] = []
        self._styles = RunStyles()
        self._evaluations = Evaluations()
        self._experiment: Experiment | None = None
        self._state: RunState | None = None
        self._follow = True
        self._comparing = False
        self._kind = WEIGHTED
        self._logarithmic = True
        self.show_empty(True)

    # -- following -------------------------------------------------------------------------------------------

    def set_worker(self, worker: TrainingWorker | None) -> None:
        super().set_worker(worker)
        self._state = self._experiment = None
        if worker is not None:
            worker.state_changed.connect(self._state_changed)
            try:
                self._experiment = worker.run_folder.experiment()
            except KDStudioError:
                self._experiment = None

    def _state_changed(self, state: RunState) -> None:
        if self.sender() is self.worker:
            self._state = state

    def compare(self, workers: list[TrainingWorker]) -> None:
        self.compared = list(workers)
        self._styles.keep([worker.run_folder for worker in workers])
        self.mark_stale()

    def clear(self) -> None:
        self.series.clear()
        self.series.legend.set_hidden(set())
        self.stage.clear()
        self._follow = True
        self._comparing = False

    def show_empty(self, empty: bool) -> None:
        super().show_empty(empty)
        for widget in (self.stage, self.weighted, self.tools):
            widget.setVisible(not empty)

    def table(self) -> Sequence[Sequence[object]]:
        return self.series.table()

    def recolour(self) -> None:
        self.series.recolour()

    def _stage_chosen(self) -> None:
        self._follow = False
        self.series.clear()
        self._again()

    def _kind_chosen(self) -> None:
        """Losses fall by powers of ten; shares are parts of a whole."""
        before, self._kind = self._kind, str(self.weighted.currentData())
        if SHARES in (before, self._kind) and before != self._kind:
            shares = self._kind == SHARES
            if shares:
                self._logarithmic = self.series.logarithmic
            self.series.clear()
            self.series.y_label = tr("share, %") if shares else tr("loss")
            self.series.set_options(logarithmic=not shares and self._logarithmic)
        self._again()

    def _again(self) -> None:
        self.mark_stale()
        self.redraw_if_stale()

    # -- drawing ---------------------------------------------------------------------------------------------

    def redraw(self) -> None:
        if self.worker is None:
            return
        keys = self.worker.series_keys()
        stage = self._choose_stage(list(dict.fromkeys(stage for stage, split, _ in keys if split == "train")))
        kind = self.weighted.currentData()
        own = [(split, key) for where, split, key in keys if where == stage]
        curves = _share_curves(stage, own) if kind == SHARES else self._own_curves(stage, own)
        others = [worker for worker in self.compared if worker.run_folder != self.worker.run_folder]
        for worker in others if kind != SHARES else []:
            curves += self._compared_curves(worker, stage)
        self._hide_terms(bool(others), curves)
        self.series.set_curves(curves)
        self.series.set_lines(self._lines(stage) if kind != SHARES else [])
        events = self.worker.store().events
        per_epoch = self._steps_per_epoch(stage)
        self.series.set_marks([*event_marks(events, stage), *term_marks(self._experiment, stage, per_epoch)])
        drawn = self.series.update_from(self.worker, self._state)
        self.show_empty(not drawn and kind != SHARES)
        self.note.setVisible(not drawn and kind == SHARES)

    def _choose_stage(self, stages: list[str]) -> str:
        if stages != [self.stage.itemData(index) for index in range(self.stage.count())]:
            chosen = self.stage.currentData()
            self.stage.clear()
            for stage in stages:
                self.stage.addItem(network_word(stage), stage)
            follow = "student" if "student" in stages else (stages or [""])[-1]
            self.stage.setCurrentIndex(self.stage.findData(follow if self._follow or chosen not in stages else chosen))
        return str(self.stage.currentData() or "")

    def _steps_per_epoch(self, stage: str) -> float:
        if self.worker is None:
            return 1.0
        with self.worker.reading() as store:
            return steps_per_epoch(store, stage, self._state)

    def _own_curves(self, stage: str, keys: list[tuple[str, str]]) -> list[Curve]:
        curves = []
        if ("train", "loss") in keys:
            curves.append(Curve(stage, "train", "loss", tr(TOTAL), _total, smooth=True, tip=tr(TOTAL_TIP)))
        weighted = self.weighted.currentData() == WEIGHTED
        terms = [key for split, key in keys if split == "train" and key.startswith("term.") and key.count(".") == 1]
        # the only term is the total
        alone = weighted and len(terms) == 1 and (stage != "student" or not self._has_more_terms())
        for index, term in enumerate([] if alone else terms):
            colour = functools.partial(_term, index)
            key = f"{term}.weighted" if weighted else term
            name = term.removeprefix("term.")
            curves.append(Curve(stage, "train", key, name, colour, smooth=True, tip=self._term_tip(name)))
        if ("validation", "loss") in keys:
            words, tip = tr(VALIDATION), tr(VALIDATION_TIP)
            curves.append(Curve(stage, "validation", "loss", words, _total, dash="dash", dots=True, tip=tip))
        for index, term in enumerate([] if alone else terms):
            if ("validation", term) in keys and not self._repeats_loss(stage, term, weighted):
                curves.append(_validation_term(stage, term, index, weighted))
        return curves

    def _has_more_terms(self) -> bool:
        """Whether the objective has more terms than one, of which some may not count yet."""
        return self._experiment is not None and len(self._experiment.objective) > 1

    def _term_tip(self, name: str) -> str:
        """The first sentence of what the spec says of a term."""
        terms = self._experiment.objective if self._experiment is not None else []
        kinds: dict[str, str] = {term.term: inspect.getdoc(type(term)) or "" for term in terms}
        said = kinds.get(name, kinds.get(name.rpartition("-")[0], ""))
        return tr(said).partition("\n")[0] if said else ""

    def _repeats_loss(self, stage: str, term: str, weighted: bool) -> bool:
        """Whether a validation term is the validation loss once more, as hard labels without smoothing are."""
        assert self.worker is not None
        with self.worker.reading() as store:
            own, loss = (store.series(stage, "validation", key).values for key in (term, "loss"))
        return not weighted and len(own) > 0 and len(own) == len(loss) and bool(np.array_equal(own, loss))

    def _compared_curves(self, worker: TrainingWorker, stage: str) -> list[Curve]:
        style = self._styles.of(worker.run_folder)
        name = worker.run_folder.name
        tip = tr("Total loss, and with dots the validation loss")
        common: dict[str, Any] = {"dash": style.dash, "worker": worker, "entry": name, "tip": tip}
        return [
            Curve(stage, "train", "loss", name, style.colour, smooth=True, **common),
            Curve(stage, "validation", "loss", tr("{name}, validation", name=name), style.colour, dots=True, **common),
        ]

    def _hide_terms(self, comparing: bool, curves: list[Curve]) -> None:
        """Beside other runs a single run's terms would be too much; a click on the legend brings them back."""
        if comparing == self._comparing:
            return
        self._comparing = comparing
        own = {curve.entry for curve in curves if curve.worker is None} - {tr(TOTAL), tr(VALIDATION)}
        hidden = self.series.legend.hidden
        self.series.legend.set_hidden(hidden | own if comparing else hidden - own)

    def _lines(self, stage: str) -> list[Line]:
        """What teacher and baseline reached on validation samples, where the validation loss can be held against it."""
        if self.worker is None or stage not in ("student", "baseline"):
            return []
        card = self._evaluations.scorecard(self.worker.run_folder) or {}
        roles: dict[str, Any] = {"teacher": _teacher, "baseline": _baseline}
        lines = []
        for name in [name for name in roles if name != stage]:
            value = card.get("networks", {}).get(name, {}).get("validation", {}).get("nll")
            if value is None and name == "teacher":
                with self.worker.reading() as store:
                    value = best_validation_loss(store, "teacher")
            if value is not None:
                words, tip = REACHED[name]
                lines.append(Line(float(value), tr(words), roles[name], tr(tip)))
        return lines


def best_validation_loss(store: MetricStore, stage: str) -> float | None:
    """The validation loss of a stage's best epoch, None where there is none."""
    best = [record for record in store.events if record.stage == stage and record.event == "best"]
    series = store.series(stage, "validation", "loss")
    if not best or not len(series.steps):
        return None
    place = int(np.searchsorted(series.steps, best[-1].step))
    return float(series.values[min(place, len(series.values) - 1)])


def _validation_term(stage: str, term: str, index: int, weighted: bool) -> Curve:
    name = tr("{name}, validation", name=term.removeprefix("term."))
    colour = functools.partial(_term, index)
    pull = functools.partial(_weighted, stage, term) if weighted else None
    key = f"{term}.weighted" if weighted else term
    tip = tr("The term on validation samples")
    if weighted:
        tip = tr("The term on validation samples, times the weight that it has in training")
    return Curve(stage, "validation", key, name, colour, dash="dash", dots=True, pull=pull, tip=tip)


def _weighted(stage: str, term: str, store: MetricStore, start: int, stop: int | None) -> Series:
    """A validation term times the weight that it had at that step of training."""
    series = store.series(stage, "validation", term, start, stop)
    plain = store.values_at(stage, "train", term, series.steps)
    weighted = store.values_at(stage, "train", f"{term}.weighted", series.steps)
    weights = np.divide(weighted, plain, out=np.full(len(plain), np.nan), where=plain != 0)
    return Series(series.steps, series.times, series.values * weights)


def _share_curves(stage: str, keys: list[tuple[str, str]]) -> list[Curve]:
    """A curve a term, in the colour that its loss has."""
    terms = [key for split, key in keys if split == "train" and key.startswith("term.") and key.count(".") == 1]
    tip = tr("Norm of this term's gradient on the student, as a share of the sum over all terms")
    return [
        Curve(
            stage,
            SPLIT,
            term,
            term.removeprefix("term."),
            functools.partial(_term, index),
            dots=True,
            pull=functools.partial(_percent, stage, term),
            tip=tip,
        )
        for index, term in enumerate(terms)
        if (SPLIT, term) in keys
    ]


def _percent(stage: str, term: str, store: MetricStore, start: int, stop: int | None) -> Series:
    series = store.series(stage, SPLIT, term, start, stop)
    return Series(series.steps, series.times, 100 * series.values)


def _total(tokens: Tokens) -> str:
    return tokens.total


def _teacher(tokens: Tokens) -> str:
    return tokens.teacher


def _baseline(tokens: Tokens) -> str:
    return tokens.baseline


def _term(index: int, tokens: Tokens) -> str:
    return term_colour(tokens, index)
