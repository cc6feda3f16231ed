"""`kdstudio export`: what it replaces and what it never replaces, and its exit codes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from kdstudio.cli import main
from kdstudio.engine.export import exporter
from kdstudio.project.runs.folder import RunFolder
from tests.engine.conftest import Lab
from tests.engine.export.conftest import rehash


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished run, made once."""
    with pytest.MonkeyPatch.context() as patch:
        lab = Lab(tmp_path_factory.mktemp("lab"), patch)
        return lab.run(baseline=False, train={"epochs": 1})


@pytest.fixture
def run(finished: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of its whole project, to be spoiled."""
    shutil.copytree(finished.project_root, tmp_path / "project")
    return RunFolder(tmp_path / "project" / finished.path.relative_to(finished.project_root))


def export(run: RunFolder, *words: str) -> int:
    return main(["export", str(run.path), *words])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def damaged_writer(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporter makes a mistake: the file is cut off."""
    original = exporter.WRITERS[kind]

    def write(student: Any, source: Path, folder: Path, metadata: dict[str, Any]) -> str:
        name = original(student, source, folder, metadata)
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])
        return name

    monkeypatch.setitem(exporter.WRITERS, kind, write)


def test_default_folder_then_refused_then_forced(
    run: RunFolder, capsys: pytest.CaptureFixture[str], in_this_process: None
) -> None:
    folder = run.path / "exports" / "safetensors"
    assert export(run, "--format", "safetensors") == 0
    assert "exported: " in capsys.readouterr().out
    before = contents(folder)
    assert export(run, "--format", "safetensors") == 2
    said = capsys.readouterr().err
    assert "already exists" in said
    assert "--force" in said
    assert contents(folder) == before
    assert export(run, "--format", "safetensors", "--force") == 0
    assert contents(folder).keys() == before.keys()
    assert [path.name for path in folder.parent.iterdir()] == ["safetensors"]


def test_json(run: RunFolder, capsys: pytest.CaptureFixture[str], processes: list[list[str]]) -> None:
    out = run.project_root / "ship it"
    assert export(run, "--format", "safetensors", "--out", str(out), "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["folder"] == str(out)
    assert answer["bytes"] == (out / answer["file"]).stat().st_size
    assert answer["parity"]["ok"]
    assert len(processes) == 1
    data = bytearray((out / answer["file"]).read_bytes())
    data[-5] ^= 1
    (out / answer["file"]).write_bytes(bytes(data))
    command = [sys.executable, "-m", "kdstudio", "export", str(run.path), "--check", str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "SHA-256 differs" in done.stderr
    assert "Traceback" not in done.stderr


def test_check(run: RunFolder, capsys: pytest.CaptureFixture[str], in_this_process: None) -> None:
    out = run.path / "exports" / "safetensors"
    assert export(run, "--format", "safetensors") == 0
    capsys.readouterr()
    assert export(run, "--check", str(out), "--json") == 0
    assert json.loads(capsys.readouterr().out)["parity"]["ok"]
    path = out / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-4] ^= 1  # the lowest bit of one weight: far below the rounding, and yet not the file that was written
    path.write_bytes(bytes(data))
    assert export(run, "--check", str(out)) == 1
    assert "SHA-256 differs" in capsys.readouterr().err
    rehash(out)
    assert export(run, "--check", str(out)) == 0
    data[-1] ^= 0x40
    path.write_bytes(bytes(data))
    rehash(out)
    assert export(run, "--check", str(out)) == 1
    assert "outputs differ" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["safetensors", "onnx"])
