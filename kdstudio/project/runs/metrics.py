"""`metrics.jsonl`: its records, an incremental follower, and the series that panels draw."""

from __future__ import annotations

import time
from array import array
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from kdstudio.project.runs.columns import Column, Columns
from kdstudio.project.runs.slots import Block, MetricRecord, SlotReader

CHUNK_BYTES = 64 * 1024  # one chunk is decoded in about a millisecond, so the window's thread is never kept waiting


class Series(NamedTuple):
    """One curve: steps (int64), times (float64) and values (float64), all of one length."""

    steps: np.ndarray
    times: np.ndarray
    values: np.ndarray


class MetricStore:
    """All series of a run, by (stage, split, key), growing as records arrive."""

    def __init__(self) -> None:
        self._columns: dict[str, dict[str, Columns]] = {}
        self.events: list[MetricRecord] = []
        self.version = 0
        self.skipped = 0
        self.last: MetricRecord | None = None

    def add(self, record: MetricRecord) -> None:
        """Adds one record. A `resume` event takes back the steps that came after its checkpoint."""
        self.version += 1
        self.last = record
        if record.split == "event":
            self.events.append(record)
            if record.event == "resume":
                for columns in self._columns.get(record.stage, {}).values():
                    columns.truncate(record.step)
            return
        self._place(record.stage, record.split).add(record.step, record.time, record.values)

    def _place(self, stage: str, split: str) -> Columns:
        splits = self._columns.setdefault(stage, {})
        columns = splits.get(split)
        if columns is None:
            columns = splits[split] = Columns()
        return columns

    def _column(self, stage: str, split: str, key: str) -> Column | None:
        columns = self._columns.get(stage, {}).get(split)
        return columns.get(key) if columns is not None else None

    def extend(self, records: list[MetricRecord]) -> None:
        """Adds many records; neighbours of one form are added column by column, which is several times faster."""
        start = 0
        total = len(records)
        while start < total:
            first = records[start]
            stage, split, width = first.stage, first.split, len(first.values)
            end = start + 1
            while end < total:
                record = records[end]
                if record.split != split or record.stage != stage or len(record.values) != width:
                    break
                end += 1
            if split == "event" or end - start < 4 or not self._extend_alike(records[start:end]):
                for record in records[start:end]:
                    self.add(record)
            start = end

    def _extend_alike(self, records: list[MetricRecord]) -> bool:
        """Adds records of one stage, split and set of keys. False (and nothing added) if they are not."""
        first = records[0]
        try:
            values: dict[str, array[float]] = {
                key: array("d", [record.values[key] for record in records])  # type: ignore[type-var, misc]
                for key in first.values
            }
        except (KeyError, TypeError):  # other keys, or a null
            return False
        steps = array("q", [record.step for record in records])
        times = array("d", [record.time for record in records])
        self.extend_columns(first.stage, first.split, steps, times, values)
        self.last = records[-1]
        return True

    def extend_columns(
        self, stage: str, split: str, steps: array[int], times: array[float], values: dict[str, array[float]]
    ) -> None:
        """Adds samples that lie in columns already: steps "q", times "d" and each key's values "d", of one length."""
        self._place(stage, split).extend(steps, times, values)
        self.version += len(steps)

    def knows(self, item: Block | MetricRecord) -> bool:
        """Whether there is a series for each of its keys already."""
        columns = self._columns.get(item.stage, {}).get(item.split)
        return not item.values or (columns is not None and all(key in columns for key in item.values))

    def take(self, items: list[Block | MetricRecord]) -> None:
        """Adds what a `SlotReader` has read."""
        for item in items:
            if isinstance(item, Block):
                self.extend_columns(item.stage, item.split, item.steps, item.times, item.values)
                self.last = item.last
            else:
                self.add(item)

    def keys(self) -> list[tuple[str, str, str]]:
        """The (stage, split, key) of every series, in order of appearance."""
        return [
            (stage, split, key)
            for stage, splits in self._columns.items()
            for split, columns in splits.items()
            for key in columns
        ]

    def length(self, stage: str, split: str, key: str) -> int:
        column = self._column(stage, split, key)
        return column.samples.count if column else 0

    def values_at(self, stage: str, split: str, key: str, steps: np.ndarray) -> np.ndarray:
        """The last value at or before each step; NaN where there is none."""
        column = self._column(stage, split, key)
        if column is None or not column.samples.count:
            return np.full(len(steps), np.nan)
        places = np.searchsorted(column.steps, steps, side="right")
        return np.where(places > 0, column.values[np.maximum(places - 1, 0)], np.nan)

    def time_before(self, moment: float) -> float:
        """The time of the last training sample before a moment; NaN where there is none."""
        found = np.nan
        for stage in self._columns:
            column = self._column(stage, "train", "loss")
            place = int(np.searchsorted(column.times, moment)) if column else 0
            if column and place:
                found = np.fmax(found, column.times[place - 1])
        return float(found)

    def series(self, stage: str, split: str, key: str, start: int = 0, stop: int | None = None) -> Series:
        """A copy of one series from its `start`-th sample on (up to the `stop`-th); empty where there is none."""
        column = self._column(stage, split, key)
        if column is None:
            return Series(np.empty(0, np.int64), np.empty(0), np.empty(0))
        return Series(
            column.steps[start:stop].copy(), column.times[start:stop].copy(), column.values[start:stop].copy()
        )


