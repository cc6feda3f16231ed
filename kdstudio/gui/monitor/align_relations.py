"""The alignment panel, relations: how far the probe samples are from each other, for teacher and student."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout

from kdstudio.gui.language import mark, tr
from kdstudio.gui.monitor.align_looks import Looks, PairBox, empty_label
from kdstudio.gui.monitor.align_state import AlignState
from kdstudio.gui.monitor.map_field import MAPS, MapField
from kdstudio.gui.monitor.maps import Matrix
from kdstudio.gui.monitor.palettes import Scale
from kdstudio.gui.monitor.views import View
from kdstudio.gui.theme import Theme

MAP_NAMES = {
    "teacher": mark("Distances between samples: teacher"),
    "student": mark("Distances between samples: student"),
    "difference": mark("Distances between samples: difference"),
}
#: The scale of the difference, in mean distances.
LEAST_EXTENT = 0.25


class RelationsView(View):
    """Distances between the probe samples, each network's by its own mean; samples of a class stand together."""

    title = mark("Relations")
    hint = mark(
        "Distances between the probe samples, each network's divided by their mean: what relational terms compare"
    )

    def __init__(self, theme: Theme, state: AlignState) -> None:
        super().__init__(theme)
        self.state = state
        self.looks = Looks(state, "relations")
        self.shown: dict[str, np.ndarray] = {}
        self.samples: list[str] = []
        self.pair = PairBox()
        self.pair.pair_chosen.connect(self.redraw)
        self.words = QLabel()
        self.words.setObjectName("soft")
        self.empty = empty_label("relations", self)
        self.field = MapField(theme, {name: tr(MAP_NAMES[name]) for name in MAPS}, self.describe)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.pair)
        row.addWidget(self.words, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(row)
        layout.addWidget(self.empty, 0, Qt.AlignmentFlag.AlignTop)
        layout.addWidget(self.field, 1)

    def clear(self) -> None:
        self.shown, self.samples = {}, []
        for shown in self.field.maps.values():
            shown.show_matrix(None)

    def recolour(self) -> None:
        self.field.recolour()
        self.redraw()

    def redraw(self) -> None:
        self.pair.fill(self.looks.pairs())
        pair, probes = self.pair.pair(), self.state.moment.probes
        found = self.looks.now(pair) if pair is not None else None
        there = found is not None and probes is not None
        for widget, visible in ((self.empty, not there), (self.field, there), (self.pair, there), (self.words, there)):
            widget.setVisible(visible)
        if found is None or probes is None:
            self.shown = {}
            return
        _, teacher, student = found
        count = min(len(teacher), len(student), len(probes.labels))
        order = np.argsort(probes.labels[:count], kind="stable")
        self.samples = [f"{probes.classes[int(probes.labels[place])]} (#{place + 1})" for place in order.tolist()]
        names = [probes.classes[int(probes.labels[place])] for place in order.tolist()]
        cut = np.ix_(order, order)
        self.shown = {"teacher": teacher[cut], "student": student[cut]}
        self.shown["difference"] = self.shown["student"] - self.shown["teacher"]
        top = float(np.max(self.shown["teacher"], initial=1e-3))
        extent = max(LEAST_EXTENT, float(np.max(np.abs(self.shown["difference"]), initial=0.0)))
        for name in MAPS:
            scale = Scale(-extent, extent) if name == "difference" else Scale(0.0, top)
            self.field.maps[name].show_matrix(Matrix(self.shown[name], names, names, scale))
        beyond = float(np.max(self.shown["student"], initial=0.0)) > 1.01 * top
        self.field.show_maps(list(MAPS), Scale(0.0, top), extent, beyond, False)
        self.words.setText(tr("correlation of the distances {value:.2f}", value=self._likeness()))

    def _likeness(self) -> float:
        """Pearson's correlation of the distances of all pairs of samples."""
        upper = np.triu_indices(len(self.samples), 1)
        sides = [self.shown[name][upper] for name in ("teacher", "student")]
        if len(sides[0]) < 2 or min(side.std() for side in sides) == 0:
            return float("nan")
        return float(np.corrcoef(sides[0], sides[1])[0, 1])

    def describe(self, row: int, column: int) -> str:
        """Two samples in words, with their distance in both networks."""
        lines = [tr("{one} and {other}", one=self.samples[row], other=self.samples[column])]
        words = {
            "teacher": mark("teacher: {value:.2f} mean distances"),
            "student": mark("student: {value:.2f} mean distances"),
            "difference": mark("student − teacher: {value:+.2f}"),
        }
        lines += [tr(words[name], value=float(self.shown[name][row, column])) for name in MAPS]
        return "\n".join(lines)
