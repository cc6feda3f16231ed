"""Small inline SVG plots for the report. Colours are CSS variables, so they follow the page's scheme."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

Curve = tuple[str, str, Sequence[float], Sequence[float]]
"""Label, CSS colour, x values, y values."""

VIRIDIS = [(68, 1, 84), (72, 40, 120), (62, 74, 137), (49, 104, 142), (38, 130, 142), (31, 158, 137), (53, 183, 121),
           (110, 206, 88), (181, 222, 43), (253, 231, 37)]  # fmt: skip
WIDTH, HEIGHT = 460, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 34


def ticks(low: float, high: float, most: int = 5) -> list[float]:
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


def line_plot(curves: Sequence[Curve], x_label: str, y_label: str, diagonal: bool = False) -> str:
    """A line plot with axes and a legend below; an empty string without data."""
    points = [(x, y) for _, _, xs, ys in curves for x, y in zip(xs, ys) if math.isfinite(y)]
    if not points:
        return ""
    low_x, high_x = min(p[0] for p in points), max(p[0] for p in points)
    low_y, high_y = min(p[1] for p in points), max(p[1] for p in points)
    if diagonal:
        low_x, high_x, low_y, high_y = 0.0, 1.0, 0.0, 1.0
    pad = (high_y - low_y) * 0.05 or 0.5 * (abs(high_y) or 1)
    low_y, high_y = (low_y, high_y) if diagonal else (low_y - pad, high_y + pad)
    high_x = high_x if high_x > low_x else low_x + 1

    def across(x: float) -> float:
        return LEFT + (x - low_x) / (high_x - low_x) * (WIDTH - LEFT - RIGHT)

    def down(y: float) -> float:
        return TOP + (high_y - y) / (high_y - low_y) * (HEIGHT - TOP - BOTTOM)

    label = f"{escape(y_label)} against {escape(x_label)}"
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">']
    for value in ticks(low_y, high_y):
        y = down(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.4g}</text>')
    for value in ticks(low_x, high_x, 6):
        x = across(value)
        y = HEIGHT - BOTTOM + 15
        parts.append(f'<text class="tick" x="{x:.1f}" y="{y}" text-anchor="middle">{value:.6g}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="axis" x="{middle}" y="{HEIGHT - 4}" text-anchor="middle">{escape(x_label)}</text>')
    if diagonal:
        parts.append(f'<line class="ideal" x1="{across(0)}" y1="{down(0)}" x2="{across(1)}" y2="{down(1)}"/>')
    for _, colour, xs, ys in curves:
        path = " ".join(f"{across(x):.1f},{down(y):.1f}" for x, y in zip(xs, ys) if math.isfinite(y))
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.6" points="{path}"/>')
    parts.append("</svg>")
    legend = "".join(
        f'<span><i style="background:{colour}"></i>{escape(label)}</span>' for label, colour, _, _ in curves if label
    )
    return "".join(parts) + f'<div class="legend">{legend}</div>'


def matrix(values: Sequence[Sequence[float]], rows: Sequence[str], columns: Sequence[str], counts: bool) -> str:
    """A matrix in viridis. Up to 20 classes carry their names; whole numbers are written in the cells up to 12.

    Args:
        values: Rows of numbers; NaN cells stay empty.
        rows, columns: Names.
        counts: Scale each row by its sum (a confusion matrix) instead of by the largest value of all.
    """
    size = len(values)
    if not size:
        return ""
    named, written = size <= 20, size <= 12
    left = 12 + 6.2 * max((len(name[:12]) for name in rows), default=0) if named else 8
    cell = max(3.0, min(30.0, 330 / size))
    side = cell * size
    label = 16 if named else 4
    parts = [f'<svg viewBox="0 0 {left + side + 4:.0f} {side + label + 44:.0f}" role="img" aria-label="matrix">']
    top = max((v for row in values for v in row if v == v), default=1) or 1
    for r, row in enumerate(values):
        total = (sum(row) or 1) if counts else top
        for c, value in enumerate(row):
            if value != value:
                continue
            share = min(1.0, max(0.0, value / total))
            x, y = left + c * cell, 4 + r * cell
            title = f"{rows[r]} → {columns[c]}: {value:.3g}"
            parts.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{cell:.1f}" height="{cell:.1f}" fill="{viridis(share)}">'
                f"<title>{escape(title)}</title></rect>"
            )
            if written and counts and value:
                ink = "#111" if share > 0.6 else "#fff"
                parts.append(
                    f'<text x="{x + cell / 2:.1f}" y="{y + cell / 2 + 3.5:.1f}" fill="{ink}" font-size="10" '
                    f'text-anchor="middle">{value:g}</text>'
                )
        if named:
            y = 4 + r * cell + cell / 2 + 4
            name = escape(rows[r][:12])
            parts.append(f'<text class="tick" x="{left - 5:.1f}" y="{y:.1f}" text-anchor="end">{name}</text>')
    if named:
        for c, name in enumerate(columns):
            x, y = left + c * cell + cell / 2, side + 12
            parts.append(
                f'<text class="tick" x="{x:.1f}" y="{y:.1f}" text-anchor="end" '
                f'transform="rotate(-45 {x:.1f} {y:.1f})">{escape(name[:12])}</text>'
            )
    return "".join(parts) + "</svg>"


def viridis(share: float) -> str:
    """The colour for 0..1."""
    position = share * (len(VIRIDIS) - 1)
    index = min(int(position), len(VIRIDIS) - 2)
    rest = position - index
    mixed = [round(a + (b - a) * rest) for a, b in zip(VIRIDIS[index], VIRIDIS[index + 1])]
    return f"rgb({mixed[0]},{mixed[1]},{mixed[2]})"
