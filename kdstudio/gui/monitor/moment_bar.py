"""The bar at the Monitor page's foot: a play button and a slider over a run's snapshots."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QToolButton, QWidget

from kdstudio.gui.icons import icon
from kdstudio.gui.language import mark, tr
from kdstudio.gui.monitor.moment import Moment
from kdstudio.gui.theme import Theme
from kdstudio.gui.widgets.marked_slider import MarkedSlider
from kdstudio.gui.worker import TrainingWorker

TOOLTIP = mark(
    "The moment that soft targets and alignment show; at the right end it follows the run. "
    "Left and right step, Space replays"
)
STEPS = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}


class MomentBar(QWidget):
    """Play button, slider and words for a `Moment`. Left and right step through it, Space replays."""

    def __init__(self, moment: Moment, theme: Theme) -> None:
        super().__init__()
        self.moment = moment
        self.theme = theme
        self.worker: TrainingWorker | None = None
        self._icon = ("", "")
        self.button = QToolButton()
        self.button.setAccessibleName(tr("Replay"))
        self.button.clicked.connect(moment.play)
        self.button.installEventFilter(self)
        self.slider = MarkedSlider(theme)
        self.slider.setAccessibleName(tr("Moment"))
        self.slider.setToolTip(tr(TOOLTIP))
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

    def set_worker(self, worker: TrainingWorker | None) -> None:
        """The worker whose events become marks on the slider."""
        self.worker = worker
        if worker is not None:
            worker.loaded.connect(self.refresh)
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
        self.slider.set_marks(moment.marks(self.worker.store().events) if self.worker is not None else [])
        self.setEnabled(count > 0)
        drawn = ("pause" if moment.playing else "play", self.theme.tokens.soft)
        if drawn != self._icon:
            self._icon = drawn
            self.button.setIcon(icon(*drawn))
        words = tr("Pause the replay (Space)") if moment.playing else tr("Replay how the student came to agree (Space)")
        self.button.setToolTip(words)
        info = moment.info
        if info is None:
            self.label.setText(tr("No snapshots yet"))
            return
        place = tr("latest") if moment.following else tr("{number} of {all}", number=moment.index + 1, all=count)
        self.label.setText(tr("Step {step:,} · {place}", step=info.step, place=place))
        self.slider.setAccessibleDescription(tr("{place}, epoch {epoch}", place=self.label.text(), epoch=info.epoch))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The arrow keys step on the button too, where Qt would move the focus."""
        if event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent) and event.key() in STEPS:
            self.keyPressEvent(event)
            return True
        return super().eventFilter(watched, event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Space:
            self.moment.play()
        elif event.key() in STEPS:
            self.moment.go(self.moment.index + STEPS[Qt.Key(event.key())])
        else:
            super().keyPressEvent(event)
