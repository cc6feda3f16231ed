"""The soft-targets panel, one sample: what teacher and student give each class."""

from __future__ import annotations

from html import escape

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QSizePolicy, QVBoxLayout

from kdstudio.gui.monitor.bars import ClassBars
from kdstudio.gui.monitor.palettes import number
from kdstudio.gui.monitor.probe_strip import ProbeStrip
from kdstudio.gui.monitor.soft_state import SoftState
from kdstudio.gui.monitor.views import View
from kdstudio.gui.theme import Theme
from kdstudio.project.runs.snapshots import Probes, entropy

#: Bold words take more room than their plain ones.
WIDER = 1.06


class SampleView(View):
    """The probe samples, and bars for the chosen one."""

    title = "Sample"
    hint = "What teacher and student give each class for one sample"

    def __init__(self, theme: Theme, state: SoftState) -> None:
        super().__init__(theme)
        self.state = state
        self._filled: Probes | None = None
        self.samples = ProbeStrip(theme, self._tell)
        self.samples.currentRowChanged.connect(lambda _: self.redraw())
        self.caption = QLabel()
        self.caption.setTextFormat(Qt.TextFormat.RichText)
        self.caption.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.bars = ClassBars(theme)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.samples)
        layout.addWidget(self.caption)
        layout.addWidget(self.bars, 1)

    def clear(self) -> None:
        self._filled = None
        self.samples.clear()

    def recolour(self) -> None:
        self.samples.viewport().update()
        self.bars.update()
        self.redraw()

    def redraw(self) -> None:
        data = self.state.data
        if data is None:
            return
        labels = [int(label) for label in data.probes.labels]
        if self._filled is not data.probes:
            self._filled = data.probes
            self.samples.fill([data.name(label) for label in labels], data.probes.images)
        row = self.samples.currentRow()
        if not 0 <= row < len(data.student.says):
            return
        self.samples.set_right([int(said) == label for said, label in zip(data.student.says, labels)])
        taught = None if data.teacher is None else np.exp(data.teacher.logs[row])
        given = np.exp(data.student.logs[row])
        self.bars.show_sample(data.names, taught, given, labels[row], self.state.logarithmic)
        self.caption.setText(self._caption(row))

    def _says(self, row: int) -> list[tuple[str, str, str, float, float]]:
        """Of each network: name, colour, the class it gives the most, that share, its entropy."""
        data, tokens = self.state.data, self.theme.tokens
        assert data is not None
        found = []
        networks = (("teacher", tokens.teacher, data.teacher), ("student", tokens.student, data.student))
        for name, colour, side in networks:
            if side is not None:
                said = int(side.says[row])
                share = float(np.exp(side.logs[row])[said])
                spread = float(entropy(side.logits[row], data.temperature))
                found.append((name, colour, data.name(said), share, spread))
        return found

    def _caption(self, row: int) -> str:
        data = self.state.data
        assert data is not None
        label = data.name(int(data.probes.labels[row]))
        says = self._says(row)
        metrics = self.caption.fontMetrics()
        for spreads in (True, False):  # without the entropies where there is no room for them
            ends = [f", entropy {spread:.2f}" if spreads else "" for *_, spread in says]
            plain = "   ".join(
                [f"Label {label}", *(f"■ {net} {said}{end}" for (net, _, said, *_), end in zip(says, ends))]
            )
            if metrics.horizontalAdvance(plain) * WIDER <= self.caption.width():
                break
        parts = [f"Label <b>{escape(label)}</b>"]
        for (network, colour, said, *_), end in zip(says, ends):
            parts.append(f'<span style="color:{colour}">■</span> {network} <b>{escape(said)}</b>{end}')
        return " &nbsp; ".join(parts)

    def _tell(self, row: int) -> str:
        data = self.state.data
        if data is None or row >= len(data.probes.labels):
            return ""
        lines = [f"Sample {row + 1}, label {data.name(int(data.probes.labels[row]))}"]
        lines += [f"{name}: {said} ({number(share)})" for name, _, said, share, _ in self._says(row)]
        return "\n".join(lines)
