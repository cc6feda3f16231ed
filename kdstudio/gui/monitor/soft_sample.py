"""The soft-targets panel, one sample: what teacher and student give each class."""

from __future__ import annotations

import re
import textwrap
from html import escape

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QLabel, QSizePolicy, QVBoxLayout

from kdstudio.gui.language import mark, tr
from kdstudio.gui.monitor.bars import ClassBars
from kdstudio.gui.monitor.palettes import number
from kdstudio.gui.monitor.probe_strip import ProbeStrip
from kdstudio.gui.monitor.soft_state import SoftState
from kdstudio.gui.monitor.views import View
from kdstudio.gui.theme import Theme
from kdstudio.gui.words import network_word
from kdstudio.project.runs.snapshots import Probes, entropy

#: Bold words take more room than their plain ones.
WIDER = 1.06
#: Lines of a sample's text, and of one in a low panel.
LINES, LINES_LOW = 3, 2
#: Below this height the samples stand in a column beside the bars.
LOW = 240
#: What a network says of a sample; the longest that has room is taken.
FORMS = (
    mark("{network} <b>{said}</b>, entropy {entropy:.2f}"),
    mark("{network} <b>{said}</b>"),
    "<b>{said}</b>",
)


class SampleView(View):
    """The probe samples, and bars for the chosen one."""

    title = mark("Sample")
    hint = mark("What teacher and student give each class for one sample")

    def __init__(self, theme: Theme, state: SoftState) -> None:
        super().__init__(theme)
        self.state = state
        self._filled: Probes | None = None
        self.samples = ProbeStrip(theme, self._tell)
        self.samples.currentRowChanged.connect(lambda _: self.redraw())
        self.caption = QLabel()
        self.caption.setTextFormat(Qt.TextFormat.RichText)
        self.caption.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.text = QLabel()
        self.text.setAccessibleName(tr("Text of the sample"))
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setWordWrap(True)
        self.text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.text.hide()
        self.bars = ClassBars(theme)
        beside = QVBoxLayout()
        beside.setSpacing(4)
        beside.addWidget(self.text)
        beside.addWidget(self.caption)
        beside.addWidget(self.bars, 1)
        self._parts = QBoxLayout(QBoxLayout.Direction.TopToBottom, self)
        self._parts.setContentsMargins(0, 0, 0, 0)
        self._parts.setSpacing(6)
        self._parts.addWidget(self.samples)
        self._parts.addLayout(beside, 1)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        low = self.height() < (LOW + 20 if self.samples.upright else LOW)
        if low != self.samples.upright:
            directions = QBoxLayout.Direction
            self._parts.setDirection(directions.LeftToRight if low else directions.TopToBottom)
            self.samples.set_upright(low)
        self.redraw()

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
            self.samples.fill([data.name(label) for label in labels], data.probes.images, data.probes.texts)
        row = self.samples.currentRow()
        if not 0 <= row < len(data.student.says):
            return
        self.samples.set_right([int(said) == label for said, label in zip(data.student.says, labels)])
        taught = None if data.teacher is None else np.exp(data.teacher.logs[row])
        given = np.exp(data.student.logs[row])
        self.bars.show_sample(data.names, taught, given, labels[row], self.state.logarithmic)
        self.caption.setText(self._caption(row))
        self._show_text(data.probes.texts, row)

    def _show_text(self, texts: list[str] | None, row: int) -> None:
        """As many lines of the text as there is room for; all of it when the pointer rests on it."""
        self.text.setVisible(texts is not None)
        if texts is None:
            return
        whole = " ".join(texts[row].split())
        metrics, width = self.text.fontMetrics(), max(40, self.text.width())
        lines = LINES_LOW if self.samples.upright else LINES
        room = int(lines * width * 0.92)  # words do not fill their lines to the end
        self.text.setText(metrics.elidedText(whole, Qt.TextElideMode.ElideRight, room))
        needed = metrics.boundingRect(0, 0, width, 10_000, Qt.TextFlag.TextWordWrap, self.text.text()).height()
        self.text.setFixedHeight(min(needed, lines * metrics.lineSpacing()))
        self.text.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.text.setToolTip(wrapped(whole))

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
        head = tr("Label <b>{label}</b>", label=escape(label))
        words: list[str] = []
        for form in FORMS:
            words = [
                tr(form, network=network_word(network), said=escape(said), entropy=spread)
                for network, _, said, _, spread in says
            ]
            plain = re.sub("<.*?>", "", "   ".join([head, *(f"■ {part}" for part in words)]))
            if metrics.horizontalAdvance(plain) * WIDER <= self.caption.width():
                break
        squares = [f'<span style="color:{colour}">■</span>' for _, colour, *_ in says]
        return " &nbsp; ".join([head, *(f"{square} {part}" for square, part in zip(squares, words))])

    def _tell(self, row: int) -> str:
        data = self.state.data
        if data is None or row >= len(data.probes.labels):
            return ""
        lines = [tr("Sample {number}, label {label}", number=row + 1, label=data.name(int(data.probes.labels[row])))]
        if data.probes.texts is not None:
            lines.insert(0, wrapped(" ".join(data.probes.texts[row].split())))
        lines += [f"{network_word(name)}: {said} ({number(share)})" for name, _, said, share, _ in self._says(row)]
        return "\n".join(lines)


def wrapped(text: str) -> str:
    """A long text in lines, for a tooltip."""
    return "\n".join(textwrap.wrap(text, 90, max_lines=16, placeholder=" …"))
