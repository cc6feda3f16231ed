"""The soft-targets panel: what the teacher says of a sample, what the student says, and dark knowledge per class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyqtgraph
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QIcon, QImage, QPixmap
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QListView,
    QListWidget,
    QListWidgetItem,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from kdstudio.gui.monitor.base import Panel
from kdstudio.gui.monitor.moment import Moment
from kdstudio.gui.theme import Theme
from kdstudio.gui.worker import TrainingWorker
from kdstudio.project.runs.snapshots import (
    Probes,
    Snapshot,
    class_matrix,
    entropy,
    soften,
)

THUMBNAIL = 44
TENTHS = 10
MAPS = ("teacher", "student", "difference")


class SoftTargetsPanel(Panel):
    """Bars of teacher and student at any temperature, and the mean distribution per class, at any moment."""

    def __init__(self, theme: Theme, moment: Moment) -> None:
        empty = "What teacher and student say of a few samples appears here."
        super().__init__("soft-targets", "Soft targets", empty, theme)
        self.moment = moment
        moment.changed.connect(self.mark_stale)
        self._filled: Probes | None = None
        self.samples = QListWidget()
        self.samples.setAccessibleName("Probe samples")
        self.samples.setViewMode(QListView.ViewMode.IconMode)
        self.samples.setFlow(QListView.Flow.LeftToRight)
        self.samples.setWrapping(False)
        self.samples.setMovement(QListView.Movement.Static)
        self.samples.setIconSize(QSize(THUMBNAIL, THUMBNAIL))
        self.samples.setFixedHeight(THUMBNAIL + 54)
        self.samples.currentRowChanged.connect(lambda _: self._draw())
        self.temperature, self.temperature_label = self._slider("Temperature", 10, 200, 40)
        self.temperature.valueChanged.connect(lambda _: self._draw())
        self.bars = pyqtgraph.PlotWidget()
        self.bars.setMenuEnabled(False)
        self.bars.setMouseEnabled(False, False)
        self.bars.hideButtons()
        self.bars.getPlotItem().getAxis("left").setWidth(44)
        self.bars.setYRange(0, 1, padding=0.02)
        self._teacher_bars = pyqtgraph.BarGraphItem(x=[0], height=[0], width=0.38)
        self._student_bars = pyqtgraph.BarGraphItem(x=[0], height=[0], width=0.38)
        self.bars.addItem(self._teacher_bars)
        self.bars.addItem(self._student_bars)
        self.caption = QLabel()
        self.caption.setTextFormat(Qt.TextFormat.RichText)
        self.caption.setWordWrap(True)
        self.images: dict[str, pyqtgraph.ImageItem] = {}
        maps = QHBoxLayout()
        maps.setSpacing(8)
        self._map_plots = []
        for name in MAPS:
            column = QVBoxLayout()
            label = QLabel(
                {"teacher": "Teacher by class", "student": "Student by class"}.get(name, "Student − teacher")
            )
            label.setObjectName("soft")
            column.addWidget(label)
            plot = pyqtgraph.PlotWidget()
            plot.setMenuEnabled(False)
            plot.hideButtons()
            plot.setMouseEnabled(False, False)
            plot.setAspectLocked(True)
            plot.invertY(True)
            plot.hideAxis("left")
            plot.hideAxis("bottom")
            plot.setToolTip("Rows are true classes, columns what the network gives them at this temperature")
            image = pyqtgraph.ImageItem(axisOrder="row-major")
            image.setColorMap(pyqtgraph.colormap.get("CET-D1A" if name == "difference" else "viridis"))
            plot.addItem(image)
            self.images[name] = image
            self._map_plots.append(plot)
            column.addWidget(plot, 1)
            maps.addLayout(column, 1)
        layout = QVBoxLayout(self.body)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.samples)
        layout.addWidget(self.caption)
        layout.addWidget(self.bars, 3)
        layout.addLayout(self._row("Temperature", self.temperature, self.temperature_label))
        layout.addLayout(maps, 2)
        self.recolour()

    def _slider(self, name: str, low: int, high: int, value: int) -> tuple[QSlider, QLabel]:
        slider = QSlider(Qt.Orientation.Horizontal)
        slider.setAccessibleName(name)
        slider.setRange(low, high)
        slider.setValue(value)
        label = QLabel()
        label.setMinimumWidth(84)
        return slider, label

    @staticmethod
    def _row(name: str, slider: QWidget, value: QWidget) -> QHBoxLayout:
        row = QHBoxLayout()
        label = QLabel(name)
        label.setObjectName("soft")
        label.setMinimumWidth(84)
        row.addWidget(label)
        row.addWidget(slider, 1)
        row.addWidget(value)
        return row

    def set_worker(self, worker: TrainingWorker | None) -> None:
        super().set_worker(worker)
        if worker is not None:
            self._use_temperature_of(worker)

    def _use_temperature_of(self, worker: TrainingWorker) -> None:
        """The slider starts at the temperature of the run's own soft term."""
        from kdstudio.project.errors import KDStudioError

        try:
            terms = worker.run_folder.experiment().objective
        except KDStudioError:
            return
        for term in terms:
            if term.term == "soft":
                self.temperature.setValue(round(TENTHS * term.temperature))
                return

    def clear(self) -> None:
        self._filled = None
        self.samples.clear()

    def recolour(self) -> None:
        tokens = self.theme.tokens
        for plot in [self.bars, *self._map_plots]:
            plot.setBackground(tokens.panel)
        for name in ("left", "bottom"):
            axis = self.bars.getPlotItem().getAxis(name)
            axis.setPen(tokens.line)
            axis.setTextPen(tokens.soft)
        self._teacher_bars.setOpts(brush=tokens.teacher, pen=None)
        self._student_bars.setOpts(brush=tokens.student, pen=None)
        self._draw()

    def redraw(self) -> None:
        probes = self.moment.probes
        if probes is None or self.moment.snapshot is None:
            return
        if self._filled is not probes:
            self._filled = probes
            self._fill_samples(probes)
        self.show_empty(False)
        self._draw()

    def table(self) -> Sequence[Sequence[object]]:
        probes, snapshot = self.moment.probes, self.moment.snapshot
        if probes is None or snapshot is None:
            return []
        degree = self.temperature.value() / TENTHS
        rows: list[Sequence[object]] = [("sample", "label", "network", "temperature", *probes.classes)]
        for name, logits in (("teacher", probes.teacher_logits), ("student", snapshot.student_logits)):
            if logits is not None:
                for row, label in enumerate(probes.labels):
                    rows.append((row, probes.classes[int(label)], name, degree, *soften(logits[row], degree).tolist()))
        return rows

    def _fill_samples(self, probes: Probes) -> None:
        self.samples.blockSignals(True)
        for index, label in enumerate(probes.labels):
            item = QListWidgetItem(probes.classes[int(label)])
            item.setTextAlignment(Qt.AlignmentFlag.AlignHCenter)
            if probes.images is not None:
                item.setIcon(QIcon(thumbnail(probes.images[index])))
            self.samples.addItem(item)
        self.samples.setCurrentRow(0)
        self.samples.blockSignals(False)

    def _draw(self) -> None:
        probes, snapshot = self.moment.probes, self.moment.snapshot
        degree = self.temperature.value() / TENTHS
        self.temperature_label.setText(f"T = {degree:g}")
        if probes is None or snapshot is None:
            return
        row = max(self.samples.currentRow(), 0)
        classes = len(probes.classes)
        x = np.arange(classes)
        student = soften(snapshot.student_logits[row], degree)
        self._student_bars.setOpts(x=x + 0.2, height=student)
        self._teacher_bars.setVisible(probes.teacher_logits is not None)
        if probes.teacher_logits is not None:
            self._teacher_bars.setOpts(x=x - 0.2, height=soften(probes.teacher_logits[row], degree))
        self.bars.getPlotItem().getAxis("bottom").setTicks([list(enumerate(name[:9] for name in probes.classes))])
        self._draw_caption(probes, snapshot, row, degree)
        own = class_matrix(snapshot.pool_student_logits, probes.pool_labels, degree, classes)
        self.images["student"].setImage(np.nan_to_num(own), levels=(0, 1))
        if probes.pool_teacher_logits is not None:
            taught = class_matrix(probes.pool_teacher_logits, probes.pool_labels, degree, classes)
            self.images["teacher"].setImage(np.nan_to_num(taught), levels=(0, 1))
            self.images["difference"].setImage(np.nan_to_num(own - taught), levels=(-1, 1))

    def _draw_caption(self, probes: Probes, snapshot: Snapshot, row: int, degree: float) -> None:
        tokens = self.theme.tokens
        parts = [f"Label <b>{probes.classes[int(probes.labels[row])]}</b>"]
        for name, colour, logits in (
            ("teacher", tokens.teacher, None if probes.teacher_logits is None else probes.teacher_logits[row]),
            ("student", tokens.student, snapshot.student_logits[row]),
        ):
            if logits is not None:
                top = probes.classes[int(np.argmax(logits))]
                spread = float(entropy(logits, degree))
                parts.append(
                    f'<span style="color:{colour}">■</span> {name} says <b>{top}</b>, entropy {spread:.2f} nats'
                )
        self.caption.setText(" &nbsp;·&nbsp; ".join(parts))


def thumbnail(image: np.ndarray) -> QPixmap:
    """A picture (H, W, C) of bytes, with one channel or three, as a pixmap of the strip's size."""
    height, width, channels = image.shape
    pixels = np.ascontiguousarray(np.repeat(image, 3, axis=2) if channels == 1 else image[:, :, :3])
    picture = QImage(pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
    return QPixmap.fromImage(picture.copy()).scaled(
        THUMBNAIL, THUMBNAIL, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.FastTransformation
    )
