"""`metrics.jsonl`: read as it grows, whatever a crash did to it."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from kdstudio.project.runs import metrics
from kdstudio.project.runs.metrics import CHUNK_BYTES, MetricFollower, MetricRecord, MetricStore

KEY = ("student", "train", "loss")


def line(step: int, stage: str = "student", split: str = "train", **values: float | None) -> bytes:
    record = MetricRecord(seq=step, step=step, stage=stage, split=split, time=step / 4, values=values)
    return msgspec.json.encode(record) + b"\n"


def event(name: str, step: int, stage: str = "student") -> bytes:
    return msgspec.json.encode(MetricRecord(step=step, stage=stage, split="event", event=name)) + b"\n"


def append(path: Path, *parts: bytes) -> None:
    with path.open("ab") as file:
        file.write(b"".join(parts))


def steps(store: MetricStore, key: tuple[str, str, str] = KEY) -> list[int]:
    return store.series(*key).steps.tolist()


def values(store: MetricStore, key: tuple[str, str, str] = KEY) -> list[float]:
    return store.series(*key).values.tolist()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


# -- following -----------------------------------------------------------------------------------------------------


def test_a_file_is_read_as_it_grows(path: Path) -> None:
    follower = MetricFollower(path)
    assert not follower.poll()
    assert not follower.behind()
    append(path, line(1, loss=0.5), line(2, loss=0.25, accuracy=0.5))
    assert follower.behind()
    assert follower.poll()
    assert not follower.behind()
    assert steps(follower.store) == [1, 2]
    assert values(follower.store) == [0.5, 0.25]
    assert follower.store.series(*KEY).times.tolist() == [0.25, 0.5]
    assert steps(follower.store, ("student", "train", "accuracy")) == [2]
    assert not follower.poll()
    append(path, line(3, loss=0.125))
    assert follower.poll()
    assert steps(follower.store) == [1, 2, 3]
    assert follower.store.version == 3
    assert follower.store.last is not None
    assert follower.store.last.seq == 3


def test_an_empty_file(path: Path) -> None:
    path.touch()
    assert MetricFollower(path).read_all().keys() == []


def test_a_last_record_that_is_not_whole_waits(path: Path) -> None:
    whole = line(2, loss=0.25)
    for cut in range(1, len(whole)):
        path.unlink(missing_ok=True)
        append(path, line(1, loss=0.5), whole[:cut])
        follower = MetricFollower(path)
        store = follower.read_all()
        assert (steps(store), store.skipped) == ([1], 0)
        assert not follower.behind()
        append(path, whole[cut:], line(3, loss=0.125))
        assert follower.poll()
        assert (steps(store), store.skipped) == ([1, 2, 3], 0)


@pytest.mark.parametrize(
    "damage",
    [
        b'{"seq": 2, "step": 2, "spl',
        b"no json at all",
        b"\x00" * 50,
        b'{"step": 2, "split": "tr\xff\xfein", "values": {"loss": 1}}',
        b'{"split": "train", "values": {"loss": 1}}',
        b'{"step": "two", "split": "train"}',
        b'{"step": 99999999999999999999, "split": "train", "values": {"loss": 1}}',
        b'{"step": 2, "split": "train", "values": {"loss": 1e999}}',
        b'{"step": 2, "split": "train", "values": {"loss": NaN}}',
        b'{"step": 2, "split": "train", "values": {"loss": "low"}}',
        b"[1, 2]",
        b"null",
        b"{}{}",
    ],
)
def test_a_damaged_line_is_skipped_and_counted(damage: bytes, path: Path) -> None:
    append(path, line(1, loss=0.5), damage, b"\n", line(3, loss=0.25), line(4, loss=0.25))
    store = MetricFollower(path).read_all()
    assert steps(store) == [1, 3, 4]
    assert store.skipped == 1
    assert store.version == 3
    append(path, damage, b"\n")
    follower = MetricFollower(path)
    assert follower.read_all().skipped == 2


def test_keys_of_newer_versions_and_empty_lines_are_ignored(path: Path) -> None:
    append(
        path, b'{"step": 1, "stage": "student", "split": "train", "values": {"loss": 2}, "mood": [1]}\n', b"\n\r\n \n"
    )
    append(path, line(2, loss=1.0))
    store = MetricFollower(path).read_all()
    assert (steps(store), values(store), store.skipped) == ([1, 2], [2.0, 1.0], 0)


def test_a_null_is_read_as_not_a_number(path: Path) -> None:
    append(path, *(line(step, loss=None if step == 3 else 1.0) for step in range(6)))
    found = values(MetricFollower(path).read_all())
    assert found[:3] == [1.0] * 3
    assert np.isnan(found[3])
    assert found[4:] == [1.0] * 2
    assert b"null" in path.read_bytes()


def test_a_nan_is_written_as_null(path: Path) -> None:
    append(path, line(1, loss=float("nan")))
    assert json.loads(path.read_bytes())["values"] == {"loss": None}


def test_a_file_that_became_shorter_is_read_anew(path: Path) -> None:
    append(path, *(line(step, loss=1.0) for step in range(10)))
    follower = MetricFollower(path)
    follower.read_all()
    path.write_bytes(line(1, loss=2.0))
    assert follower.poll()
    assert values(follower.store) == [2.0]
    path.write_bytes(b"")
    assert follower.poll()  # what was there is gone, and that is news
    assert follower.store.keys() == []
    assert not follower.poll()


def test_a_file_that_was_replaced_is_read_anew(path: Path, tmp_path: Path) -> None:
    """As when a run was deleted and another one got its number."""
    append(path, *(line(step, loss=1.0) for step in range(3)))
    follower = MetricFollower(path)
    follower.read_all()
    other = tmp_path / "other"
    append(other, *(line(step, loss=2.0) for step in range(3)))
    os.replace(other, path)
    assert path.stat().st_size == follower._offset  # as long as the one before
    assert follower.poll()
    assert values(follower.store) == [2.0] * 3
    append(path, line(3, loss=2.0))
    assert follower.poll()
    assert values(follower.store) == [2.0] * 4


def test_a_file_that_goes_and_comes(path: Path) -> None:
    append(path, line(1, loss=1.0))
    follower = MetricFollower(path)
    follower.read_all()
    path.unlink()
    assert not follower.poll()
    assert not follower.behind()
    assert steps(follower.store) == [1]


def test_what_cannot_be_read_does_not_hang(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.mkdir()
    (path / "x").write_text("a folder in place of the file")
    assert MetricFollower(path).read_all().keys() == []
    file = path.parent / "locked"
    append(file, line(1, loss=1.0))
    follower = MetricFollower(file)

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        assert follower.read_all().keys() == []
        assert not follower.behind()
    assert follower.poll()
    assert steps(follower.store) == [1]


def test_lines_across_chunks(path: Path) -> None:
    long = "x" * (3 * CHUNK_BYTES)
    record = MetricRecord(step=5, stage="student", split="event", event="note", text=long)
    append(path, *(line(step, loss=1.0) for step in range(1500)), msgspec.json.encode(record) + b"\n")
    append(path, *(line(step, loss=1.0) for step in range(1500, 3000)))
    store = MetricFollower(path).read_all()
    assert steps(store) == list(range(3000))
    assert store.events[0].text == long


def test_a_poll_ends_when_its_time_is_over(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append(path, *(line(step, loss=1.0) for step in range(20_000)))
    clock = iter(range(10**6))
    monkeypatch.setattr(metrics.time, "perf_counter", lambda: next(clock))
    follower = MetricFollower(path)
    polls = 0
    while follower.behind():
        assert follower.poll(max_seconds=3)  # four chunks
        polls += 1
    assert polls == -(-path.stat().st_size // (3 * CHUNK_BYTES))
    assert steps(follower.store) == list(range(20_000))


# -- resuming ------------------------------------------------------------------------------------------------------


def test_a_resume_takes_back_what_came_after_its_checkpoint(path: Path) -> None:
    append(path, *(line(step, loss=1.0) for step in range(10)), line(9, split="validation", accuracy=0.5))
    append(path, *(line(step, stage="teacher", loss=3.0) for step in range(10)))
    append(path, event("resume", 5), *(line(step, loss=2.0) for step in range(6, 8)))
    store = MetricFollower(path).read_all()
    assert steps(store) == [0, 1, 2, 3, 4, 5, 6, 7]
    assert values(store) == [1.0] * 6 + [2.0] * 2
    assert store.length("student", "validation", "accuracy") == 0
    assert store.length("teacher", "train", "loss") == 10
    assert [(record.event, record.step) for record in store.events] == [("resume", 5)]


def test_several_resumes_one_after_the_other(path: Path) -> None:
    append(path, *(line(step, loss=1.0) for step in range(10)))
    append(path, event("resume", 5), event("resume", 3), event("resume", 8), event("resume", -1), event("resume", -1))
    store = MetricFollower(path).read_all()
    assert steps(store) == []
    append(path, line(0, loss=1.0))
    assert steps(MetricFollower(path).read_all()) == [0]
    assert MetricFollower(path).read_all().series(*KEY).steps.dtype == np.int64


def test_other_events_take_nothing_back(path: Path) -> None:
    append(path, *(line(step, loss=1.0) for step in range(5)))
    append(path, *(event(name, 0) for name in ("stage", "best", "checkpoint", "hold", "park", "stop", "finished")))
    store = MetricFollower(path).read_all()
    assert len(steps(store)) == 5
    assert len(store.events) == 7


# -- the store -----------------------------------------------------------------------------------------------------


def test_series_are_copies_from_a_sample_on() -> None:
    store = MetricStore()
    store.extend([MetricRecord(step=n, stage="s", split="train", time=n / 2, values={"a": n}) for n in range(5)])
    series = store.series("s", "train", "a", start=3)
    assert (series.steps.tolist(), series.times.tolist(), series.values.tolist()) == ([3, 4], [1.5, 2.0], [3.0, 4.0])
    assert (series.steps.dtype, series.times.dtype, series.values.dtype) == (np.int64, np.float64, np.float64)
    store.add(MetricRecord(step=5, stage="s", split="train", values={"a": 5}))  # it may still grow
    assert len(series.steps) == 2
    assert store.length("s", "train", "a") == 6
    for missing in (
        store.series("s", "train", "a", start=9),
        store.series("s", "train", "b"),
        store.series("x", "", ""),
    ):
        assert [len(part) for part in missing] == [0, 0, 0]
        assert missing.steps.dtype == np.int64
    assert store.length("x", "train", "a") == 0


def test_keys_are_in_order_of_appearance() -> None:
    store = MetricStore()
    for stage, split, key in [("b", "train", "z"), ("a", "train", "y"), ("b", "train", "a"), ("b", "validation", "c")]:
        store.add(MetricRecord(step=1, stage=stage, split=split, values={key: 1.0}))
    assert store.keys() == [("b", "train", "z"), ("b", "train", "a"), ("b", "validation", "c"), ("a", "train", "y")]


def _random_records(chance: random.Random, count: int) -> list[MetricRecord]:
    """Records as a run writes them, and as it never would: runs of one form, other keys, nulls, events."""
    records: list[MetricRecord] = []
    step = 0
    while len(records) < count:
        stage, split = chance.choice(["teacher", "student"]), chance.choice(["train", "train", "validation", "event"])
        keys = chance.sample(["a", "b", "c", "d"], chance.randint(0, 3))
        for _ in range(chance.choice([1, 2, 3, 4, 5, 30])):
            step = max(0, step + chance.choice([1, 1, 1, 10, -3]))
            found: dict[str, float | None] = {key: chance.random() for key in keys}
            if keys and chance.random() < 0.05:
                found[chance.choice(keys)] = None
            if keys and chance.random() < 0.05:
                found = {f"{key}2": value for key, value in found.items()}
            if chance.random() < 0.1:
                found = dict(reversed(found.items()))
            name = chance.choice(["resume", "best", "stage"]) if split == "event" else ""
            records.append(
                MetricRecord(seq=len(records), step=step, stage=stage, split=split, values=found, event=name)
            )
    return records


def _contents(store: MetricStore) -> dict[Any, Any]:
    keys = store.keys()
    return {
        "series": [[part.tobytes() for part in store.series(*key)] for key in keys],
        "keys": keys,
        "events": store.events,
        "version": store.version,
        "last": store.last,
        "skipped": store.skipped,
    }


def test_many_at_once_are_as_one_by_one(path: Path) -> None:
    for seed in range(60):
        chance = random.Random(seed)
        records = _random_records(chance, 200)
        one_by_one, at_once, in_parts, from_file = MetricStore(), MetricStore(), MetricStore(), MetricStore()
        for record in records:
            one_by_one.add(record)
        at_once.extend(records)
        begin = 0
        while begin < len(records):
            end = begin + chance.randint(1, 40)
            in_parts.extend(records[begin:end])
            begin = end
        path.write_bytes(b"".join(msgspec.json.encode(record) + b"\n" for record in records))
        from_file = MetricFollower(path).read_all()
        expected = _contents(one_by_one)
        for store in (at_once, in_parts, from_file):
            assert _contents(store) == expected, seed


def test_a_million_records(path: Path) -> None:
    """Right to the last one; how quick it is, is measured elsewhere."""
    count = 1_000_000
    form = b'{"seq":%d,"step":%d,"epoch":%d,"stage":"student","time":%d.5,"split":"train","values":{"loss":%d.25}}\n'
    with path.open("wb") as file:
        for begin in range(0, count, 10_000):
            file.write(b"".join(form % (n + 1, n, n // 1000, n, n % 97) for n in range(begin, begin + 10_000)))
        file.write(line(count, split="validation", accuracy=0.5))
    store = MetricFollower(path).read_all()
    path.unlink()
    series = store.series(*KEY)
    assert np.array_equal(series.steps, np.arange(count))
    assert np.array_equal(series.times, np.arange(count) + 0.5)
    assert np.array_equal(series.values, np.arange(count) % 97 + 0.25)
    assert store.length("student", "validation", "accuracy") == 1
    assert (store.version, store.skipped) == (count + 1, 0)
