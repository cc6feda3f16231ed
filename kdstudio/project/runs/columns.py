"""Growing columns of samples. Keys that are always recorded together share their steps and times."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

_FIRST_ROOM = 64


class Growing:
    """An array that grows at its end; room is doubled, so that growing costs little however long it is."""

    __slots__ = ("_room", "count")

    def __init__(self, kind: type) -> None:
        self._room: np.ndarray = np.empty(_FIRST_ROOM, kind)
        self.count = 0

    @property
    def values(self) -> np.ndarray:
        """What is there: a view, to be copied by who keeps it."""
        return self._room[: self.count]

    def extend(self, values: np.ndarray | array) -> None:
        end = self.count + len(values)
        if end > len(self._room):
            wider = np.empty(max(end, 2 * len(self._room)), self._room.dtype)
            wider[: self.count] = self.values
            self._room = wider
        self._room[self.count : end] = values
        self.count = end

    def append(self, value: float) -> None:
        if self.count == len(self._room):
            self.extend(np.array([value], self._room.dtype))
        else:
            self._room[self.count] = value
            self.count += 1


class Axis:
    """The steps and times of the columns that hang on it."""

    __slots__ = ("steps", "times", "users")

    def __init__(self) -> None:
        self.steps = Growing(np.int64)
        self.times = Growing(np.float64)
        self.users = 0

    def copy(self) -> Axis:
        other = Axis()
        other.steps.extend(self.steps.values)
        other.times.extend(self.times.values)
        return other


class Column:
    """One series."""

    __slots__ = ("axis", "samples")

    def __init__(self, axis: Axis) -> None:
        self.axis = axis
        self.samples = Growing(np.float64)

    @property
    def steps(self) -> np.ndarray:
        return self.axis.steps.values

    @property
    def times(self) -> np.ndarray:
        return self.axis.times.values

    @property
    def values(self) -> np.ndarray:
        return self.samples.values


class Columns:
    """The series of one stage and split, by key in order of appearance."""

    def __init__(self) -> None:
        self._columns: dict[str, Column] = {}
        self._together: tuple[str, ...] = ()
        self._axes: list[Axis] = []

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __contains__(self, key: str) -> bool:
        return key in self._columns

    def get(self, key: str) -> Column | None:
        return self._columns.get(key)

    def add(self, step: int, moment: float, values: Mapping[str, float | None]) -> None:
        """Adds one sample to the series of these keys; None is not a number."""
        for axis in self._axes_of(values):
            axis.steps.append(step)
            axis.times.append(moment)
        for key, value in values.items():
            self._columns[key].samples.append(np.nan if value is None else value)

    def extend(self, steps: array[int], times: array[float], values: Mapping[str, array[float]]) -> None:
        """Adds samples to the series of these keys, all of one length."""
        for axis in self._axes_of(values):
            axis.steps.extend(steps)
            axis.times.extend(times)
        for key, samples in values.items():
            self._columns[key].samples.extend(samples)

    def truncate(self, last_step: int) -> None:
        """Forgets what comes after a step."""
        for axis in {id(column.axis): column.axis for column in self._columns.values()}.values():
            keep = int(np.searchsorted(axis.steps.values, last_step, side="right"))
            axis.steps.count = axis.times.count = keep
        for column in self._columns.values():
            column.samples.count = column.axis.steps.count

    def _axes_of(self, keys: Iterable[str]) -> list[Axis]:
        """The axes on which the columns of these keys hang, and no others."""
        names = tuple(keys)
        if names != self._together:
            fresh = Axis()
            hanging: dict[int, list[Column]] = {}
            for name in names:
                column = self._columns.get(name)
                if column is None:
                    column = self._columns[name] = Column(fresh)
                    fresh.users += 1
                hanging.setdefault(id(column.axis), []).append(column)
            self._axes = [self._own_axis(columns) for columns in hanging.values()]
            self._together = names
        return self._axes

    @staticmethod
    def _own_axis(columns: list[Column]) -> Axis:
        """The axis of these columns, which share one; a copy if others hang on it too."""
        axis = columns[0].axis
        if axis.users > len(columns):
            axis.users -= len(columns)
            axis = axis.copy()
            axis.users = len(columns)
            for column in columns:
                column.axis = axis
        return axis
