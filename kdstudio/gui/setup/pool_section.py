"""The section of samples without labels: where they come from, and what the teacher says of them."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QPixmap
from PySide6.QtWidgets import QGridLayout, QLabel, QPushButton, QScrollArea, QWidget

from kdstudio.gui.language import tr
from kdstudio.gui.setup.context import Context
from kdstudio.gui.setup.form import NestedForm
from kdstudio.gui.setup.pool_view import ConfidenceHistogram, KeptTable
from kdstudio.gui.setup.schema import fields_of
from kdstudio.gui.setup.section import Card, Section
from kdstudio.gui.setup.words import label_inside
from kdstudio.project.errors import KDStudioError, SpecError
from kdstudio.project.pool import PoolReport
from kdstudio.project.spec import Experiment, PoolSpec, validate

CHANNEL = "pool"
PICTURE = 44
COLUMNS = 6
MOST_ROWS = 12


class PoolSection(Section):
    """The pool's settings, and a preview once the teacher is trained."""

    def __init__(self, context: Context) -> None:
        sentence = tr("The teacher labels samples that have no labels, and the student learns from them, too.")
        super().__init__(context, tr("Samples without labels"), sentence, ("unlabelled",))
        card = Card(tr("The pool"))
        schema = next(schema for schema in fields_of(Experiment) if schema.name == "unlabelled")
        self.form = NestedForm(context, "unlabelled", schema)
        words = QLabel(
            tr(
                "Some of your samples have labels, many have none: give the share that has them under Data, or "
                "another source here. The teacher answers for each sample as it is, without augmentation; those that "
                "it is sure of are kept, as many of each class (Noisy Student). Look at the least certain ones before "
                "you trust it."
            )
        )
        words.setObjectName("soft")
        words.setWordWrap(True)
        card.body.addWidget(words)
        card.body.addWidget(self.form)
        self.columns.add(card)
        self.preview = PoolCard(context)
        self.columns.add(self.preview, side=True)

    def refresh(self) -> None:
        super().refresh()
        self.form.refresh()
        self.preview.refresh()


