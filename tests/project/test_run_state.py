"""What a run folder says of its run, and what is told to a person."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from kdstudio.project.errors import InputError, StorageError
from kdstudio.project.runs import state as state_module
from kdstudio.project.runs.control import REQUESTS, request
from kdstudio.project.runs.folder import RunFolder, write_bytes
from kdstudio.project.runs.state import (
    REMOTE_HEARTBEAT_SECONDS,
    RunState,
    RunStatus,
    decode_state,
    encode_state,
    is_alive,
    process_start,
    status_of,
)

ACTIVE = ["starting", "training", "holding", "evaluating"]
OVER = ["created", "finished", "stopped", "parked", "failed"]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does nothing until its input ends."""
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    yield process
    process.stdin.close()
    process.wait()


def ours(**fields: Any) -> RunState:
    """The state of a run that this process works on."""
    pid = os.getpid()
    plain = {"phase": "training", "pid": pid, "process_start": process_start(pid), "host": socket.gethostname()}
    return RunState(**{**plain, "heartbeat": time.time(), **fields})


# -- reading -------------------------------------------------------------------------------------------------------


def test_a_state_is_read_as_it_was_written(run: RunFolder) -> None:
    state = ours(
        step=5,
        total_steps=50,
        epoch=1,
        best=0.9,
        best_epoch=0,
        progress={"label": "downloading", "done": 1, "total": 2},
        error={"kind": "data", "what": "größer", "why": "", "fix": "x"},
        message="温度",
    )
    write_bytes(run.state_path, encode_state(state))
    assert run.state() == state
    assert run.status() is RunStatus.TRAINING
    assert encode_state(state).startswith(b"{\n")
    assert decode_state(encode_state(RunState())) == RunState()


def test_keys_of_newer_versions_are_ignored(run: RunFolder) -> None:
    run.state_path.write_text('{"phase": "finished", "step": 7, "mood": {"good": true}}')
    assert run.state() == RunState(phase="finished", step=7)


def test_missing_keys_have_defaults(run: RunFolder) -> None:
    run.state_path.write_text("{}")
    assert run.state() == RunState()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"phase": "training"',
        b"[]",
        b"null",
        b"5",
        b'{"phase": 5}',
        b'{"step": "many"}',
        b'{"phase": "\xff\xfe"}',
        b"\x00" * 100,
        b'{"error": {"kind": 5}}',
        b'{"step": 1e400}',
    ],
)
def test_a_damaged_state_reads_as_failed(content: bytes, run: RunFolder) -> None:
    run.state_path.write_bytes(content)
    state = run.state()
    assert run.status() is RunStatus.FAILED
    assert state.error is not None
    assert state.error["kind"] == "damaged"
    assert state.error["what"] == f"{run.state_path}: missing or damaged"
    assert run.status().resumable


def test_a_missing_state_reads_as_failed(run: RunFolder) -> None:
    assert run.status() is RunStatus.FAILED
    assert RunFolder(run.path / "nowhere").status() is RunStatus.FAILED
    run.state_path.mkdir()
    assert run.status() is RunStatus.FAILED


def test_a_state_that_is_being_replaced_is_read_again(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = [b"", b'{"pha', encode_state(RunState(phase="finished"))]
    run.state_path.write_bytes(b"x")
    monkeypatch.setattr(Path, "read_bytes", lambda path: contents.pop(0))
    assert run.state().phase == "finished"


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"null", b"\xff\xfe", b'{"networks": {}}'])
def test_a_damaged_scorecard_is_none(content: bytes, run: RunFolder) -> None:
    run.scorecard_path.write_bytes(content)
    assert run.scorecard() is None
    whole = {"networks": {}, "headline": {}, "reported_split": "test"}
    run.scorecard_path.write_text(json.dumps(whole))
    assert run.scorecard() == whole


def test_paths_of_a_run(run: RunFolder) -> None:
    names = {
        "experiment_path": "experiment.yaml",
        "state_path": "state.json",
        "metrics_path": "metrics.jsonl",
        "snapshots_dir": "snapshots",
        "control_dir": "control",
        "checkpoints_dir": "checkpoints",
        "student_dir": "student",
        "baseline_dir": "baseline",
        "scorecard_path": "scorecard.json",
        "report_path": "report.html",
        "log_path": "log.txt",
        "lock_path": ".lock",
    }
    for attribute, name in names.items():
        assert getattr(run, attribute) == run.path / name
    assert run.number == 0


# -- what it means -------------------------------------------------------------------------------------------------


