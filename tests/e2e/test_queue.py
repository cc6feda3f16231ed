"""`kdstudio queue`: real runs in their turn; processes that are killed lose nothing and repeat nothing."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time

import psutil
import pytest

from kdstudio.project.folder import Project
from kdstudio.project.queue import Queue, is_worked_on
from kdstudio.project.runs.metrics import MetricFollower
from kdstudio.project.runs.state import RunStatus
from tests.e2e.conftest import Command

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def worker(project: Project) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "kdstudio", "queue", "work", "--project", str(project.root)]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def steps(project: Project, name: str) -> list[int]:
    """The recorded training steps of a student, in the order of the file."""
    follower = MetricFollower(project.runs_dir / name / "metrics.jsonl")
    follower.read_all()
    return [int(step) for step in follower.store.series("student", "train", "loss").steps]


def test_experiments_are_queued_and_run_in_their_order(project: Project, command: Command) -> None:
    root = project.root
    code, out, _ = command("queue", "add", root / "quick", "--seeds", "0,1")
    assert code == 0
    assert "queued quick/001" in out
    assert "start it with: kdstudio queue work" in out
    assert command("queue", "add", root, "--first", "--set", "train.seed=7")[0] == 0
    code, out, _ = command("queue", "list", "--project", root, "--json")
    listed = json.loads(out)
    assert [(run["run"], run["turn"]) for run in listed["runs"]] == [
        ("quick/003", "waiting"),
        ("quick/001", "waiting"),
        ("quick/002", "waiting"),
    ]
    assert command("queue", "move", "quick/003", "3", "--project", root)[0] == 0
    assert command("queue", "remove", "quick/002", "--project", root)[0] == 0
    process = worker(project)
    output = process.communicate(timeout=240)[0].decode()
    assert process.returncode == 0, output
    told = [line for line in output.splitlines() if "/0" in line]
    assert told == [
        "quick/001: started",
        "quick/001: finished",
        "quick/003: started",
        "quick/003: finished",
    ]
    statuses = [run.status() for run in project.runs()]
    assert statuses == [RunStatus.FINISHED, RunStatus.CREATED, RunStatus.FINISHED]
    assert [run.experiment().train.seed for run in project.runs()] == [0, 1, 7]
    assert "the queue is empty" in command("queue", "list", "--project", root)[1]


def test_wrong_input_is_told(project: Project, command: Command) -> None:
    root = project.root
    assert command("queue", "add", root / "quick", "--seeds", "a")[::2] == (
        2,
        "kdstudio: --seeds a: no list of whole numbers\nWhat to do: write it like 0,1,2\n",
    )
    code, _, err = command("queue", "remove", "quick/001", "--project", root)
    assert code == 2
    assert "the queue is empty" in err
    code, _, err = command("queue", "list", "--project", root.parent)
    assert code == 2
    assert "there is no project here" in err


@pytest.mark.slow
def test_twenty_runs_survive_kills(project: Project) -> None:
    """The worker and the machine's processes are killed at random moments."""
    queue, chance = Queue(project), random.Random(5)
    for seed in range(20):
        made = project.load("quick")
        made.train.seed = seed
        queue.add(made)
    kills = 0
    while True:
        process = worker(project)
        time.sleep(chance.uniform(2.0, 8.0))
        if process.poll() is None:
            kills += 1
            everything = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
            for pid in [process.pid, *(everything if kills % 2 else [])]:
                os.kill(pid, signal.SIGKILL)
        process.communicate()
        if not queue.tidy() and not queue.listed():
            break
        assert kills < 100
    assert kills >= 5
    assert not is_worked_on(queue)
    runs = project.runs()
    assert [run.status() for run in runs] == [RunStatus.FINISHED] * 20
    assert [run.experiment().train.seed for run in runs] == list(range(20))
    for run in runs:  # each step of each run counts once, whatever was cut off
        assert sorted(set(steps(project, run.name))) == list(range(15)), run.name
