"""The alignment panel, pairs: CKA, error and cosine of each pair of the objective over time."""

from __future__ import annotations

from functools import partial

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout

from kdstudio.gui.language import mark, tr
from kdstudio.gui.monitor.align_state import AlignState, pair_name, pair_words
from kdstudio.gui.monitor.time_plot import Line, TimePlot
from kdstudio.gui.monitor.views import View
from kdstudio.gui.theme import Theme, Tokens, term_colour
from kdstudio.project.runs.snapshots import SnapshotInfo

NO_PAIRS = mark(
    "The objective has no layer pairs. Add a term on layers, such as hints, on the Setup page; "
    "until then the chosen pair of the map is shown."
)


#: Below this height there is room for two plots.
LOW = 300


class PairsView(View):
    """Plots over steps: how alike the layers of each pair are, how large the term's error is, and their cosine."""

    title = mark("Pairs")
    share = 2
    hint = mark("CKA, error and cosine of the layer pairs of the objective over time")

    def __init__(self, theme: Theme, state: AlignState) -> None:
        super().__init__(theme)
        self.state = state
        self._infos: list[SnapshotInfo] = []
        self._names: list[str] = []
        self._lines: list[Line] = []
        self._errors: list[Line] = []
        self._cosines: list[Line] = []
        self.legend = QLabel()
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.legend.setWordWrap(True)
        self.legend.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.logarithmic = QCheckBox(tr("log error"))
        self.logarithmic.setToolTip(tr("A logarithmic scale for the error"))
        self.logarithmic.toggled.connect(self._set_logarithmic)
        self.instead = QCheckBox(tr("cosine"))
        self.instead.setToolTip(tr("Shows the cosine in the place of CKA; where there is room, both are shown"))
        self.instead.toggled.connect(lambda _: self._arrange())
        self.instead.hide()
        self.note = QLabel(tr(NO_PAIRS))
        self.note.setObjectName("soft")
        self.note.setWordWrap(True)
        self.cka = TimePlot(theme, tr("CKA of the pairs over time"), tr("CKA"), x_label="")
        self.error = TimePlot(theme, tr("Error of the pairs over time"), tr("error"))
        self.cosine = TimePlot(theme, tr("Cosine of the pairs over time"), tr("cosine"), x_label="")
        for plot in (self.cka, self.error, self.cosine):
            plot.picked.connect(state.moment.go_to_step)
            plot.setToolTip(tr("Click to go to a moment"))
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.legend, 1)
        row.addWidget(self.instead, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self.logarithmic, 0, Qt.AlignmentFlag.AlignTop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.note)
        layout.addLayout(row)
        layout.addWidget(self.cka, 1)
        layout.addWidget(self.cosine, 1)
        layout.addWidget(self.error, 1)

    def clear(self) -> None:
        self._infos, self._names, self._lines, self._errors, self._cosines = [], [], [], [], []

    def recolour(self) -> None:
        for plot in (self.cka, self.error, self.cosine):
            plot.recolour()
        self.redraw()

    def redraw(self) -> None:
        info = self.state.moment.info
        if info is None:
            return
        infos = self.state.moment.infos
        if infos is not self._infos:  # a new list each time that there are new snapshots
            self._infos = infos
            self._names = pair_names(infos)
            self._lines = [self._line(infos, name, index, "pair_cka") for index, name in enumerate(self._names)]
            self._errors = [self._line(infos, name, index, "pair_error") for index, name in enumerate(self._names)]
            self._cosines = [
                self._line(infos, name, index, "pair_cosine")
                for index, name in enumerate(self._names)
                if any(name in info.pair_cosine for info in infos)
            ]
        names, lines, errors = self._names, list(self._lines), self._errors
        chosen = self.state.chosen
        if chosen is not None and pair_name(*chosen) not in names:
            steps, values = self.state.over_time(chosen)
            lines.append(Line(tr("{pair} (chosen)", pair=pair_words(*chosen)), steps, values, _accent))
        self.note.setVisible(not names)
        self.error.setVisible(bool(names))
        self.logarithmic.setVisible(bool(names))
        self.cka.show_lines(lines, info.step, 0.0, 1.0)
        self.error.show_lines(errors, info.step)
        self._arrange()
        if self._cosines:
            self.cosine.show_lines(self._cosines, info.step)
        self.legend.setText(self.cka.legend())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._arrange()

    def _arrange(self) -> None:
        """Three plots where they have room; in a low view the cosine takes the place of CKA when it is asked for."""
        low, there = self.height() < LOW, bool(self._cosines)
        instead = low and there and self.instead.isChecked()
        self.instead.setVisible(low and there)
        self.cosine.setVisible(there and (instead or not low))
        self.cka.setVisible(not instead)

    def _line(self, infos: list[SnapshotInfo], name: str, index: int, kind: str) -> Line:
        found = [(info.step, getattr(info, kind).get(name, np.nan)) for info in infos]
        steps, values = np.array(found, float).reshape(-1, 2).T
        teacher, _, student = name.partition(" → ")
        words = pair_words(teacher, student)
        return Line(words, steps, values, partial(_term_colour, index), style=index)

    def _set_logarithmic(self, on: bool) -> None:
        self.error.set_logarithmic(on)
        self.redraw()


def pair_names(infos: list[SnapshotInfo]) -> list[str]:
    """The layer pairs of a run, in the order of its objective."""
    return list(dict.fromkeys(name for info in infos for name in info.pair_cka))


def _term_colour(index: int, tokens: Tokens) -> str:
    return term_colour(tokens, index)


def _accent(tokens: Tokens) -> str:
    return tokens.accent
