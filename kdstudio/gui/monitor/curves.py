"""Curves that stay cheap at any length: minimum and maximum of buckets, kept up to date as samples arrive."""

from __future__ import annotations

import numpy as np

BUCKETS = 600
HALF_LIFE = 12.0


class Decimated:
    """At most `2 * BUCKETS` points of a growing series, in which no peak is lost.

    Each bucket holds `width` samples; when there are too many buckets, neighbours are merged. Adding n samples
    costs O(n), however long the series is.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.count = 0
        self.width = 1
        self._first: list[int] = []
        self._low: list[float] = []
        self._high: list[float] = []
        self._sum: list[float] = []
        self._finite: list[int] = []
        self._filled = 0

    def extend(self, steps: np.ndarray, values: np.ndarray) -> None:
        """Adds samples: steps (n) integers that rise, values (n), in which NaN counts as missing."""
        position = 0
        self.count += len(steps)
        while position < len(steps):
            if self._filled == 0:
                if len(self._first) >= 2 * BUCKETS:
                    self._merge()
                    continue
                self._first.append(int(steps[position]))
                self._low.append(np.inf)
                self._high.append(-np.inf)
                self._sum.append(0.0)
                self._finite.append(0)
            take = min(self.width - self._filled, len(steps) - position)
            part = values[position : position + take]
            part = part[np.isfinite(part)]
            if part.size:
                self._low[-1] = min(self._low[-1], float(part.min()))
                self._high[-1] = max(self._high[-1], float(part.max()))
                self._sum[-1] += float(part.sum())
                self._finite[-1] += int(part.size)
            self._filled = (self._filled + take) % self.width
            position += take

    def _merge(self) -> None:
        """Halves the number of buckets. Called only when the last one is full."""
        self._first = self._first[::2]
        self._low = [min(pair) for pair in zip(self._low[::2], self._low[1::2])]
        self._high = [max(pair) for pair in zip(self._high[::2], self._high[1::2])]
        self._sum = [a + b for a, b in zip(self._sum[::2], self._sum[1::2])]
        self._finite = [a + b for a, b in zip(self._finite[::2], self._finite[1::2])]
        self.width *= 2

    def envelope(self) -> tuple[np.ndarray, np.ndarray]:
        """The raw curve: x and y, lowest and highest of each bucket; every sample itself while there are few."""
        finite = np.asarray(self._finite) > 0
        x = np.asarray(self._first, float)[finite]
        low, high = np.asarray(self._low)[finite], np.asarray(self._high)[finite]
        if self.width == 1:
            return x, low
        return np.repeat(x, 2), np.column_stack([low, high]).ravel()

    def smoothed(self) -> tuple[np.ndarray, np.ndarray]:
        """The exponential moving average of bucket means, bias-corrected: a constant series stays constant."""
        finite = np.asarray(self._finite)
        keep = finite > 0
        x = np.asarray(self._first, float)[keep]
        means = np.asarray(self._sum)[keep] / np.maximum(finite[keep], 1)
        decay = 0.5 ** (1 / HALF_LIFE)
        result = np.empty_like(means)
        average = weight = 0.0
        for index, mean in enumerate(means):
            average = decay * average + (1 - decay) * mean
            weight = decay * weight + (1 - decay)
            result[index] = average / weight
        return x, result
