"""Runs with samples that have no labels."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kdstudio.cli import main
from kdstudio.engine.data import load_data
from kdstudio.engine.run import execute
from kdstudio.engine.student_io import load_student
from kdstudio.project.errors import DataError
from kdstudio.project.pool import read_pool
from kdstudio.project.runs.control import request
from kdstudio.project.spec import Digits, NumpyFile

DATA = {"source": "digits", "batch_size": 32, "labelled": 0.2}
POOL = {"threshold": 0.2}


def test_some_labels_are_not_used() -> None:
    whole, part = load_data(Digits(), Path()), load_data(Digits(labelled=0.05), Path())
    assert part.unlabelled is not None
    assert len(part.train) + len(part.unlabelled) == len(whole.train)
    assert set(part.counts()["train"]) <= {6, 7}, "as many of each class"
    assert torch.equal(part.test.images, whole.test.images)
    assert part.fingerprint() != whole.fingerprint()


def test_labels_that_are_missing(tmp_path: Path) -> None:
    labels = np.tile([0, 1, -1], 30)
    features = np.random.default_rng(0).normal(size=(90, 4)).astype(np.float32)
    np.savez(tmp_path / "some.npz", features=features, labels=labels)
    bundle = load_data(NumpyFile(path="some.npz"), tmp_path)
    assert bundle.unlabelled is not None
    assert len(bundle.unlabelled) == 30
    assert set(bundle.unlabelled.labels.tolist()) == {-1}
    assert sum(len(split) for split in bundle.splits.values()) == 60
    np.savez(tmp_path / "none.npz", features=features, labels=np.full(90, -1))
    with pytest.raises(DataError, match="no sample has a label"):
        load_data(NumpyFile(path="none.npz"), tmp_path)


@pytest.mark.parametrize("labels", ["hard", "soft"])
def test_a_student_learns_from_the_pool(lab: Any, labels: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "kdstudio")
    run = lab.run(data=DATA, unlabelled={**POOL, "labels": labels}, baseline=True)
    pool = read_pool(run.pool_path("student"))
    report = pool.report(run.experiment().unlabelled)
    assert len(pool.confidence) == report.known
    assert pool.images["least"].shape[0] == 12
    assert pool.confidence[pool.least].max() <= pool.confidence[pool.most].min()
    labelled = round(0.2 * (len(pool.confidence) / 0.8))
    assert f"{report.learned + labelled} samples, {labelled} of them labelled" in caplog.text
    losses = lab.metrics(run).series("student", "train", "term.hard").values
    assert np.isfinite(losses).all()


def test_no_hidden_label_is_learned_from(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With other hidden labels, the run is the same bit for bit."""
    from kdstudio.engine import pool as pool_module

    first = lab.run(data=DATA, unlabelled={**POOL, "labels": "hard"})
    original = pool_module.gather

    def other(*args: Any) -> Any:
        found = original(*args)
        found.truth = (found.truth + 3) % 10
        return found

    monkeypatch.setattr("kdstudio.engine.run.gather", other)
    second = lab.run(data=DATA, unlabelled={**POOL, "labels": "hard"})
    assert lab.same(lab.module(first), lab.module(second))


def test_resumed_it_is_the_undisturbed_run(lab: Any) -> None:
    fields: dict[str, Any] = {"data": DATA, "unlabelled": {**POOL, "rounds": 2, "labels": "hard"}}
    whole = lab.run(**fields)
    parked = lab.project.create_run(lab.experiment(**fields))
    lab.before_step("student", 3, lambda trainer: request(parked, "park"))
    assert [execute(parked).phase for _ in range(2)] == ["parked", "finished"]
    assert lab.same(lab.module(whole), lab.module(parked))
    card = json.loads(whole.scorecard_path.read_text(encoding="utf-8"))
    assert card["chain"] == ["teacher", "assistant-1", "student"]
    rounds = [load_student(whole.path / name).model.state_dict() for name in ("assistant-1", "student")]
    assert not lab.same(*rounds)


def test_noise_and_other_data_alone(lab: Any) -> None:
    pool = {"noise": 100, "labelled_too": False, "threshold": 0.0, "balance": False, "data": {"source": "digits"}}
    run = lab.run(data={"source": "digits", "batch_size": 32}, unlabelled=pool)
    assert len(read_pool(run.pool_path("student")).confidence) == 1897
    assert set(read_pool(run.pool_path("student")).truth.tolist()) == {-1}


def test_a_pool_of_another_shape_is_refused(lab: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", images=np.zeros((40, 9, 9), np.uint8), labels=np.tile([0, 1], 20))
    with pytest.raises(DataError, match=r"unlabelled.data: its samples have the shape \(1, 9, 9\)"):
        lab.run(unlabelled={"data": {"source": "npz", "path": str(tmp_path / "x.npz")}})


def test_the_command(lab: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run = lab.run(data=DATA, unlabelled=POOL)
    capsys.readouterr()
    assert main(["pool", str(run.path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["student"]
    lab.project.save(lab.experiment(data=DATA, unlabelled=POOL))
    assert main(["pool", str(lab.project.root / "small"), "--threshold", "0.2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["student"]["answered"] == told["answered"]
    assert main(["pool", str(run.path), "--threshold", "0.999"]) == 0
    assert "the teacher is sure of 0" in capsys.readouterr().out
    assert main(["pool", str(run.path), "--threshold", "7"]) == 2
