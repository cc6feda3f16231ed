"""Students as folders: what is written is what is read, and damage is told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from kdstudio.engine.data import Preprocess
from kdstudio.engine.models import build_model
from kdstudio.engine.models.own_code import code_files
from kdstudio.engine.student_io import Student, load_student, require_same_data, save_student
from kdstudio.project.errors import InputError, ModelError, StorageError
from kdstudio.project.spec import ModelSpec

CLASSES = ["a", "b", "<c>"]
PREPROCESS = Preprocess([0.1, 0.2, 0.3], [0.4, 0.5, 0.6], (3, 8, 8))


def save(folder: Path, root: Path | None = None, **spec: Any) -> nn.Module:
    described = ModelSpec(**{"model": "resnet8", **spec})
    model = build_model(described, (3, 8, 8), 3, root or folder, trusted=True)
    save_student(folder, model, described, (3, 8, 8), CLASSES, PREPROCESS.to_dict(), {"role": "student"}, root)
    return model


def change(folder: Path, **fields: Any) -> None:
    path = folder / "student.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_round_trip(tmp_path: Path) -> None:
    model = save(tmp_path / "s").eval()
    student = load_student(tmp_path / "s")
    assert student.classes == CLASSES
    assert student.input_shape == (3, 8, 8)
    assert student.meta == {"role": "student"}
    assert student.preprocess.to_dict() == PREPROCESS.to_dict()
    assert not student.model.training
    images = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(student.model(student.preprocess(images)), model(PREPROCESS(images)))
    assert {path.name for path in (tmp_path / "s").iterdir()} == {"model.safetensors", "student.json"}
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_it_can_be_moved_and_needs_no_weights_of_its_origin(tmp_path: Path) -> None:
    described = ModelSpec(model="mlp", widths=[4], weights="run:other")
    model = build_model(described, (3, 8, 8), 3, tmp_path, trusted=True)
    save_student(tmp_path / "s", model, described, (3, 8, 8), CLASSES, PREPROCESS.to_dict(), {})
    shutil.move(tmp_path / "s", tmp_path / "elsewhere")
    assert load_student(tmp_path / "elsewhere").spec.weights is None


def test_an_earlier_one_is_replaced(tmp_path: Path) -> None:
    save(tmp_path / "s")
    (tmp_path / "s" / "old.txt").write_text("old")
    second = save(tmp_path / "s")
    assert not (tmp_path / "s" / "old.txt").exists()
    assert torch.equal(load_student(tmp_path / "s").model.state_dict()["fc.weight"], second.state_dict()["fc.weight"])
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_tied_and_strided_weights(tmp_path: Path) -> None:
    """safetensors refuses tensors that share memory; a student may have them."""
    (tmp_path / "models.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, n):\n"
        "        super().__init__()\n"
        "        self.a, self.b, self.c = nn.Linear(192, 192), nn.Linear(192, 192), nn.Linear(192, n)\n"
        "        self.b.weight = self.a.weight\n"
        "        self.c.weight.data = nn.Parameter(self.c.weight.data.T.contiguous().T)\n"
        "    def forward(self, x):\n"
        "        return self.c(self.b(self.a(x.flatten(1))))\n"
        "def build(input_shape, num_classes):\n    return Net(num_classes)\n"
    )
    model = save(tmp_path / "s", tmp_path, model="models.py:build")
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(load_student(tmp_path / "s", trusted=True).model(images), model(images))


def test_own_code_travels(tmp_path: Path) -> None:
    """The file lies in a sub-folder and imports a module and a package beside it; then the project is gone."""
    code = tmp_path / "project" / "nets"
    (code / "parts").mkdir(parents=True)
    (code / "models.py").write_text(
        "from torch import nn\nimport sizes\nfrom parts.heads import Head\n"
        "def build(input_shape, num_classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(192, sizes.WIDTH), Head(sizes.WIDTH, num_classes))\n"
    )
    (code / "sizes.py").write_text("import more\nWIDTH = more.HALF * 2\n")
    (code / "more.py").write_text("HALF = 3\n")
    (code / "unrelated.py").write_text("raise SystemExit\n")
    (code / "parts" / "__init__.py").write_text("")
    (code / "parts" / "heads.py").write_text("from torch import nn\nfrom .base import Base\nclass Head(Base): pass\n")
    (code / "parts" / "base.py").write_text("from torch import nn\nclass Base(nn.Linear): pass\n")
    model = save(tmp_path / "s", tmp_path / "project", model="nets/models.py:build")
    shutil.rmtree(tmp_path / "project")
    written = {path.relative_to(tmp_path / "s").as_posix() for path in (tmp_path / "s").rglob("*.py")}
    assert written == {"models.py", "sizes.py", "more.py", "parts/__init__.py", "parts/heads.py", "parts/base.py"}
    student = load_student(tmp_path / "s", trusted=True)
    assert student.spec.model == "models.py:build"
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(student.model(images), model(images))
    with pytest.raises(ModelError) as caught:
        load_student(tmp_path / "s")
    assert caught.value.kind == "untrusted"
    code_line = f"from pathlib import Path; from kdstudio.engine.student_io import load_student; \
load_student(Path({str(tmp_path / 's')!r}), trusted=True)"
    done = subprocess.run([sys.executable, "-c", code_line], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_model_file_outside_the_project_comes_inside(tmp_path: Path) -> None:
    (tmp_path / "shared.py").write_text(
        "from torch import nn\ndef build(input_shape, num_classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(192, num_classes))\n"
    )
    (tmp_path / "project").mkdir()
    save(tmp_path / "project" / "s", tmp_path / "project", model="../shared.py:build")
    assert (tmp_path / "project" / "s" / "shared.py").exists()
    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == {"shared.py", "project"}
    assert load_student(tmp_path / "project" / "s", trusted=True).spec.model == "shared.py:build"


def test_two_students_with_neighbours_of_one_name(tmp_path: Path) -> None:
    """Each gets its own `sizes.py`, in the same process."""
    for name, width in (("one", 4), ("two", 9)):
        root = tmp_path / name
        root.mkdir()
        (root / "models.py").write_text(
            "from torch import nn\nfrom sizes import WIDTH\ndef build(input_shape, num_classes):\n"
            "    return nn.Sequential(nn.Flatten(), nn.Linear(192, WIDTH), nn.Linear(WIDTH, num_classes))\n"
        )
        (root / "sizes.py").write_text(f"WIDTH = {width}\n")
        save(root / "s", root, model="models.py:build")
    for name, width in (("one", 4), ("two", 9), ("one", 4)):
        student = load_student(tmp_path / name / "s", trusted=True)
        assert student.model.state_dict()["1.weight"].shape == (width, 192)
    assert "sizes" not in sys.modules


def test_code_files_of_odd_files(tmp_path: Path) -> None:
    file = tmp_path / "models.py"
    file.write_text("import other, torch, os.path\nfrom . import nothing\n")
    (tmp_path / "other.py").write_text("import models\ndef broken(:\n")
    assert set(code_files(file)) == {file, tmp_path / "other.py"}
    assert code_files(tmp_path / "absent.py") == []


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "student.json").unlink(), "no readable student here"),
        (lambda folder: (folder / "student.json").write_text("{"), "no readable student here"),
        (lambda folder: (folder / "student.json").write_text("[]"), "no readable student here"),
        (lambda folder: (folder / "student.json").write_bytes(b"\xff\xfe"), "no readable student here"),
        (lambda folder: change(folder, classes=None), "no readable student here"),
        (lambda folder: change(folder, preprocess={}), "no readable student here"),
        (lambda folder: change(folder, format=99), "format 99 is not known here"),
        (lambda folder: change(folder, model={"model": "resnt8"}), "did you mean 'resnet8'"),
        (lambda folder: change(folder, classes=["a", "b"]), "does not fit the model"),
        (lambda folder: (folder / "model.safetensors").unlink(), "does not exist"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"nothing"), "not a sound safetensors file"),
    ],
)
def test_damage(tmp_path: Path, damage: Any, message: str) -> None:
    save(tmp_path / "s")
    damage(tmp_path / "s")
    with pytest.raises(InputError, match=message) as caught:
        load_student(tmp_path / "s")
    assert str(tmp_path / "s" / "student.json") in str(caught.value) or "model.safetensors" in str(caught.value)


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "s")
    before = (tmp_path / "s" / "model.safetensors").read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError) as caught:
        save(tmp_path / "s")
    assert caught.value.kind == "disk-full"
    assert (tmp_path / "s" / "model.safetensors").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_data_of_another_kind_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "s")
    student: Student = load_student(tmp_path / "s")

    class Data:
        input_shape = (3, 8, 8)
        classes = CLASSES

    require_same_data(student, Data())  # type: ignore[arg-type]
    Data.classes = ["a", "c", "b"]
    with pytest.raises(InputError, match="are not the student's"):
        require_same_data(student, Data())  # type: ignore[arg-type]
    Data.input_shape = (3, 9, 9)
    with pytest.raises(InputError, match="the student takes"):
        require_same_data(student, Data())  # type: ignore[arg-type]
