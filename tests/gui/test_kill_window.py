"""`kill -9` of the window, of the engine or of both at random moments: the next start finds every run as it is."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from kdstudio.gui.main_window import MainWindow
from kdstudio.project.folder import Project
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.metrics import MetricFollower
from kdstudio.project.runs.state import RunStatus

PATIENCE = 180_000
SCRIPT = Path(__file__).with_name("window_process.py")


def kill(pid: int) -> None:
    """Ends a process for good and waits until it is gone from the list, or a zombie."""
    os.kill(pid, signal.SIGKILL)


def at_work(run: RunFolder) -> bool:
    """Whether the student is being trained."""
    return run.status() is RunStatus.TRAINING and run.state().stage == "student"


def open_window(digits: Project, run: RunFolder | None) -> subprocess.Popen[str]:
    command = [sys.executable, str(SCRIPT), str(digits.root), *([str(run.path)] if run else [])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "shown"
    return process


def murder(qtbot: QtBot, make: Callable[..., MainWindow], digits: Project, times: int, seed: int) -> None:
    path = digits.path_of("soft-targets")
    text = path.read_text(encoding="utf-8").replace("epochs: 6", "epochs: 100000")
    path.write_text(
        text.replace("weight_decay: 0.01}", "weight_decay: 0.01, checkpoint_seconds: 0.3}"), encoding="utf-8"
    )
    chance = random.Random(seed)
    run: RunFolder | None = None
    furthest = 0
    for number in range(times):
        process = open_window(digits, run)
        run = run or digits.runs("soft-targets")[0]
        began = run
        qtbot.waitUntil(lambda began=began: at_work(began), timeout=PATIENCE)
        time.sleep(chance.uniform(0, 2))
        victim = ("window", "engine", "both")[number % 3]
        engine = run.state().pid
        if victim in ("engine", "both"):
            kill(engine)
        if victim in ("window", "both"):
            process.kill()
        else:
            qtbot.waitUntil(lambda began=began: began.status() is RunStatus.INTERRUPTED, timeout=PATIENCE)
            assert process.poll() is None, "the window lives on when the engine dies"
            process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        # the next start
        window = make(digits)
        window.message.hide()
        (summary,) = window.control.summaries
        assert summary.run == run
        if victim == "window":
            assert summary.status.active
            assert window.worker is not None, "a run that is going is followed"
            before = run.state().step
            qtbot.waitUntil(lambda window=window, before=before: window.control.state.step > before, timeout=PATIENCE)
            kill(run.state().pid)
            qtbot.waitUntil(lambda window=window: window.message.isVisible(), timeout=PATIENCE)
            assert "Interrupted" in window.message.what.text()
        else:
            assert summary.status is RunStatus.INTERRUPTED
            window.show_run(run)
            qtbot.waitUntil(lambda window=window: window.actions_by_name["resume"].isEnabled(), timeout=PATIENCE)
        window.close()
        store = MetricFollower(run.metrics_path).read_all()
        steps = store.series("student", "train", "loss").steps.tolist()
        assert steps == sorted(set(steps)), "no step is recorded twice after resumes"
        checkpointed = run.checkpoints_dir / "last.pt"
        if checkpointed.exists() and steps:
            furthest = max(furthest, steps[-1])
    assert run is not None
    assert furthest > 0


@pytest.mark.timeout(600)
def test_two_kills(qtbot: QtBot, make_window: Callable[..., MainWindow], digits: Project) -> None:
    murder(qtbot, make_window, digits, times=2, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_kills(qtbot: QtBot, make_window: Callable[..., MainWindow], digits: Project) -> None:
    murder(qtbot, make_window, digits, times=20, seed=2)
