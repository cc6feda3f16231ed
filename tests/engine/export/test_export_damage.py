"""Artifacts that were damaged on purpose, in every format: each is caught, and told."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file, save_file

from kdstudio.engine.data import DataBundle
from kdstudio.engine.export import check_artifact, check_or_raise, export_student
from kdstudio.engine.student_io import Student, load_student
from kdstudio.project.errors import InputError, ParityError
from tests.engine.export.conftest import make_data, make_student, rehash

WIDTHS = [16]
FIRST = "hidden1.linear.weight"

#: Formats of students of any kind whose outputs are the student's but for rounding.
EXACT = ("safetensors", "torch-export", "onnx")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student, another one from other weights, and both in every format."""
    root = tmp_path_factory.mktemp("good")
    bundle = make_data()
    for name, seed in (("a", 0), ("b", 1)):
        source = make_student(root / name / "student", bundle, seed=seed, widths=WIDTHS)
        for kind in EXACT:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("kdstudio.engine.export.check._fresh_process", lambda *_: {"ok": True, **NOTHING})
                export_student(source, kind, root / name / kind, bundle)
    return root


NOTHING = {
    "problem": "",
    "samples": 0,
    "accuracy": 0.0,
    "max_difference": 0.0,
    "relative_difference": 0.0,
    "relative_tolerance": 0.0,
}


@pytest.fixture
def student(good: Path) -> Student:
    return load_student(good / "a" / "student")


@pytest.fixture(scope="module")
def bundle() -> DataBundle:
    return make_data()


def artifact(folder: Path) -> Path:
    return folder / json.loads((folder / "metadata.json").read_text())["file"]


def change_json(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data), encoding="utf-8")


def change_weight(folder: Path, factor: float) -> None:
    """Multiplies the largest weight of the first layer."""

    def change(weights: torch.Tensor) -> torch.Tensor:
        changed = weights.clone()
        changed.view(-1)[changed.abs().argmax()] *= factor
        return changed

    file = artifact(folder)
    if file.suffix == ".safetensors":
        tensors = load_file(file)
        tensors[FIRST] = change(tensors[FIRST])
        save_file(tensors, file)
    elif file.suffix == ".pt2":
        change_program(file, lambda program: program.state_dict[f"model.{FIRST}"].data.copy_(
            change(program.state_dict[f"model.{FIRST}"].data)))  # fmt: skip
    else:
        model = onnx.load(file)
        for tensor in model.graph.initializer:
            array = onnx.numpy_helper.to_array(tensor)
            if array.size == WIDTHS[0] * 64:
                changed = change(torch.from_numpy(array.copy())).numpy()
                tensor.CopyFrom(onnx.numpy_helper.from_array(changed, tensor.name))
        onnx.save(model, file)


def change_program(file: Path, change: Callable[[Any], object]) -> None:
    extra = {"metadata.json": ""}
    program = torch.export.load(file, extra_files=extra)
    change(program)
    torch.export.save(program, file, extra_files=extra)


def change_preprocessing(folder: Path) -> None:
    """The mean, in the graph or in the description, and nothing that is said of it."""
    file = artifact(folder)
    if file.suffix == ".safetensors":
        change_json(folder / "student.json", lambda data: data["preprocess"]["mean"].__setitem__(0, 0.45))
    elif file.suffix == ".pt2":
        change_program(file, lambda program: [t.mul_(1.1) for t in program.constants.values() if t.numel() == 1])
    else:
        model = onnx.load(file)
        single = [tensor for tensor in model.graph.initializer if onnx.numpy_helper.to_array(tensor).size == 1]
        assert single
        for tensor in single:
            array = onnx.numpy_helper.to_array(tensor)
            tensor.CopyFrom(onnx.numpy_helper.from_array((array * np.float32(1.1)).astype(array.dtype), tensor.name))
        onnx.save(model, file)


