"""Disks that are full, folders that cannot be written, files that are damaged: a message, and nothing is lost."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from kdstudio.cli import main
from kdstudio.engine import checkpoint
from kdstudio.engine.run import execute
from kdstudio.engine.trainer import Trainer
from kdstudio.project.errors import InputError, StorageError
from kdstudio.project.folder import create_project
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.state import RunStatus

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def refuse(patch: pytest.MonkeyPatch, wanted: Callable[[str], bool]) -> None:
    """From now on no temporary file or folder whose path contains the word can be made."""
    for name in ("mkstemp", "mkdtemp"):
        original = getattr(tempfile, name)

        def made(*args: Any, original: Any = original, **named: Any) -> Any:
            if wanted(f"{named.get('dir', '')}/{named.get('prefix', '')}"):
                raise FULL
            return original(*args, **named)

        patch.setattr(tempfile, name, made)


def no_checkpoint(patch: pytest.MonkeyPatch) -> None:
    def save(content: Any, buffer: Any) -> None:
        raise FULL

    patch.setattr(checkpoint.torch, "save", save)


PLACES: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "checkpoints/last.pt": no_checkpoint,
    "snapshots/000002.safetensors": lambda patch: refuse(patch, lambda path: "snapshots/" in path),
    "state.json": lambda patch: refuse(patch, lambda path: path.endswith("/.state.json.")),
    "student": lambda patch: refuse(patch, lambda path: path.endswith("/.student.")),
    "scorecard.json": lambda patch: refuse(patch, lambda path: path.endswith("/.scorecard.json.")),
    "report.html": lambda patch: refuse(patch, lambda path: path.endswith("/.report.html.")),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_full_disk_at_every_place(lab: Any, capsys: Any, place: str) -> None:
    fields = {"monitor": {"every_seconds": 0.05}, "train": {"epochs": 3, "checkpoint_seconds": 0}}
    undisturbed = lab.run(**fields)
    other = lab.new_project("other")
    path = other.save(lab.experiment(**fields))
    with lab.monkeypatch.context() as patch:
        lab.before_step("student", 7, lambda trainer: PLACES[place](patch))
        assert main(["run", str(path), "--json"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    run = other.runs()[0]
    error = captured.err[captured.err.index("kdstudio: ") :]
    name = place.removesuffix("000002.safetensors")
    assert error.startswith(f"kdstudio: {run.path / name}")
    lines = error.splitlines()
    assert lines[0].endswith(": the disk is full")
    assert lines[1:] == [
        "Why: No space left on device",
        "What to do: free some space, then resume the run; nothing that was saved before is lost",
    ]
    assert "Traceback" not in captured.err
    assert run.status() is (RunStatus.TRAINING if place == "state.json" else RunStatus.FAILED)
    assert main(["run", str(path), "--resume", "--quiet"]) == 0
    assert run.status() is RunStatus.FINISHED
    assert lab.same(lab.module(undisturbed), lab.module(run))
    assert lab.same(lab.module(undisturbed, "best.pt"), lab.module(run, "best.pt"))
    left = [path for path in run.path.rglob(".*") if path.name != ".lock"]
    assert not left


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of two megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("needs root to mount a small disk")
    done = subprocess.run([mount, "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True)
    if done.returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_is_really_full(lab: Any, capsys: Any, small_disk: Path) -> None:
    """Nothing more can be written from step 7 on: no checkpoint, no metric, no state, no line of the log."""
    undisturbed = lab.run()
    project = create_project(small_disk / "project", "empty")
    path = project.save(lab.experiment())
    ballast = small_disk / "ballast"

    def fill(trainer: Trainer) -> None:
        with ballast.open("wb", buffering=0) as file:
            size = 65536
            while size:
                try:
                    file.write(bytes(size))
                except OSError:
                    size //= 2

    lab.before_step("student", 7, fill)
    assert main(["run", str(path)]) == 1
    captured = capsys.readouterr()
    run = project.runs()[0]
    assert captured.err.startswith(f"kdstudio: {run.path}")
    assert "the disk is full" in captured.err
    assert "free some space, then resume the run" in captured.err
    assert "Traceback" not in captured.out + captured.err
    assert "Logging error" not in captured.err
    kept = torch.load(run.checkpoints_dir / "last.pt", weights_only=True)["progress"]
    assert kept["step"] == 5
    assert main(["run", str(path), "--resume"]) == 1  # still full
    captured = capsys.readouterr()
    assert "the disk is full" in captured.err
    assert "Traceback" not in captured.out + captured.err
    assert torch.load(run.checkpoints_dir / "last.pt", weights_only=True)["progress"] == kept
    ballast.unlink()
    assert main(["run", str(path), "--resume", "--quiet"]) == 0
    assert lab.same(lab.module(undisturbed), lab.module(run))
    steps = lab.metrics(run).series("student", "train", "loss").steps.tolist()
    assert steps == list(range(15))


def test_a_disk_that_becomes_read_only(lab: Any, capsys: Any, small_disk: Path) -> None:
    project = create_project(small_disk / "project", "empty")
    path = project.save(lab.experiment())
    lab.before_step("student", 7, lambda trainer: main(["park", str(trainer.recorder.run.path)]))
    assert main(["run", str(path), "--quiet"]) == 130
    run = project.runs()[0]
    before = {file: file.read_bytes() for file in run.path.rglob("*") if file.is_file()}
    capsys.readouterr()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for words, named in ((["run", str(path)], run.path.parent), (["run", str(run.path), "--resume"], run.path)):
        assert main(words) == 1
        lines = capsys.readouterr().err.splitlines()
        assert lines[0].startswith(f"kdstudio: {named}")
        assert lines[0].endswith(": cannot be written")
        assert lines[1] == "Why: Read-only file system"
        assert lines[2] == "What to do: check the folder's permissions, or choose another folder with --out"
    assert main(["hold", str(run.path)]) == 2  # it is not going
    assert {file: file.read_bytes() for file in run.path.rglob("*") if file.is_file()} == before
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert main(["run", str(path), "--resume", "--quiet"]) == 0


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(lab: Any, capsys: Any) -> None:
    run = lab.project.create_run(lab.experiment())
    run.path.chmod(0o500)
    try:
        assert main(["run", str(run.path)]) == 1
    finally:
        run.path.chmod(0o700)
    assert "cannot be written\nWhy: Permission denied\nWhat to do: check the folder's" in capsys.readouterr().err


def test_permission_denied_has_its_own_kind(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    denied = PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    def acquire(*args: Any, **named: Any) -> None:
        raise denied

    monkeypatch.setattr("kdstudio.engine.run.FileLock.acquire", acquire)
    with pytest.raises(StorageError, match="cannot be written") as caught:
        execute(lab.project.create_run(lab.experiment()))
    assert (caught.value.kind, caught.value.exit_code) == ("read-only", 1)


def parked(lab: Any, **fields: Any) -> RunFolder:
    """A run with a finished teacher, parked after eight steps of the student."""
    run = lab.project.create_run(lab.experiment(**fields))
    with lab.monkeypatch.context() as patch:
        lab.monkeypatch, whole = patch, lab.monkeypatch
        lab.before_step("student", 7, lambda trainer: main(["park", str(run.path)]))
        assert execute(run).phase == "parked"
        lab.monkeypatch = whole
    return run


def damage_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damage_noise(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 20)


def damage_empty(path: Path) -> None:
    path.write_bytes(b"")


def damage_lost_key(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    content.pop("module")
    torch.save(content, path)


def damage_other_network(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    content["module"] = {key: value[:1] for key, value in content["module"].items()}
    torch.save(content, path)


def damage_no_mapping(path: Path) -> None:
    torch.save([1, 2], path)


def told(capsys: Any, *words: str) -> tuple[int, list[str]]:
    """Exit code and stderr of a command."""
    capsys.readouterr()
    code = main([*words])
    return code, capsys.readouterr().err.splitlines()


def test_a_damaged_checkpoint(lab: Any, capsys: Any) -> None:
    run = parked(lab)
    path = run.checkpoints_dir / "last.pt"
    sound = path.read_bytes()
    for damage, what in (
        (damage_half, "cannot be read"),
        (damage_noise, "cannot be read"),
        (damage_empty, "cannot be read"),
        (damage_lost_key, "does not fit this run"),
        (damage_other_network, "does not fit this run"),
        (damage_no_mapping, "does not fit this run"),
    ):
        path.write_bytes(sound)
        damage(path)
        broken = path.read_bytes()
        code, lines = told(capsys, "run", str(run.path), "--resume", "--quiet")
        assert (code, len(lines)) == (1, 3)
        assert lines[0] == f"kdstudio: {path}: the checkpoint {what}"
        assert lines[1].startswith("Why: ")
        assert len(lines[1]) > len("Why: ")
        assert lines[2] == "What to do: delete last.pt and best.pt in this folder and resume: the stage starts anew"
        assert path.read_bytes() == broken
        assert run.state().error["kind"] == "damaged"
    path.unlink()
    assert main(["run", str(run.path), "--resume", "--quiet"]) == 0
    assert lab.same(lab.module(run), lab.module(lab.run()))


def test_a_damaged_best_checkpoint(lab: Any, capsys: Any) -> None:
    run = lab.run(baseline=True)
    damage_half(run.checkpoints_dir / "baseline-best.pt")
    with pytest.raises(StorageError, match=r"baseline-best\.pt: the checkpoint cannot be read") as caught:
        execute(run)
    assert caught.value.fix.startswith("delete baseline-last.pt and baseline-best.pt in this folder and resume")
    for name in ("baseline-last.pt", "baseline-best.pt"):
        (run.checkpoints_dir / name).unlink()
    assert execute(run).phase == "finished"


def test_a_damaged_state(lab: Any) -> None:
    run = parked(lab)
    for content in (b"", b'{"phase": "trai', b"\x00" * 64, b"[1, 2]", b'{"step": "seven"}'):
        run.state_path.write_bytes(content)
        assert run.status() is RunStatus.FAILED
        assert main(["run", str(run.path), "--quiet"]) == 2  # begun before: --resume has to be said
    run.state_path.unlink()
    assert main(["run", str(run.path), "--quiet", "--resume"]) == 0
    assert run.status() is RunStatus.FINISHED
    assert lab.metrics(run).series("student", "train", "loss").steps.tolist() == list(range(15))


def test_a_damaged_teacher(lab: Any, capsys: Any) -> None:
    run = parked(lab)
    folder = (run.path / json.loads((run.path / "teacher.json").read_text())["folder"]).resolve()
    for name in ("student.json", "model.safetensors"):
        path = folder / name
        sound = path.read_bytes()
        for damage in (damage_half, damage_noise, damage_empty):
            damage(path)
            code, lines = told(capsys, "run", str(run.path), "--resume", "--quiet")
            assert (code, len(lines)) == (2, 3)
            assert lines[0] == f"kdstudio: teacher: the one that was kept in {folder} cannot be read"
            assert lines[1].startswith("Why: ")
            assert name in lines[1]
            assert lines[2] == "What to do: delete that folder: the next run makes the teacher again"
            path.write_bytes(sound)
    shutil.rmtree(folder)
    assert main(["run", str(run.path), "--resume", "--quiet"]) == 0
    assert lab.same(lab.module(run), lab.module(lab.run()))


def test_a_damaged_experiment(lab: Any, capsys: Any) -> None:
    run = parked(lab)
    sound = run.experiment_path.read_text()
    for text in ("", "name: x\n", "name: [", "data: {source: nowhere}\nname: x\nstudent: {model: mlp}"):
        run.experiment_path.write_text(text)
        code, lines = told(capsys, "run", str(run.path), "--resume", "--quiet")
        assert code == 2
        assert lines[0].startswith("kdstudio: small/001/experiment.yaml: ")
        assert "Traceback" not in "".join(lines)
        assert run.status() is RunStatus.FAILED
        with pytest.raises(InputError):
            run.experiment()
    run.experiment_path.write_text(sound)
    assert main(["run", str(run.path), "--resume", "--quiet"]) == 0
