"""Runs on two ranks as a person starts them: through torchrun, and with Ctrl+C at the terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from kdstudio.project.folder import Project
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.metrics import MetricFollower
from kdstudio.project.runs.state import RunStatus

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
ENDLESS = ["--set", "train.epochs=100000", "--set", "train.schedule=constant", "--set", "train.lr=0.001"]


def only_run(project: Project) -> RunFolder:
    runs = project.runs("quick")
    assert len(runs) == 1
    return runs[0]


def test_torchrun_starts_the_ranks_of_one_run(project: Project) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, "-m", "kdstudio", "run", str(project.root / "quick")]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    run = only_run(project)
    assert run.status() is RunStatus.FINISHED
    assert run.state().device.startswith("2 × CPU")
    assert done.stdout.count("run folder:") == 1  # the other rank says nothing
    steps = MetricFollower(run.metrics_path).read_all().series("student", "train", "loss").steps
    assert list(steps) == list(range(15))


def test_ctrl_c_parks_and_leaves_no_rank(project: Project) -> None:
    command = [sys.executable, "-m", "kdstudio", "run", str(project.root / "quick"), *ENDLESS, "--devices", "2"]
    child = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while not (project.runs("quick") and only_run(project).state().step > 3):
            assert child.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        ranks = psutil.Process(child.pid).children()
        assert len(ranks) == 1
        os.killpg(child.pid, signal.SIGINT)
        child.communicate(timeout=30)
        assert child.returncode == 130
        psutil.wait_procs(ranks, timeout=10)
        assert not ranks[0].is_running()
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
    run = only_run(project)
    assert run.status() is RunStatus.PARKED
    assert (run.checkpoints_dir / Path(run.state().last_checkpoint).name).exists()