class PoolCard(Card):
    """What the trained teacher says of the pool, before any student is trained."""

    def __init__(self, context: Context) -> None:
        super().__init__(tr("What the teacher says of it"))
        self.context = context
        self._question: dict[str, Any] | None = None
        self._answer: dict[str, Any] | None = None
        self._arrays: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.ask = QPushButton(tr("Ask the teacher"))
        self.ask.setToolTip(tr("The trained teacher answers for every sample without a label"))
        self.ask.clicked.connect(self._ask)
        self.histogram = ConfidenceHistogram(context.theme)
        self.histogram.moved.connect(self._show)
        self.histogram.chosen.connect(self._take)
        self.table = KeptTable(context.theme)
        self.area = QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setFrameShape(QScrollArea.Shape.NoFrame)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setWidget(self.table)
        self.sides = {"least": SampleGrid(tr("Least certain")), "most": SampleGrid(tr("Most certain"))}
        for widget in (self.words, self.ask, self.histogram, self.area, *self.sides.values()):
            alignment = Qt.AlignmentFlag.AlignLeft if widget is self.ask else Qt.AlignmentFlag(0)
            self.body.addWidget(widget, 0, alignment)
        context.facts.client.answered.connect(self._answered)
        context.facts.client.failed.connect(self._failed)

    # -- asking ------------------------------------------------------------------------------------------------

    def _wanted(self) -> dict[str, Any]:
        """The question that belongs to the settings; the threshold and the balance change no answer."""
        value, project = self.context.document.value, self.context.project
        kept = {key: value.get(key) for key in ("name", "data", "teacher", "student")}
        pool = {**(value.get("unlabelled") or {})}
        for key in ("threshold", "balance", "per_class", "labels", "labelled_too", "rounds"):
            pool.pop(key, None)
        experiment = {**kept, "unlabelled": {**pool, "labels": "hard"}, "objective": [{"term": "soft"}]}
        if (kept["student"] or {}).get("model") == "from-teacher":
            experiment["student"] = {"model": "from-teacher"}
        return {
            "ask": "pool",
            "root": str(project.root) if project else "",
            "data": value.get("data"),
            "experiment": experiment,
        }

    def _ask(self) -> None:
        self._question = self._wanted()
        self._answer = self._arrays = None
        self.context.facts.client.ask(CHANNEL, self._question, fresh=True, keep=False)
        self.words.setText(tr("Asking the teacher..."))
        self.refresh()

    def _answered(self, channel: str, answer: dict[str, Any]) -> None:
        if channel != CHANNEL or self._question is None:
            return
        self._answer = answer
        read = {name: base64.b64decode(answer[name]) for name in ("confidence", "predicted", "truth")}
        self._arrays = (
            np.frombuffer(read["confidence"], "<f4"),
            np.frombuffer(read["predicted"], "<i4"),
            np.frombuffer(read["truth"], "<i4"),
        )
        for side, grid in self.sides.items():
            grid.show_samples(answer[side])
        self.refresh()

    def _failed(self, channel: str, error: KDStudioError) -> None:
        if channel == CHANNEL:
            self._question = None
            self.words.setText(" ".join(words for words in (error.what + ".", error.why, error.fix) if words))
            self.refresh()

    # -- showing -----------------------------------------------------------------------------------------------

    def _spec(self, threshold: float | None = None) -> PoolSpec | None:
        value = self.context.document.get("unlabelled")
        try:
            spec = validate(PoolSpec, value) if isinstance(value, dict) else None
        except SpecError:
            return None
        return spec if spec is None or threshold is None else spec.model_copy(update={"threshold": threshold})

    def refresh(self) -> None:
        """Shows the answer as long as it belongs to the settings."""
        spec = self._spec()
        self.setVisible(self.context.document.get("unlabelled") is not None)
        stale = self._question is not None and self._question != self._wanted()
        known = self._answer is not None and not stale
        self.ask.setEnabled(spec is not None and (self._question is None or self._answer is not None))
        self.ask.setText(tr("Ask again") if known else tr("Ask the teacher"))
        for widget in (self.histogram, self.area, *self.sides.values()):
            widget.setVisible(known)
        if known and spec is not None:
            self._show(spec.threshold)
        elif self._question is None and not self.words.text():
            self.words.setText(
                tr(
                    "Once the teacher is trained (Run > Train the teacher) you see here how sure it is, and what "
                    "is kept."
                )
            )

    def _show(self, threshold: float) -> None:
        spec = self._spec(threshold)
        if spec is None or self._answer is None or self._arrays is None:
            return
        report = PoolReport.of(*self._arrays, spec, self._answer["classes"])
        self.histogram.show_counts(report.histogram, threshold)
        self.table.show_report(report)
        rows = min(len(report.answered), MOST_ROWS) + 1
        self.area.setFixedHeight(self.table.height() * rows // (len(report.answered) + 1) + 2)
        self.words.setText(in_words(report))

    def _take(self, threshold: float) -> None:
        self._show(threshold)
        if self._spec() is not None:
            phrase = tr("Change {thing}", thing=label_inside("threshold"))
            self.context.document.edit(phrase, {"unlabelled.threshold": threshold}, merge=True)


def in_words(report: PoolReport) -> str:
    """What becomes of the pool, in sentences."""
    found = tr(
        "Of {total:,} samples the teacher is at least {threshold:.0f} % sure of {sure:,}; {learned:,} are "
        "learned from.",
        total=report.total,
        threshold=100 * report.threshold,
        sure=report.sure,
        learned=report.learned,
    )
    if report.right is None:
        return found
    found += " " + tr("It is right about {share:.1f} % of those whose labels were hidden", share=100 * report.right)
    if report.right_sure is None:
        return found + "."
    return found + tr(", and about {share:.1f} % of those that it is sure of.", share=100 * report.right_sure)


class SampleGrid(QWidget):
    """Samples as pictures or texts, with what the teacher says of them."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self.title = title
        self.labels: list[QLabel] = []
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(6)
        heading = QLabel(title)
        heading.setObjectName("soft")
        self._grid.addWidget(heading, 0, 0, 1, COLUMNS)

    def show_samples(self, samples: list[dict[str, Any]]) -> None:
        """Each with `label` (the answer), `confidence`, and `png` or `text`."""
        for label in self.labels:
            self._grid.removeWidget(label)
            label.deleteLater()
        self.labels = []
        for place, sample in enumerate(samples):
            said = tr("{name}, {share:.0f} % sure", name=sample["label"], share=100 * sample["confidence"])
            label = QLabel()
            label.setAccessibleName(said)
            if "png" in sample:
                pixmap = QPixmap()
                pixmap.loadFromData(base64.b64decode(sample["png"]))
                label.setPixmap(pixmap.scaled(PICTURE, PICTURE, Qt.AspectRatioMode.KeepAspectRatio))
                label.setToolTip(said)
                self._grid.addWidget(label, 1 + place // COLUMNS, place % COLUMNS, Qt.AlignmentFlag.AlignLeft)
            else:
                label.setWordWrap(True)
                label.setTextFormat(Qt.TextFormat.PlainText)
                label.setText(f"{said}: {sample['text']}" if "text" in sample else said)
                self._grid.addWidget(label, 1 + place, 0, 1, COLUMNS)
            self.labels.append(label)
