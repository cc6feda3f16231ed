"""What the temperature does: one real sample's teacher distribution as T moves, and what T does to many samples,
before any training of a student."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QIcon, QPixmap
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QListView,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from kdstudio.gui.language import mark, tr
from kdstudio.gui.setup.context import Context
from kdstudio.gui.setup.distribution import DistributionView, percent
from kdstudio.gui.setup.fact_status import FactStatus
from kdstudio.gui.setup.facts import FactState
from kdstudio.gui.setup.section import Card
from kdstudio.gui.setup.temperature_report import TeacherReport
from kdstudio.gui.setup.words import label_inside
from kdstudio.project.runs.snapshots import soften

TENTHS = 10
LOWEST, HIGHEST = 0.5, 20.0
PICTURE = 40


class TemperatureCard(Card):
    """Samples to choose from, a slider for T, and bars. The slider tries; a button takes its T into the objective."""

    def __init__(self, context: Context) -> None:
        super().__init__(tr("What the temperature does"))
        self.context = context
        self.status = FactStatus(context, "logits", tr("Asking the teacher"))
        self.empty = QLabel()
        self.empty.setObjectName("soft")
        self.empty.setWordWrap(True)
        self.train = QPushButton(tr("Train the teacher first"))
        self.train.setToolTip(tr("Starts a run that trains the teacher and parks; the preview is here when it is done"))
        self.train.clicked.connect(context.train_teacher)
        self.content = QWidget()
        self.samples = self._sample_list()
        self.bars = DistributionView(context.theme)
        self.sentence = QLabel()
        self.sentence.setWordWrap(True)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(round(LOWEST * TENTHS), round(HIGHEST * TENTHS))
        self.slider.setAccessibleName(tr("Temperature to try"))
        tip = tr("A larger T shows more of what the teacher thinks of the wrong classes (usual 2 to 8)")
        self.slider.setToolTip(tip)
        self.slider.valueChanged.connect(self._draw)
        self.value = QLabel()
        self.value.setMinimumWidth(64)
        self.take = QPushButton()
        self.take.clicked.connect(lambda: self._take(self.slider.value() / TENTHS))
        self.report = TeacherReport(context.theme)
        self.report.taken.connect(self._take)
        self._lay_out()
        self._shown: dict[str, Any] | None = None
        self._logits = np.zeros((0, 0))
        self._term_temperature: float | None = None

    def _sample_list(self) -> QListWidget:
        samples = QListWidget()
        samples.setObjectName("strip")
        samples.setAccessibleName(tr("Validation samples"))
        samples.setViewMode(QListView.ViewMode.IconMode)
        samples.setMovement(QListView.Movement.Static)
        samples.setResizeMode(QListView.ResizeMode.Adjust)
        samples.setIconSize(QSize(PICTURE, PICTURE))
        samples.setSpacing(2)
        samples.setMinimumWidth(196)
        samples.setMaximumWidth(250)
        samples.setMinimumHeight(150)
        samples.currentRowChanged.connect(lambda _: self._draw())
        return samples

    def _lay_out(self) -> None:
        tuning = QHBoxLayout()
        tuning.setSpacing(8)
        tuning.addWidget(self.value)
        tuning.addWidget(self.slider, 1)
        tuning.addWidget(self.take)
        right = QVBoxLayout()
        right.setSpacing(8)
        right.addLayout(tuning)
        right.addWidget(self.bars)
        right.addWidget(self.sentence)
        right.addStretch(1)
        row = QHBoxLayout()
        row.setSpacing(16)
        row.addWidget(self.samples, 2)
        row.addLayout(right, 5)
        column = QVBoxLayout(self.content)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(16)
        column.addLayout(row)
        column.addWidget(self.report)
        for widget in (self.status, self.empty, self.train, self.content):
            self.body.addWidget(widget, 0, Qt.AlignmentFlag.AlignLeft if widget is self.train else Qt.AlignmentFlag(0))

    # -- asking ------------------------------------------------------------------------------------------------

    def wanted(self) -> None:
        """The card is on screen: the teacher is asked."""
        facts = self.context.facts
        if not facts.logits_wanted:
            facts.logits_wanted = True
            facts.look_again("logits")

    def _soft_place(self) -> int | None:
        terms = self.context.document.get("objective")
        for place, term in enumerate(terms if isinstance(terms, list) else []):
            if isinstance(term, dict) and term.get("term") in ("soft", "ensemble"):
                return place
        return None

    def _take(self, degree: float) -> None:
        place = self._soft_place()
        if place is not None:
            self.context.document.edit(
                tr("Change {thing}", thing=label_inside("temperature")), {f"objective.{place}.temperature": degree}
            )

    # -- showing -----------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Shows what is known now; the slider follows the objective's temperature."""
        place = self._soft_place()
        temperature = self.context.document.get(f"objective.{place}.temperature") if place is not None else None
        if temperature != self._term_temperature:
            self._term_temperature = temperature
            if isinstance(temperature, (int, float)):
                self.slider.blockSignals(True)
                self.slider.setValue(round(temperature * TENTHS))
                self.slider.blockSignals(False)
        fact = self.context.facts.logits
        teacher = self.context.document.get("teacher") is not None
        answer = fact.answer if teacher and fact.state in (FactState.KNOWN, FactState.ASKING) else None
        trained = answer is not None and answer["trained"]
        untrained = answer is not None and not answer["trained"] and fact.state is FactState.KNOWN
        self.status.refresh()
        if not teacher or untrained or (trained and fact.state is FactState.KNOWN):
            self.status.hide()
        self.empty.setVisible(not teacher or untrained)
        self.train.setVisible(untrained)
        self.empty.setText(
            tr(
                "The teacher is not trained yet. Once it is, you see here how it judges real samples, and how a "
                "temperature brings out what it thinks of the other classes."
            )
            if untrained
            else tr("With a teacher you see here how it judges real samples, and what a temperature does to that.")
        )
        self.content.setVisible(bool(trained))
        if answer is not None and trained and answer is not self._shown:
            self._fill(answer)
        self._draw()

    def _fill(self, answer: dict[str, Any]) -> None:
        self._shown = answer
        self._logits = np.asarray(answer["logits"], dtype=np.float64)
        pool = np.frombuffer(base64.b64decode(answer["pool"]), "<f4")
        self.report.show_logits(pool.reshape(-1, len(answer["classes"])))
        row = max(self.samples.currentRow(), 0)
        self.samples.blockSignals(True)
        self.samples.clear()
        for index, label in enumerate(answer["labels"]):
            name = answer["classes"][label]
            item = QListWidgetItem(name[:7] if answer["pictures"] else f"{index + 1}: {name}")
            item.setToolTip(tr("A validation sample of the class {name}", name=name))
            item.setData(Qt.ItemDataRole.AccessibleTextRole, tr("Sample {number}, {name}", number=index + 1, name=name))
            if answer["pictures"]:
                pixmap = QPixmap()
                pixmap.loadFromData(base64.b64decode(answer["pictures"][index]))
                item.setIcon(QIcon(pixmap.scaled(PICTURE, PICTURE, Qt.AspectRatioMode.KeepAspectRatio)))
            self.samples.addItem(item)
        self.samples.setCurrentRow(min(row, self.samples.count() - 1))
        self.samples.blockSignals(False)

    def _draw(self) -> None:
        degree = self.slider.value() / TENTHS
        self.value.setText(f"<i>T</i> = {degree:g}")
        place = self._soft_place()
        self.take.setVisible(place is not None)
        self.take.setText(tr("Use T = {degree:g}", degree=degree))
        self.take.setEnabled(degree != self._term_temperature)
        self.report.show_temperature(degree, self._term_temperature)
        row = self.samples.currentRow()
        if self._shown is None or not 0 <= row < len(self._logits):
            return
        classes, label = self._shown["classes"], self._shown["labels"][row]
        self.bars.show_sample(self._logits[row], classes, label, degree)
        self.sentence.setText(in_words(self._logits[row], classes, label, degree))


def in_words(logits: np.ndarray, classes: list[str], label: int, temperature: float) -> str:
    """What the teacher says of a sample, in a sentence."""
    shares = soften(logits, temperature)
    first, second = np.argsort(-shares, kind="stable")[:2]
    words = mark("{share} for {name}, which is right; {second} for {other}. At T = 1 it is {sharp} for {name}.")
    if first != label:
        words = mark("{share} for {name}, but it is {label}; {second} for {other}. At T = 1 it is {sharp} for {name}.")
    return tr(
        words,
        share=percent(shares[first]),
        name=classes[first],
        label=classes[label],
        second=percent(shares[second]),
        other=classes[second],
        sharp=percent(soften(logits, 1.0)[first]),
    )
