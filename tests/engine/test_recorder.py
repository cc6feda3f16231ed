"""The recorder: the only writer of a run folder, and what it leaves behind when things go wrong."""

from __future__ import annotations

import errno
import json
import logging
import os
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kdstudio.engine import recorder as recorder_module
from kdstudio.engine.meter import CAPACITY, Meter, Row
from kdstudio.engine.recorder import Recorder
from kdstudio.project.errors import NotFiniteError, StorageError
from kdstudio.project.folder import create_run
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.metrics import MetricFollower
from kdstudio.project.runs.snapshots import list_snapshots, read_snapshot
from kdstudio.project.runs.state import RunStatus
from kdstudio.project.spec import Experiment


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    experiment = Experiment.model_validate({"name": "e", "student": {"model": "mlp"}, "objective": [{"term": "hard"}]})
    return create_run(tmp_path / "runs" / "e", experiment)


def records(run: RunFolder) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.metrics_path.read_text().splitlines() if line.strip()]


def test_sequence_numbers_rise_across_processes(run: RunFolder) -> None:
    for _ in range(3):
        with Recorder(run) as recorder:
            recorder.values("student", "train", 1, 0, {"loss": 1.0, "kl": float("nan")})
            recorder.event("best", "student", 1, 0, "0.5")
    found = records(run)
    assert [record["seq"] for record in found] == [1, 2, 3, 4, 5, 6]
    assert found[0]["values"] == {"loss": 1.0, "kl": None}
    assert (found[1]["event"], found[1]["text"], found[1]["split"]) == ("best", "0.5", "event")


@pytest.mark.parametrize("cut", [1, 20, 45])
def test_a_record_that_a_crash_cut_off_is_closed(run: RunFolder, cut: int) -> None:
    with Recorder(run) as recorder:
        for step in range(3):
            recorder.values("student", "train", step, 0, {"loss": 1.5})
    whole = run.metrics_path.read_bytes()
    run.metrics_path.write_bytes(whole[:-cut])
    with Recorder(run) as recorder:
        recorder.values("student", "train", 2, 0, {"loss": 2.5})
    store = MetricFollower(run.metrics_path).read_all()
    kept = 3 if cut == 1 else 2  # with its newline alone missing, the record is whole
    assert store.skipped == (0 if cut == 1 else 1)
    assert store.series("student", "train", "loss").values.tolist() == [1.5] * kept + [2.5]
    assert store.last is not None
    assert store.last.seq == kept + 1


@pytest.mark.parametrize("content", [b"", b'{"seq":7,"st', b"\x00\x00\x00", b"\n\n"])
def test_a_file_without_a_whole_record_starts_anew(run: RunFolder, content: bytes) -> None:
    run.metrics_path.write_bytes(content)
    with Recorder(run) as recorder:
        recorder.values("student", "train", 0, 0, {"loss": 1.0})
    store = MetricFollower(run.metrics_path).read_all()
    assert store.last is not None
    assert store.last.seq == 1
    assert store.series("student", "train", "loss").values.tolist() == [1.0]


def test_a_record_longer_than_the_tail_is_found(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "TAIL_BYTES", 16)
    with Recorder(run) as recorder:
        recorder.event("stage", "student", 0, 0, "x" * 500)
    with Recorder(run) as recorder:
        recorder.event("stage", "student", 0, 0, "second")
    assert [record["seq"] for record in records(run)] == [1, 2]


def test_a_long_run_is_resumed_without_reading_it(run: RunFolder) -> None:
    line = b'{"seq":%d,"step":%d,"split":"train","stage":"student","values":{"loss":0.123456789,"lr":0.05}}\n'
    with run.metrics_path.open("wb") as file:
        for number in range(1, 100_001):
            file.write(line % (number, number))
    tracemalloc.start()
    try:
        with Recorder(run) as recorder:
            recorder.values("student", "train", 0, 0, {"loss": 1.0})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert run.metrics_path.read_bytes().splitlines()[-1].startswith(b'{"seq":100001,')
    assert peak < 2_000_000


