"""The moment that the panels show: one place in time, shared by all of them, live or replayed."""

from __future__ import annotations

from collections import OrderedDict

from PySide6.QtCore import QObject, Qt, QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSlider, QToolButton, QWidget

from kdstudio.gui.icons import icon
from kdstudio.gui.theme import Theme
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.snapshots import Probes, Snapshot, SnapshotInfo, read_probes, read_snapshot

KEPT = 48
REPLAY_SECONDS = 12.0


class Moment(QObject):
    """Which snapshot of a run is shown.

    While it follows, a new snapshot becomes the shown one. Moving away from the last one ends that; moving back to it
    starts it again. Snapshots are read once and the latest few are kept.

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
        self._kept: OrderedDict[int, Snapshot] = OrderedDict()
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
        self._kept.clear()
        self.changed.emit()

    def take(self, infos: list[SnapshotInfo]) -> None:
        """New snapshots are on disk."""
        self.infos = list(infos)
        if self.following:
            self.index = len(infos) - 1
        self.changed.emit()

    @property
    def probes(self) -> Probes | None:
        """The probe samples, None while they have not been written."""
        if self._probes is None and self.run_folder is not None:
            self._probes = read_probes(self.run_folder)
        return self._probes

    @property
    def snapshot(self) -> Snapshot | None:
        """The shown snapshot, None where there is none or its file is damaged."""
        return self.at(self.index)

    def at(self, index: int) -> Snapshot | None:
        """The snapshot number `index` of `infos`."""
        if not 0 <= index < len(self.infos):
            return None
        info = self.infos[index]
        found = self._kept.get(info.number)
        if found is None:
            found = read_snapshot(info)
            if found is None:
                return None
            self._kept[info.number] = found
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return found

    def go(self, index: int) -> None:
        """Shows the snapshot number `index`; the last one means to follow."""
        if not self.infos:
            return
        index = max(0, min(index, len(self.infos) - 1))
        self.following = index == len(self.infos) - 1
        if index != self.index:
            self.index = index
            self.changed.emit()

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


class MomentBar(QWidget):
    """Play button, slider and words for a `Moment`."""

    def __init__(self, moment: Moment, theme: Theme) -> None:
        super().__init__()
        self.moment = moment
        self.theme = theme
        self.button = QToolButton()
        self.button.setAccessibleName("Replay")
        self.button.clicked.connect(moment.play)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Moment")
        self.slider.setToolTip("The moment that soft targets, alignment and quality show; at the right end it follows")
        self.slider.valueChanged.connect(moment.go)
        self.label = QLabel()
        self.label.setObjectName("soft")
        self.label.setMinimumWidth(160)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(4, 0, 4, 0)
        layout.setSpacing(10)
        layout.addWidget(self.button)
        layout.addWidget(self.slider, 1)
        layout.addWidget(self.label)
        moment.changed.connect(self.refresh)
        theme.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Shows where the moment stands."""
        moment = self.moment
        count = len(moment.infos)
        self.slider.blockSignals(True)
        self.slider.setRange(0, max(0, count - 1))
        self.slider.setPageStep(max(1, count // 10))
        self.slider.setValue(max(0, moment.index))
        self.slider.blockSignals(False)
        self.setEnabled(count > 0)
        self.button.setIcon(icon("pause" if moment.playing else "play", self.theme.tokens.soft))
        self.button.setToolTip("Pause" if moment.playing else "Replay how the student came to agree")
        if count and 0 <= moment.index < count:
            info = moment.infos[moment.index]
            place = "latest" if moment.following else f"{moment.index + 1} of {count}"
            self.label.setText(f"Step {info.step:,} · {place}")
        else:
            self.label.setText("No snapshots yet")
