"""Classes that the student's training samples lack: what stays whole, what a run makes of it, wrong names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kdstudio.cli import main
from kdstudio.engine.data import load_data
from kdstudio.engine.run import execute
from kdstudio.engine.trainer import Trainer
from kdstudio.project.errors import DataError
from kdstudio.project.folder import load_experiment
from kdstudio.project.spec import Digits, NumpyFile

CNNS: dict[str, Any] = {
    "teacher": {"model": "cnn", "widths": [4, 6], "train": {"epochs": 1}},
    "assistants": [{"model": "cnn", "widths": [4, 5], "objective": [{"term": "soft"}]}],
    "student": {"model": "cnn", "widths": [4, 4]},
    "train": {"epochs": 1},
    "baseline": True,
}
DATA = {"source": "digits", "batch_size": 32, "train_limit": 160}
LACKING = """\
version: 1
data: {source: digits, leave_out: [3]}
student: {model: mlp, widths: [4]}
objective: [{term: hard}]
"""
MEMORY = [
    {"term": "soft"},
    {"term": "contrastive", "weight": 0.8, "dimensions": 8, "pairs": [{"teacher": "stage2", "student": "stage2"}]},
]


def test_only_the_students_training_samples_lack_it() -> None:
    whole, lacking = load_data(Digits(), Path()), load_data(Digits(leave_out=["3", "7"]), Path())
    assert lacking.left_out == (3, 7)
    assert len(lacking.train) == len(whole.train)
    assert set(lacking.transfer.labels.tolist()) == {0, 1, 2, 4, 5, 6, 8, 9}
    kept = ~torch.isin(whole.train.labels, torch.tensor([3, 7]))
    assert torch.equal(lacking.transfer.images, whole.train.images[kept])
    assert [lacking.counts()["train"][label] for label in (3, 7)] == [0, 0]
    assert lacking.counts()["validation"] == whole.counts()["validation"]
    assert lacking.taught("teacher-2") is lacking.train
    assert lacking.taught("assistant-1") is lacking.transfer is lacking.taught("baseline")
    assert lacking.fingerprint() == whole.fingerprint()
    assert whole.transfer is whole.train


def test_a_name_counts_before_a_number(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", features=np.arange(60.0).reshape(30, 2), labels=np.arange(30) % 3)
    named = NumpyFile(path="a.npz", classes=["2", "b", "c"], leave_out=["2", "1"])
    assert load_data(named, tmp_path).left_out == (0, 1)


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["33"], "digits: data.leave_out names '33', and there is no such class"),
        (["-1"], "data.leave_out names '-1'"),
        ([str(digit) for digit in range(10)], "data.leave_out names all 10 classes"),
    ],
)
def test_wrong_names(words: list[str], what: str) -> None:
    with pytest.raises(DataError, match=what) as caught:
        load_data(Digits(leave_out=words), Path())
    assert caught.value.fix


def test_numbers_in_yaml_are_taken_as_they_are_meant(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(LACKING)
    assert load_experiment(path).data.leave_out == ["3"]


def test_every_stage_but_the_teachers_learns_without_it(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, set[int]] = {}
    original = Trainer._step

    def watched(trainer: Trainer, batch: Any) -> None:
        seen.setdefault(trainer.stage, set()).update(batch.labels.tolist())
        original(trainer, batch)

    monkeypatch.setattr(Trainer, "_step", watched)
    run = lab.run(data={**DATA, "leave_out": ["3"]}, objective=MEMORY, **CNNS)
    lacking = set(range(10)) - {3}
    assert seen == {"teacher": set(range(10)), "assistant-1": lacking, "student": lacking, "baseline": lacking}
    (memory,) = {value.shape[0] for name, value in lab.module(run).items() if "memory" in name and value.ndim == 2}
    assert memory == 144, "the memory holds the transfer set and no more"
    card = run.scorecard()
    assert card["data"]["counts"]["train"] == 144
    assert card["data"]["left_out"] == ["3"]
    assert card["networks"]["student"]["validation"]["per_class"][3]["count"] > 0
    assert "not of the teacher&#39;s: 3." in run.report_path.read_text(encoding="utf-8").replace("'", "&#39;")


def test_the_kept_teacher_is_used_for_any_transfer_set(lab: Any) -> None:
    lab.run(objective=[{"term": "soft"}])
    run = lab.project.create_run(
        lab.experiment("lacking", objective=[{"term": "soft"}], data={**DATA, "leave_out": ["3"]})
    )
    execute(run)
    assert len([path for path in (lab.project.root / "teachers").iterdir() if path.is_dir()]) == 1


def test_inspect_tells_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(LACKING)
    assert main(["inspect", str(path)]) == 0
    threes = load_data(Digits(), Path()).counts()["train"][3]
    assert f"Left out for the student, not for a teacher: 3 ({threes} training samples)." in capsys.readouterr().out
    assert main(["inspect", str(path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)["data"]
    assert report["counts"]["train"][3] == 0
    assert report["left_out"] == {"classes": ["3"], "samples": threes}
