"""`kdstudio sweep`: real trials; what is killed is found again; a stop from outside parks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from kdstudio.project.folder import Project
from kdstudio.project.runs.state import RunStatus
from kdstudio.project.sweeps.folder import Sweep
from kdstudio.project.sweeps.trials import Outcome, read_trials
from tests.e2e.conftest import Command

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
T, W, H = "objective.1.temperature", "objective.1.weight", "objective.0.weight"
PATIENCE = 240


def start(*words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "kdstudio", "sweep", *map(str, words)]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_a_grid_with_two_seeds(project: Project, command: Command) -> None:
    root = project.root
    code, out, err = command("sweep", root / "quick", "--vary", f"{T}=1,4", "--seeds", "0,1", "--threads", "1")
    assert code == 0, err
    assert "trial 0: objective.1.temperature = 1" in out
    assert "best on validation: trial" in out
    assert "on test samples" in out
    sweep = Sweep.open(project, "quick-sweep")
    trials = read_trials(sweep)
    assert [trial.outcome for trial in trials.trials] == [Outcome.FINISHED] * 2
    assert [run.seed for trial in trials.trials for run in trial.runs] == [0, 1, 0, 1]
    # the teacher was trained once, for all of them
    assert len([path for path in (root / "teachers").iterdir() if not path.name.startswith(".")]) == 1
    code, out, _ = command("sweep", sweep.path, "--json")
    assert code == 0
    told = json.loads(out)
    assert told["best"]["seeds"] == 2
    assert len(project.runs("quick-sweep")) == 4  # nothing was left to do
    code, out, _ = command("sweep", root / "quick", "--table", "--markdown")
    assert out.startswith("| trial | status |")


def test_wrong_input_is_told(project: Project, command: Command) -> None:
    root = project.root
    assert "there is nothing to vary" in command("sweep", root / "quick")[2]
    assert "the experiment has no 'train.rate'" in command("sweep", root / "quick", "--vary", "train.rate=1,2")[2]
    assert "no list of whole numbers" in command("sweep", root / "quick", "--vary", f"{T}=1", "--seeds", "x")[2]
    assert "there is no sweep 'x'" in command("sweep", root / "sweeps" / "x", "--table")[2]
    code, out, _ = command("sweep", root / "quick", "--vary", f"{T}=1,2", "--prepare")
    assert code == 0
    assert "2 trials" in out
    frozen = command("sweep", root / "sweeps" / "quick-sweep", "--vary", f"{T}=1")
    assert frozen[0] == 2
    assert "frozen" in frozen[2]


def test_killed_processes_lose_nothing_and_repeat_nothing(project: Project) -> None:
    words = (project.root / "quick", "--vary", f"{W}=0.1..0.9:points=3:rest={H}", "--set", "train.epochs=40")
    process = start(*words, "--workers", "2")
    sweep = _when_going(project, process)
    for child in psutil.Process(process.pid).children(recursive=True):
        child.kill()
    process.kill()
    process.communicate()
    left = read_trials(sweep)
    assert left.over < 3
    # two processes share what is left; runs that outlived the first one would be followed
    both = [start(sweep.path, "--threads", "1") for _ in range(2)]
    for each in both:
        out, _ = each.communicate(timeout=PATIENCE)
        assert each.returncode == 0, out
    trials = read_trials(sweep)
    assert [trial.outcome for trial in trials.trials] == [Outcome.FINISHED] * 3
    assert [len(trial.runs) for trial in trials.trials] == [1] * 3
    assert len(project.runs(sweep.name)) == 3


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_stop_parks_and_it_goes_on(project: Project) -> None:
    process = start(project.root / "quick", "--vary", f"{T}=1,2", "--set", "train.epochs=20000")
    sweep = _when_going(project, process)
    sweep.ask_stop()
    out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, out
    assert [run.status() for run in project.runs(sweep.name)] == [RunStatus.PARKED]
    assert "0 of 2 trials are over" in out
    again = start(sweep.path)
    deadline = time.monotonic() + PATIENCE
    while project.runs(sweep.name)[0].status() is not RunStatus.TRAINING and time.monotonic() < deadline:
        time.sleep(0.1)
    again.send_signal(signal.SIGINT)
    again.communicate(timeout=PATIENCE)
    assert [run.status() for run in project.runs(sweep.name)] == [RunStatus.PARKED]


def _when_going(project: Project, process: subprocess.Popen[str]) -> Sweep:
    """The sweep, once a student of it is being trained."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0]
        if Path(project.root / "sweeps" / "quick-sweep" / "sweep.yaml").exists():
            states = [run.state() for run in project.runs("quick-sweep")]
            if any(state.phase == "training" and state.stage == "student" for state in states):
                return Sweep.open(project, "quick-sweep")
        time.sleep(0.05)
    raise AssertionError("it did not start")
