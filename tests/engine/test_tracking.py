"""Trackers get the metrics of a run once, whatever happens to the run, and nothing that happens to them ends it."""

from __future__ import annotations

import importlib.util
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from kdstudio.cli import main
from kdstudio.engine import tracking
from kdstudio.engine.run import execute
from kdstudio.engine.trainer import Trainer
from kdstudio.project.errors import InputError
from kdstudio.project.runs.metrics import MetricRecord


class Fake:
    """A tracker that keeps what it is told."""

    def __init__(self) -> None:
        self.tracker = self
        self.id = "abc"
        self.configurations: list[dict[str, Any]] = []
        self.logged: list[tuple[int | None, dict[str, Any]]] = []
        self.asked: list[tuple[str, str, str]] = []
        self.metrics: list[tuple[str, str | None]] = []
        self.threads: set[str] = set()
        self.finished = 0
        self.fails_at = -1

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.configurations.append(values)

    def define_metric(self, name: str, step_metric: str | None = None) -> None:
        self.metrics.append((name, step_metric))

    def log(self, values: dict[str, Any], step: int | None = None) -> None:
        if len(self.logged) == self.fails_at:
            raise ConnectionError("the server is gone")
        self.threads.add(threading.current_thread().name)
        self.logged.append((step, values))

    def finish(self) -> None:
        self.finished += 1

    def series(self, name: str) -> list[tuple[int | None, float]]:
        return [(step, values[name]) for step, values in self.logged if name in values]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    found = Fake()

    def make(name: str, folder: Path, run: str, project: str, run_id: str) -> Fake:
        found.asked.append((run, project, run_id))
        return found

    monkeypatch.setattr(tracking, "make_tracker", make)
    monkeypatch.setattr(tracking, "check_trackers", lambda names: None)
    return found


def losses(lab: Any, run: Any, stage: str = "student") -> list[tuple[int, float]]:
    series = lab.metrics(run).series(stage, "train", "loss")
    return list(zip(series.steps.tolist(), series.values.tolist()))


def test_a_tracker_gets_the_metrics_of_every_stage_and_the_spec(lab: Any, fake: Fake) -> None:
    run = lab.run(trackers=["tensorboard"])
    for stage in ("teacher", "student"):
        assert fake.series(f"{stage}/train/loss") == losses(lab, run, stage)
        assert fake.series(f"{stage}/validation/accuracy")
    assert len(fake.series("student/train/term.soft")) == 15
    assert [values["student.widths"] for values in fake.configurations] == ["[12]"]
    assert fake.configurations[0]["teacher.train.epochs"] == 2
    assert fake.threads == {"kdstudio-tensorboard"}
    assert fake.asked == [("small/001", "small", "")]
    assert fake.finished == 1


def test_without_trackers_there_are_none(lab: Any, fake: Fake) -> None:
    run = lab.run()
    assert fake.asked == []
    assert not run.tracking_dir.exists()


def test_a_resumed_run_doubles_nothing(lab: Any, fake: Fake) -> None:
    run = lab.project.create_run(lab.experiment(trackers=["tensorboard"]))

    def crash(trainer: Trainer) -> None:
        trainer.meter.flush()
        raise RuntimeError("a crash after steps that no checkpoint has")

    lab.before_step("student", 8, crash)
    with pytest.raises(Exception, match="a crash"):
        execute(run)
    assert [step for step, _ in fake.series("student/train/loss")] == list(range(8))
    assert execute(run).phase == "finished"
    assert fake.series("student/train/loss") == losses(lab, run)
    assert len(fake.configurations) == 1
    assert fake.finished == 2


def test_wandb_has_steps_that_only_rise_and_goes_on_by_its_own_number(lab: Any, fake: Fake) -> None:
    run = lab.project.create_run(lab.experiment(trackers=["wandb"], tracking_project="small nets"))
    lab.before_step("student", 7, lambda trainer: main(["park", str(trainer.recorder.run.path)]))
    assert [execute(run).phase for _ in range(2)] == ["parked", "finished"]
    assert fake.asked == [("small/001", "small nets", ""), ("small/001", "small nets", "abc")]
    assert {step for step, _ in fake.logged} == {None}
    assert [value for _, value in fake.series("teacher/step")][:10] == [*range(5), 4, *range(5, 9)]
    assert ("student/*", "student/step") in fake.metrics


