"""Every format of every family: written, loaded in a fresh process, scored, described and used as README says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from kdstudio.engine.data import DataBundle
from kdstudio.engine.evaluate import predict
from kdstudio.engine.export import ExportResult, export_student
from kdstudio.engine.export.formats import LOADERS
from kdstudio.engine.student_io import load_student
from tests.engine.export.conftest import NAMES, make_data, make_student, own_model

MODELS: dict[str, dict[str, Any]] = {
    "mlp": {"model": "mlp", "widths": [24, 16], "dropout": 0.3},
    "cnn": {"model": "cnn", "widths": [8, 12]},
    "resnet8": {"model": "resnet8"},
    "resnet14-A": {"model": "resnet14", "args": {"shortcut": "A"}},
    "wrn-10-1": {"model": "wrn-10-1"},
    "timm-resnet": {"model": "timm:resnet10t"},
    "timm-mobile": {"model": "timm:mobilenetv3_small_050"},
    "timm-vit": {"model": "timm:vit_tiny_patch16_224", "args": {"img_size": 32, "patch_size": 8, "depth": 2}},
    "torchvision": {"model": "torchvision:shufflenet_v2_x0_5"},
    "own": {"model": "models.py:build", "args": {"width": 5}},
}
QUICK = [("resnet8", "onnx"), ("mlp", "torch-export"), ("own", "safetensors")]

#: Formats of students of any kind whose outputs are the student's but for rounding.
EXACT = ("safetensors", "torch-export", "onnx")


def exported(tmp_path: Path, name: str, kind: str) -> tuple[Path, DataBundle, ExportResult]:
    bundle = make_data((3, 32, 32) if name.startswith(("timm", "torchvision")) else (1, 8, 8), samples=24)
    root = own_model(tmp_path / "project") if name == "own" else None
    source = make_student(tmp_path / "student", bundle, root=root, **MODELS[name])
    return source, bundle, export_student(source, kind, tmp_path / "out" / kind, bundle, trusted=name == "own")


def use_as_readme_says(folder: Path) -> str:
    """What the snippet prints, run in the folder by a fresh Python."""
    code = (folder / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    environment = {**os.environ, "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, encoding="utf-8", env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def embedded(folder: Path, kind: str) -> dict[str, Any]:
    """What the artifact itself says, read with the format's own library where it has one."""
    if kind == "onnx":
        return {item.key: json.loads(item.value) for item in onnx.load(folder / "model.onnx").metadata_props}
    if kind == "torch-export":
        extra = {"metadata.json": ""}
        torch.export.load(folder / "model.pt2", extra_files=extra)
        return json.loads(extra["metadata.json"])
    description = json.loads((folder / "student.json").read_text(encoding="utf-8"))
    return {
        "labels": description["classes"],
        "input_shape": description["input_shape"],
        "preprocessing": description["preprocess"],
    }


def check_export(tmp_path: Path, name: str, kind: str, processes: list[list[str]]) -> None:
    source, bundle, result = exported(tmp_path, name, kind)
    student = load_student(source, trusted=True)
    folder = tmp_path / "out" / kind
    # loaded and scored by another process, as well as the student itself
    assert len(processes) == 1
    assert result.parity["ok"]
    assert result.parity["samples"] == len(bundle.test)
    logits = predict(student.model, student.preprocess, bundle.test, "cpu")
    score = float((logits.argmax(1) == bundle.test.labels).double().mean())
    assert result.parity["accuracy"] == pytest.approx(score)
    assert json.loads((folder / "parity.json").read_text()) == result.parity
    # described in the artifact itself
    said = embedded(folder, kind)
    assert said["labels"] == NAMES
    assert tuple(said["input_shape"]) == bundle.input_shape
    assert said["preprocessing"] == student.preprocess.to_dict()
    # single samples, and batches of any size
    run = LOADERS[kind](folder, True).run
    samples = bundle.test.images.numpy().astype(np.float32)
    for size in (1, 2, 5, 24):
        np.testing.assert_allclose(run(samples[:size]), logits[:size].numpy(), rtol=1e-3, atol=1e-4)
    # and used as README says, on a sample of zeros
    zeros = torch.zeros(1, *bundle.input_shape)
    with torch.no_grad():
        expected = NAMES[int(student.model(student.preprocess(zeros)).argmax())]
    assert use_as_readme_says(folder) == expected
    assert [path.name for path in folder.parent.iterdir()] == [kind]


@pytest.mark.parametrize(("name", "kind"), QUICK)
def test_export(tmp_path: Path, name: str, kind: str, processes: list[list[str]]) -> None:
    check_export(tmp_path, name, kind, processes)


@pytest.mark.slow
@pytest.mark.parametrize("kind", EXACT)
@pytest.mark.parametrize("name", list(MODELS))
def test_export_matrix(tmp_path: Path, name: str, kind: str, processes: list[list[str]]) -> None:
    check_export(tmp_path, name, kind, processes)


@pytest.mark.slow
@pytest.mark.parametrize("kind", EXACT)
def test_features(tmp_path: Path, kind: str, processes: list[list[str]]) -> None:
    bundle = make_data((12,), samples=24)
    source = make_student(tmp_path / "student", bundle, widths=[16])
    result = export_student(source, kind, tmp_path / "out", bundle)
    assert result.parity["ok"]
    assert embedded(tmp_path / "out", kind)["preprocessing"]["scale"] == 1
    assert use_as_readme_says(tmp_path / "out") in NAMES


@pytest.mark.parametrize("kind", ["onnx", pytest.param("torch-export", marks=pytest.mark.slow)])
def test_graphs_need_none_of_our_code(tmp_path: Path, kind: str) -> None:
    """They run where the project and its Python file are gone."""
    source, _, _ = exported(tmp_path, "own", kind)
    for folder in (source, tmp_path / "project"):
        shutil.rmtree(folder)
    blocked = "import sys; sys.modules['kdstudio'] = None\n"
    readme = tmp_path / "out" / kind / "README.md"
    readme.write_text(readme.read_text(encoding="utf-8").replace("```python\n", f"```python\n{blocked}"))
    assert use_as_readme_says(tmp_path / "out" / kind) in NAMES


def test_the_own_file_and_its_neighbour_travel(tmp_path: Path) -> None:
    source, _, _ = exported(tmp_path, "own", "safetensors")
    names = {"models.py", "blocks.py", "model.safetensors", "student.json"}
    assert {path.name for path in source.iterdir()} - {"__pycache__"} == names
    folder = tmp_path / "out" / "safetensors"
    assert {path.name for path in folder.iterdir()} == {*names, "README.md", "metadata.json", "parity.json"}
    assert set(json.loads((folder / "metadata.json").read_text())["files"]) == names
    assert "it runs the Python file" in (folder / "README.md").read_text()
