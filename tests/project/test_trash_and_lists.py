"""What is deleted comes back; lists of runs read again only what has changed; epochs in steps."""

from __future__ import annotations

import errno
import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kdstudio.project.errors import InputError, StorageError
from kdstudio.project.figures import Figure, figure_of
from kdstudio.project.folder import Project, create_project
from kdstudio.project.runs.folder import RunFolder, write_bytes
from kdstudio.project.runs.state import RunState, RunStatus, encode_state, process_start
from kdstudio.project.runs.summary import Catalogue
from kdstudio.project.schedules import batches_of
from kdstudio.project.trash import move_to_trash, restore, trash_folder

CARD = {
    "reported_split": "test",
    "networks": {"student": {"test": {"accuracy": 0.9}, "parameters": 7}, "teacher": {"test": {"accuracy": 0.95}}},
    "headline": {"keeps": 0.947},
}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return create_project(tmp_path / "project", "digits")


@pytest.fixture
def run(project: Project) -> RunFolder:
    return project.create_run(project.load("hints"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# -- the trash -----------------------------------------------------------------------------------------------------


def test_a_run_goes_and_comes_back(project: Project, run: RunFolder) -> None:
    (run.path / "log.txt").write_text("größer", encoding="utf-8")
    before = contents(run.path)
    trashed = move_to_trash(project.root, run.path)
    assert project.runs() == []
    assert trashed.place.is_relative_to(trash_folder(project.root))
    assert contents(trashed.place) == before
    assert json.loads((trashed.place.parent / "origin.json").read_text()) == "runs/hints/001"
    restore(trashed)
    assert project.runs() == [run]
    assert contents(run.path) == before
    assert list(trash_folder(project.root).iterdir()) == []


def test_an_experiment_goes_and_comes_back(project: Project) -> None:
    path = project.path_of("hints")
    text = path.read_text()
    trashed = [move_to_trash(project.root, path)]
    assert "hints" not in project.experiment_names()
    path.write_text("another one of the same name")
    trashed.append(move_to_trash(project.root, path))
    restore(trashed[0])
    assert path.read_text() == text
    with pytest.raises(InputError, match="something else has this name by now") as caught:
        restore(trashed[1])
    assert str(trashed[1].place.parent) in caught.value.fix
    assert path.read_text() == text
    assert trashed[1].place.read_text() == "another one of the same name"


def test_what_went_does_not_take_part(project: Project, run: RunFolder) -> None:
    """The next run may get its number; a copy of the project does not take the trash with it."""
    trashed = move_to_trash(project.root, run.path)
    assert project.create_run(project.load("hints")) == run
    with pytest.raises(InputError, match="something else"):
        restore(trashed)
    run.path.rename(run.path.parent / "kept")
    run.path.parent.rename(project.root / "moved")  # even its folder is gone
    restore(trashed)
    assert project.runs() == [run]


def test_what_cannot_go(project: Project, run: RunFolder) -> None:
    with pytest.raises(InputError, match="there is nothing to delete"):
        move_to_trash(project.root, project.root / "nothing")
    pid = os.getpid()
    state = RunState(phase="training", pid=pid, process_start=process_start(pid), host=socket.gethostname())
    write_bytes(run.state_path, encode_state(state))
    with pytest.raises(InputError, match="this run is going"):
        move_to_trash(project.root, run.path)
    write_bytes(run.state_path, encode_state(RunState(phase="training")))
    assert run.status() is RunStatus.INTERRUPTED
    move_to_trash(project.root, run.path)


def test_a_move_that_fails_leaves_all_as_it_was(
    project: Project, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(project.root)

    def fail(*_: Any) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(StorageError, match="cannot be written"):
            move_to_trash(project.root, run.path)
    assert contents(project.root) == before
    trashed = move_to_trash(project.root, run.path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(StorageError):
            restore(trashed)
    restore(trashed)
    assert contents(project.root) == before


def test_a_project_that_cannot_be_written(project: Project, run: RunFolder, read_only: Callable[[Path], Path]) -> None:
    root = read_only(project.root)
    with pytest.raises(StorageError) as caught:
        move_to_trash(root, root / run.path.relative_to(project.root))
    assert caught.value.kind == "read-only"
    assert len(Project.open(root).runs()) == 1


# -- lists ---------------------------------------------------------------------------------------------------------


def put_card(run: RunFolder, card: dict[str, Any], at: int) -> None:
    write_bytes(run.scorecard_path, json.dumps(card).encode())
    os.utime(run.scorecard_path, ns=(at, at))  # a change is seen even where the clock of the disk is coarse


def test_a_summary(project: Project, run: RunFolder) -> None:
    catalogue = Catalogue()
    (found,) = catalogue.read(project)
    assert (found.run, found.status, found.score, found.scorecard) == (run, RunStatus.CREATED, None, None)
    assert (found.accuracy("student"), found.headline("keeps"), found.fact("student", "parameters")) == (None,) * 3
    write_bytes(run.state_path, encode_state(RunState(phase="finished", best=0.8)))
    (better,) = catalogue.read(project)
    assert better.score == 0.8
    assert better.mark != found.mark
    put_card(run, CARD, time.time_ns())
    (done,) = catalogue.read(project, "hints")
    assert (done.score, done.accuracy("teacher"), done.accuracy("baseline")) == (0.9, 0.95, None)
    assert (done.headline("keeps"), done.fact("student", "parameters")) == (0.947, 7)
    assert done.mark != better.mark
    assert catalogue.read(project, "hard-labels") == []
    assert catalogue.read(None) == []


def test_scorecards_are_read_once(run: RunFolder, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[Path] = []
    original = RunFolder.scorecard

    def counted(folder: RunFolder) -> dict[str, Any] | None:
        reads.append(folder.path)
        return original(folder)

    monkeypatch.setattr(RunFolder, "scorecard", counted)
    catalogue = Catalogue()
    assert catalogue.read(project)[0].scorecard is None
    assert reads == []
    put_card(run, CARD, 10**18)
    assert [catalogue.read(project)[0].scorecard for _ in range(3)] == [CARD] * 3
    assert len(reads) == 1
    other = {**CARD, "reported_split": "validation"}
    put_card(run, other, 2 * 10**18)
    assert catalogue.read(project)[0].scorecard == other
    assert len(reads) == 2
    run.scorecard_path.unlink()
    assert catalogue.read(project)[0].scorecard is None


# -- small sums ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("samples", "batch_size", "batches"),
    [(1, 1, 1), (3, 1, 3), (1, 8, 1), (8, 8, 1), (9, 8, 1), (10, 8, 2), (16, 8, 2), (17, 8, 2), (18, 8, 3), (5, 64, 1)],
)
def test_batches_of_an_epoch(samples: int, batch_size: int, batches: int) -> None:
    assert batches_of(samples, batch_size) == batches


def test_figures() -> None:
    found = figure_of("start", [3.0, 1.0, 2.0], "s", target=2.0)
    assert found == Figure("start", 2.0, "s", 1.0, 3.0, 2.0)
    assert found.met
    assert found.as_dict() == {
        "name": "start",
        "value": 2.0,
        "unit": "s",
        "low": 1.0,
        "high": 3.0,
        "target": 2.0,
        "met": True,
    }
    assert Figure("start", 2.1, "s", target=2.0).met is False
    assert Figure("start", 2.1, "s").met is None