def test_a_mismatch_never_replaces_a_good_one(
    run: RunFolder,
    kind: str,
    capsys: pytest.CaptureFixture[str],
    in_this_process: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert export(run, "--format", kind) == 0
    folder = run.path / "exports" / kind
    good = contents(folder)
    damaged_writer(kind, monkeypatch)
    for _ in range(2):
        assert export(run, "--format", kind, "--force") == 1
        said = capsys.readouterr().err
        assert f"{kind}.failed" in said
        assert "did not pass its check" in said
        assert contents(folder) == good
        failed = folder.with_name(f"{kind}.failed")
        assert json.loads((failed / "parity.json").read_text())["ok"] is False
        assert not (failed / "README.md").exists()
        assert {path.name for path in folder.parent.iterdir()} == {kind, f"{kind}.failed"}


def test_a_folder_named_failed_of_someone_else_stays(
    run: RunFolder, in_this_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = run.path / "exports" / "safetensors.failed"
    mine.mkdir(parents=True)
    (mine / "notes.txt").write_text("mine")
    damaged_writer("safetensors", monkeypatch)
    for _ in range(2):
        assert export(run, "--format", "safetensors") == 1
    assert (mine / "notes.txt").read_text() == "mine"
    assert {path.name for path in mine.parent.iterdir()} == {"safetensors.failed", "safetensors.failed-2"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--format", "onxx"], "did you mean 'onnx'"),
        (["--format", "tflite"], "there are: safetensors, torch-export, onnx"),
        (["--check", "absent"], "no exported student here"),
    ],
)
def test_wrong_words(run: RunFolder, words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert export(run, *words) == 2
    assert message in capsys.readouterr().err


def test_force_replaces_exports_only(run: RunFolder, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("x")
    outs = [precious, tmp_path / "file", run.project_root, run.student_dir, Path("/")]
    for out in outs:
        assert export(run, "--out", str(out), "--force") == 2
        assert "Traceback" not in capsys.readouterr().err
    assert (precious / "thesis.txt").exists()
    assert (run.student_dir / "student.json").exists()
    assert export(run, "--out", str(run.student_dir / "exports")) == 2
    assert "student's own folder" in capsys.readouterr().err
    assert not (run.student_dir / "exports").exists()


def test_an_empty_folder_and_this_folder_may_be_used(
    run: RunFolder, tmp_path: Path, in_this_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    assert export(run, "--format", "safetensors", "--out", "empty/") == 0
    assert (tmp_path / "empty" / "README.md").exists()


def test_unfinished_runs_are_refused(finished: RunFolder, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    lab = Lab(tmp_path, pytest.MonkeyPatch())
    run = lab.project.create_run(lab.experiment())
    assert export(run) == 2
    said = capsys.readouterr().err
    assert "there is no student yet" in said
    assert "Not started" in said
    assert export(RunFolder(tmp_path / "nowhere")) == 2
    assert "there is no run here" in capsys.readouterr().err


def test_data_that_changed_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lab = Lab(tmp_path, pytest.MonkeyPatch())
    file = lab.project.root / "a.npz"

    def write(classes: int, width: int = 5) -> None:
        random = np.random.default_rng(0)
        np.savez(file, features=random.normal(size=(60, width)), labels=np.arange(60) % classes)

    write(3)
    run = lab.run(data={"source": "npz", "path": "a.npz", "batch_size": 16}, train={"epochs": 1})
    write(4)
    assert export(run) == 2
    assert "are not the student's" in capsys.readouterr().err
    write(3, width=6)
    assert export(run, "--check", str(run.student_dir)) == 2
    assert "samples of shape (6,)" in capsys.readouterr().err


def test_a_damaged_student(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    (run.student_dir / "model.safetensors").write_bytes(b"no weights")
    assert export(run) == 2
    assert "not a sound safetensors file" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("how", [pytest.param("SIGTERM", marks=pytest.mark.slow), "SIGKILL"])
def test_an_export_that_is_ended_leaves_no_process(run: RunFolder, how: str) -> None:
    """The checking process hangs, as one with a huge student would; then its parent is ended."""
    description = json.loads((run.student_dir / "student.json").read_text())
    description["model"] = {"model": "models.py:build", "weights": None, "pretrained": False}
    (run.student_dir / "student.json").write_text(json.dumps(description))
    (run.student_dir / "models.py").write_text(
        "import sys, time\nfrom kdstudio.engine.models.simple import MLP\n"
        "def build(input_shape, num_classes):\n"
        "    if 'verify' in sys.argv[0]:\n        time.sleep(1000)\n"
        "    return MLP(64, [12], num_classes)\n"
    )
    assert main(["trust", str(run.project_root)]) == 0
    scratch = run.project_root / "scratch"
    scratch.mkdir()
    command = [sys.executable, "-m", "kdstudio", "export", str(run.path), "--format", "safetensors"]
    environment = {**os.environ, "TMPDIR": str(scratch)}
    process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    checking = _wait_for_check(process)
    process.terminate() if how == "SIGTERM" else process.kill()
    code = process.wait(60)
    psutil.wait_procs([checking], 60)
    assert not checking.is_running()
    assert not any(scratch.iterdir())
    left = {path.name.split(".")[1] for path in (run.path / "exports").iterdir()}
    if how == "SIGTERM":
        assert code == 130
        assert not left
        return
    assert left == {"safetensors"}  # half-written; the next export removes it
    (run.student_dir / "models.py").write_text(
        (run.student_dir / "models.py").read_text().replace("time.sleep(1000)", "pass")
    )
    assert export(run, "--format", "safetensors") == 0
    assert [path.name for path in (run.path / "exports").iterdir()] == ["safetensors"]


def _wait_for_check(process: psutil.Popen) -> psutil.Process:
    while process.poll() is None:
        for child in process.children():
            with contextlib.suppress(psutil.Error):  # one that has just ended is not the check
                if "kdstudio.engine.export.verify" in " ".join(child.cmdline()):
                    return child
        time.sleep(0.02)
    raise AssertionError(f"the export ended before its check, with code {process.returncode}")