def drop_metadata(folder: Path) -> None:
    """What the artifact says of itself."""
    file = artifact(folder)
    if file.suffix == ".safetensors":
        change_json(folder / "student.json", lambda data: data.pop("preprocess"))
    elif file.suffix == ".pt2":
        parts = {}
        with zipfile.ZipFile(file) as packed:
            parts = {item: packed.read(item) for item in packed.infolist() if "extra/metadata" not in item.filename}
        with zipfile.ZipFile(file, "w") as packed:
            for item, content in parts.items():
                packed.writestr(item, content)
    else:
        model = onnx.load(file)
        del model.metadata_props[:]
        onnx.save(model, file)


def rename_label(folder: Path) -> None:
    file = artifact(folder)
    if file.suffix == ".safetensors":
        change_json(folder / "student.json", lambda data: data["classes"].reverse())
    elif file.suffix == ".pt2":
        extra = {"metadata.json": ""}
        program = torch.export.load(file, extra_files=extra)
        said = json.loads(extra["metadata.json"])
        said["labels"].reverse()
        torch.export.save(program, file, extra_files={"metadata.json": json.dumps(said)})
    else:
        model = onnx.load(file)
        for item in model.metadata_props:
            if item.key == "labels":
                item.value = json.dumps(json.loads(item.value)[::-1])
        onnx.save(model, file)


