"""The soft-targets panel, entropy: how soft the outputs are over the pool, at the temperature."""

from __future__ import annotations

import numpy as np
import pyqtgraph
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QSizePolicy, QVBoxLayout

from kdstudio.gui.language import mark, tr
from kdstudio.gui.monitor.axis import Axis
from kdstudio.gui.monitor.soft_state import SoftState
from kdstudio.gui.monitor.views import View
from kdstudio.gui.theme import Theme
from kdstudio.gui.words import network_word

NETWORKS = ("teacher", "student")
BINS = 24
FILL = 90


class EntropyView(View):
    """A histogram of the entropy of each sample of the pool, of teacher and student."""

    title = mark("Entropy")
    hint = mark("How soft teacher's and student's outputs are at this temperature")

    def __init__(self, theme: Theme, state: SoftState) -> None:
        super().__init__(theme)
        self.state = state
        self.legend = QLabel()
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.legend.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.plot = pyqtgraph.PlotWidget(axisItems={side: Axis(side) for side in ("bottom", "left")})
        self.plot.setAccessibleName(tr("Histogram of entropies"))
        self.plot.setMenuEnabled(False)
        self.plot.setMouseEnabled(False, False)
        self.plot.hideButtons()
        self.plot.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored)
        self.plot.setMinimumHeight(80)
        item = self.plot.getPlotItem()
        item.layout.setContentsMargins(0, 8, 6, 0)  # half of the highest number stands above the plot
        item.setLabel("bottom", tr("entropy in nats"))
        item.setLabel("left", tr("samples"))
        item.getAxis("left").setWidth(44)
        for name in ("left", "bottom"):
            item.getAxis(name).enableAutoSIPrefix(False)
        self.curves = {name: pyqtgraph.PlotCurveItem([0, 1], [0], stepMode="center", fillLevel=0) for name in NETWORKS}
        self.means = {name: pyqtgraph.InfiniteLine(angle=90) for name in NETWORKS}
        for name, curve in self.curves.items():
            item.addItem(curve)
            item.addItem(self.means[name])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.legend)
        layout.addWidget(self.plot, 1)
        self.recolour()

    def recolour(self) -> None:
        tokens, ratio = self.theme.tokens, self.devicePixelRatioF()
        self.plot.setBackground(tokens.panel)
        for name in ("left", "bottom"):
            self.plot.getPlotItem().getAxis(name).dress(tokens)
        for name, colour, style in (
            ("teacher", tokens.teacher, Qt.PenStyle.SolidLine),
            ("student", tokens.student, Qt.PenStyle.DashLine),
        ):
            fill = pyqtgraph.mkColor(colour)
            fill.setAlpha(FILL)
            self.curves[name].setPen(pyqtgraph.mkPen(colour, width=ratio))
            self.curves[name].setBrush(fill)
            self.means[name].setPen(pyqtgraph.mkPen(colour, width=2 * ratio, style=style))
        self.redraw()

    def _entropies(self) -> tuple[int, np.ndarray | None, np.ndarray] | None:
        """How many classes or words there are, and the entropies of teacher and student."""
        data, text = self.state.data, self.state.text
        if text is not None:
            return text.answers, text.teacher_entropy, text.student_entropy
        if data is None:
            return None
        taught = None if data.teacher is None else data.teacher.pool_entropy
        return len(data.names), taught, data.student.pool_entropy

    def _counted(self) -> str:
        text = self.state.text
        if text is None:
            return tr("samples")
        return tr("words") if text.texts.tags else tr("tokens")

    def redraw(self) -> None:
        entropies, tokens = self._entropies(), self.theme.tokens
        if entropies is None:
            return
        classes, taught, own = entropies
        self.plot.getPlotItem().setLabel("left", self._counted())
        edges = np.linspace(0, np.log(max(classes, 2)), BINS + 1)
        words, highest = [], 1
        for name, line, colour, side in (
            ("teacher", "━━", tokens.teacher, taught),
            ("student", "╌╌", tokens.student, own),
        ):
            found = np.empty(0) if side is None else side
            found = found[np.isfinite(found)]
            for item in (self.curves[name], self.means[name]):
                item.setVisible(found.size > 0)
            if found.size:
                counts = np.histogram(np.clip(found, 0, edges[-1]), edges)[0]
                highest = max(highest, int(counts.max()))
                self.curves[name].setData(edges, counts)
                self.means[name].setValue(float(found.mean()))
                said = tr("{network}, mean {mean:.3f}", network=network_word(name), mean=float(found.mean()))
                words.append(f'<span style="color:{colour}">{line}</span> {said}')
        self.legend.setText(" &nbsp; ".join([*words, tr("at most {most:.2f}", most=edges[-1])]))
        self.plot.setXRange(0, edges[-1], padding=0.02)
        self.plot.setYRange(0, highest, padding=0.05)
