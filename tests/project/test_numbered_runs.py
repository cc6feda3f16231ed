"""Run folders of a project: their numbers, what is frozen in them, and where they belong."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from kdstudio.project.errors import InputError, StorageError
from kdstudio.project.folder import Project, create_project, create_run, init_run
from kdstudio.project.runs.folder import RunFolder, write_bytes
from kdstudio.project.runs.state import RunState, RunStatus, encode_state
from kdstudio.project.spec import Experiment, validate


def experiment(name: str = "a", **fields: object) -> Experiment:
    plain = {"name": name, "student": {"model": "mlp"}, "objective": [{"term": "hard"}], **fields}
    return validate(Experiment, plain)


def set_phase(run: RunFolder, phase: str, student: bool = True) -> RunFolder:
    write_bytes(run.state_path, encode_state(RunState(phase=phase)))
    if student:
        run.student_dir.mkdir()
        (run.student_dir / "model.safetensors").write_bytes(b"x")
    return run


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return create_project(tmp_path / "project", "empty")


def test_a_new_run(project: Project) -> None:
    run = project.create_run(experiment())
    assert run.path == project.root / "runs" / "a" / "001"
    assert (run.name, run.experiment_name, run.number) == ("a/001", "a", 1)
    assert sorted(path.name for path in run.path.iterdir()) == [
        "checkpoints",
        "control",
        "experiment.yaml",
        "snapshots",
        "state.json",
    ]
    assert run.status() is RunStatus.CREATED
    assert run.state().created > 0
    assert run.scorecard() is None
    assert run.project_root == project.root
    assert RunFolder.open(run.path) == run
    assert hash(RunFolder.open(run.path)) == hash(run)
    assert repr(run) == f"RunFolder({str(run.path)!r})"


def test_numbers_go_on(project: Project) -> None:
    home = project.runs_dir / "a"
    assert [project.create_run(experiment()).number for _ in range(3)] == [1, 2, 3]
    for name in ("007", "0999", "1000", "old", "5 copy", "²", ".lock"):
        (home / name).mkdir()
    (home / "2000").write_text("a file, but a number all the same")
    run = project.create_run(experiment())
    assert run.path.name == "2001"
    assert [run.number for run in project.runs("a")] == [1, 2, 3, 7, 999, 1000, 2001]


def test_the_list_of_runs(project: Project) -> None:
    assert project.runs() == []
    for name in ("b", "a", "b"):
        project.create_run(experiment(name))
    assert [run.name for run in project.runs()] == ["a/001", "b/001", "b/002"]
    assert [run.name for run in project.runs("b")] == ["b/001", "b/002"]
    assert project.runs("c") == []
    (project.runs_dir / "notes.txt").write_text("x")
    assert len(project.runs()) == 3


def test_threads_get_numbers_of_their_own(project: Project) -> None:
    found: list[int] = []
    barrier = threading.Barrier(8)

    def make() -> None:
        barrier.wait()
        for _ in range(5):
            found.append(project.create_run(experiment()).number)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(1, 41))


MAKE = """
import sys
from kdstudio.project.folder import Project
project = Project.open(sys.argv[1])
experiment = project.load("a")
print("ready", flush=True)
sys.stdin.readline()
print(*[project.create_run(experiment).number for _ in range(20)])
"""


def test_processes_get_numbers_of_their_own(project: Project) -> None:
    project.save(experiment())
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen([sys.executable, "-c", MAKE, str(project.root)], **pipes) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:  # both at once
        process.stdin.write("go\n")
        process.stdin.flush()
    numbers = [int(word) for process in processes for word in process.communicate()[0].split()]
    assert sorted(numbers) == list(range(1, 41))
    assert all(run.experiment() == experiment() for run in project.runs("a"))


def test_a_run_that_cannot_be_made_leaves_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError) as caught:
        project.create_run(experiment())
    assert caught.value.kind == "disk-full"
    monkeypatch.undo()
    assert project.runs() == []
    assert project.create_run(experiment()).number == 1


def test_a_project_that_cannot_be_written(project: Project, read_only: Callable[[Path], Path]) -> None:
    locked = Project.open(read_only(project.root))
    with pytest.raises(StorageError) as caught:
        locked.create_run(experiment())
    assert caught.value.kind == "read-only"
    assert caught.value.exit_code == 1
    with pytest.raises(StorageError):
        init_run(locked.root / "out", experiment())


# -- what is frozen ------------------------------------------------------------------------------------------------


def test_the_frozen_experiment_says_everything(project: Project) -> None:
    """Defaults may change with a later version of the program; a run repeats all the same."""
    run = project.create_run(experiment(notes="größer\nzwei"))
    text = run.experiment_path.read_text(encoding="utf-8")
    assert run.experiment() == experiment(notes="größer\nzwei")
    for word in ("momentum: 0.9", "split_seed: 0", "temperature", "checkpoint_seconds: 30.0"):
        assert (word in text) == (word != "temperature")


def test_run_names_are_resolved(project: Project) -> None:
    project.save(experiment())
    for phase in ("finished", "finished", "failed", "parked"):
        set_phase(project.create_run(experiment()), phase)
    set_phase(project.create_run(experiment()), "finished", student=False)
    student = experiment("b", student={"model": "mlp", "weights": "run:a"})
    run = project.create_run(student)
    assert run.experiment().student.weights == "run:a/002"
    assert student.student.weights == "run:a"  # the person's own stays as it is
    both = experiment("b", teacher={"model": "mlp", "weights": "run:a"}, student=student.student.model_dump())
    frozen = project.frozen(both)
    assert frozen.teacher is not None
    assert (frozen.teacher.weights, frozen.student.weights) == ("run:a/002", "run:a/002")


def test_a_run_that_was_stopped_serves_where_none_is_finished(project: Project) -> None:
    set_phase(project.create_run(experiment()), "stopped")
    taker = experiment("b", student={"model": "mlp", "weights": "run:a"})
    assert project.frozen(taker).student.weights == "run:a/001"
    set_phase(project.create_run(experiment()), "finished")
    set_phase(project.create_run(experiment()), "stopped")
    assert project.frozen(taker).student.weights == "run:a/002"


@pytest.mark.parametrize("weights", ["run:a", "run:a/001", "run:none/001", "model.safetensors", "run.pt", None])
def test_what_cannot_be_resolved_stays(weights: str | None, project: Project) -> None:
    set_phase(project.create_run(experiment()), "failed")
    taker = experiment("b", student={"model": "mlp", "weights": weights})
    assert project.frozen(taker).student.weights == weights


@pytest.mark.parametrize(
    ("weights", "number"),
    [("run:a", 2), ("run:a/001", 1), ("run:a/1", 1), ("run:a/0002", 2), ("run:a/003", None), ("run:b", None)],
)
def test_which_run_is_meant(weights: str, number: int | None, project: Project) -> None:
    for _ in range(2):
        set_phase(project.create_run(experiment()), "finished")
    found = project.run_with_student(weights)
    assert (found.number if found else None) == number
    assert project.run_with_student("run:") is None


# -- where a run belongs -------------------------------------------------------------------------------------------


def test_a_run_outside_of_its_project(project: Project, tmp_path: Path) -> None:
    run = init_run(tmp_path / "elsewhere", experiment())
    assert run.project_root == run.path
    (run.path / "project.txt").write_text(f"{project.root}\n")
    assert run.project_root == project.root
    (run.path / "project.txt").write_bytes(b"\xff\xfe")
    assert run.project_root == run.path


def test_a_lone_file_s_runs_move_with_it(tmp_path: Path) -> None:
    home = tmp_path / "old"
    run = create_run(home / "runs" / "a", experiment())
    (run.path / "project.txt").write_text("../../..\n")
    assert run.project_root == home
    home.rename(tmp_path / "new")
    assert RunFolder(tmp_path / "new" / "runs" / "a" / "001").project_root == tmp_path / "new"


def test_what_is_no_run(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere", tmp_path / ("x" * 300), "~nobody-of-this-name/001"):
        with pytest.raises(InputError, match="there is no run here") as caught:
            RunFolder.open(path)
        assert caught.value.kind == "no-run"


def test_a_run_with_a_damaged_experiment(project: Project) -> None:
    run = project.create_run(experiment())
    run.experiment_path.write_text("name: [\n")
    with pytest.raises(InputError, match=r"^a/001/experiment.yaml: this is not valid YAML"):
        run.experiment()
    run.experiment_path.unlink()
    with pytest.raises(InputError, match=r"^a/001/experiment.yaml: there is no such file"):
        run.experiment()
