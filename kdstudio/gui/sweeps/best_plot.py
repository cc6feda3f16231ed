"""The score of every trial in the order in which they were made, and the best so far as a staircase."""

from __future__ import annotations

import math

import pyqtgraph
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor

from kdstudio.gui.language import tr
from kdstudio.gui.monitor.chart import Chart
from kdstudio.gui.sweeps.words import metric_words, shown
from kdstudio.gui.theme import Theme
from kdstudio.project.sweeps.trials import Outcome, Trials

DOT, CHOSEN = 8, 14


class BestPlot(Chart):
    """A dot a trial: filled where it is finished, hollow where it was stopped early or is going.

    Signals:
        picked: The number of the trial whose dot was clicked.
    """

    picked = Signal(int)

    def __init__(self, theme: Theme) -> None:
        super().__init__(theme, tr("Best score so far"))
        self.trials = Trials([], "accuracy", False)
        self.chosen: int | None = None
        self._stairs = pyqtgraph.PlotCurveItem(stepMode="right")
        self._dots = pyqtgraph.ScatterPlotItem(hoverable=True, tip=None)
        self._dots.sigClicked.connect(self._clicked)
        self.item.addItem(self._stairs)
        self.item.addItem(self._dots)
        self.fitted.connect(self._extent)
        theme.changed.connect(self.recolour)
        self.recolour()

    def show_trials(self, trials: Trials, chosen: int | None) -> None:
        """Draws these trials; the chosen one is larger."""
        self.trials, self.chosen = trials, chosen
        self.set_labels(tr("Trial"), metric_words(trials.metric), tr("trial {}"))
        self._draw()

    def recolour(self) -> None:
        super().recolour()
        self._draw()

    def _draw(self) -> None:
        tokens = self.theme.tokens
        stairs = [(number, shown(self.trials.metric, score)) for number, score in self.trials.best_so_far()]
        if stairs:
            last = max(trial.number for trial in self.trials.trials)
            stairs.append((max(last, stairs[-1][0] + 1), stairs[-1][1]))
        self._stairs.setData([x for x, _ in stairs], [y for _, y in stairs])
        self._stairs.setPen(pyqtgraph.mkPen(tokens.student, width=2))
        spots = []
        for trial in self.trials.trials:
            if trial.score is None or not math.isfinite(trial.score):
                continue
            done = trial.outcome is Outcome.FINISHED
            colour = QColor(tokens.accent if done else tokens.soft)
            spots.append(
                {
                    "pos": (trial.number, shown(self.trials.metric, trial.score)),
                    "size": CHOSEN if trial.number == self.chosen else DOT,
                    "brush": pyqtgraph.mkBrush(colour) if done else pyqtgraph.mkBrush(None),
                    "pen": pyqtgraph.mkPen(colour, width=1.5),
                    "data": trial.number,
                }
            )
        self._dots.setData(spots)
        self._extent()

    def _extent(self) -> None:
        places = [(trial.number, trial.score) for trial in self.trials.trials if trial.score is not None]
        if not places:
            return
        scores = [shown(self.trials.metric, score) for _, score in places]
        numbers = [number for number, _ in places]
        self.show_extent((min(numbers) - 0.5, max(numbers) + 0.5), (min(scores), max(scores)))

    def _clicked(self, _: object, spots: list[pyqtgraph.SpotItem], event: object = None) -> None:
        if len(spots):
            self.picked.emit(int(spots[0].data()))

    def keyPressEvent(self, event: object) -> None:
        """Left and right walk from trial to trial."""
        key = event.key()  # type: ignore[attr-defined]
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(key, 0)
        numbers = [trial.number for trial in self.trials.trials]
        if not step or not numbers:
            super().keyPressEvent(event)  # type: ignore[arg-type]
            return
        place = numbers.index(self.chosen) + step if self.chosen in numbers else 0 if step > 0 else len(numbers) - 1
        self.picked.emit(numbers[max(0, min(place, len(numbers) - 1))])
