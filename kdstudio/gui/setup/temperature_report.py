"""What the teacher's outputs say about the temperature, over many samples: entropy by T, and the T for a share."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from kdstudio.gui.language import tr
from kdstudio.gui.setup.curve_view import CurveView
from kdstudio.gui.setup.inputs import Spin
from kdstudio.gui.theme import Theme
from kdstudio.project.runs.snapshots import entropy
from kdstudio.project.temperature_report import (
    ENOUGH,
    HIGHEST,
    LOWEST,
    SHARE,
    TemperatureReport,
    second_share,
    temperature_report,
)

#: From this width on the words stand beside the curve.
BESIDE = 640
#: Points of the curve.
POINTS = 40
#: So many numbers are looked at while somebody waits; with many classes that is fewer samples.
MOST = 200_000


class TeacherReport(QWidget):
    """A curve, a share to choose, a sentence, and a button that takes its temperature.

    Signals:
        taken: A temperature.
    """

    taken = Signal(float)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._logits = np.zeros((0, 0))
        self.report: TemperatureReport | None = None
        self._tried = 1.0
        self._term: float | None = None
        title = QLabel(tr("Mean entropy by temperature"))
        title.setObjectName("heading")
        title.setToolTip(tr("Of the teacher's softened outputs, in nats; the top of the axis is that of equal shares"))
        self.curve = CurveView(theme, tr("Mean entropy of the teacher's outputs by temperature"))
        self.sentence = QLabel()
        self.sentence.setWordWrap(True)
        self.now = QLabel()
        self.now.setObjectName("soft")
        self.now.setWordWrap(True)
        label = QLabel(tr("Share of the second class"))
        self.share = Spin()
        self.share.set_bounds(1, 45, optional=False)
        self.share.setRange(1, 45)  # beyond it no second class can be
        self.share.setValue(round(100 * SHARE))
        self.share.setSuffix(" %")
        self.share.setAccessibleName(label.text())
        self.share.setToolTip(tr("How much the second class is to have on average (usual 5 to 20 %)"))
        self.share.valueChanged.connect(self._look)
        label.setBuddy(self.share)
        self.take = QPushButton()
        self.take.clicked.connect(self._take)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(label)
        row.addWidget(self.share)
        row.addStretch(1)
        row.addWidget(self.take)
        right = QVBoxLayout()
        right.setSpacing(8)
        right.addLayout(row)
        right.addWidget(self.sentence)
        right.addWidget(self.now)
        right.addStretch(1)
        self._whole = whole = QBoxLayout(QBoxLayout.Direction.TopToBottom)
        whole.setSpacing(16)
        whole.addWidget(self.curve, 2)
        whole.addLayout(right, 3)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(title)
        layout.addLayout(whole)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        directions = QBoxLayout.Direction
        self._whole.setDirection(directions.LeftToRight if self.width() >= BESIDE else directions.TopToBottom)

    def show_logits(self, logits: np.ndarray) -> None:
        """Of another teacher, or asked anew: (N, C)."""
        usable = logits.ndim == 2 and logits.shape[1] > 1 and len(logits) > 0
        self.setVisible(usable)
        self._logits = logits[: max(ENOUGH, MOST // logits.shape[1])] if usable else np.zeros((0, 0))
        self._look()

    def show_temperature(self, tried: float, term: float | None) -> None:
        """The temperature of the slider, and that of the soft term (None where there is none)."""
        self._tried, self._term = tried, term
        self._tell()

    def _tell(self) -> None:
        if self.report is None:
            return
        advised, tried, term = self.report.advised, self._tried, self._term
        self.curve.show_now(tried)
        self.now.setText(
            tr(
                "At T = {degree:g} it has {share:.1f} %; mean entropy {entropy:.2f} of at most {most:.2f} nats.",
                degree=tried,
                share=100 * second_share(self._logits, tried),
                entropy=float(entropy(self._logits, tried).mean()),
                most=np.log(self._logits.shape[1]),
            )
        )
        self.take.setVisible(term is not None and advised is not None)
        if advised is not None:
            self.take.setText(tr("Use T = {degree:g}", degree=advised))
            self.take.setEnabled(advised != term)

    def _look(self) -> None:
        """Computes the report of these logits and this share."""
        if not len(self._logits):
            self.report = None
            return
        self.report = report = temperature_report(self._logits, self.share.value() / 100)
        share, advised = self.share.value(), report.advised
        if advised is None:
            text = tr(
                "At no T from {low:g} to {high:g} does the second class have {share} % on average ({count} samples).",
                low=LOWEST,
                high=HIGHEST,
                share=share,
                count=report.samples,
            )
        else:
            text = tr(
                "At T = {degree:g} the second class has {share} % on average ({count} samples).",
                degree=advised,
                share=share,
                count=report.samples,
            )
        if report.thin:
            text = f"{text} {tr('So few samples are thin evidence.')}"
        self.sentence.setText(text)
        curve = [float(entropy(self._logits, degree).mean()) for degree in np.linspace(LOWEST, HIGHEST, POINTS)]
        marks = [] if advised is None else [advised]
        self.curve.show_curve(curve, HIGHEST, marks, LOWEST, float(np.log(self._logits.shape[1])))
        self.curve.setAccessibleDescription(text)
        self._tell()

    def _take(self) -> None:
        if self.report is not None and self.report.advised is not None:
            self.taken.emit(self.report.advised)
