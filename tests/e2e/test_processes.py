"""Runs as processes of their own: requests, signals, a second process, a crash in native code, one reader's end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from kdstudio.project.folder import Project
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.metrics import MetricFollower
from kdstudio.project.runs.state import RunStatus

Start = Callable[..., subprocess.Popen[str]]
#: Long enough that it is never over before the test has had its say; the test ends it.
ENDLESS = ["--set", "train.epochs=100000", "--set", "train.schedule=constant", "--set", "train.lr=0.001"]


@pytest.fixture
def start() -> Iterator[Start]:
    """`start("run", path)`: a command as a child process, killed at the end if it still goes."""
    children: list[subprocess.Popen[str]] = []

    def begin(*words: object) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-m", "kdstudio", *(str(word) for word in words)],
            env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        children.append(child)
        return child

    yield begin
    for child in children:
        if child.poll() is None:
            child.kill()
        child.communicate()


def wait_for(child: subprocess.Popen[str], true: Callable[[], object]) -> None:
    """Waits for as long as the child lives."""
    deadline = time.monotonic() + 240
    while not true():
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def end(child: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = child.communicate(timeout=240)
    assert "Traceback" not in out + err
    return child.returncode, out, err


def weights(run: RunFolder) -> dict[str, torch.Tensor]:
    return torch.load(run.checkpoints_dir / "last.pt", weights_only=True)["module"]


def test_a_life_of_a_run(project: Project, start: Start, command: Any) -> None:
    """Held, continued, refused to a second process, interrupted by Ctrl+C, resumed, stopped."""
    child = start("run", project.root / "quick", *ENDLESS)
    wait_for(child, lambda: project.runs() and project.runs()[0].state().step > 10)
    run = project.runs()[0]
    assert run.status() is RunStatus.TRAINING
    assert run.state().pid == child.pid

    code, out, err = command("run", run.path, "--resume")
    assert code == 2
    assert err == (
        f"kdstudio: {run.path}: another process already works on this run\n"
        f"Why: its process id is {child.pid}\nWhat to do: watch that one, or start a new run\n"
    )

    assert command("hold", run.path)[:2] == (0, "asked quick/001 to hold\n")
    wait_for(child, lambda: run.status() is RunStatus.HOLDING)
    held = run.state().step
    for _ in range(3):
        before = run.state().heartbeat
        wait_for(child, lambda: run.state().heartbeat > before)  # noqa: B023
    assert run.state().step == held
    assert command("continue", run.path)[0] == 0
    wait_for(child, lambda: run.status() is RunStatus.TRAINING and run.state().step > held)

    child.send_signal(signal.SIGINT)
    code, out, err = end(child)
    assert (code, err) == (130, "")
    assert out.splitlines()[0] == f"run folder: {run.path}"
    assert out.splitlines()[-2:] == [
        f"parked: {run.path}",
        f"resume it with: kdstudio run {run.path} --resume",
    ]
    assert run.status() is RunStatus.PARKED
    parked = run.state().step
    assert torch.load(run.checkpoints_dir / "last.pt", weights_only=True)["progress"]["step"] == parked

    child = start("run", run.path, "--resume", "--json")
    wait_for(child, lambda: run.status() is RunStatus.TRAINING and run.state().step > parked)
    assert command("stop", run.path)[0] == 0
    code, out, err = end(child)
    answer = json.loads(out)
    assert (code, answer["phase"], answer["run"]) == (0, "stopped", str(run.path))
    assert answer["scorecard"] == run.scorecard()
    assert "resumed at step" in err
    log = run.log_path.read_text()
    assert "hold at step" in log
    assert "resumed at step" in log
    store = MetricFollower(run.metrics_path).read_all()
    events = [record.event for record in store.events if record.event in ("hold", "continue", "resume", "stop")]
    assert events == ["hold", "continue", "resume", "stop"]
    steps = store.series("student", "train", "loss").steps.tolist()
    assert steps == list(range(len(steps)))
    numbers = [json.loads(line)["seq"] for line in run.metrics_path.read_text().splitlines()]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.slow
def test_killed_and_resumed_here_it_is_the_undisturbed_run(project: Project, start: Start, command: Any) -> None:
    """SIGKILL in mid-training; the checkpoints of another process go on in this one, bit for bit."""
    changes = ["--set", "train.epochs=200", "--set", "train.checkpoint_seconds=0.05"]
    child = start("run", project.root / "quick", "--quiet", *changes)
    wait_for(child, lambda: list(project.runs_dir.glob("quick/001/checkpoints/last.pt")))
    run = project.runs()[0]
    child.kill()
    child.communicate()
    assert run.status() is RunStatus.INTERRUPTED
    assert run.status().text(run.state()) == f"Interrupted at step {run.state().step}"
    code, _, err = command("run", run.path)
    assert (code, err.splitlines()[1]) == (2, "What to do: add --resume to go on with it")
    assert command("run", project.root, "--resume", "--quiet") == (0, "", "")
    assert command("run", project.root / "quick", "--quiet", *changes) == (0, "", "")
    first, second = (weights(run) for run in project.runs())
    assert all(torch.equal(value, second[key]) for key, value in first.items())


def test_a_crash_in_native_code_leaves_its_place_in_the_folder(project: Project, start: Start, command: Any) -> None:
    (project.root / "models.py").write_text(
        "import ctypes\n\ndef build(input_shape, num_classes):\n    ctypes.string_at(0)\n"
    )
    assert command("trust", project.root)[0] == 0
    child = start("run", project.root / "quick", "--set", "student={model: 'models.py:build'}")
    child.communicate(timeout=240)
    assert child.returncode < 0
    run = project.runs()[0]
    fault = (run.path / "faulthandler.log").read_text()
    assert "Segmentation fault" in fault
    assert 'models.py", line 4 in build' in fault
    assert run.status() is RunStatus.INTERRUPTED
    assert "run quick/001 on CPU" in run.log_path.read_text()


def test_a_reader_that_leaves_does_not_end_the_run(project: Project, start: Start) -> None:
    """As with `kdstudio run ... | head -1`."""
    child = start("run", project.root / "quick")
    assert child.stdout is not None
    assert child.stderr is not None
    assert child.stdout.readline().startswith("run folder: ")
    child.stdout.close()
    assert child.stderr.read() == ""
    assert child.wait(timeout=240) == 0
    assert project.runs()[0].status() is RunStatus.FINISHED


def test_a_log_of_all_that_was_told(project: Project, command: Any) -> None:
    assert command("run", project.root, "--quiet")[0] == 0
    log = project.runs()[0].log_path.read_text()
    assert "INFO teacher: epoch 2 of 2: validation loss" in log
    assert command("run", project.root, "--quiet", "--set", "train.device=cuda:9")[0] == 2
    log = Path(project.runs()[1].log_path).read_text()
    assert "ERROR train.device: there is no device 'cuda:9' here" in log