def test_every_phase_is_a_status() -> None:
    assert {status.value for status in RunStatus} == {*ACTIVE, *OVER, "interrupted"}
    for status in RunStatus:
        assert status.active == (status.value in ACTIVE)
        assert not (status.active and status.resumable)
        assert status.text(RunState(step=7))
    assert not RunStatus.FINISHED.resumable
    assert RunStatus.INTERRUPTED.resumable


@pytest.mark.parametrize("phase", OVER)
def test_a_run_that_is_over_needs_no_process(phase: str) -> None:
    assert status_of(RunState(phase=phase, pid=0)).value == phase
    assert status_of(ours(phase=phase)).value == phase


@pytest.mark.parametrize("phase", ACTIVE)
def test_a_run_whose_process_lives(phase: str) -> None:
    assert is_alive(ours(phase=phase))
    assert status_of(ours(phase=phase)).value == phase


@pytest.mark.parametrize("phase", ACTIVE)
@pytest.mark.parametrize("pid", [0, -1, 2**22 + 1, 2**31, 10**20])
def test_a_run_whose_process_is_gone(phase: str, pid: int) -> None:
    assert status_of(ours(phase=phase, pid=pid)) is RunStatus.INTERRUPTED


def test_a_pid_that_was_given_to_another_process() -> None:
    assert status_of(ours(process_start=process_start(os.getpid()) - 60, heartbeat=0)) is RunStatus.INTERRUPTED
    assert status_of(ours(process_start=0, heartbeat=0)) is RunStatus.INTERRUPTED


def test_a_process_that_dies(sleeper: subprocess.Popen[bytes]) -> None:
    state = ours(pid=sleeper.pid, process_start=process_start(sleeper.pid))
    assert status_of(state) is RunStatus.TRAINING
    sleeper.kill()
    deadline = time.monotonic() + 60
    while psutil.Process(sleeper.pid).status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.01)
    assert status_of(state) is RunStatus.INTERRUPTED  # dead, though nobody asked for its exit code
    sleeper.wait()
    assert status_of(state) is RunStatus.INTERRUPTED
    assert process_start(sleeper.pid) == 0.0


def test_a_run_on_another_machine_lives_by_its_heartbeat() -> None:
    away = {"host": "another-machine", "pid": 1, "process_start": 0.0}
    assert status_of(ours(**away)) is RunStatus.TRAINING
    assert status_of(ours(**away, heartbeat=time.time() - REMOTE_HEARTBEAT_SECONDS / 2)) is RunStatus.TRAINING
    assert status_of(ours(**away, heartbeat=time.time() - REMOTE_HEARTBEAT_SECONDS - 5)) is RunStatus.INTERRUPTED
    assert status_of(ours(**{**away, "pid": 0})) is RunStatus.INTERRUPTED


def test_a_process_that_may_not_be_looked_at_counts_as_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int) -> None:
        raise psutil.AccessDenied(pid)

    monkeypatch.setattr(state_module.psutil, "Process", refuse)
    assert is_alive(RunState(phase="training", pid=5))
    assert process_start(5) == 0.0


def test_a_phase_of_a_newer_version() -> None:
    assert status_of(RunState(phase="dreaming")) is RunStatus.FAILED


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (RunStatus.CREATED, "Not started"),
        (RunStatus.TRAINING, "Training the student"),
        (RunStatus.HOLDING, "On hold at step 7"),
        (RunStatus.INTERRUPTED, "Interrupted at step 7"),
        (RunStatus.PARKED, "Parked at step 7"),
        (RunStatus.STOPPED, "Stopped at step 7"),
        (RunStatus.FINISHED, "Finished"),
    ],
)
def test_in_words(status: RunStatus, text: str) -> None:
    assert status.text(RunState(stage="student", step=7)) == text
    assert RunStatus.TRAINING.text(RunState()) == "Training"


# -- requests ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", REQUESTS)
def test_a_request_is_a_file(what: str, run: RunFolder) -> None:
    request(run, what)
    request(run, what)
    assert [path.name for path in run.control_dir.iterdir()] == [what]


def test_an_unknown_request(run: RunFolder) -> None:
    for what in ("pause", "", "../state.json"):
        with pytest.raises(InputError, match=f"there is no request '{what}'") as caught:
            request(run, what)
        assert caught.value.fix == "there are: hold, continue, park, stop, stop-now"
    assert not run.control_dir.exists()


def test_a_request_that_cannot_be_written(run: RunFolder, read_only: Callable[[Path], Path]) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        request(RunFolder(run.path / "nowhere"), "stop")
    run.control_dir.mkdir()
    with pytest.raises(StorageError) as caught:
        request(RunFolder(read_only(run.path)), "stop")
    assert caught.value.kind == "read-only"
