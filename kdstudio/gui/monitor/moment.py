"""The moment that the panels show: one place in time, shared by all of them, live or replayed."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Sequence

from PySide6.QtCore import QObject, QTimer, Signal

from kdstudio.gui.language import tr
from kdstudio.project.errors import KDStudioError
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.metrics import MetricRecord
from kdstudio.project.runs.snapshots import (
    Probes,
    Snapshot,
    SnapshotInfo,
    in_force,
    read_probes,
    read_snapshot,
)
from kdstudio.project.runs.texts import Said, SaidTags, Texts, read_said, read_texts
from kdstudio.project.spec import Experiment

KEPT = 48
REPLAY_SECONDS = 12.0


class Moment(QObject):
    """Which snapshot of a run is shown.

    While it follows, a new snapshot becomes the shown one. Moving away from the last one ends that; moving back to it
    starts it again. Snapshots are read once and the latest few are kept. Those that a resume took back are left out.

    Signals:
        changed: Another snapshot is shown, or there are more of them.
    """

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.run_folder: RunFolder | None = None
        self.infos: list[SnapshotInfo] = []
        self.index = -1
        self.following = True
        self._probes: Probes | None = None
        self._texts: Texts | None = None
        self._experiment: Experiment | None = None
        self._kept: OrderedDict[int, Snapshot | None] = OrderedDict()
        self._heard: OrderedDict[int, Said | SaidTags | None] = OrderedDict()
        self._player = QTimer(self)
        self._player.timeout.connect(self._play_on)

    def set_run(self, run: RunFolder | None) -> None:
        """Shows another run, or none."""
        self._player.stop()
        self.run_folder = run
        self.infos = []
        self.index = -1
        self.following = True
        self._probes = None
        self._texts = None
        self._experiment = None
        self._kept.clear()
        self._heard.clear()
        self.changed.emit()

    def take(self, infos: list[SnapshotInfo]) -> None:
        """New snapshots are on disk."""
        shown = self.info
        self.infos = in_force(infos)
        if self.following or shown is None:
            self.index = len(self.infos) - 1
        else:  # the same one, or its nearest where a resume took it back
            numbers = [info.number for info in self.infos]
            self.index = min(bisect_left(numbers, shown.number), len(numbers) - 1)
        self.changed.emit()

    @property
    def info(self) -> SnapshotInfo | None:
        """Step, epoch and file of the shown snapshot."""
        return self.infos[self.index] if 0 <= self.index < len(self.infos) else None

    @property
    def probes(self) -> Probes | None:
        """The probe samples, None while they have not been written."""
        if self._probes is None and self.run_folder is not None:
            self._probes = read_probes(self.run_folder)
        return self._probes

    @property
    def texts(self) -> Texts | None:
        """The probe texts of a language model or a tagger, None of other runs, and while they have not been written."""
        if self._texts is None and self.infos and self.run_folder is not None:
            self._texts = read_texts(self.run_folder)
        return self._texts

    def said(self) -> Said | SaidTags | None:
        """What a student that reads texts says at the shown moment, or before it where the file is damaged."""
        for index in range(self.index, max(-1, self.index - KEPT), -1):
            info = self.infos[index]
            if info.number not in self._heard:
                self._heard[info.number] = read_said(info)
                if len(self._heard) > KEPT:
                    self._heard.popitem(last=False)
            found = self._heard[info.number]
            if found is not None:
                return found
        return None

    @property
    def experiment(self) -> Experiment | None:
        """The run's frozen experiment, None where it cannot be read."""
        if self._experiment is None and self.run_folder is not None:
            try:
                self._experiment = self.run_folder.experiment()
            except KDStudioError:
                return None
        return self._experiment

    @property
    def snapshot(self) -> Snapshot | None:
        """The shown snapshot, None where there is none or its file is damaged."""
        return self.at(self.index)

    def readable(self) -> Snapshot | None:
        """The shown snapshot, or where its file is damaged the one before that can be read."""
        for index in range(self.index, max(-1, self.index - KEPT), -1):
            found = self.at(index)
            if found is not None:
                return found
        return None

    @property
    def damaged(self) -> bool:
        """Whether there is a shown snapshot that cannot be read."""
        return self.info is not None and self.snapshot is None

    def at(self, index: int) -> Snapshot | None:
        """The snapshot number `index` of `infos`."""
        if not 0 <= index < len(self.infos):
            return None
        info = self.infos[index]
        if info.number not in self._kept:
            self._kept[info.number] = read_snapshot(info)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return self._kept[info.number]

    def go(self, index: int) -> None:
        """Shows the snapshot number `index`; the last one means to follow."""
        if not self.infos:
            return
        index = max(0, min(index, len(self.infos) - 1))
        self.following = index == len(self.infos) - 1
        if index != self.index:
            self.index = index
            self.changed.emit()

    def go_to_step(self, step: float) -> None:
        """Shows the snapshot nearest to a step."""
        if self.infos:
            self.go(min(range(len(self.infos)), key=lambda index: abs(self.infos[index].step - step)))

    @property
    def playing(self) -> bool:
        return self._player.isActive()

    def play(self) -> None:
        """Replays from the shown moment (from the start, if it is the last one); called again, pauses."""
        if self.playing or len(self.infos) < 2:
            self._player.stop()
        else:
            if self.index >= len(self.infos) - 1:
                self.go(0)
            self._player.start(max(40, int(1000 * REPLAY_SECONDS / len(self.infos))))
        self.changed.emit()

    def _play_on(self) -> None:
        self.go(self.index + 1)
        if self.index >= len(self.infos) - 1:
            self._player.stop()
            self.changed.emit()

    def marks(self, events: Sequence[MetricRecord]) -> list[tuple[int, str]]:
        """What happened in the shown time, as (index into `infos`, words): resumes, the best epoch, terms that change.

        Args:
            events: The event records of the run's metrics.
        """
        if len(self.infos) < 2:
            return []
        stage = self.infos[-1].stage
        steps = [info.step for info in self.infos]
        epochs = [info.epoch for info in self.infos]
        found: list[tuple[int, str]] = []
        own = [record for record in events if record.stage == stage]
        found += [
            (bisect_left(steps, record.step), tr("resumed at step {step:,}", step=record.step + 1))
            for record in own
            if record.event == "resume"
        ]
        best = [record for record in own if record.event == "best"]
        if best:
            found.append(
                (
                    bisect_left(steps, best[-1].step),
                    tr("best so far: epoch {epoch}, {score}", epoch=best[-1].epoch, score=best[-1].text),
                )
            )
        for epoch, words in self._changes().items():
            found.append(
                (bisect_left(epochs, epoch), tr("epoch {epoch}: {changes}", epoch=epoch, changes=", ".join(words)))
            )
        return sorted((index, text) for index, text in found if index < len(self.infos))

    def _changes(self) -> dict[int, list[str]]:
        """Epochs in which terms of the objective start or end."""
        changes: dict[int, list[str]] = {}
        if self.experiment is not None:
            for term in self.experiment.objective:
                if term.from_epoch > 0:
                    changes.setdefault(term.from_epoch, []).append(tr("{term} starts", term=term.term))
                if term.until_epoch is not None and term.until_epoch < self.experiment.train.epochs:
                    changes.setdefault(term.until_epoch, []).append(tr("{term} ends", term=term.term))
        return changes
