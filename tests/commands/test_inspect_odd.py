"""`kdstudio inspect` on what people give it by mistake: a sentence and exit code 2, never a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from kdstudio.cli import main
from kdstudio.engine.models import build_model
from kdstudio.engine.student_io import save_student
from kdstudio.project.folder import create_project
from kdstudio.project.spec import Experiment, ModelSpec


def make_student(folder: Path) -> Path:
    spec = ModelSpec(model="cnn", widths=[4])
    model = build_model(spec, (1, 8, 8), 3, folder, trusted=False)
    preprocess = {"mean": [0.5], "std": [0.5], "input_shape": [1, 8, 8], "scale": 255}
    save_student(folder, model, spec, (1, 8, 8), ["a", "b", "c"], preprocess, {})
    return folder


FILES: dict[str, tuple[bytes, str]] = {
    "models.py": (b"x = 1", "models.py:build"),
    "w.safetensors": (b"", "Weights do not say"),
    "w.pt": (b"", "Weights do not say"),
    "cat.png": (b"", "one sub-folder of images per class"),
    "notes.txt": (b"hello", "too few to train and test on"),
    "notes.doc": (b"hello", "cannot be inspected"),
    "model.onnx": (b"", "cannot be inspected"),
    "junk.npz": (b"junk", ".npz"),
    "empty.npz": (b"", "damaged"),
    "list.yaml": (b"- a\n", "expected keys and values"),
    "empty.yaml": (b"", "expected keys and values"),
    "bytes.yaml": (b"\xff\xfe\x00", "UTF-8"),
    "broken.yaml": (b"student: [", "not valid YAML"),
}


@pytest.mark.parametrize("name", FILES)
def test_files(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    content, message = FILES[name]
    (tmp_path / name).write_bytes(content)
    assert main(["inspect", str(tmp_path / name)]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.out == ""
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([""], "what is to be inspected?"),
        ([" "], "what is to be inspected?"),
        (["MLP"], "did you mean 'mlp'?"),
        (["/dev/null"], "is no model, no data"),
        (["project.yaml"], "does not exist"),
        (["absent.py:build", "--trust"], "does not exist"),
        (["timm:"], "unknown model 'timm:'"),
        (["timm:resnt18"], "timm has no model"),
        (["torchvision:resnt18"], "did you mean 'resnet18'?"),
        (["wrn-9-1"], "6 n + 4"),
        (["mlp", "--widths", "0"], "--widths"),
        (["mlp", "--widths", ","], "--widths"),
        (["resnet8", "--widths", "3"], "is for mlp and cnn"),
        (["mlp", "--input-shape", ""], "--input-shape"),
        (["mlp", "--input-shape", "1,2,3,4"], "has 4 numbers"),
        (["resnet8", "--input-shape", "5"], "takes images"),
        (["mlp", "--classes", "-3"], "too few"),
        (["mlp", "--input-shape", "99999999,99999,99999"], "cannot be built for samples of"),
        (["digits", "--project", "absent"], "no such folder"),
    ],
)
def test_words(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["inspect", *words]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert "mistake in KD Studio" not in said


def test_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.yaml").mkdir()
    (tmp_path / "a.npz").mkdir()
    for name, message in (("empty", "no class folders"), ("a.yaml", "no KD Studio project"), ("a.npz", "a folder")):
        assert main(["inspect", str(tmp_path / name)]) == 2
        assert message in capsys.readouterr().err


def test_a_project_file_is_its_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = create_project(tmp_path / "p", "digits")
    assert main(["inspect", str(project.root / "project.yaml"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "experiment"
    empty = create_project(tmp_path / "e", "empty")
    assert main(["inspect", str(empty.root)]) == 2
    assert "the project has no experiment" in capsys.readouterr().err


def test_a_run_folder_is_its_experiment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = create_project(tmp_path / "p", "empty")
    plain = {"name": "x", "student": {"model": "mlp"}, "objective": [{"term": "hard"}]}
    run = project.create_run(Experiment.model_validate(plain))
    assert main(["inspect", str(run.path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["name"] == "x"
    assert report["student"]["input_shape"] == [1, 8, 8]
    assert report["teacher"] is None


def test_a_student_folder_is_its_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    folder = make_student(tmp_path / "student")
    assert main(["inspect", str(folder), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["model"], report["num_classes"], report["input_shape"]) == ("cnn", 3, [1, 8, 8])
    assert report["layers"][0]["name"] == "stage1"
    (folder / "model.safetensors").write_bytes(b"junk")
    assert main(["inspect", str(folder)]) == 2
    assert "not a sound safetensors file" in capsys.readouterr().err