def test_many_steps_do_not_fill_the_memory(run: RunFolder) -> None:
    """What a step leaves behind is measured; a million times nothing is nothing."""
    with Recorder(run) as recorder:
        meter = Meter(recorder, "student", ["hard"], torch.device("cpu"))
        value, told, targets, parts = torch.tensor(1.0), torch.eye(2), torch.arange(2), torch.ones(2, 1)

        def steps(first: int, last: int) -> None:
            for step in range(first, last):
                meter.add(Row(step, 0, 0.1, time.time(), value, parts, told, targets, value))
                recorder.position(step=step)
                assert len(meter._rows) < CAPACITY

        steps(0, 3000)
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            steps(3000, 9000)
            meter.flush()
            grown = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
    assert grown < 300_000  # 6000 records are over a megabyte of text
    assert run.metrics_path.stat().st_size > 1_000_000
    store = MetricFollower(run.metrics_path).read_all()
    assert store.series("student", "train", "loss").steps.tolist() == list(range(9000))


def test_the_heart_beats_and_ends(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "HEARTBEAT_SECONDS", 0.01)
    with Recorder(run) as recorder:
        assert run.status() is RunStatus.STARTING
        recorder.update(phase="training", stage="student")
        recorder.position(step=41)
        recorder.progress("reading", 3, 9)
        wait_until(lambda: run.state().step == 41 and run.state().progress is not None)
        state = run.state()
        assert state.progress == {"label": "reading", "done": 3, "total": 9}
        assert (state.pid, run.status()) == (os.getpid(), RunStatus.TRAINING)
        assert state.memory_bytes > 1_000_000
        wait_until(lambda: run.state().heartbeat > state.heartbeat)
        recorder.finish("finished")
    assert not any(thread.name.startswith("kdstudio") for thread in threading.enumerate())
    state = run.state()
    assert (state.phase, state.progress) == ("finished", None)
    assert state.created <= state.started <= state.ended


def wait_until(true: Any) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_a_resumed_run_knows_of_the_earlier_process(run: RunFolder) -> None:
    with Recorder(run) as recorder:
        recorder.update(phase="training", step=7, epoch=2, best=0.5, best_epoch=1, last_checkpoint="last.pt")
        recorder.finish("failed", "words", StorageError("what", "why", "fix"))
    first = run.state()
    assert first.error == {"kind": "storage", "what": "what", "why": "why", "fix": "fix"}
    with Recorder(run):
        state = run.state()
    assert (state.step, state.epoch, state.best, state.best_epoch, state.last_checkpoint) == (7, 2, 0.5, 1, "last.pt")
    assert (state.created, state.started, state.error, state.ended) == (first.created, first.started, None, 0.0)


def test_a_damaged_state_is_replaced(run: RunFolder) -> None:
    run.state_path.write_bytes(b'{"phase": "trai')
    with Recorder(run) as recorder:
        recorder.finish("finished")
    assert run.status() is RunStatus.FINISHED


