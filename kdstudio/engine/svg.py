"""Small inline SVG plots for the report. Colours are CSS variables, so they follow the page's scheme."""

from __future__ import annotations

import base64
import io
import math
import unicodedata
from collections.abc import Callable, Sequence
from html import escape

import numpy as np

Curve = tuple[str, str, Sequence[float], Sequence[float]]
"""Label, CSS colour, x values, y values."""

VIRIDIS = np.array([(68, 1, 84), (72, 40, 120), (62, 74, 137), (49, 104, 142), (38, 130, 142), (31, 158, 137),
                    (53, 183, 121), (110, 206, 88), (181, 222, 43), (253, 231, 37)], float)  # fmt: skip
WIDTH, HEIGHT = 460, 250
LEFT, RIGHT, TOP, BOTTOM = 58, 20, 12, 38
#: Up to so many classes a matrix carries their names, up to so many its numbers; larger ones than the last are images.
NAMED, WRITTEN, DRAWN = 24, 12, 40


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers within the range."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low] if math.isfinite(low) else []
    step = 10 ** math.floor(math.log10((high - low) / most))
    for factor in (1, 2, 5, 10):
        if (high - low) / (step * factor) <= most:
            step *= factor
            break
    first = math.ceil(low / step - 1e-9) * step
    return [first + index * step for index in range(int((high - first) / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten within a positive range; fewer where it spans many decades."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        found = [factor * 10.0**power for power in decades for factor in factors]
        found = [value for value in found if low <= value <= high]
        if len(found) <= 7:
            return found
    return found[:: math.ceil(len(found) / 7)]


def tick_texts(values: Sequence[float]) -> list[str]:
    """The shortest texts that tell ticks apart."""
    for digits in range(3, 9):
        texts = [f"{0.0 if abs(value) < 1e-12 else value:.{digits}g}" for value in values]
        if len(set(texts)) == len(values):
            break
    return texts if values else []


def line_plot(
    curves: Sequence[Curve],
    x_label: str,
    y_label: str,
    *,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    diagonal: bool = False,
    log: bool = False,
    dots: Sequence[Sequence[float]] | None = None,
) -> str:
    """A line plot with axes and a legend below; an empty string without data.

    Args:
        curves: What is drawn. Values that are not finite are left out.
        x_label, y_label: Names of the axes, with units.
        x_range, y_range: What the axes show; by default what there is.
        diagonal: Draw y = x.
        log: A logarithmic y axis, where all values are positive.
        dots: For each curve the radius of a dot at each value; the lines are faint then.
    """
    shown = [[(x, y) for x, y in zip(xs, ys) if math.isfinite(x) and math.isfinite(y)] for _, _, xs, ys in curves]
    points = [point for curve in shown for point in curve]
    if not points:
        return ""
    log = log and min(y for _, y in points) > 0
    height: Callable[[float], float] = math.log10 if log else float
    low_x, high_x = x_range or (min(x for x, _ in points), max(x for x, _ in points))
    low_y, high_y = y_range or _padded([y for _, y in points], log)
    high_x = high_x if high_x > low_x else low_x + 1

    def across(x: float) -> float:
        return LEFT + (x - low_x) / (high_x - low_x) * (WIDTH - LEFT - RIGHT)

    def down(y: float) -> float:
        return TOP + (height(high_y) - height(y)) / (height(high_y) - height(low_y)) * (HEIGHT - TOP - BOTTOM)

    label = f"{escape(y_label)} against {escape(x_label)}"
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">']
    values = log_ticks(low_y, high_y) if log else ticks(low_y, high_y)
    for value, text in zip(values, tick_texts(values)):
        y = down(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    values = ticks(low_x, high_x)
    if all(float(x).is_integer() for x, _ in points):  # steps and epochs
        values = [value for value in values if abs(value - round(value)) < 1e-9]
    for value, text in zip(values, tick_texts(values)):
        y = HEIGHT - BOTTOM + 16
        parts.append(f'<text class="tick" x="{across(value):.1f}" y="{y}" text-anchor="middle">{text}</text>')
    middle, centre = (LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2
    parts.append(f'<text class="axis" x="{middle}" y="{HEIGHT - 5}" text-anchor="middle">{escape(x_label)}</text>')
    parts.append(
        f'<text class="axis" x="13" y="{centre}" text-anchor="middle" '
        f'transform="rotate(-90 13 {centre})">{escape(y_label)}</text>'
    )
    if diagonal:
        parts.append(
            f'<line class="ideal" x1="{across(low_x)}" y1="{down(low_x)}" x2="{across(high_x)}" y2="{down(high_x)}"/>'
        )
    for place, (_, colour, _, _) in enumerate(curves):
        path = " ".join(f"{across(x):.1f},{down(y):.1f}" for x, y in shown[place])
        faint = ' opacity="0.45"' if dots else ""
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.6"{faint} points="{path}"/>')
        for (x, y), radius in zip(shown[place], dots[place] if dots else ()):
            parts.append(f'<circle cx="{across(x):.1f}" cy="{down(y):.1f}" r="{radius:.1f}" fill="{colour}"/>')
    parts.append("</svg>")
    legend = "".join(
        f'<span><i style="background:{colour}"></i>{escape(label)}</span>' for label, colour, _, _ in curves if label
    )
    return "".join(parts) + f'<div class="legend">{legend}</div>'


def _padded(values: list[float], log: bool) -> tuple[float, float]:
    low, high = min(values), max(values)
    if log:
        return (low / 1.15, high * 1.15)
    pad = (high - low) * 0.05 or 0.5 * (abs(high) or 1)
    return low - pad, high + pad


def matrix(values: Sequence[Sequence[float]], names: Sequence[str], counts: bool) -> str:
    """A square matrix in viridis, with a colour bar. NaN cells stay empty.

    Up to 24 classes carry their names, above that their numbers; numbers are written in the cells up to 12; more than
    40 classes are drawn as one picture, as ten thousand rectangles would make browsers crawl.

    Args:
        values: Rows of numbers.
        names: Of the classes.
        counts: Scale each row by its sum (a confusion matrix) instead of by the largest value of all.
    """
    table = np.asarray(values, dtype=float)
    size = len(table)
    if not size:
        return ""
    known = np.where(np.isnan(table), 0, table)
    totals = known.sum(axis=1, keepdims=True) if counts else np.full((size, 1), known.max())
    shares = np.where(np.isnan(table), np.nan, known / np.where(totals > 0, totals, 1)).clip(0, 1)
    texts = [shorten(name) for name in names] if size <= NAMED else []
    widest = max((text_width(text) for text in texts), default=22.0)
    top, cell = 6.0, min(56.0, 340 / size)
    side = cell * size
    width = max(WIDTH, widest + 12 + side + 68)  # never narrower than the plots, so letters are of one size
    left = widest + 12 + (width - widest - 12 - side - 68) / 2
    tilted = bool(texts) and widest > cell - 4
    below = 0.72 * widest + 16 if tilted else 20 if texts else 34
    parts = [f'<svg viewBox="0 0 {width:.0f} {top + side + below:.0f}" role="img" aria-label="{size} classes">']
    if size > DRAWN:
        parts.append(_picture(shares, left, top, side))
    else:
        parts += _cells(table, shares, names, left, top, cell, counts)
    places = range(size) if texts else [round(value) for value in ticks(0, size - 1)]
    for place in places:
        middle = (place + 0.5) * cell
        text = escape(texts[place]) if texts else str(place)
        y = top + middle + 4
        parts.append(f'<text class="tick" x="{left - 6:.1f}" y="{y:.1f}" text-anchor="end">{text}</text>')
        x, y = left + middle, top + side + 13
        tilt = f' transform="rotate(-45 {x:.1f} {y:.1f})"' if tilted else ""
        anchor = "end" if tilted else "middle"
        parts.append(f'<text class="tick" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{tilt}>{text}</text>')
    if not texts:
        x, y = left + side / 2, top + side + 29
        parts.append(f'<text class="axis" x="{x:.1f}" y="{y:.1f}" text-anchor="middle">number of the class</text>')
    highest = "100 %" if counts else f"{float(known.max()):.2g}"
    return "".join([*parts, *_colour_bar(left + side + 12, top, side, highest), "</svg>"])


def _cells(
    table: np.ndarray,
    shares: np.ndarray,
    names: Sequence[str],
    left: float,
    top: float,
    cell: float,
    counts: bool,
) -> list[str]:
    parts = []
    for row, column in np.argwhere(~np.isnan(shares)).tolist():
        value, share = float(table[row, column]), float(shares[row, column])
        x, y = left + column * cell, top + row * cell
        title = escape(f"{names[row]} → {names[column]}: {value:.3g}")
        parts.append(
            f'<rect class="cell" x="{x:.1f}" y="{y:.1f}" width="{cell + 0.4:.1f}" height="{cell + 0.4:.1f}" '
            f'fill="{viridis(share)}"><title>{title}</title></rect>'
        )
        if counts and value and len(table) <= WRITTEN:
            ink = "#111" if share > 0.55 else "#fff"
            font = 11 if value < 10000 else 9
            parts.append(
                f'<text x="{x + cell / 2:.1f}" y="{y + cell / 2 + 3.8:.1f}" fill="{ink}" font-size="{font}" '
                f'text-anchor="middle">{value:.0f}</text>'
            )
    return parts


def _picture(shares: np.ndarray, left: float, top: float, side: float) -> str:
    from PIL import Image

    pixels = np.zeros((*shares.shape, 4), np.uint8)
    known = ~np.isnan(shares)
    pixels[known, :3] = _colours(shares[known])
    pixels[known, 3] = 255
    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, "PNG")
    data = base64.b64encode(packed.getvalue()).decode("ascii")
    return (
        f'<image x="{left:.1f}" y="{top:.1f}" width="{side:.1f}" height="{side:.1f}" preserveAspectRatio="none" '
        f'style="image-rendering:pixelated" href="data:image/png;base64,{data}"/>'
    )


def _colour_bar(x: float, top: float, side: float, highest: str) -> list[str]:
    steps = 32
    height = side / steps
    parts = [
        f'<rect class="cell" x="{x:.1f}" y="{top + (steps - 1 - step) * height:.1f}" width="9" '
        f'height="{height + 0.3:.1f}" fill="{viridis(step / (steps - 1))}"/>'
        for step in range(steps)
    ]
    for y, text in ((top + 9, highest), (top + side, "0")):
        parts.append(f'<text class="tick" x="{x + 13:.1f}" y="{y:.1f}">{text}</text>')
    return parts


def shorten(name: str, most: int = 16) -> str:
    """A name that fits beside a matrix."""
    return name if len(name) <= most else f"{name[: most - 1].rstrip()}…"


def text_width(text: str) -> float:
    """About how wide a label of 11 px is; East Asian letters are twice as wide."""
    return sum(11.5 if unicodedata.east_asian_width(letter) in "WF" else 6.5 for letter in text)


def viridis(share: float) -> str:
    """The colour for 0..1."""
    red, green, blue = _colours(np.array([share]))[0]
    return f"#{red:02x}{green:02x}{blue:02x}"


def _colours(shares: np.ndarray) -> np.ndarray:
    """uint8 (N, 3) for (N) numbers in 0..1."""
    places = np.linspace(0, 1, len(VIRIDIS))
    return np.stack([np.interp(shares, places, VIRIDIS[:, part]).round() for part in range(3)], axis=-1).astype(
        np.uint8
    )
