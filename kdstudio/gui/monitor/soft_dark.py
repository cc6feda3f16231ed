"""The soft-targets panel, dark knowledge: what each network gives the other classes, class by class."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QVBoxLayout

from kdstudio.gui.language import mark, tr
from kdstudio.gui.monitor.map_field import MAPS, MapField
from kdstudio.gui.monitor.maps import Matrix
from kdstudio.gui.monitor.palettes import Scale, decade_below, number
from kdstudio.gui.monitor.soft_data import SoftTargets
from kdstudio.gui.monitor.soft_state import SoftState
from kdstudio.gui.monitor.views import View
from kdstudio.gui.theme import Theme
from kdstudio.gui.words import network_word

MAP_NAMES = {
    "teacher": mark("Dark knowledge: teacher"),
    "student": mark("Dark knowledge: student"),
    "difference": mark("Dark knowledge: difference"),
}
SHOWN = (mark("All three"), mark("Teacher"), mark("Student"), mark("Difference"))
CELLS = (mark("Wrong classes"), mark("Shares of wrong"), mark("All classes"))
CELL_TIPS = (
    mark("The diagonal is left out, so that the dark knowledge shows"),
    mark("The diagonal is left out and each row sums to 1: which wrong classes, however sure the network is"),
    mark("With the diagonal: how much the right class gets"),
)
MOST_ALIKE = 10
FLOOR = 1e-6
#: A logarithmic difference is coloured up to this power of ten.
RATIO = 1.0


class DarkView(View):
    """Matrices of teacher and student on one scale, and their difference. Row: the label; column: what it is given."""

    title = mark("Dark knowledge")
    hint = mark("The mean output for the samples of each class: what the teacher knows about likeness")

    def __init__(self, theme: Theme, state: SoftState) -> None:
        super().__init__(theme)
        self.state = state
        self._shown: dict[str, np.ndarray] = {}
        self._classes: list[int] = []
        self._names: list[str] = []
        self.cells = QComboBox()
        self.cells.setAccessibleName(tr("Cells"))
        self.cells.addItems([tr(words) for words in CELLS])
        for index, tip in enumerate(CELL_TIPS):
            self.cells.setItemData(index, tr(tip), Qt.ItemDataRole.ToolTipRole)
        self.cells.setToolTip(tr("Which cells count: dark knowledge is what the wrong classes get"))
        self.which = QComboBox()
        self.which.setAccessibleName(tr("Maps"))
        self.which.setToolTip(tr("All maps side by side, or one with the whole room"))
        self.which.addItems([tr(words) for words in SHOWN])
        self.few = QCheckBox(tr("{count} most alike", count=MOST_ALIKE))
        self.few.setChecked(True)
        self.few.setToolTip(
            tr("Only the {count} classes that the teacher confuses the most with each other", count=MOST_ALIKE)
        )
        self.cells.currentIndexChanged.connect(lambda _: self.redraw())
        self.which.currentIndexChanged.connect(lambda _: self._show_maps())
        self.few.toggled.connect(lambda _: self.redraw())
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.cells)
        row.addWidget(self.which)
        row.addWidget(self.few)
        row.addStretch(1)
        names = {name: tr(MAP_NAMES[name]) for name in MAPS}
        self.field = MapField(theme, names, self.describe)
        self.maps = self.field.maps
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(row)
        layout.addWidget(self.field, 1)

    def clear(self) -> None:
        self._shown = {}
        for shown in self.maps.values():
            shown.show_matrix(None)

    def recolour(self) -> None:
        self.field.recolour()
        self.redraw()

    def redraw(self) -> None:
        data = self.state.data
        if data is None:
            return
        self.few.setVisible(len(data.names) > MOST_ALIKE)
        self._classes = self._pick(data)
        self._names = [data.name(label) for label in self._classes]
        self._shown = self._matrices(data)
        self._show_maps()

    def _pick(self, data: SoftTargets) -> list[int]:
        if self.few.isVisibleTo(self) and self.few.isChecked():
            return sorted((data.teacher or data.student).alike[:MOST_ALIKE])
        return list(range(len(data.names)))

    def _matrices(self, data: SoftTargets) -> dict[str, np.ndarray]:
        """The values that are drawn, by the map's name."""
        found = {}
        for name, side in (("teacher", data.teacher), ("student", data.student)):
            if side is not None:
                found[name] = self._cells_of(side.matrix)
        if "teacher" in found:
            with np.errstate(divide="ignore", invalid="ignore"):
                found["difference"] = (
                    np.log10(np.maximum(found["student"], FLOOR) / np.maximum(found["teacher"], FLOOR))
                    if self.state.logarithmic
                    else found["student"] - found["teacher"]
                )
        return found

    def _cells_of(self, matrix: np.ndarray) -> np.ndarray:
        shown = matrix[np.ix_(self._classes, self._classes)].astype(float)
        if self.cells.currentIndex() == 1:
            rest = np.nansum(matrix[self._classes], axis=1) - np.nan_to_num(shown.diagonal())
            shown /= np.where(rest > 0, rest, np.nan)[:, None]
        if self.cells.currentIndex() < 2:
            np.fill_diagonal(shown, np.nan)
        return shown

    def _show_maps(self) -> None:
        if not self._shown:
            return
        chosen = MAPS if self.which.currentIndex() == 0 else (MAPS[self.which.currentIndex() - 1],)
        names = [name for name in chosen if name in self._shown] or ["student"]
        self.which.setEnabled("teacher" in self._shown)
        logarithmic = self.state.logarithmic
        # the teacher sets the scales, so that they stand still while time passes
        basis = self._shown.get("teacher", self._shown["student"])
        top = max(_highest(basis), 10 * FLOOR)
        shared = Scale(decade_below(basis, FLOOR, top / 10), top, True) if logarithmic else Scale(0.0, top)
        extent = RATIO if logarithmic else top
        beyond = _highest(self._shown["student"]) > 1.01 * top
        for name in names:
            scale = Scale(-extent, extent) if name == "difference" else shared
            self.maps[name].show_matrix(Matrix(self._shown[name], self._names, self._names, scale))
        self.field.show_maps(names, shared, extent, beyond, logarithmic)

    def describe(self, row: int, column: int) -> str:
        """A cell in words, with the values of all maps."""
        lines = [tr("Label {label}, given to {given}", label=self._names[row], given=self._names[column])]
        for name in MAPS:
            if name in self._shown:
                value = float(self._shown[name][row, column])
                if name == "difference" and self.state.logarithmic:
                    lines.append(tr("student ÷ teacher: {value}", value=number(10**value)))
                elif name == "difference":
                    lines.append(tr("student − teacher: {value}", value=f"{value:+.2g}".replace("-", "−")))
                else:
                    lines.append(f"{network_word(name)}: {number(value)}")
        return "\n".join(lines)


def _highest(values: np.ndarray) -> float:
    return float(np.nanmax(values)) if np.isfinite(values).any() else 0.0
