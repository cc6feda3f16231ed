"""What the views of the quality panel share: the run, and the facts of the split or the moment that is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QWidget

from kdstudio.gui.language import mark, tr
from kdstudio.gui.monitor.language_runs import is_language, is_tagged
from kdstudio.gui.monitor.moment import Moment
from kdstudio.gui.monitor.quality_kinds import kinds_at, recorded_kinds
from kdstudio.gui.monitor.views import View
from kdstudio.gui.theme import Theme, Tokens
from kdstudio.gui.widgets.empty import EmptyState
from kdstudio.gui.words import split_word
from kdstudio.gui.worker import TrainingWorker
from kdstudio.project.runs.evaluation import (
    SHOWN_SAMPLES,
    Evaluations,
    Samples,
    classification_facts,
    fidelity_facts,
    log_softmax,
)
from kdstudio.project.runs.snapshots import Probes, Snapshot

NETWORKS = ("teacher", "student", "baseline")
DASHES = {"teacher": "solid", "student": "solid", "baseline": "dash"}
AUTO, MOMENT = "auto", "moment"
SPLITS = ("validation", "test")
#: Why there is nothing to show yet, by kind of run; and of a scorecard that lacks what is asked for.
WAITING = {
    "accuracy": mark("This appears with the first snapshot of the student."),
    "f1": mark(
        "Tags are counted when the run is finished; until then, Classes has F1 of each kind after the first epoch."
    ),
    "perplexity": mark("This is not measured of language models."),
}
EARLIER = mark("This run was evaluated without these figures. kdstudio evaluate RUN measures it again.")


def colour_of(network: str, tokens: Tokens) -> str:
    """The colour that a network has in every panel."""
    return {"teacher": tokens.teacher, "student": tokens.student, "baseline": tokens.baseline}[network]


@dataclass(frozen=True)
class Facts:
    """What is known of the networks on some samples.

    Args:
        words: What these samples are.
        networks: For each network an entry as the scorecard has it, in the order of `NETWORKS`.
        samples: Those to look at; None where there are none.
        measure: What `per_class` has of each class: accuracy; of kinds of tags f1, precision or recall.
    """

    words: str
    classes: list[str]
    networks: dict[str, dict[str, Any]]
    samples: Samples | None = None
    measure: str = "accuracy"


@dataclass
class QualityState:
    """Finds the facts for what is chosen. By itself it shows the reported split once it was measured, else the moment.

    Args:
        source: `auto`, `moment` or a split.
    """

    moment: Moment
    worker: TrainingWorker | None = None
    source: str = AUTO
    compared: list[TrainingWorker] = field(default_factory=list)
    evaluations: Evaluations = field(default_factory=Evaluations)
    _known: tuple[object, Facts | None] | None = None
    #: What the mark in `_known` was made of, so that nothing new can take over an id of it.
    _held: tuple[object, ...] = ()

    def clear(self) -> None:
        self._known = None
        self.source = AUTO

    def scorecard(self) -> dict[str, Any]:
        return (self.evaluations.scorecard(self.worker.run_folder) if self.worker is not None else None) or {}

    def kind(self) -> str:
        """What the networks learn: `accuracy` stands for classes, `f1` for tags of words, `perplexity` for tokens."""
        experiment = self.moment.experiment
        found = "f1" if is_tagged(experiment) else "perplexity" if is_language(experiment) else "accuracy"
        return str(self.scorecard().get("metric", found))

    def sources(self) -> list[str]:
        """What can be chosen: of tokens nothing is counted class by class; of tags the moment until it is over."""
        measured = self.scorecard().get("networks", {}).get("student", {})
        found = [name for name in SPLITS if name in measured]
        kind = self.kind()
        if kind != "accuracy":
            return (found or self._live_kinds()) if kind == "f1" else []
        return [MOMENT, *found] if self.moment.info is not None else found

    def shown(self) -> str:
        """The source in force; empty where there is none."""
        sources = self.sources()
        if self.source in sources:
            return self.source
        reported = self.scorecard().get("reported_split", "")
        if reported in sources and (self.moment.following or MOMENT not in sources):
            return reported
        return MOMENT if MOMENT in sources else next(iter(sources), "")

    def has(self, keys: Sequence[str]) -> bool:
        """Whether what is in force has one of these figures."""
        source = self.shown()
        if source == MOMENT:
            return self.kind() != "f1" or "per_tag" in keys
        entry = self.scorecard().get("networks", {}).get("student", {}).get(source, {})
        return any(key in entry for key in keys)

    def facts(self) -> Facts | None:
        """The facts in force, None where there are none yet."""
        source = self.shown()
        card = self.scorecard()
        if source == MOMENT and self.kind() == "f1":
            return self._kinds()
        snapshot = self.moment.readable() if source == MOMENT else None
        mark = (source, id(snapshot), id(card) if card else None, id(self._samples(source)))
        if self._known is None or self._known[0] != mark:
            if source == MOMENT:
                probes = self.moment.probes
                found = live_facts(probes, snapshot) if probes is not None and snapshot is not None else None
            else:
                found = self._measured(source, card) if source else None
            self._known = (mark, found)
            self._held = (snapshot, card, self._samples(source))
        return self._known[1]

    def _live_kinds(self) -> list[str]:
        there = self.worker is not None and self.moment.info is not None and recorded_kinds(self.worker)
        return [MOMENT] if there else []

    def _kinds(self) -> Facts | None:
        """What is recorded of each kind of tag up to the shown moment."""
        info = self.moment.info
        if self.worker is None or info is None:
            return None
        networks = kinds_at(self.worker, info.step)
        words = tr("step {step:,}, validation sentences", step=info.step)
        return Facts(words, [], networks) if "student" in networks else None

    def _samples(self, source: str) -> Samples | None:
        if self.worker is None or source not in SPLITS:
            return None
        found = self.evaluations.samples(self.worker.run_folder)
        return found if found is not None and found.split == source else None

    def _measured(self, split: str, card: dict[str, Any]) -> Facts:
        entries = card.get("networks", {})
        networks = {name: entries[name][split] for name in NETWORKS if split in entries.get(name, {})}
        count = next((entry["count"] for entry in networks.values()), 0)
        words = tr("{count:,} {split} samples", count=count, split=split_word(split))
        if self.kind() == "f1":
            words = tr("{count:,} words of the {split} samples", count=count, split=split_word(split))
        return Facts(
            words,
            list(card.get("classes", [])),
            networks,
            self._samples(split),
        )


class QualityView(View):
    """A view of the panel. `options` are its controls, which stand in the panel's head while it is shown."""

    #: The figures of a network that it can be drawn from: one of these.
    needs: tuple[str, ...] = ()
    #: By kind of run, what its tab says, and why it has nothing to show.
    hints: Mapping[str, str] = {}
    reasons: Mapping[str, str] = {}

    def __init__(self, theme: Theme, state: QualityState) -> None:
        super().__init__(theme)
        self.state = state
        self.options = QWidget()
        self.note = EmptyState("", "", parent=self)
        self.note.hide()
        #: Whether it says why there is nothing, and its controls are of no use.
        self.explained = False
        self._put_away: list[QWidget] = []

    def why_empty(self) -> str:
        """Why there is nothing to show; empty where there is."""
        kind = self.state.kind()
        if kind in self.reasons:
            return tr(self.reasons[kind])
        if self.state.shown() and self.state.has(self.needs):
            return ""
        return tr(EARLIER) if self.state.shown() in SPLITS else tr(WAITING[kind])

    def usable(self) -> Facts | None:
        """The facts in force; None where there are none, or none that it can be drawn from."""
        facts = self.state.facts()
        entries = facts.networks.values() if facts is not None else ()
        return facts if entries and all(any(key in entry for key in self.needs) for entry in entries) else None

    def explain(self, words: str) -> None:
        """Shows a sentence in the place of everything else; without words everything else again."""
        if not words:
            for widget in self._put_away:
                widget.show()
            self._put_away = []
        elif not self._put_away:
            direct = Qt.FindChildOption.FindDirectChildrenOnly
            others = [each for each in self.findChildren(QWidget, options=direct) if each is not self.note]
            self._put_away = [widget for widget in others if not widget.isHidden()]
            for widget in self._put_away:
                widget.hide()
        self.explained = bool(words)
        self.note.set_text(words)
        self.note.setVisible(bool(words))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.note.setGeometry(self.rect())

    def table(self) -> Sequence[Sequence[object]]:
        """What is shown, as rows for a CSV file; the first row names the columns."""
        raise TypeError("a view can be saved as a table")


