"""The soft-targets panel, entropy: how soft the outputs are over the pool, at the temperature."""

from __future__ import annotations

import numpy as np
import pyqtgraph
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QSizePolicy, QVBoxLayout

from kdstudio.gui.monitor.soft_state import SoftState
from kdstudio.gui.monitor.views import View
from kdstudio.gui.theme import Theme

NETWORKS = ("teacher", "student")
BINS = 24
FILL = 90


class EntropyView(View):
    """A histogram of the entropy of each sample of the pool, of teacher and student."""

    title = "Entropy"
    hint = "How soft teacher's and student's outputs are at this temperature"

    def __init__(self, theme: Theme, state: SoftState) -> None:
        super().__init__(theme)
        self.state = state
        self.legend = QLabel()
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.legend.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.plot = pyqtgraph.PlotWidget()
        self.plot.setAccessibleName("Histogram of entropies")
        self.plot.setMenuEnabled(False)
        self.plot.setMouseEnabled(False, False)
        self.plot.hideButtons()
        self.plot.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored)
        self.plot.setMinimumHeight(80)
        item = self.plot.getPlotItem()
        item.setLabel("bottom", "entropy in nats")
        item.setLabel("left", "samples")
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
        tokens = self.theme.tokens
        self.plot.setBackground(tokens.panel)
        for name in ("left", "bottom"):
            axis = self.plot.getPlotItem().getAxis(name)
            axis.setPen(tokens.line)
            axis.setTextPen(tokens.soft)
        for name, colour, style in (
            ("teacher", tokens.teacher, Qt.PenStyle.SolidLine),
            ("student", tokens.student, Qt.PenStyle.DashLine),
        ):
            fill = pyqtgraph.mkColor(colour)
            fill.setAlpha(FILL)
            self.curves[name].setPen(pyqtgraph.mkPen(colour, width=1))
            self.curves[name].setBrush(fill)
            self.means[name].setPen(pyqtgraph.mkPen(colour, width=2, style=style))
        self.redraw()

    def redraw(self) -> None:
        data, tokens = self.state.data, self.theme.tokens
        if data is None:
            return
        edges = np.linspace(0, np.log(max(len(data.names), 2)), BINS + 1)
        words, highest = [], 1
        for name, mark, colour, side in (
            ("teacher", "━━", tokens.teacher, data.teacher),
            ("student", "╌╌", tokens.student, data.student),
        ):
            found = np.empty(0) if side is None else side.pool_entropy
            found = found[np.isfinite(found)]
            for item in (self.curves[name], self.means[name]):
                item.setVisible(found.size > 0)
            if found.size:
                counts = np.histogram(np.clip(found, 0, edges[-1]), edges)[0]
                highest = max(highest, int(counts.max()))
                self.curves[name].setData(edges, counts)
                self.means[name].setValue(float(found.mean()))
                words.append(f'<span style="color:{colour}">{mark}</span> {name}, mean {found.mean():.3f}')
        self.legend.setText(" &nbsp; ".join([*words, f"at most {edges[-1]:.2f}"]))
        self.plot.setXRange(0, edges[-1], padding=0.02)
        self.plot.setYRange(0, highest, padding=0.05)
