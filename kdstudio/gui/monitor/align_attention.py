"""The alignment panel, attention: where teacher and student look in one probe sample, laid over its picture."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from kdstudio.gui.language import mark, tr
from kdstudio.gui.monitor.align_looks import Looks, PairBox, empty_label
from kdstudio.gui.monitor.align_state import AlignState
from kdstudio.gui.monitor.colour_bar import ColourBar
from kdstudio.gui.monitor.palettes import Scale, colours, viridis
from kdstudio.gui.monitor.probe_strip import ProbeStrip, picture
from kdstudio.gui.monitor.views import View
from kdstudio.gui.theme import Theme
from kdstudio.project.runs.snapshots import Probes

#: The overlay lets the picture through where there is no attention, and hides most of it where it is strongest.
FAINT, STRONG = 70, 225
SIDES = {"teacher": mark("Teacher"), "student": mark("Student")}


class Overlay(QWidget):
    """A picture with a map over it, as large as there is room, square pixels."""

    def __init__(self, theme: Theme, name: str) -> None:
        super().__init__()
        self.theme = theme
        self.setAccessibleName(name)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(QSize(60, 60))
        self._picture: QImage | None = None
        self._heat: QImage | None = None

    def show_map(self, shown: QImage | None, values: np.ndarray | None) -> None:
        """Shows a map (h, w) over a picture; the strongest place has the end of the scale."""
        self._picture = shown
        self._heat = heat(values) if values is not None else None
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._picture is None:
            return
        painter = QPainter(self)
        size = self._picture.size().scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        place = QRectF((self.width() - size.width()) / 2, 0, size.width(), size.height())
        painter.drawImage(place, self._picture)
        if self._heat is not None:
            smooth = Qt.TransformationMode.SmoothTransformation
            fitted = self._heat.scaled(size, Qt.AspectRatioMode.IgnoreAspectRatio, smooth)
            painter.drawImage(place, fitted)
        painter.end()


def heat(values: np.ndarray) -> QImage:
    """A map as colours that are the more opaque the stronger it is."""
    top = float(values.max(initial=0.0))
    shares = values / top if top > 0 else np.zeros_like(values)
    height, width = shares.shape
    pixels = np.empty((height, width, 4), np.uint8)
    pixels[..., :3] = colours(shares, Scale(0.0, 1.0), viridis(), QColor(0, 0, 0))
    pixels[..., 3] = (FAINT + (STRONG - FAINT) * shares).astype(np.uint8)
    return QImage(pixels.tobytes(), width, height, 4 * width, QImage.Format.Format_RGBA8888).copy()


class AttentionView(View):
    """Attention maps of one sample side by side."""

    title = mark("Attention")
    hint = mark("Where teacher and student look: the mean over channels of the squared activations, over the picture")

    def __init__(self, theme: Theme, state: AlignState) -> None:
        super().__init__(theme)
        self.state = state
        self.looks = Looks(state, "attention")
        self._filled: Probes | None = None
        self.pair = PairBox()
        self.pair.pair_chosen.connect(self.redraw)
        self.words = QLabel()
        self.words.setObjectName("soft")
        self.empty = empty_label("attention", self)
        self.samples = ProbeStrip(theme, self._tell)
        self.samples.set_upright(True)
        self.samples.currentRowChanged.connect(lambda _: self.redraw())
        self.overlays = {side: Overlay(theme, tr(words)) for side, words in SIDES.items()}
        self.captions = {side: QLabel() for side in SIDES}
        self.bar = ColourBar(theme, tr("Scale of the attention"))
        self.content = QWidget()
        sides = QHBoxLayout()
        sides.setSpacing(12)
        for side in SIDES:
            column = QVBoxLayout()
            column.setSpacing(4)
            self.captions[side].setObjectName("soft")
            self.captions[side].setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            column.addWidget(self.captions[side])
            column.addWidget(self.overlays[side], 1)
            sides.addLayout(column, 1)
        beside = QVBoxLayout()
        beside.setSpacing(4)
        beside.addLayout(sides, 1)
        beside.addWidget(self.bar)
        inner = QHBoxLayout(self.content)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(8)
        inner.addWidget(self.samples)
        inner.addLayout(beside, 1)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.pair)
        row.addWidget(self.words, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(row)
        layout.addWidget(self.empty, 0, Qt.AlignmentFlag.AlignTop)
        layout.addWidget(self.content, 1)

    def _tell(self, row: int) -> str:
        probes = self.state.moment.probes
        if probes is None:
            return ""
        label = probes.classes[int(probes.labels[row])]
        return tr("Probe sample {number}, label {label}", number=row + 1, label=label)

    def clear(self) -> None:
        self._filled = None
        self.samples.clear()
        for overlay in self.overlays.values():
            overlay.show_map(None, None)

    def recolour(self) -> None:
        self.samples.viewport().update()
        self.bar.update()
        self.redraw()

    def redraw(self) -> None:
        self.pair.fill(self.looks.pairs())
        pair, probes = self.pair.pair(), self.state.moment.probes
        found = self.looks.now(pair) if pair is not None else None
        there = found is not None and probes is not None and probes.images is not None
        for widget in (self.content, self.pair, self.words):
            widget.setVisible(there)
        self.empty.setVisible(not there)
        if found is None or pair is None or probes is None or probes.images is None:
            return
        _, teacher, student = found
        count = min(len(teacher), len(student), len(probes.labels))
        if self._filled is not probes:
            self._filled = probes
            names = [probes.classes[int(label)] for label in probes.labels[:count]]
            self.samples.fill(names, probes.images[:count])
        row = max(0, min(self.samples.currentRow(), count - 1))
        shown = picture(probes.images[row])
        for side, name, maps in (("teacher", pair[0], teacher), ("student", pair[1], student)):
            self.overlays[side].show_map(shown, maps[row])
            height, width = maps.shape[1:]
            words = tr(
                "{side}: {layer}, {height} × {width}", side=tr(SIDES[side]), layer=name, height=height, width=width
            )
            self.captions[side].setText(words)
            self.captions[side].setToolTip(words)
        self.bar.show_scale(Scale(0.0, 1.0), [(0.0, "0"), (1.0, tr("strongest place of each map"))])
        self.words.setText(tr("cosine of the two maps {value:.2f}", value=likeness(teacher[row], student[row])))


def likeness(teacher: np.ndarray, student: np.ndarray) -> float:
    """The cosine of two maps; the larger one is averaged down to the smaller where its size is a multiple of it."""
    sizes = [min(sides) for sides in zip(teacher.shape, student.shape)]
    one, other = (reduced(side, sizes[0], sizes[1]).ravel() for side in (teacher, student))
    norm = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / norm if norm > 0 else float("nan")


def reduced(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """A map averaged down, with the bins of adaptive average pooling."""
    rows = [slice(i * values.shape[0] // height, -(-(i + 1) * values.shape[0] // height)) for i in range(height)]
    columns = [slice(j * values.shape[1] // width, -(-(j + 1) * values.shape[1] // width)) for j in range(width)]
    return np.array([[values[row, column].mean() for column in columns] for row in rows])
