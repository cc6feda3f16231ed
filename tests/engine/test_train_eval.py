"""Agreement and KL on training samples: they are what they say, and measuring them disturbs nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from accelerate import Accelerator

from kdstudio.engine.evaluate import fidelity, predict
from kdstudio.engine.probes import balanced_order
from kdstudio.engine.run import data_of
from kdstudio.engine.student_io import load_student
from kdstudio.engine.train_eval import TrainEval, certain_epochs
from kdstudio.engine.trainer import Trainer
from tests.engine.test_gradients import LIVELY

KEYS = ["loss", "accuracy", "agreement", "kl"]


def recorded(lab: Any, run: Any) -> list[tuple[str, str]]:
    """Stage and key of what was measured on training samples."""
    return [(stage, key) for stage, split, key in [*lab.metrics(run).keys()] if split == "train-eval"]


def test_it_disturbs_nothing(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdstudio.engine.train_eval.BUDGET", 1e9)  # after every epoch
    monkeypatch.setattr("kdstudio.engine.gradients.BUDGET", 1e9)
    watched = lab.run(**LIVELY)
    monkeypatch.setattr(TrainEval, "due", lambda self, epoch: False)
    alone = lab.run(**LIVELY)
    assert lab.same(lab.module(watched), lab.module(alone))
    metrics = lab.metrics(watched)
    assert metrics.series("student", "train-eval", "kl").steps.tolist() == [4, 9, 14]
    assert recorded(lab, watched) == [("student", key) for key in KEYS]
    assert not recorded(lab, alone)


def test_figures_are_of_the_first_training_samples(lab: Any) -> None:
    run = lab.run(train={"epochs": 1})
    bundle = data_of(run)
    count = min(len(bundle.validation), 160)
    split = bundle.train.select(balanced_order(bundle.train.labels.numpy())[:count])
    networks = [load_student(folder) for folder in (run.student_dir, _teacher(run))]
    student, teacher = (predict(each.model, each.preprocess, split, "cpu") for each in networks)
    expected = fidelity(student, teacher)
    found = {key: lab.metrics(run).series("student", "train-eval", key).values[-1] for key in KEYS}
    assert found["agreement"] == pytest.approx(expected["agreement"])
    assert found["kl"] == pytest.approx(expected["kl"], rel=1e-4)
    assert found["accuracy"] == pytest.approx(float((student.argmax(1) == split.labels).float().mean()))


def _teacher(run: Any) -> Path:
    return (run.path / json.loads((run.path / "teacher.json").read_text())["folder"]).resolve()


def test_without_a_teacher_there_is_none(lab: Any) -> None:
    run = lab.run(teacher=None, objective=[{"term": "hard"}], train={"epochs": 1})
    assert not recorded(lab, run)


def test_the_last_quarter_is_measured_whatever_the_budget(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert certain_epochs(1) == {1}
    assert certain_epochs(8) == {6, 7, 8}
    assert sorted(certain_epochs(240)) == [180, 192, 204, 216, 228, 240]
    seen: list[Trainer] = []
    lab.before_step("student", 0, seen.append)
    lab.run(train={"epochs": 1})
    trainer = seen[0]
    watch = trainer.train_eval
    assert watch is not None
    watch.measure(trainer.raw.student, Accelerator(cpu=True))
    monkeypatch.setattr(watch, "_next", float("inf"))
    assert not watch.due(0)
    assert watch.due(1)
