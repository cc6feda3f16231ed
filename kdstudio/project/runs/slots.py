"""The usual lines of `metrics.jsonl`, read in columns: a third quicker than record by record."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import chain
from operator import attrgetter
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

#: A file with more keys than these is read record by record.
MOST_KEYS = 200
#: Fewer neighbours of one form than these are not worth a block.
LEAST_ROWS = 4


class MetricRecord(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One line of `metrics.jsonl`. `time` is seconds since 1970; a NaN is written as null and read as NaN."""

    seq: int = 0
    step: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
    epoch: int = 0
    stage: str = ""
    time: float = 0.0
    split: str
    values: dict[str, float | None] = {}
    event: str = ""
    text: str = ""


class Block(NamedTuple):
    """Neighbouring records of one stage, split and set of keys, in columns of one length; and the last of them."""

    stage: str
    split: str
    steps: array[int]
    times: array[float]
    values: dict[str, array[float]]
    last: MetricRecord


_parts = attrgetter("stage", "split", "step", "time", "values")


class SlotReader:
    """Decodes lines into blocks. The values of keys that it has met lie in slots, not in a dictionary a record."""

    def __init__(self) -> None:
        self.keys: tuple[str, ...] = ()
        self._decoder: msgspec.json.Decoder | None = None

    def learn(self, records: Iterable[MetricRecord]) -> None:
        """Meets the keys of these records."""
        keys = tuple(dict.fromkeys(chain(self.keys, *(record.values for record in records))))
        if len(self.keys) < len(keys) <= MOST_KEYS:
            self.keys = keys
            self._decoder = msgspec.json.Decoder(_row_type(keys))

    def read(self, lines: bytes) -> list[Block | MetricRecord] | None:
        """The contents of whole lines, in their order. None where a line is damaged or has a key that was not met."""
        if self._decoder is None:
            return None
        try:
            rows = self._decoder.decode_lines(lines)
        except ValueError:
            return None
        found: list[Block | MetricRecord] = []
        start, total = 0, len(rows)
        while start < total:
            end = _end_of_form(rows, start)
            group = rows if end - start == total else rows[start:end]
            block = self._block(group) if len(group) >= LEAST_ROWS and group[0].split != "event" else None
            found += [block] if block is not None else [self._record(row) for row in group]
            start = end
        return found

    def _block(self, rows: list[Any]) -> Block | None:
        """The rows in columns; None if their keys differ, or a value is null."""
        stages, splits, steps, times, slots = zip(*map(_parts, rows))
        values: dict[str, array[float]] = {}
        for key, column in zip(self.keys, zip(*map(msgspec.structs.astuple, slots))):
            if column[0] is UNSET:
                if column.count(UNSET) < len(column):
                    return None
                continue
            try:
                values[key] = array("d", column)
            except TypeError:
                return None
        return Block(stages[0], splits[0], array("q", steps), array("d", times), values, self._record(rows[-1]))

    def _record(self, row: Any) -> MetricRecord:
        slots = msgspec.structs.astuple(row.values)
        return MetricRecord(
            seq=row.seq,
            step=row.step,
            epoch=row.epoch,
            stage=row.stage,
            time=row.time,
            split=row.split,
            values={key: value for key, value in zip(self.keys, slots) if value is not UNSET},
            event=row.event,
            text=row.text,
        )


def _end_of_form(rows: Sequence[Any], start: int) -> int:
    """Where the neighbours of one stage and split end."""
    stage, split = rows[start].stage, rows[start].split
    for place in range(start + 1, len(rows)):
        row = rows[place]
        if row.split != split or row.stage != stage:
            return place
    return len(rows)


def _row_type(keys: Sequence[str]) -> type[msgspec.Struct]:
    """A record like `MetricRecord` with a slot for each key."""
    names = [f"value{number}" for number in range(len(keys))]
    slots = msgspec.defstruct(
        "Slots",
        [(name, float | None | UnsetType, UNSET) for name in names],
        rename=dict(zip(names, keys)),
        forbid_unknown_fields=True,
        gc=False,
    )
    fields: list[Any] = [
        (field.name, field.type, field.default) if not field.required else (field.name, field.type)
        for field in msgspec.structs.fields(MetricRecord)
        if field.name != "values"
    ]
    fields.append(("values", slots, msgspec.field(default_factory=slots)))
    return msgspec.defstruct("Row", fields, kw_only=True, gc=False)
