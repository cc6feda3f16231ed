"""`kdstudio bias`: a student without 3s is mended, kept beside the run's own, measured and exported."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from kdstudio.cli import main
from kdstudio.engine.class_bias import shifted
from kdstudio.engine.data import Preprocess, load_data
from kdstudio.engine.evaluate import predict
from kdstudio.engine.models import build_model
from kdstudio.engine.run import execute
from kdstudio.engine.student_io import Student, load_student
from kdstudio.project.class_bias import effect
from kdstudio.project.errors import ModelError
from kdstudio.project.folder import create_project
from kdstudio.project.runs.evaluation import read_validation_logits
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.spec import Digits, Experiment, ModelSpec


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    project = create_project(tmp_path_factory.mktemp("root") / "project", "empty")
    plain = {
        "name": "lacking",
        "data": {"source": "digits", "batch_size": 32, "leave_out": ["3"], "validation_fraction": 0.3},
        "teacher": {"model": "mlp", "widths": [32], "train": {"epochs": 10, "optimizer": "adamw", "lr": 0.01}},
        "student": {"model": "mlp", "widths": [24]},
        "objective": [{"term": "soft", "temperature": 4}],
        "train": {"epochs": 10, "optimizer": "adamw", "lr": 0.01},
        "evaluate": {"latency": False},
    }
    run = project.create_run(Experiment.model_validate(plain))
    execute(run)
    return run


@pytest.fixture
def run(finished: RunFolder, tmp_path: Path) -> RunFolder:
    shutil.copytree(finished.project_root, tmp_path / "project")
    return RunFolder(tmp_path / "project" / "runs" / "lacking" / "001")


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_missing_class_comes_back(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    found = asked(capsys, "bias", str(run.path), "--prior", "uniform", "--write", "even")
    for split in ("validation", "test"):
        assert found[split]["after"]["per_class"]["3"] > found[split]["before"]["per_class"]["3"]
    assert found["validation"]["after"]["accuracy"] > found["validation"]["before"]["accuracy"]
    assert max(found["shift"], key=found["shift"].__getitem__) == "3"
    assert all(path.read_bytes() == content for path, content in before.items()), "the run's own files stay"

    assert run.derived() == ["even"]
    derived, own = load_student(run.derived_dir("even")), load_student(run.student_dir)
    told = derived.meta["derived"]
    assert told["chosen"] == "prior uniform on validation samples"
    assert told["accuracy"]["validation"]["after"] == found["validation"]["after"]["accuracy"]
    bundle = load_data(run.experiment().data, run.project_root)
    moved = predict(derived.model, derived.preprocess, bundle.test, "cpu") - predict(
        own.model, own.preprocess, bundle.test, "cpu"
    )
    expected = torch.tensor(list(found["shift"].values()), dtype=torch.float32).expand_as(moved)
    assert torch.allclose(moved, expected, atol=1e-4)

    card = asked(capsys, "evaluate", str(run.path), "--student", "even")
    assert card["networks"]["student"]["test"]["accuracy"] == found["test"]["after"]["accuracy"]
    assert all(path.read_bytes() == content for path, content in before.items())
    exported = asked(capsys, "export", str(run.path), "--student", "even", "--format", "safetensors")
    assert exported["folder"] == str(run.path / "exports" / "student-even" / "safetensors")
    assert exported["parity"]["accuracy"] == pytest.approx(found["test"]["after"]["accuracy"])


def test_a_shift_by_hand_in_words(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bias", str(run.path), "--class", "3", "--by", "3.5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["validation", "test", "mean", "share", "shift"]
    assert [line.split()[0] for line in lines[2:]] == ["all", "3"]
    assert lines[3].endswith("+3.50")
    assert main(["bias", str(run.path)]) == 0
    assert "->" not in capsys.readouterr().out
    assert run.derived() == []


def test_the_window_finds_the_same_logits(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    kept = read_validation_logits(run)
    assert kept is not None
    found = asked(capsys, "bias", str(run.path), "--class", "3", "--by", "2")
    shift = np.array([2.0 if name == "3" else 0.0 for name in kept.classes])
    assert effect(kept.logits, kept.labels, shift).accuracy == found["validation"]["after"]["accuracy"]


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--class", "3"], "--class is given 1 times and --by 0 times"),
        (["--class", "3", "--by", "1", "--prior", "data"], "--prior and --class are both given"),
        (["--write", "x"], "--write: there is no shift to write"),
        (["--prior", "data", "--write", "../x"], "'../x' cannot be the name of a student"),
        (["--class", "33", "--by", "1"], "--class: there is no class '33'"),
        (["--class", "3", "--by", "nan"], "--by: nan is not a number to shift by"),
    ],
)
def test_wrong_arguments(run: RunFolder, arguments: list[str], what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bias", str(run.path), *arguments]) == 2
    assert what in capsys.readouterr().err
    assert run.derived() == []


def test_nothing_is_replaced_and_what_is_missing_is_said(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    write = ["bias", str(run.path), "--class", "3", "--by", "1", "--write", "a"]
    assert main(write) == 0
    assert main(write) == 2
    assert "there is a student 'a' already" in capsys.readouterr().err
    for verb in ("evaluate", "export"):
        assert main([verb, str(run.path), "--student", "b"]) == 2
        assert "there is no student 'b'\nWhat to do: there are: a" in capsys.readouterr().err


@pytest.mark.parametrize("last", [nn.Linear(6, 3, bias=False), nn.Sequential(nn.Linear(6, 3), nn.LogSoftmax(dim=1))])
def test_a_network_without_a_bias_at_its_end_is_refused(last: nn.Module) -> None:
    preprocess = Preprocess([0.0] * 4, [1.0] * 4, (4,))
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), last)
    student = Student(model, preprocess, ModelSpec(model="mlp"), ["a", "b", "c"], (4,), {})
    with pytest.raises(ModelError, match="the student's last layer has no bias to shift"):
        shifted(student, np.array([0.0, 1.0, 0.0]))


def test_every_family_ends_in_a_bias(tmp_path: Path) -> None:

    bundle = load_data(Digits(), tmp_path)
    for name in ("mlp", "cnn", "resnet8", "wrn-10-1"):
        model = build_model(ModelSpec(model=name), bundle.input_shape, 10, tmp_path, False).eval()
        student = Student(
            model, Preprocess([0.0], [1.0], (1, 8, 8)), ModelSpec(model=name), bundle.classes, (1, 8, 8), {}
        )
        inputs = torch.randn(3, 1, 8, 8)
        shift = np.eye(10)[4] * 2.5
        with torch.no_grad():
            moved = shifted(student, shift).model(inputs) - model(inputs)
        assert torch.allclose(moved.double(), torch.tensor(shift).expand(3, 10), atol=1e-4)