@pytest.mark.parametrize("fails_at", [0, 6])
def test_a_tracker_that_fails_is_let_go(lab: Any, fake: Fake, fails_at: int) -> None:
    fake.fails_at = fails_at
    run = lab.run(trackers=["tensorboard"])
    assert run.state().phase == "finished"
    lines = [line for line in (run.path / "log.txt").read_text().splitlines() if "without this tracker" in line]
    assert len(lines) == 1
    assert "WARNING tensorboard: the run goes on without this tracker: ConnectionError: the server is gone" in lines[0]
    assert len(fake.logged) == fails_at
    assert len(losses(lab, run)) == 15


def test_a_tracker_that_does_not_begin_is_let_go(lab: Any, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "make_tracker", lambda *_: (_ for _ in ()).throw(PermissionError("no key")))
    run = lab.run(trackers=["wandb"])
    assert run.state().phase == "finished"
    assert "PermissionError: no key" in (run.path / "log.txt").read_text()


def test_a_tracker_that_hangs_is_not_waited_for(lab: Any, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    wait = threading.Event()
    monkeypatch.setattr(fake, "log", lambda values, step=None: wait.wait(60))
    monkeypatch.setattr(tracking, "PATIENCE_SECONDS", 0.2)
    run = lab.run(trackers=["tensorboard"])
    wait.set()
    assert run.state().phase == "finished"
    assert "tensorboard: did not take the last metrics" in (run.path / "log.txt").read_text()


def test_a_tracker_that_hangs_in_a_long_run_is_let_go(lab: Any, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    wait = threading.Event()
    monkeypatch.setattr(fake, "log", lambda values, step=None: wait.wait(60))
    monkeypatch.setattr(tracking, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(tracking, "MOST_WAITING", 3)
    run = lab.run(trackers=["tensorboard"])
    wait.set()
    assert (run.path / "log.txt").read_text().count("tensorboard: ") == 1


def test_a_missing_package_is_told_before_anything_is_trained(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "PACKAGES", {"wandb": "no_such_package_of_trackers"})
    run = lab.project.create_run(lab.experiment(trackers=["wandb"]))
    with pytest.raises(InputError, match=r"^trackers: 'wandb' needs a package that is not installed") as caught:
        execute(run)
    assert "pip install" in caught.value.fix
    assert caught.value.exit_code == 2
    assert run.state().phase == "failed"
    assert lab.events(run) == []


def test_of_many_steps_some_are_handed_on_and_the_last() -> None:
    def records(count: int) -> list[MetricRecord]:
        return [MetricRecord(step=step, split="train", values={"loss": 1.0}) for step in range(count)]

    score = MetricRecord(step=3, split="validation", values={"accuracy": 0.5})
    assert tracking.thinned([*records(25), score]) == [*records(25), score]
    found = tracking.thinned([*records(1000), score])
    steps = [record.step for record in found[:-1]]
    assert (len(steps), steps[0], steps[-1], found[-1]) == (25, 39, 999, score)
    assert len(tracking.thinned(records(26))) == 25


def test_a_spec_is_made_flat() -> None:
    spec = {"name": "a", "student": {"widths": [1, 2]}, "teacher": None, "objective": [{"term": "hard", "weight": 1.0}]}
    assert tracking.flat(spec) == {
        "name": "a",
        "student.widths": "[1, 2]",
        "teacher": "null",
        "objective.0.term": "hard",
        "objective.0.weight": 1.0,
    }


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="tensorboard is not installed")
def test_tensorboard_reads_what_was_written(lab: Any) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = lab.project.create_run(lab.experiment(trackers=["tensorboard"]))
    lab.before_step("student", 7, lambda trainer: main(["park", str(trainer.recorder.run.path)]))
    assert execute(run).phase == "parked"
    time.sleep(1.1)  # its files are told apart by the second
    assert execute(run).phase == "finished"
    assert "without this tracker" not in (run.path / "log.txt").read_text()
    found = EventAccumulator(str(run.tracking_dir / "tensorboard")).Reload()
    written = [(event.step, event.value) for event in found.Scalars("student/train/loss")]
    wanted = losses(lab, run)
    assert [step for step, _ in written] == [step for step, _ in wanted]
    assert [value for _, value in written] == pytest.approx([value for _, value in wanted], rel=1e-6)
    assert len(list((run.tracking_dir / "tensorboard").glob("*/hparams.yml"))) == 1
