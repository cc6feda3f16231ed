"""Colours of matrices: viridis for values, teacher's colour to student's for differences. And their small print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyqtgraph
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF
from PySide6.QtWidgets import QWidget

from kdstudio.gui.theme import Tokens

STEPS = 256
SMALLER = 1.5
SMALLEST = 6.5


@dataclass(frozen=True)
class Scale:
    """How values become colours: from `low` to `high`, on a linear or a logarithmic axis.

    A logarithmic scale takes the logarithm itself; values below `low` get its colour.
    """

    low: float
    high: float
    logarithmic: bool = False

    def place(self, values: np.ndarray) -> np.ndarray:
        """Where values lie on the scale, 0 to 1; NaN stays NaN."""
        low, high = self.low, self.high
        values = np.asarray(values, float)
        if self.logarithmic:
            low, high = np.log10(low), np.log10(high)
            with np.errstate(divide="ignore", invalid="ignore"):
                values = np.log10(values)
        span = high - low if high > low else 1.0
        return np.clip((values - low) / span, 0.0, 1.0)


@cache
def viridis() -> np.ndarray:
    """(STEPS, 3) bytes."""
    table = pyqtgraph.colormap.get("viridis").getLookupTable(nPts=STEPS, alpha=False)
    return np.asarray(table, np.uint8)


@cache
def diverging(tokens: Tokens) -> np.ndarray:
    """(STEPS, 3) bytes: the teacher's orange where it has more, the theme's ground, the student's blue.

    Orange and blue stay apart for every kind of colour blindness, and the lightness of the middle is an end of its
    scale in both themes.
    """
    low, middle, high = (rgb(QColor(name)).astype(float) for name in (tokens.teacher, tokens.raised, tokens.student))
    share = np.linspace(-1, 1, STEPS)[:, None]
    table = np.where(share < 0, middle + (low - middle) * -share, middle + (high - middle) * share)
    return np.asarray(table.round(), np.uint8)


def rgb(colour: QColor) -> np.ndarray:
    """(3) bytes."""
    return np.array([colour.red(), colour.green(), colour.blue()], np.uint8)


def colours(values: np.ndarray, scale: Scale, table: np.ndarray, missing: QColor) -> np.ndarray:
    """(rows, columns, 3) bytes for a matrix; NaN becomes the colour `missing`."""
    places = scale.place(values)
    empty = np.isnan(places)
    picked = table[np.where(empty, 0, places * (len(table) - 1)).round().astype(np.intp)]
    picked[empty] = rgb(missing)
    return picked


def number(value: float) -> str:
    """A probability or a share in few characters: 0.93, 0.031, 3.2e-5."""
    if not np.isfinite(value):
        return "–"
    size = abs(value)
    if size == 0:
        return "0"
    if size >= 10:
        return f"{value:.0f}"
    if size >= 0.1:
        return f"{value:.2f}"
    if size >= 0.001:
        return f"{value:.3f}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def round_number(value: float) -> str:
    """A value of an axis, without zeros that say nothing: 0.5, 10, 1e-5."""
    size = abs(value)
    if 0.001 <= size < 1000 or size == 0:
        return f"{value:.2g}"
    mantissa, exponent = f"{value:.0e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def decade_below(values: np.ndarray, least: float, most: float) -> float:
    """The power of ten at or below the smallest positive value, not below `least` and not above `most`."""
    found = values[np.isfinite(values) & (values > 0)]
    low = 10.0 ** np.floor(np.log10(found.min()) + 1e-9) if found.size else least
    return float(min(max(low, least), most))


def small_font(widget: QWidget) -> QFont:
    """The font of names and numbers in a picture, a little smaller than the widget's own."""
    font = widget.font()
    font.setPointSizeF(max(SMALLEST, font.pointSizeF() - SMALLER))
    return font


def shortened(name: str) -> str:
    """A module path with its front parts shortened: `layer1.0.conv2` as `l1.0.conv2`."""
    *front, last = name.split(".")
    return ".".join([*(part[:1] + "".join(c for c in part[1:] if c.isdigit()) for part in front), last])


def fitted(names: Sequence[str], metrics: QFontMetricsF, room: float) -> list[str]:
    """Names in no more than `room` each; module paths are shortened, all or none, before any is cut off."""
    if any(metrics.horizontalAdvance(name) > room for name in names):
        names = [shortened(name) for name in names]
    return [metrics.elidedText(name, Qt.TextElideMode.ElideRight, room) for name in names]