def flip(folder: Path) -> None:
    data = bytearray(artifact(folder).read_bytes())
    data[len(data) // 2] ^= 0x10
    artifact(folder).write_bytes(bytes(data))


def truncate(folder: Path) -> None:
    data = artifact(folder).read_bytes()
    artifact(folder).write_bytes(data[: len(data) * 2 // 3])


def swap(folder: Path) -> None:
    shutil.copyfile(artifact(folder.parent / "other"), artifact(folder))


DAMAGES: dict[str, tuple[Callable[[Path], object], bool, str]] = {
    # what was done, whether its traces were hidden, and what is said
    "a flipped byte": (flip, False, "SHA-256 differs"),
    "cut off": (truncate, False, "SHA-256 differs"),
    "cut off, hidden": (truncate, True, "cannot be loaded"),
    "empty, hidden": (lambda folder: artifact(folder).write_bytes(b""), True, "cannot be loaded"),
    "gone": (lambda folder: artifact(folder).unlink(), False, "is missing"),
    "weights of another student": (swap, True, "outputs differ"),
    "one weight a little": (lambda folder: change_weight(folder, 1.01), False, "SHA-256 differs"),
    "one weight a little, hidden": (lambda folder: change_weight(folder, 1.01), True, "outputs differ"),
    "one weight becomes NaN, hidden": (lambda folder: change_weight(folder, float("nan")), True, "NaN"),
    "preprocessing, hidden": (change_preprocessing, True, "outputs differ|another preprocessing"),
    "labels in another order, hidden": (rename_label, True, "another labels"),
    "metadata in the artifact, hidden": (drop_metadata, True, "does not say its labels|cannot be loaded"),
    "metadata.json without labels": (
        lambda folder: change_json(folder / "metadata.json", lambda data: data.pop("labels")),
        False,
        "metadata.json does not say its labels",
    ),
    "metadata.json with other labels": (
        lambda folder: change_json(folder / "metadata.json", lambda data: data["labels"].reverse()),
        False,
        "metadata.json has another labels",
    ),
    "metadata.json without hashes": (
        lambda folder: change_json(folder / "metadata.json", lambda data: data["files"].clear()),
        False,
        "has no SHA-256",
    ),
    "metadata.json of another format": (
        lambda folder: change_json(folder / "metadata.json", lambda data: data.update(format="tflite")),
        False,
        "unknown format, 'tflite'",
    ),
    "metadata.json is gone": (
        lambda folder: (folder / "metadata.json").unlink(),
        False,
        "metadata.json is missing or damaged",
    ),
    "metadata.json is no JSON": (
        lambda folder: (folder / "metadata.json").write_text("{"),
        False,
        "metadata.json is missing or damaged",
    ),
    "metadata.json is a list": (
        lambda folder: (folder / "metadata.json").write_text("[]"),
        False,
        "metadata.json is missing or damaged",
    ),
}


@pytest.fixture
def copied(good: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A copy of the artifact, with the other student's beside it as `other`."""
    shutil.copytree(good / "a" / request.param, tmp_path / "export")
    shutil.copytree(good / "b" / request.param, tmp_path / "other")
    return tmp_path / "export"


@pytest.mark.parametrize("copied", EXACT, indirect=True)
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_caught(
    copied: Path, damage: str, student: Student, bundle: DataBundle, in_this_process: None
) -> None:
    assert check_artifact(copied, student, bundle.test)["ok"]
    act, hidden, words = DAMAGES[damage]
    act(copied)
    if hidden:
        rehash(copied)
    with pytest.raises(ParityError, match=words) as caught:
        check_or_raise(copied, student, bundle.test)
    assert caught.value.exit_code == 1
    assert "do not ship it" in str(caught.value)
    assert json.loads((copied / "parity.json").read_text())["ok"] is False


@pytest.mark.parametrize("copied", ["onnx"], indirect=True)
def test_a_fresh_process_catches_it_too(
    copied: Path, student: Student, bundle: DataBundle, processes: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Started in a folder whose files have the names of libraries."""
    for name in ("json", "onnx", "torch", "types"):
        (copied.parent / f"{name}.py").write_text("raise SystemExit('not this one')\n")
    monkeypatch.chdir(copied.parent)
    assert check_or_raise(Path("export"), student, bundle.test)["ok"]
    swap(copied)
    rehash(copied)
    with pytest.raises(ParityError, match="outputs differ"):
        check_or_raise(Path("export"), student, bundle.test)
    assert len(processes) == 2


@pytest.mark.parametrize("copied", ["safetensors"], indirect=True)
def test_own_code_that_was_changed_never_runs(
    copied: Path, student: Student, bundle: DataBundle, in_this_process: None
) -> None:
    """The hash is compared first, so a model file that someone swapped is not executed."""
    (copied / "models.py").write_text("x = 1\n")
    change_json(copied / "metadata.json", lambda data: data["files"].update({"models.py": "0" * 64}))
    with pytest.raises(ParityError, match=r"models\.py is not the file"):
        check_or_raise(copied, student, bundle.test)


def test_what_is_no_export_is_wrong_input(tmp_path: Path, student: Student, bundle: DataBundle) -> None:
    for folder in (tmp_path / "absent", tmp_path):
        with pytest.raises(InputError, match="no exported student here"):
            check_artifact(folder, student, bundle.test)


@pytest.mark.parametrize("copied", ["onnx"], indirect=True)
def test_a_process_that_dies(
    copied: Path, student: Student, bundle: DataBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    import subprocess

    from kdstudio.engine.export import check
    from kdstudio.project.errors import KDStudioError, OutOfMemoryError

    def ends(code: int, out: str = "", said: str = "") -> None:
        done = subprocess.CompletedProcess([], code, out, said)
        monkeypatch.setattr(check.subprocess, "run", lambda *_, **__: done)

    ends(-11, "", "Segmentation fault")
    with pytest.raises(ParityError, match="died") as caught:
        check_or_raise(copied, student, bundle.test)
    assert "exit -11): Segmentation fault" in caught.value.why
    ends(0, "not json")
    assert not check_artifact(copied, student, bundle.test)["ok"]
    ends(-9)  # it ran out of memory: that says nothing of the artifact
    with pytest.raises(OutOfMemoryError):
        check_artifact(copied, student, bundle.test)

    def late(*_: Any, **__: Any) -> None:
        raise subprocess.TimeoutExpired("verify", 600)

    monkeypatch.setattr(check.subprocess, "run", late)
    with pytest.raises(KDStudioError, match="took more than") as slow:
        check_artifact(copied, student, bundle.test)
    assert not isinstance(slow.value, ParityError)
