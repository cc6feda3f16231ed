"""A small laboratory: real runs on a handful of digits, a third of a second each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from kdstudio.engine import control
from kdstudio.engine.run import execute
from kdstudio.engine.trainer import Trainer
from kdstudio.project.folder import Project, create_project
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.metrics import MetricFollower, MetricStore
from kdstudio.project.runs.state import RunStatus
from kdstudio.project.spec import Experiment

HINTS = [
    {"term": "hard", "weight": 0.2},
    {"term": "soft", "weight": 0.8, "temperature": 2},
    {"term": "hint", "weight": 0.5, "pairs": [{"teacher": "hidden1", "student": "hidden1"}]},
]


class Lab:
    """Makes experiments, runs them in this process and looks at what they left."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.monkeypatch = monkeypatch
        self.project = self.new_project("project")

    def new_project(self, name: str) -> Project:
        return create_project(self.root / name, "empty")

    def experiment(self, name: str = "small", **fields: Any) -> Experiment:
        """Five steps an epoch: two epochs of a teacher, three of a student. `train` and `data` are merged."""
        train = {"epochs": 3, "lr": 0.1, "momentum": 0.9, **fields.pop("train", {})}
        data = fields.pop("data", {"source": "digits", "batch_size": 32, "train_limit": 160})
        plain = {
            "name": name,
            "data": data,
            "teacher": {"model": "mlp", "widths": [24], "train": {"epochs": 2, "lr": 0.1}},
            "student": {"model": "mlp", "widths": [12]},
            "train": train,
            "monitor": {"every_seconds": 3600},
            "evaluate": {"latency": False, "test": False},
        }
        return Experiment.model_validate({**plain, **fields})

    def run(self, experiment: Experiment | None = None, project: Project | None = None, **fields: Any) -> RunFolder:
        """A new run, carried to its end."""
        run = (project or self.project).create_run(experiment or self.experiment(**fields))
        execute(run)
        return run

    def before_step(self, stage: str, step: int, action: Callable[[Trainer], object]) -> None:
        """Calls `action(trainer)` once, before that step is taken. Requests are answered at every step from now on."""
        self.monkeypatch.setattr(control, "POLL_SECONDS", 0.0)
        original, done = Trainer._step, []

        def wrapped(trainer: Trainer, *batch: Any) -> None:
            if (trainer.stage, trainer.progress.step) == (stage, step) and not done:
                done.append(True)
                action(trainer)
            original(trainer, *batch)

        self.monkeypatch.setattr(Trainer, "_step", wrapped)

    @staticmethod
    def module(run: RunFolder, name: str = "last.pt") -> dict[str, torch.Tensor]:
        """The network and the regressors in a checkpoint."""
        return torch.load(run.checkpoints_dir / name, weights_only=True)["module"]

    @staticmethod
    def metrics(run: RunFolder) -> MetricStore:
        return MetricFollower(run.metrics_path).read_all()

    @classmethod
    def events(cls, run: RunFolder) -> list[tuple[str, str]]:
        return [(record.stage, record.event) for record in cls.metrics(run).events]

    @staticmethod
    def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
        """Equal bit for bit."""
        return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums in one order, whatever the machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None) -> Lab:
    return Lab(tmp_path, monkeypatch)


@pytest.fixture
def hints() -> list[dict[str, Any]]:
    return HINTS


@pytest.fixture
def when_status() -> Iterator[Callable[..., None]]:
    """`when_status(run, status, action)`: a thread that waits for the status and then acts once."""
    threads: list[threading.Thread] = []
    over = threading.Event()

    def begin(run: RunFolder, status: RunStatus, action: Callable[[], object]) -> None:
        def wait() -> None:
            while not over.is_set():
                if run.status() is status:
                    action()
                    return
                time.sleep(0.01)

        thread = threading.Thread(target=wait)
        threads.append(thread)
        thread.start()

    yield begin
    over.set()
    for thread in threads:
        thread.join()