def test_the_log_is_appended_and_its_handler_leaves(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.getLogger("kdstudio")
    monkeypatch.setattr(logger, "level", logging.INFO)
    logger.manager._clear_cache()  # type: ignore[attr-defined]
    for word in ("first", "second"):
        with Recorder(run):
            logger.info("the %s", word)
            logger.error("bad")
    logger.error("nowhere")
    lines = run.log_path.read_text().splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == ["INFO the first", "ERROR bad", "INFO the second", "ERROR bad"]
    assert (run.path / "faulthandler.log").exists()


class Full:
    """A file on a disk without space."""

    def write(self, *args: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    flush = close = write


def test_metrics_on_a_full_disk(run: RunFolder) -> None:
    with Recorder(run) as recorder:
        recorder._metrics.close()
        recorder._metrics = Full()
        with pytest.raises(StorageError, match=r"metrics\.jsonl: the disk is full") as caught:
            recorder.values("student", "train", 0, 0, {"loss": 1.0})
    assert (caught.value.exit_code, caught.value.kind) == (1, "disk-full")


def test_a_log_that_cannot_be_written_says_nothing(run: RunFolder, capsys: Any) -> None:
    with Recorder(run) as recorder:
        assert recorder._log_handler is not None
        stream = recorder._log_handler.stream  # type: ignore[attr-defined]
        recorder._log_handler.stream = Full()  # type: ignore[attr-defined]
        logging.getLogger("kdstudio").error("a line")
        stream.close()
    assert capsys.readouterr().err == ""


def arrays() -> dict[str, np.ndarray]:
    logits = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    return {"student_logits": logits[::2], "pool_student_logits": logits.T.copy().T}


def test_snapshots_are_numbered_on_across_processes(run: RunFolder) -> None:
    for step in (5, 9):
        with Recorder(run) as recorder:
            recorder.snapshot(arrays(), step, 1, "student", {"student_layers": ["fc"]})
            recorder.flush_snapshots()
            assert recorder.snapshots_waiting == 0
    infos = list_snapshots(run)
    assert [(info.number, info.step, info.epoch, info.stage) for info in infos] == [
        (1, 5, 1, "student"),
        (2, 9, 1, "student"),
    ]
    snapshot = read_snapshot(infos[1])
    assert snapshot is not None
    np.testing.assert_array_equal(snapshot.pool_student_logits, arrays()["pool_student_logits"])
    assert snapshot.student_layers == ["fc"]


@pytest.mark.parametrize("surfaces_at", ["next", "flush"])
def test_an_error_of_the_snapshot_writer_surfaces(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, surfaces_at: str
) -> None:
    def full(path: Path, *args: Any, **named: Any) -> None:
        raise StorageError(f"{path}: the disk is full", kind="disk-full")

    with Recorder(run) as recorder:
        with monkeypatch.context() as patch:
            patch.setattr(recorder_module, "write_bytes", full)
            recorder.snapshot(arrays(), 1, 0, "student", {})
            wait_until(lambda: recorder.snapshots_waiting == 0)
        again = {"flush": recorder.flush_snapshots, "next": lambda: recorder.snapshot(arrays(), 2, 0, "student", {})}
        with pytest.raises(StorageError, match=r"000001\.safetensors: the disk is full"):
            again[surfaces_at]()
        recorder.flush_snapshots()  # told once
        recorder.finish("failed")
    assert run.status() is RunStatus.FAILED


@pytest.mark.parametrize("name", ["metrics.jsonl", "log.txt", "faulthandler.log"])
def test_a_recorder_that_cannot_begin_leaves_nothing_open(run: RunFolder, name: str) -> None:
    before = open_files()
    (run.path / name).mkdir()
    with pytest.raises(StorageError, match="cannot be written"), Recorder(run):
        pytest.fail("it began")
    assert logging.getLogger("kdstudio").handlers == []
    assert open_files() == before


def test_a_state_that_cannot_be_written_at_the_start(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    before = open_files()

    def full(path: Path, *args: Any, **named: Any) -> None:
        raise StorageError(f"{path}: the disk is full", kind="disk-full")

    monkeypatch.setattr(recorder_module, "write_bytes", full)
    with pytest.raises(StorageError, match=r"state\.json: the disk is full"), Recorder(run):
        pytest.fail("it began")
    assert logging.getLogger("kdstudio").handlers == []
    assert open_files() == before


def open_files() -> set[str]:
    folder = Path("/proc/self/fd")
    if not folder.exists():
        return set()
    return {os.readlink(path) for path in folder.iterdir() if path.is_symlink() and "/runs/" in os.readlink(path)}


def test_a_meter_names_the_term_that_broke(run: RunFolder) -> None:
    nan, inf = float("nan"), float("inf")
    told = (torch.eye(2), torch.tensor([0, 0]))
    cases = [
        ([1.0, nan], [0.1, nan], ["hard", "soft"], "term 'soft'"),
        ([1.0, inf], [0.1, inf], ["hard", "soft"], "term 'soft'"),
        ([nan, nan], [nan, nan], ["hard"], "term 'hard'"),  # a term that does not count is NaN as well
        ([1.0, 1.0], [3e38, 3e38], ["hard", "soft"], "the sum of the terms"),
    ]
    with Recorder(run) as recorder:
        for plain, weighted, counting, named in cases:
            meter = Meter(recorder, "student", ["hard", "soft"], torch.device("cpu"))
            meter.count(counting)
            parts = torch.tensor([plain, weighted])
            meter._next_flush = inf
            meter.add(Row(4, 0, 0.1, 0.0, torch.tensor(1.0), torch.ones(2, 2), *told))
            meter.add(Row(5, 0, 0.1, 0.0, parts[1].sum(), parts, *told))
            meter.add(Row(6, 0, 0.1, 0.0, torch.tensor(nan), parts, *told))
            with pytest.raises(NotFiniteError, match=f"not finite at step 5: {named}"):
                meter.flush()
            meter.flush()  # told once
    assert [record["values"]["loss"] for record in records(run)] == [1.0, None, None] * 4
