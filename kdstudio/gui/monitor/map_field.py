"""Teacher's matrix, student's matrix and their difference side by side, on scales of their own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import ceil

import numpy as np
from PySide6.QtCore import QRect
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QLabel, QWidget

from kdstudio.gui.language import mark, tr
from kdstudio.gui.monitor.colour_bar import ColourBar
from kdstudio.gui.monitor.maps import MatrixMap
from kdstudio.gui.monitor.palettes import Scale, diverging, round_number, viridis
from kdstudio.gui.theme import Theme

MAPS = ("teacher", "student", "difference")
TITLES = {"teacher": mark("Teacher"), "student": mark("Student"), "difference": mark("Difference")}
#: What the names of the rows may take of the width.
NAME_SHARE = 0.2
DECADES = (1e-5, 1e-4, 1e-3, 1e-2, 0.1)
GAP = 12


class MapField(QWidget):
    """The maps side by side, of one size, with names of the rows beside the first, and their colour bars.

    Args:
        theme: For the palettes.
        names: What each map is called for who does not see it, by its name among `MAPS`.
        describe: A cell in words, by row and column.
    """

    def __init__(self, theme: Theme, names: dict[str, str], describe: Callable[[int, int], str]) -> None:
        super().__init__()
        self.theme = theme
        self.maps: dict[str, MatrixMap] = {}
        self.titles: dict[str, QLabel] = {}
        self.names: list[str] = []
        for name in MAPS:
            palette = self._diverging if name == "difference" else viridis
            shown = MatrixMap(theme, names[name], palette, describe)
            shown.setParent(self)
            shown.hovered.connect(partial(self._point, name))
            title = QLabel(self)
            title.setObjectName("soft")
            self.maps[name], self.titles[name] = shown, title
        self.shared_bar = ColourBar(theme, tr("Scale of teacher and student"))
        self.difference_bar = ColourBar(theme, tr("Scale of the difference"), self._diverging)
        for bar in (self.shared_bar, self.difference_bar):
            bar.setParent(self)
        self.setMinimumHeight(110)

    def _diverging(self) -> np.ndarray:
        return diverging(self.theme.tokens)

    def recolour(self) -> None:
        for shown in self.maps.values():
            shown.recolour()

    def _point(self, source: str, row: int, column: int) -> None:
        """The same cell is marked in all maps."""
        for name, shown in self.maps.items():
            if name != source and name in self.names:
                shown.point_at(row, column)

    def show_maps(self, names: list[str], shared: Scale, extent: float, beyond: bool, logarithmic: bool) -> None:
        """Shows these maps and the scales that they are on; `beyond` says that the student's values pass the end."""
        self.names = names
        ratio = tr("Student ÷ teacher") if logarithmic else tr("Student − teacher")
        for name in MAPS:
            self.titles[name].setText(ratio if name == "difference" else tr(TITLES[name]))
            for widget in (self.maps[name], self.titles[name]):
                widget.setVisible(name in names)
        end = f"≥ {round_number(shared.high)}" if beyond else round_number(shared.high)
        ticks = [(shared.low, round_number(shared.low)), (shared.high, end)]
        if logarithmic:
            ticks[0] = (shared.low, f"≤ {round_number(shared.low)}")
            between = [value for value in DECADES if shared.low < value < 0.7 * shared.high]
            ticks[1:1] = [(value, round_number(value)) for value in between]
        else:
            ticks.insert(1, (shared.high / 2, round_number(shared.high / 2)))
        self.shared_bar.show_scale(shared, ticks)
        words = round_number(10**extent if logarithmic else extent)
        low, high = (f"÷ {words}", f"× {words}") if logarithmic else (f"−{words}", f"+{words}")
        middle = tr("same") if logarithmic else "0"
        self.difference_bar.show_scale(Scale(-extent, extent), [(-extent, low), (0.0, middle), (extent, high)])
        self.shared_bar.setVisible(names != ["difference"])
        self.difference_bar.setVisible("difference" in names)
        self._place()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place()

    def _place(self) -> None:
        if not self.names:
            return
        head, foot = self.titles["teacher"].sizeHint().height() + 2, self.shared_bar.height() + 4
        height = max(40, self.height() - head - foot)
        margin = ceil(self.maps[self.names[0]].wanted_margin(NAME_SHARE * self.width()))
        gaps = GAP * (len(self.names) - 1)
        inner = (self.width() - margin - gaps) // len(self.names)
        left = 0
        for index, name in enumerate(self.names):
            shown = self.maps[name]
            shown.margin = margin if index == 0 else 0
            wide = inner + shown.margin
            shown.setGeometry(QRect(left, head, wide, height))
            self.titles[name].setGeometry(left + wide - inner, 0, inner, head - 2)
            left += wide + GAP
        for bar, covered in ((self.shared_bar, ("teacher", "student")), (self.difference_bar, ("difference",))):
            under = [self.maps[name].geometry() for name in self.names if name in covered]
            if under:
                begin = under[0].left() + (margin if self.names[0] in covered else 0)
                bar.setGeometry(begin, head + height + 4, under[-1].right() - begin, bar.height())
