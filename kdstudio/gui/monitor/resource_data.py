"""What the resources panel draws: speeds from the times of training steps, and the engine's own record of its use."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.metrics import MetricFollower, MetricStore, Series

#: Steps are counted over windows of this length, which grows with the run: one of a day has as many as one of an hour.
WINDOW_SECONDS = 0.2
WINDOW_SHARE = 1 / 2000
#: A pause between two steps that is longer than both is no training: a hold, a validation, a time without a process.
PAUSE_SECONDS = 5.0
PAUSE_STEPS = 20
RECENT = 12


class _Growing:
    """Times and values that only grow."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.values: list[float] = []

    def series(self, start: int, stop: int | None) -> Series:
        times = np.array(self.times[start:stop])
        steps = np.arange(start, start + len(times), dtype=np.int64)
        return Series(steps, times, np.array(self.values[start:stop]))


class Rates:
    """Steps a second of each stage over time, from the times at which its steps were done."""

    def __init__(self) -> None:
        self.stages: dict[str, _Growing] = {}
        self._read: dict[str, int] = {}
        self._rest: dict[str, np.ndarray] = {}
        self._mark: tuple[object, int] | None = None

    def update(self, store: MetricStore) -> None:
        """Takes what is new in the store; all of it anew where a resume took steps back."""
        mark = (store, sum(record.event == "resume" for record in store.events))
        if mark != self._mark:
            self.stages, self._read, self._rest = {}, {}, {}
            self._mark = mark
        keys = store.keys()
        for stage in dict.fromkeys(stage for stage, split, _ in keys if split == "train"):
            known = self._read.get(stage, 0)
            times = store.series(stage, "train", "loss", known).times
            if len(times):
                self._read[stage] = known + len(times)
                self._take(stage, times)

    def _take(self, stage: str, fresh: np.ndarray) -> None:
        found = self.stages.setdefault(stage, _Growing())
        times = np.concatenate([self._rest.get(stage, np.empty(0)), fresh])
        gaps = np.diff(times)
        usual = float(np.median(gaps)) if len(gaps) else 0.0
        pauses = np.flatnonzero(gaps > max(PAUSE_SECONDS, PAUSE_STEPS * usual))
        edges = [0, *(pauses + 1).tolist(), len(times)]
        rest = 0
        for start, end in pairwise(edges):
            rest = start + self._count(found, times[start:end])
        self._rest[stage] = times[rest:]

    @staticmethod
    def _count(found: _Growing, times: np.ndarray) -> int:
        """Counts full windows. Returns where the first one that is not full begins."""
        begin = 0
        while begin < len(times) - 1:
            length = WINDOW_SECONDS
            if found.times:
                length = max(length, (float(times[begin]) - found.times[0]) * WINDOW_SHARE)
            end = int(np.searchsorted(times, times[begin] + length))
            if end >= len(times):
                break
            found.times.append(float(times[end]))
            found.values.append((end - begin) / float(times[end] - times[begin]))
            begin = end
        return begin

    def series(self, stage: str, factor: float, start: int, stop: int | None) -> Series:
        """Steps a second times a factor."""
        series = self.stages.get(stage, _Growing()).series(start, stop)
        return Series(series.steps, series.times, series.values * factor)

    def milliseconds(self, stage: str, start: int, stop: int | None) -> Series:
        """How long a step took."""
        series = self.stages.get(stage, _Growing()).series(start, stop)
        return Series(series.steps, series.times, 1000 / series.values)

    def recent(self, stage: str) -> float | None:
        """Steps a second at the end of a stage; None while nothing is known. Where windows lack, all steps count."""
        values = self.stages[stage].values[-RECENT:] if stage in self.stages else []
        if values:
            return float(np.median(values))
        rest = self._rest.get(stage, np.empty(0))
        return (len(rest) - 1) / float(rest[-1] - rest[0]) if len(rest) > 1 and rest[-1] > rest[0] else None


class Usage:
    """`resources.jsonl`, each figure as one series over all stages."""

    def __init__(self, run: RunFolder) -> None:
        self._follower = MetricFollower(run.resources_path)
        self._read: dict[tuple[str, str], int] = {}
        self._store: MetricStore | None = None
        self.figures: dict[str, _Growing] = {}

    def poll(self) -> bool:
        """Reads on. Returns whether there is more to read."""
        self._follower.poll(max_seconds=0.004)
        store = self._follower.store
        if store is not self._store:
            self._store, self._read, self.figures = store, {}, {}
        keys = store.keys()
        for stage, split, key in keys:
            known = self._read.get((stage, key), 0)
            series = store.series(stage, split, key, known)
            if len(series.times):
                self._read[stage, key] = known + len(series.times)
                figure = self.figures.setdefault(key, _Growing())
                figure.times += series.times.tolist()
                figure.values += series.values.tolist()
        return self._follower.behind()

    def series(self, key: str, start: int, stop: int | None) -> Series:
        return self.figures.get(key, _Growing()).series(start, stop)

    def last(self, key: str) -> float | None:
        """The latest value, None where there is none."""
        figure = self.figures.get(key)
        return figure.values[-1] if figure is not None and figure.values else None