def live_facts(probes: Probes, snapshot: Snapshot) -> Facts:
    """Facts of the pool of validation samples at a moment, and its probe samples as those to look at."""
    labels, classes = probes.pool_labels, probes.classes
    student = np.asarray(snapshot.pool_student_logits, np.float64)
    networks: dict[str, dict[str, Any]] = {}
    if probes.pool_teacher_logits is not None:
        networks["teacher"] = classification_facts(probes.pool_teacher_logits, labels, classes)
    networks["student"] = classification_facts(student, labels, classes)
    if probes.pool_teacher_logits is not None:
        networks["student"]["fidelity"] = fidelity_facts(student, probes.pool_teacher_logits)
    words = tr("step {step:,}, {count:,} validation samples", step=snapshot.step, count=len(labels))
    return Facts(words, classes, networks, _probe_samples(probes, snapshot))


def _probe_samples(probes: Probes, snapshot: Snapshot) -> Samples:
    logits = {"student": snapshot.student_logits}
    if probes.teacher_logits is not None:
        logits["teacher"] = probes.teacher_logits
    logs = {name: log_softmax(found) for name, found in logits.items()}
    rows = np.arange(len(probes.labels))
    losses = -logs["student"][rows, probes.labels]
    lists = {"worst": np.argsort(-np.nan_to_num(losses, nan=np.inf), kind="stable")}
    if "teacher" in logits:
        lists["disagreeing"] = np.array(fidelity_facts(logits["student"], logits["teacher"])["disagreeing"], int)
    return Samples(
        split="probe samples",
        classes=probes.classes,
        indices=probes.indices,
        labels=probes.labels,
        images=probes.images,
        predicted={name: found.argmax(axis=1) for name, found in logs.items()},
        confidence={name: np.exp(found.max(axis=1)) for name, found in logs.items()},
        lists={name: found[:SHOWN_SAMPLES] for name, found in lists.items()},
    )
