"""The soft-targets panel: what teacher and student say, sample by sample and class by class, at any temperature."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from kdstudio.gui.language import mark, tr
from kdstudio.gui.monitor.language_runs import (
    EMPTY_LANGUAGE,
    EMPTY_TAGS,
    NO_TAGS,
    NONE_RECORDED,
    is_language,
    is_tagged,
)
from kdstudio.gui.monitor.moment import Moment
from kdstudio.gui.monitor.palettes import number
from kdstudio.gui.monitor.soft_dark import DarkView
from kdstudio.gui.monitor.soft_data import Softened, SoftTargets
from kdstudio.gui.monitor.soft_entropy import EntropyView
from kdstudio.gui.monitor.soft_sample import SampleView
from kdstudio.gui.monitor.soft_state import SoftState
from kdstudio.gui.monitor.tag_data import TagTargets
from kdstudio.gui.monitor.temperature import TemperatureControl
from kdstudio.gui.monitor.text_data import TextTargets
from kdstudio.gui.monitor.text_divergence import DivergenceView
from kdstudio.gui.monitor.text_table import text_rows
from kdstudio.gui.monitor.text_targets import TextView
from kdstudio.gui.monitor.views import View, ViewPanel
from kdstudio.gui.theme import Theme
from kdstudio.gui.worker import TrainingWorker
from kdstudio.project.runs.texts import Said, SaidTags, Texts

EMPTY = mark("What teacher and student say of a few samples appears here, as soon as the student trains.")
DAMAGED = mark("The snapshots of this run cannot be read; a run that goes on writes new ones.")
FIGURES = mark("Over the pool of validation samples: same first class, mean KL(teacher || student) and entropy in nats")
TEXT_FIGURES = mark(
    "Over all tokens of the probe texts: same likeliest word, mean KL(teacher || student) and entropy in nats"
)
TAG_FIGURES = mark(
    "Over all words of the probe sentences: same likeliest tag, mean KL(teacher || student) and entropy in nats"
)
SAME_WORD = mark("Same word {agreement} · KL {divergence} · entropy: teacher {taught}, student {own}")
SAME_TAG = mark("Same tag {agreement} · KL {divergence} · entropy: teacher {taught}, student {own}")


class SoftTargetsPanel(ViewPanel):
    """One sample, dark knowledge or entropies, at the shared moment and at one temperature."""

    def __init__(self, theme: Theme, moment: Moment) -> None:
        super().__init__("soft-targets", tr("Soft targets"), tr(EMPTY), theme, moment)
        self.state = SoftState()
        self.temperature = TemperatureControl(theme)
        self.temperature.changed.connect(lambda _: self._recompute())
        self.logarithmic = QCheckBox(tr("log"))
        self.logarithmic.setAccessibleName(tr("Logarithmic scale"))
        self.logarithmic.setToolTip(tr("A logarithmic scale, on which dark knowledge of 0.0001 can be seen"))
        self.logarithmic.toggled.connect(self._set_logarithmic)
        self.options = QWidget()
        row = QHBoxLayout(self.options)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(16)
        row.addWidget(self.temperature, 1)
        row.addWidget(self.logarithmic)
        self.figures = QLabel()
        self.figures.setObjectName("soft")
        self.figures.setAccessibleName(tr("Agreement with the teacher"))
        self.figures.setToolTip(tr(FIGURES))
        self.figures.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.figures.setTextFormat(Qt.TextFormat.PlainText)
        self.sample = SampleView(theme, self.state)
        self.dark = DarkView(theme, self.state)
        self.entropy = EntropyView(theme, self.state)
        self.words = TextView(theme, self.state)
        self.divergence = DivergenceView(theme, self.state, moment)
        self.word_entropy = EntropyView(theme, self.state)
        self.of_classes: list[View] = [self.sample, self.dark, self.entropy]
        self.of_words: list[View] = [self.words, self.divergence, self.word_entropy]
        self.set_views([*self.of_classes, *self.of_words])
        self.switch.offer(self.of_classes)
        self.state.listeners.append(self.switch.redraw)
        self.switch.tall_changed.connect(self._place_options)
        layout = self._layout()
        layout.insertWidget(0, self.options)
        layout.addWidget(self.figures)

    def _layout(self) -> QVBoxLayout:
        layout = self.body.layout()
        assert isinstance(layout, QVBoxLayout)
        return layout

    def _place_options(self, tall: bool) -> None:
        """In a tall panel the head, which the switch has left, takes the temperature."""
        if tall:
            self.head_row.insertWidget(1, self.options, 4)
        else:
            self._layout().insertWidget(0, self.options)

    def set_worker(self, worker: TrainingWorker | None) -> None:
        super().set_worker(worker)
        experiment = self.moment.experiment if worker is not None else None
        terms = experiment.objective if experiment is not None else []
        self.empty.set_text(self._coming(False))
        self.switch.offer(self.of_words if is_language(experiment) else self.of_classes)
        self._name_tabs(is_tagged(experiment))
        self.temperature.set_objective(list(dict.fromkeys(term.temperature for term in terms if term.term == "soft")))

    def _name_tabs(self, tagged: bool) -> None:
        bar, words, divergence = self.switch.switch, self.words, self.divergence
        title = divergence.tag_title if tagged else divergence.title
        hints = (words.tag_hint, divergence.tag_hint) if tagged else (words.hint, divergence.hint)
        bar.setTabText(self.views.index(divergence), tr(title))
        for view, hint in zip((words, divergence), hints):
            bar.setTabToolTip(self.views.index(view), tr(hint))

    def _coming(self, never: bool) -> str:
        """What will appear; or of a run that is over without it, that it never will."""
        experiment = self.moment.experiment
        if is_tagged(experiment):
            return tr(NO_TAGS) if never else tr(EMPTY_TAGS)
        if is_language(experiment):
            return tr(NONE_RECORDED) if never else tr(EMPTY_LANGUAGE)
        return tr(EMPTY)

    def clear(self) -> None:
        self.state.data, self.state.text, self.state.chosen = None, None, (0, -1)
        super().clear()

    def show_empty(self, empty: bool) -> None:
        super().show_empty(empty)
        self.options.setVisible(not empty)

    def redraw(self) -> None:
        if is_language(self.moment.experiment):
            self._redraw_text()
            return
        probes, snapshot = self.moment.probes, self.moment.readable()
        if probes is None or snapshot is None:
            self.empty.set_text(tr(DAMAGED) if self.moment.info is not None else tr(EMPTY))
            self.show_empty(True)
            return
        before = self.state.data
        if before is None or before.snapshot is not snapshot or before.probes is not probes:
            self.state.data = SoftTargets(probes, snapshot, self.temperature.value, before)
        self.show_empty(False)
        self._draw()

    def _redraw_text(self) -> None:
        texts, said = self.moment.texts, self.moment.said()
        if texts is None or said is None:
            over = self.worker is not None and self.worker.run_folder.state().phase == "finished"
            self.empty.set_text(self._coming(over and not self.moment.infos))
            if self.moment.info is not None:
                self.empty.set_text(tr(DAMAGED))
            self.show_empty(True)
            return
        before = self.state.text
        if before is None or before.said is not said or before.texts is not texts:
            self.state.text = _targets(texts, said, self.temperature.value)
        self.show_empty(False)
        self._draw()

    def _recompute(self) -> None:
        text = self.state.text
        if text is not None:
            self.state.text = _targets(text.texts, text.said, self.temperature.value)
            self._draw()
        before = self.state.data
        if before is not None:
            self.state.data = SoftTargets(before.probes, before.snapshot, self.temperature.value, before)
            self._draw()

    def _set_logarithmic(self, on: bool) -> None:
        self.state.logarithmic = on
        self.switch.redraw()

    def _draw(self) -> None:
        self.switch.redraw()
        self.figures.setToolTip(tr(FIGURES) if self.state.text is None else self._text_tip(self.state.text))
        if self.state.text is not None:
            self.figures.setText(self._text_figures(self.state.text))
            return
        data = self.state.data
        if data is None:
            return
        own = number(float(np.mean(data.student.pool_entropy)) if data.student.pool_entropy.size else float("nan"))
        if self.moment.damaged:
            self.figures.setText(
                tr("The file of this snapshot is damaged; step {step:,} is shown.", step=data.snapshot.step)
            )
            return
        if data.teacher is None:
            self.figures.setText(tr("No teacher · entropy of the student {entropy}", entropy=own))
            return
        taught = number(float(np.mean(data.teacher.pool_entropy)) if data.teacher.pool_entropy.size else float("nan"))
        self.figures.setText(
            tr(
                "Agreement {agreement} · KL {divergence} · entropy: teacher {taught}, student {own}",
                agreement=_percent(data.agreement),
                divergence=number(data.divergence),
                taught=taught,
                own=own,
            )
        )

    @staticmethod
    def _text_tip(data: TextTargets) -> str:
        words = tr(TAG_FIGURES) if data.texts.tags else tr(TEXT_FIGURES)
        return f"{words}. {tr(data.exact)}"

    @staticmethod
    def _text_figures(data: TextTargets) -> str:
        own = number(float(np.mean(data.student_entropy)))
        if data.teacher_entropy is None:
            surprise = number(data.mean())
            return tr(
                "No teacher · surprise {surprise} · entropy of the student {entropy}", surprise=surprise, entropy=own
            )
        form = SAME_TAG if data.texts.tags else SAME_WORD
        return tr(
            form,
            agreement=_percent(data.agreement),
            divergence=number(data.mean()),
            taught=number(float(np.mean(data.teacher_entropy))),
            own=own,
        )

    # -- saving ----------------------------------------------------------------------------------------------

    def table(self) -> Sequence[Sequence[object]]:
        """Probe samples, the pool's mean for each class, and the pool's entropies, whichever view is shown.

        Of language models each place of the probe texts with its words, and the means over time.
        """
        if self.state.text is not None:
            return text_rows(self.state.text, self.moment.infos)
        data = self.state.data
        if data is None:
            return []
        head = ["part", "step", "temperature", "network", "index", "label", "says", "entropy", *data.names]
        rows: list[Sequence[object]] = [head]
        for network, side in (("teacher", data.teacher), ("student", data.student)):
            if side is not None:
                rows += self._rows(data, network, side)
        return rows

    @staticmethod
    def _rows(data: SoftTargets, network: str, side: Softened) -> list[list[object]]:
        start: list[object] = [data.snapshot.step, data.temperature, network]
        shares = np.exp(side.logs)
        spread = -(shares * side.logs).sum(axis=1)
        rows: list[list[object]] = []
        for row, label in enumerate(data.probes.labels):
            words = [data.name(int(label)), data.name(int(side.says[row]))]
            rows.append(["sample", *start, row, *words, float(spread[row]), *shares[row].tolist()])
        rows += [
            ["class mean", *start, label, data.name(label), "", "", *side.matrix[label].tolist()]
            for label in range(len(side.matrix))
        ]
        said = side.pool_logits.argmax(axis=1)
        rows += [
            ["pool", *start, row, data.name(int(label)), data.name(int(said[row])), float(side.pool_entropy[row])]
            for row, label in enumerate(side.labels)
        ]
        return rows


def _targets(texts: Texts, said: Said | SaidTags, temperature: float) -> TextTargets:
    """The sums for a language model, or for a tagger."""
    if isinstance(said, SaidTags):
        return TagTargets(texts, said, temperature)
    return TextTargets(texts, said, temperature)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if np.isfinite(share) else "–"
