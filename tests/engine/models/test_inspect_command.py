"""`kdstudio inspect`: what it prints, and the JSON that the window reads."""

from __future__ import annotations

import argparse
import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kdstudio.commands import inspect as command
from kdstudio.project.errors import InputError, KDStudioError
from kdstudio.project.spec import ModelSpec


def call(*words: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    return command.run(parser.parse_args(["inspect", *words]))


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    call(*words, "--json")
    return json.loads(capsys.readouterr().out)


def test_model_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("resnet8", "--input-shape", "1,8,8", "--classes", "4") == 0
    text = capsys.readouterr().out
    assert "layer2    Sequential         32 x 4 x 4      14,528" in text
    assert "parameters, " in text
    assert "FLOPs per sample" in text


def test_model_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    report = answer(capsys, "mlp", "--input-shape", "20", "--classes", "4", "--widths", "30")
    assert report == {
        "kind": "model",
        "model": "mlp",
        "input_shape": [20],
        "num_classes": 4,
        "parameters": 754,
        "flops": 1440,
        "layers": [
            {"name": "hidden1", "kind": "Hidden", "output_shape": [30], "parameters": 630},
            {"name": "fc", "kind": "Linear", "output_shape": [4], "parameters": 124},
        ],
    }


def test_data_table_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("digits") == 0
    assert "all    1,374         153   270" in capsys.readouterr().out
    report = answer(capsys, "digits", "--examples", "2")
    assert report["input_shape"] == [1, 8, 8]
    assert report["counts"]["test"][8] == 26
    assert [example["label"] for example in report["examples"]] == [label for label in range(10) for _ in range(2)]
    picture = Image.open(io.BytesIO(base64.b64decode(report["examples"][0]["png"])))
    assert picture.size == (8, 8)


def test_npz_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "a.npz", features=np.random.default_rng(0).normal(size=(30, 4)), labels=np.arange(30) % 3)
    report = answer(capsys, str(tmp_path / "a.npz"), "--examples", "2")
    assert report["input_shape"] == [4]
    assert report["examples"] == []


def write(tmp_path: Path, text: str) -> Path:
    (tmp_path / "project.yaml").write_text("version: 1\nname: Test\n")
    (tmp_path / "experiments").mkdir(exist_ok=True)
    file = tmp_path / "experiments" / "first.yaml"
    file.write_text(text)
    return file


def test_experiment_file_and_project_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, "data: {source: digits}\nteacher: {model: resnet14}\nstudent: {model: cnn}\n")
    for target in (file, tmp_path):
        report = answer(capsys, str(target))
        assert report["kind"] == "experiment"
        assert report["data"]["name"] == "digits"
        assert report["teacher"]["input_shape"] == [1, 8, 8]
        assert report["student"]["layers"][0]["name"] == "stage1"
        assert report["errors"] == []
    assert call(str(file)) == 0
    assert "of the teacher's parameters" in capsys.readouterr().out


def test_a_part_that_fails_does_not_hide_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, "data: {source: digits}\nteacher: {model: resnet8}\nstudent: {model: 'models.py:build'}\n")
    (tmp_path / "models.py").write_text(
        "from torch import nn\ndef build(input_shape, num_classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))\n"
    )
    report = answer(capsys, str(file))
    assert report["teacher"]["parameters"] > 0
    assert report["student"] is None
    assert [(error["part"], error["kind"]) for error in report["errors"]] == [("student", "untrusted")]
    assert call(str(file)) == 2
    assert "The student cannot be used" in capsys.readouterr().out
    assert answer(capsys, str(file), "--trust")["student"]["parameters"] == 650


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["resnt20"], "did you mean 'resnet20'"),
        (["resnet21"], "depth is 6 n"),
        (["mlp", "--input-shape", "3,x"], "not a list of whole numbers"),
        (["mlp", "--input-shape", "3,32"], "has 2 numbers"),
        (["mlp", "--classes", "1"], "too few"),
        (["absent.yaml"], "does not exist"),
        (["absent.npz"], "does not exist"),
    ],
)
def test_wrong_targets(words: list[str], message: str) -> None:
    with pytest.raises(KDStudioError, match=message) as caught:
        call(*words)
    assert isinstance(caught.value, InputError)


def test_every_module_is_listed_where_it_is_asked_for() -> None:
    report = command.model_report(ModelSpec(model="cnn", widths=[4]), (1, 8, 8), 3, Path("."), False, parts=True)
    assert [layer["name"] for layer in report["layers"]] == ["stage1", "avgpool", "fc"]
    names = [part["name"] for part in report["parts"]]
    assert names == ["stage1", "stage1.pool", "stage1.conv", "stage1.bn", "avgpool", "dropout", "fc"]
