"""Runs that are killed at random moments end as if nothing had happened, bit for bit on the CPU."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from kdstudio.project.folder import Project, create_project
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.metrics import MetricFollower
from kdstudio.project.runs.state import RunStatus
from kdstudio.project.spec import Experiment, HardTerm, SoftTerm, StudentSpec, TeacherSpec, TrainSpec

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def experiment(name: str) -> Experiment:
    """Dropout, augmentation, batch norm and momentum: everything that carries a state from step to step."""
    train = TrainSpec(epochs=6, lr=0.05, checkpoint_seconds=0.2, clip_norm=5.0)
    return Experiment.model_validate(
        {
            "name": name,
            "data": {"source": "digits", "batch_size": 32, "augment": ["jitter"], "jitter_pixels": 1},
            "teacher": TeacherSpec(model="mlp", widths=[64], dropout=0.2, train=train).model_dump(),
            "student": StudentSpec(model="cnn", widths=[8, 8], dropout=0.1).model_dump(),
            "objective": [
                HardTerm(weight=0.1).model_dump(),
                SoftTerm(weight=0.9).model_dump(),
                {"term": "hint", "weight": 0.5, "pairs": [{"teacher": "hidden1", "student": "fc"}]},
            ],
            "train": train.model_dump(),
            "monitor": {"every_seconds": 0.1},
            "evaluate": {"latency": False},
        }
    )


def start(run: RunFolder) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "kdstudio", "run", str(run.path), "--resume", "--quiet"]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def finish(run: RunFolder) -> None:
    process = start(run)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output.decode()


def weights(run: RunFolder) -> dict[str, torch.Tensor]:
    content = torch.load(run.checkpoints_dir / "last.pt", weights_only=True)
    return {**content["module"], "order": torch.tensor(content["progress"]["step"])}


def murder(project: Project, kills: int, seed: int) -> None:
    undisturbed = project.create_run(experiment("undisturbed"))
    begin = time.monotonic()
    finish(undisturbed)
    duration = time.monotonic() - begin
    for teacher in (project.root / "teachers").iterdir():  # the killed run has to train its own
        teacher.rename(project.root / f"kept-{teacher.name}")
    killed = project.create_run(experiment("killed"))
    chance = random.Random(seed)
    done = 0
    while done < kills and killed.status() is not RunStatus.FINISHED:
        process = start(killed)
        time.sleep(chance.uniform(0.1, 1.0) * duration * (0.3 if done % 2 else 0.9))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            done += 1
        process.wait()
        process.stdout.close()
        status = killed.status()
        assert status in (RunStatus.CREATED, RunStatus.INTERRUPTED, RunStatus.FINISHED), killed.state()
        MetricFollower(killed.metrics_path).read_all()  # a cut-off record is no error
    if killed.status() is not RunStatus.FINISHED:
        finish(killed)
    expected, found = weights(undisturbed), weights(killed)
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        assert torch.equal(value, found[key]), key
    losses = [MetricFollower(run.metrics_path).read_all() for run in (undisturbed, killed)]
    first, second = (store.series("student", "train", "loss") for store in losses)
    assert first.steps.tolist() == second.steps.tolist()
    assert first.values.tolist() == second.values.tolist()
    left_over = [path for path in killed.checkpoints_dir.iterdir() if path.name.startswith(".")]
    assert len(left_over) <= 2


def test_two_kills(tmp_path: Path) -> None:
    murder(create_project(tmp_path / "project", "empty"), kills=2, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_twenty_kills(tmp_path: Path) -> None:
    murder(create_project(tmp_path / "project", "empty"), kills=20, seed=2)
