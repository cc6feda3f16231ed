"""The quality panel: how good the networks are, class by class, how sure, and where the student leaves its teacher."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QComboBox, QVBoxLayout

from kdstudio.gui.language import mark, tr
from kdstudio.gui.monitor.base import Panel
from kdstudio.gui.monitor.moment import Moment
from kdstudio.gui.monitor.quality_calibration import CalibrationView
from kdstudio.gui.monitor.quality_classes import ClassesView
from kdstudio.gui.monitor.quality_confusion import ConfusionView
from kdstudio.gui.monitor.quality_curves import CurvesView
from kdstudio.gui.monitor.quality_samples import SamplesView
from kdstudio.gui.monitor.quality_state import AUTO, MOMENT, QualityState, QualityView
from kdstudio.gui.monitor.views import ViewStack
from kdstudio.gui.theme import Theme
from kdstudio.gui.worker import TrainingWorker
from kdstudio.project.runs.state import RunState

#: What will appear, by kind of run.
EMPTY = {
    "accuracy": mark(
        "Validation accuracy appears here after the first epoch, and with the student its classes and confusions."
    ),
    "f1": mark(
        "The F1 score on validation sentences appears here after the first epoch; F1, precision and recall of each "
        "kind of tag, confusions and calibration when the run is finished."
    ),
    "perplexity": mark(
        "Perplexity on validation text appears here after the first epoch. Classes, confusions, calibration and "
        "samples are those of classifiers; the words of a language model are under Soft targets."
    ),
}
SOURCES = {AUTO: mark("Latest"), MOMENT: mark("Shown moment"), "validation": mark("Validation"), "test": mark("Test")}


class QualityPanel(Panel):
    """Curves over epochs; and at a moment, or on a whole split once it was measured, everything else."""

    def __init__(self, theme: Theme, moment: Moment) -> None:
        super().__init__("quality", tr("Quality"), tr(EMPTY["accuracy"]), theme)
        self.moment = moment
        moment.changed.connect(self.mark_stale)
        self.state = QualityState(moment)
        self.curves = CurvesView(theme, self.state)
        self.classes = ClassesView(theme, self.state)
        self.confusion = ConfusionView(theme, self.state)
        self.calibration = CalibrationView(theme, self.state)
        self.samples = SamplesView(theme, self.state)
        self.views: list[QualityView] = [self.curves, self.classes, self.confusion, self.calibration, self.samples]
        self.switch = ViewStack(self.views, self.head_row)
        self.source = QComboBox()
        self.source.setAccessibleName(tr("Samples that are measured"))
        self.source.setToolTip(tr("Latest: the test samples once they were measured, until then the shown moment"))
        self.source.activated.connect(self._source_chosen)
        for view in self.views:
            self.head.addWidget(view.options)
        self.head.addWidget(self.source)
        layout = QVBoxLayout(self.body)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.switch)
        self.switch.switch.currentChanged.connect(lambda _: self._place_options())
        self.switch.tall_changed.connect(lambda _: self._place_options())
        self.show_empty(True)

    # -- following -------------------------------------------------------------------------------------------

    def set_worker(self, worker: TrainingWorker | None) -> None:
        self.state.worker = worker
        super().set_worker(worker)
        if worker is not None:
            worker.state_changed.connect(self._state_changed)

    def _state_changed(self, state: RunState) -> None:
        if self.sender() is self.worker:
            self.curves.run_state = state

    def compare(self, workers: list[TrainingWorker]) -> None:
        self.state.compared = list(workers)
        self.mark_stale()

    def clear(self) -> None:
        self.state.clear()
        for view in self.views:
            view.clear()

    def recolour(self) -> None:
        for view in self.views:
            view.recolour()

    def show_empty(self, empty: bool) -> None:
        super().show_empty(empty)
        self.switch.switch.setVisible(not empty)
        self._place_options()

    def _source_chosen(self) -> None:
        self.state.source = str(self.source.currentData())
        self.switch.redraw()

    # -- drawing ---------------------------------------------------------------------------------------------

    def redraw(self) -> None:
        if self.worker is None:
            return
        measured = any(split == "validation" for _, split, _ in self.worker.series_keys())
        sources = self.state.sources()
        self.empty.set_text(tr(EMPTY[self.state.kind()]))
        self.show_empty(not measured and not sources)
        self._fill_sources([AUTO, *sources] if sources else [])
        self._explain()
        self.switch.redraw()

    def _explain(self) -> None:
        """A tab without anything behind it cannot be chosen, and says why; so does its view in a tall panel."""
        bar, kind = self.switch.switch, self.state.kind()
        chosen = bar.currentIndex()
        for index, view in enumerate(self.views):
            why = "" if view is self.curves else view.why_empty()
            view.explain(why)
            bar.setTabEnabled(index, not why)
            hint = view.hints.get(kind, view.hint)
            bar.setTabToolTip(index, why or tr(hint))
        if self.switch.tall:  # Qt leaves a tab that cannot be chosen any more, and its view would not say why
            bar.setCurrentIndex(chosen)
        self._place_options()

    def _fill_sources(self, sources: list[str]) -> None:
        if [self.source.itemData(index) for index in range(self.source.count())] != sources:
            self.source.clear()
            for key in sources:
                self.source.addItem(tr(SOURCES[key]), key)
        chosen = self.state.source if self.state.source in sources else AUTO
        self.source.setCurrentIndex(max(0, self.source.findData(chosen)))

    def _place_options(self) -> None:
        """The head holds what belongs to the views that are shown."""
        on_panel = self.switch.shown() if self.stack.currentIndex() == 1 else []
        shown = [view for view in self.views if view in on_panel and not view.explained]
        for view in self.views:
            view.options.setVisible(view in shown)
        self.source.setVisible(any(view is not self.curves for view in shown))

    def table(self) -> Sequence[Sequence[object]]:
        """What the chosen view shows."""
        on_panel = self.switch.shown()
        shown = [view for view in self.views if view in on_panel and not view.explained]
        return shown[-1].table() if shown else self.curves.table()
