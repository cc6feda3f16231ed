"""The crosshair of a plot: it stands on a sample, under the pointer or walked to with keys."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import numpy as np

from kdstudio.gui.language import tr
from kdstudio.gui.monitor.curve import Curve
from kdstudio.gui.monitor.readout import Reading, Readout

if TYPE_CHECKING:
    from kdstudio.gui.monitor.plot import SeriesPlot

REFRESH_SECONDS = 0.1


class Crosshair:
    """Finds samples for the chart's pointer and keys, and shows what the curves are there."""

    def __init__(self, plot: SeriesPlot) -> None:
        self.plot = plot
        self.chart = plot.chart
        self.readout = Readout(plot.chart)
        #: The sample that is shown, None for none.
        self.at: float | None = None
        self._next = 0.0
        self.chart.pointed.connect(self.point)
        self.chart.walked.connect(self.walk)
        self.chart.ended.connect(self.walk_to_end)

    def leave(self) -> None:
        """Shows no sample."""
        self.at = None
        self.readout.hide()

    def refresh(self) -> None:
        """Shows the same sample again, where the curves or colours are others now; not more often than is read."""
        if self.at is not None and time.monotonic() >= self._next:
            self._show(self.at)

    def point(self, x: float) -> None:
        """Shows the sample nearest to x; NaN leaves."""
        lead = self._lead()
        if lead is None or math.isnan(x):
            self.leave()
            return
        with self.plot.reading():
            found = lead.data.nearest(x, lead.fetch)
        if found is not None:
            self._show(found[1])

    def walk(self, by: int) -> None:
        """Goes on by some samples; the first time it starts in the middle of what is visible."""
        lead = self._lead()
        if lead is None:
            return
        low, high = self.chart.visible()
        with self.plot.reading():
            started = self.at is not None and low <= self.at <= high
            found = lead.data.nearest(self.at if started and self.at is not None else (low + high) / 2, lead.fetch)
            place = (found[0] if found is not None else 0) + (by if started else 0)
            place = max(0, min(place, lead.data.count - 1))
            x, _ = lead.fetch(place, place + 1)
        self._visit(float(x[0]))

    def walk_to_end(self, end: int) -> None:
        """Goes to the first (-1) or the last (1) sample."""
        lead = self._lead()
        if lead is not None:
            self._visit(lead.data.first if end < 0 else lead.data.last)

    def _lead(self) -> Curve | None:
        """The curve whose samples are visited: the one of the shown run with the most."""
        shown = self.plot.shown_curves()
        own = [curve for curve in shown if curve.worker is None] or shown
        return max(own, key=lambda curve: curve.data.count, default=None)

    def _visit(self, x: float) -> None:
        """Shows a sample, and pans to it where it is out of sight."""
        low, high = self.chart.visible()
        if not low <= x <= high:
            self.chart.pan(x - (low + high) / 2)
        self._show(x)

    def _show(self, x: float) -> None:
        lead = self._lead()
        if lead is None:
            self.leave()
            return
        self.at = x
        self._next = time.monotonic() + REFRESH_SECONDS
        with self.plot.reading():
            low, high = self.chart.visible()
            apart = max(abs(lead.data.last - lead.data.first) / max(1, lead.data.count - 1), (high - low) / 200)
            readings = [self._reading(curve, x, apart) for curve in self.plot.shown_curves()]
        self.readout.show(x, lead.placing.words(x), [reading for reading in readings if reading is not None])

    def _reading(self, curve: Curve, x: float, apart: float) -> Reading | None:
        found = curve.data.nearest(x, curve.fetch)
        if found is None:
            return None
        _, place, value = found
        y, smoothed = value, ""
        if curve.smoothed is not None and len(curve.smoothed[0]):
            y = float(np.interp(place, *curve.smoothed))
            smoothed = self.plot.words(y)
        note = tr("at {place}", place=curve.placing.words(place)) if abs(place - x) > 0.51 * apart else ""
        colour = curve.colour(self.plot.theme.tokens)
        return Reading(curve.label, colour, place, self.plot.y_place(y), self.plot.words(value), smoothed, note)