class MetricFollower:
    """Reads `metrics.jsonl` as it grows.

    A last line without its newline waits for the rest; a line that a crash cut off is counted and skipped. When the
    file was replaced by another one, reading starts anew.

    Args:
        path: The file; it need not exist yet.
        lock: Held while the store changes, not while text is decoded: for a store that another thread reads.
    """

    def __init__(self, path: Path, lock: AbstractContextManager[Any] | None = None) -> None:
        self.path = path
        self.lock = lock or nullcontext()
        self.store = MetricStore()
        self._offset = 0
        self._rest = b""
        self._file = 0  # its number in the file system
        self._unreadable = False
        self._decoder = msgspec.json.Decoder(MetricRecord)
        self._reader = SlotReader()

    def poll(self, max_seconds: float = 0.01) -> bool:
        """Reads what is new, for at most about `max_seconds`. Returns whether anything was added.

        Call it again at once while `behind()` says so.
        """
        before = self.store.version
        deadline = time.perf_counter() + max_seconds
        try:
            info = self.path.stat()
        except OSError:
            return False
        if info.st_size < self._offset or info.st_ino != (self._file or info.st_ino):
            with self.lock:
                self.__init__(self.path, self.lock)  # type: ignore[misc]
            before = -1
        self._file = info.st_ino
        if info.st_size == self._offset:
            return before < 0
        try:
            with self.path.open("rb") as file:
                self._unreadable = False
                file.seek(self._offset)
                while True:
                    chunk = file.read(CHUNK_BYTES)
                    if not chunk:
                        break
                    self._offset += len(chunk)
                    self._take(chunk)
                    if time.perf_counter() >= deadline:
                        break
        except OSError:
            self._unreadable = True
        return self.store.version != before

    def behind(self) -> bool:
        """Whether the file holds more than was read, and can be read."""
        try:
            return not self._unreadable and self.path.stat().st_size > self._offset
        except OSError:
            return False

    def read_all(self) -> MetricStore:
        """Reads to the end of the file and returns the store."""
        while True:
            self.poll(max_seconds=1.0)
            if not self.behind():
                return self.store

    def _take(self, chunk: bytes) -> None:
        data = self._rest + chunk
        end = data.rfind(b"\n")
        if end < 0:
            self._rest = data
            return
        self._rest = data[end + 1 :]
        lines = data[: end + 1]
        items = self._reader.read(lines)
        if items is not None and all(map(self.store.knows, items)):
            with self.lock:
                self.store.take(items)
            return
        try:  # keys that are new come in the order in which they stand
            records = self._decoder.decode_lines(lines)
        except ValueError:
            self._take_slowly(lines)
            return
        self._reader.learn(records)
        with self.lock:
            self.store.extend(records)

    def _take_slowly(self, lines: bytes) -> None:
        """A chunk with a damaged line goes in line by line."""
        for line in lines.splitlines():
            if not line.strip():
                continue
            try:
                record = self._decoder.decode(line)
            except ValueError:  # no JSON, no UTF-8, or no record
                self.store.skipped += 1
                continue
            with self.lock:
                self.store.add(record)
