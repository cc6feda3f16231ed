"""Curves that stay cheap at any length: a pyramid of minima, maxima and sums, kept up to date beside the samples.

The samples themselves stay in the metric store. Where a window shows so few of them that the finest buckets would be
coarse, they are fetched from there, so zooming in always ends at real samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

#: Samples in a bucket of the finest level, and buckets of one level in a bucket of the next.
BASE = 16
FACTOR = 4
#: Smoothing is per thousandth of a curve's whole length, so that it looks alike for short and long runs.
SPAN_PARTS = 1000
#: Below it, powers over a whole curve leave the range of float64; no such smoothing is visible anyway.
LEAST_SMOOTHING = 0.6

X, LOW, HIGH, SUM, COUNT = range(5)
COLUMNS = 5

Fetch = Callable[[int, int], tuple[np.ndarray, np.ndarray]]


class _Rows:
    """A growing table; appending costs O(rows added)."""

    def __init__(self) -> None:
        self._data = np.empty((64, COLUMNS))
        self.count = 0

    @property
    def rows(self) -> np.ndarray:
        return self._data[: self.count]

    def append(self, rows: np.ndarray) -> None:
        needed = self.count + len(rows)
        if needed > len(self._data):
            grown = np.empty((max(needed, 2 * len(self._data)), COLUMNS))
            grown[: self.count] = self.rows
            self._data = grown
        self._data[self.count : needed] = rows
        self.count = needed


@dataclass(frozen=True)
class Window:
    """What is drawn of a curve: one row a bucket, in the order of x. NaN where a bucket holds no finite value.

    `exact` says that every bucket is a single sample.
    """

    x: np.ndarray
    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    exact: bool

    def envelope(self) -> tuple[np.ndarray, np.ndarray]:
        """Points of the raw curve: every sample, or the lowest and the highest of each bucket."""
        keep = np.isfinite(self.low)
        if self.exact:
            return self.x[keep], self.low[keep]
        x, low, high = self.x[keep], self.low[keep], self.high[keep]
        return np.repeat(x, 2), np.column_stack([low, high]).ravel()


class Pyramid:
    """A growing curve whose every window can be drawn from about as many rows as it has pixels.

    No peak is lost, and the last sample is always there: what does not fill a bucket yet is kept beside the levels.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.count = 0
        self.first = self.last = 0.0
        self._levels = [_Rows()]
        self._rest = np.empty((0, COLUMNS))

    def extend(self, x: np.ndarray, y: np.ndarray) -> None:
        """Adds samples.

        Args:
            x: (n) positions, rising.
            y: (n) values; what is not finite counts as missing.
        """
        if not len(x):
            return
        if not self.count:
            self.first = float(x[0])
        self.count += len(x)
        self.last = float(x[-1])
        fresh = np.concatenate([self._rest, _sample_rows(x, y)])
        full = len(fresh) - len(fresh) % BASE
        self._rest = fresh[full:].copy()
        if not full:
            return
        self._levels[0].append(_reduced(fresh[:full], BASE))
        number = 0
        while number < len(self._levels):
            level = self._levels[number]
            number += 1
            if number == len(self._levels):
                if level.count < FACTOR:
                    break
                self._levels.append(_Rows())
            above = self._levels[number]
            start, end = above.count * FACTOR, level.count - level.count % FACTOR
            if end == start:
                break
            above.append(_reduced(level.rows[start:end], FACTOR))

    def window(self, start: float, end: float, most: int, fetch: Fetch | None = None) -> Window:
        """The part from x = `start` to `end`, and one bucket beyond on each side, in at most about `most` rows.

        Args:
            fetch: Gives the x and y of samples number i to j; without it the finest buckets are the finest detail.
        """
        base = self._levels[0]
        places = base.rows[:, X]
        begin = max(0, int(np.searchsorted(places, start, side="right")) - 1)
        stop = min(base.count, int(np.searchsorted(places, end, side="right")) + 1)
        to_end = stop == base.count
        if fetch is not None and stop - begin <= most:
            rows = _sample_rows(*fetch(begin * BASE, self.count if to_end else stop * BASE))
            return self._clipped(rows, begin * BASE, start, end, most)
        number = 0
        while (stop - begin) / FACTOR**number > 4 * most and number + 1 < len(self._levels):
            number += 1
        size = FACTOR**number
        level = self._levels[number]
        rows = level.rows[begin // size : min(level.count, -(-stop // size))]
        parts = [rows]
        if to_end:
            for finer in range(number - 1, -1, -1):
                parts.append(self._levels[finer].rows[self._levels[finer + 1].count * FACTOR :])
            parts.append(self._rest)
        return _grouped(np.concatenate(parts), begin // size, most, exact=False)

    def _clipped(self, rows: np.ndarray, number: int, start: float, end: float, most: int) -> Window:
        """Single samples: those in the window, and one on each side."""
        left = max(0, int(np.searchsorted(rows[:, X], start, side="right")) - 1)
        right = int(np.searchsorted(rows[:, X], end, side="right")) + 1
        return _grouped(rows[left:right], number + left, most, exact=True)

    def smoothed(
        self, window: Window, smoothing: float, most: int, fetch: Fetch | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The smoothed curve over a window. What lies before the window is taken in from coarser buckets.

        Args:
            window: As `window()` gave it.
            smoothing: What a thousandth of the curve's length leaves of the past, 0.6 to 1.
            most: Rows for what lies before.
        """
        keep = np.isfinite(window.mean)
        x, mean = window.x[keep], window.mean[keep]
        if not len(x):
            return x, mean
        before = 0
        if x[0] > self.first:
            earlier = self.window(self.first, float(x[0]), most, fetch)
            past = np.isfinite(earlier.mean) & (earlier.x < x[0])
            before = int(past.sum())
            x, mean = np.concatenate([earlier.x[past], x]), np.concatenate([earlier.mean[past], mean])
        return x[before:], moving_average(x, mean, smoothing, self.last - self.first)[before:]

    def nearest(self, x: float, fetch: Fetch) -> tuple[int, float, float] | None:
        """The sample closest to x: its number, x and value."""
        if not self.count:
            return None
        bucket = int(np.searchsorted(self._levels[0].rows[:, X], x, side="right")) - 1
        begin = max(0, bucket) * BASE
        places, values = fetch(begin, min(self.count, begin + 2 * BASE + 1))
        if not len(places):
            return None
        place = int(np.argmin(np.abs(places - x)))
        return begin + place, float(places[place]), float(values[place])


def moving_average(x: np.ndarray, values: np.ndarray, smoothing: float, span: float) -> np.ndarray:
    """The exponential moving average over uneven steps, corrected for its start: a constant stays constant.

    With d_i = smoothing ** (1000 (x_i - x_{i-1}) / span), a_i = d_i a_{i-1} + (1 - d_i) v_i and the same sum over
    ones, w_i, the result is a_i / w_i.

    Args:
        x: (n) positions, rising.
        values: (n), finite.
        smoothing: 0.6 to 1.
        span: Length of the whole curve on x.
    """
    if len(x) < 2 or span <= 0:
        return values.copy()
    steps = np.diff(x, prepend=x[0]) * (SPAN_PARTS / span)
    steps[0] = 1.0
    decay = max(smoothing, LEAST_SMOOTHING) ** steps
    product = np.cumprod(decay)
    shares = (1 - decay) / product
    return np.cumsum(shares * values) / np.cumsum(shares)


def _sample_rows(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    rows = np.empty((len(x), COLUMNS))
    finite = np.isfinite(y)
    rows[:, X] = x
    rows[:, LOW] = rows[:, HIGH] = np.where(finite, y, np.nan)
    rows[:, SUM] = np.where(finite, y, 0.0)
    rows[:, COUNT] = finite
    return rows


def _reduced(rows: np.ndarray, width: int) -> np.ndarray:
    """Merges every `width` rows into one; their number is a multiple of it."""
    parts = rows.reshape(-1, width, COLUMNS)
    result = np.empty((len(parts), COLUMNS))
    result[:, X] = parts[:, 0, X]
    result[:, LOW] = np.fmin.reduce(parts[:, :, LOW], axis=1)
    result[:, HIGH] = np.fmax.reduce(parts[:, :, HIGH], axis=1)
    result[:, SUM:] = parts[:, :, SUM:].sum(axis=1)
    return result


def _grouped(rows: np.ndarray, number: int, most: int, exact: bool) -> Window:
    """Merges rows until there are about `most`.

    Groups begin at multiples of their width, counted from the start of the curve, so that they stand still while a
    window moves over them.
    """
    width = -(-len(rows) // max(1, most))
    if width > 1:
        ahead = -number % width
        full = ahead + (len(rows) - ahead) // width * width
        rows = np.concatenate([rows[:ahead], _reduced(rows[ahead:full], width), rows[full:]])
        exact = False
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = rows[:, SUM] / rows[:, COUNT]
    return Window(rows[:, X], rows[:, LOW], rows[:, HIGH], mean, exact)
