"""The Monitor page: the panels of one run, live or finished."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QPlainTextEdit, QSplitter, QVBoxLayout, QWidget

from kdstudio.gui.monitor.base import Panel
from kdstudio.gui.monitor.losses import LossesPanel
from kdstudio.gui.monitor.quality import QualityPanel
from kdstudio.gui.monitor.soft_targets import SoftTargetsPanel
from kdstudio.gui.theme import Theme
from kdstudio.gui.worker import TrainingWorker

FRAME_MILLISECONDS = 40
LOG_LINES = 5000


class MonitorPage(QWidget):
    """Losses over quality at the left, soft targets at the right, the log below."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.losses = LossesPanel(theme)
        self.quality = QualityPanel(theme)
        self.soft_targets = SoftTargetsPanel(theme)
        self.panels: list[Panel] = [self.losses, self.quality, self.soft_targets]
        self.log = QPlainTextEdit()
        self.log.setReadOnly(True)
        self.log.setMaximumBlockCount(LOG_LINES)
        self.log.setAccessibleName("Log")
        self.log.setPlaceholderText("What the run says appears here.")
        left = self._split(Qt.Orientation.Vertical, [self.losses, self.quality], [3, 2])
        top = self._split(Qt.Orientation.Horizontal, [left, self.soft_targets], [3, 2])
        whole = self._split(Qt.Orientation.Vertical, [top, self.log], [6, 1])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 10, 10, 10)
        layout.addWidget(whole)
        self._timer = QTimer(self)
        self._timer.setInterval(FRAME_MILLISECONDS)
        self._timer.timeout.connect(self._frame)
        self._timer.start()

    @staticmethod
    def _split(way: Qt.Orientation, parts: list[QWidget], shares: list[int]) -> QSplitter:
        splitter = QSplitter(way)
        splitter.setHandleWidth(10)
        splitter.setChildrenCollapsible(False)
        for index, (part, share) in enumerate(zip(parts, shares)):
            splitter.addWidget(part)
            splitter.setStretchFactor(index, share)
        splitter.setSizes([share * 150 for share in shares])
        return splitter

    def set_worker(self, worker: TrainingWorker | None) -> None:
        """Shows a worker's run, or none."""
        self.log.clear()
        for panel in self.panels:
            panel.set_worker(worker)
        if worker is not None:
            worker.metrics_changed.connect(self._metrics_changed)
            worker.log_grew.connect(self._log_grew)

    def _metrics_changed(self) -> None:
        self.losses.mark_stale()
        self.quality.mark_stale()

    def _log_grew(self, text: str) -> None:
        bar = self.log.verticalScrollBar()
        at_end = bar.value() >= bar.maximum() - 4
        self.log.appendPlainText(text.rstrip("\n"))
        if at_end:
            bar.setValue(bar.maximum())

    def _frame(self) -> None:
        for panel in self.panels:
            panel.redraw_if_stale()
