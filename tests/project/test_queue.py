"""The queue: order, turns that the run folders decide, and changes that many can make at once."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from kdstudio.project.errors import InputError
from kdstudio.project.folder import Project, create_project
from kdstudio.project.queue import MOST_TRIES, Queue, Turn, is_worked_on
from kdstudio.project.runs.folder import RunFolder, write_bytes
from kdstudio.project.runs.state import RunState, encode_state, process_start
from kdstudio.project.spec import Experiment


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(create_project(tmp_path / "project", "empty"))


def experiment(device: str = "auto") -> Experiment:
    plain = {"name": "a", "student": {"model": "mlp"}, "objective": [{"term": "hard"}], "train": {"device": device}}
    return Experiment.model_validate(plain)


def is_at(run: RunFolder, phase: str, pid: int = 0, step: int = 0) -> None:
    start = process_start(pid) if pid else 0.0
    write_bytes(run.state_path, encode_state(RunState(phase=phase, pid=pid, process_start=start, step=step)))


def names(queue: Queue) -> list[str]:
    return [queued.run.name for queued in queue.listed()]


def turns(queue: Queue) -> list[Turn]:
    return [queued.turn for queued in queue.listed()]


def test_order(queue: Queue) -> None:
    for first in (False, False, True):
        queue.add(experiment(), first)
    assert names(queue) == ["a/003", "a/001", "a/002"]
    queue.move("a/002", 0)
    assert names(queue) == ["a/002", "a/003", "a/001"]
    queue.move("a/002", 99)
    assert names(queue) == ["a/003", "a/001", "a/002"]
    queue.remove("a/001")
    assert names(queue) == ["a/003", "a/002"]
    assert (queue.project.runs_dir / "a/001/experiment.yaml").exists()
    with pytest.raises(InputError, match="'a/001' is not in the queue"):
        queue.remove("a/001")


def test_the_run_folder_decides_whose_turn_it_is(queue: Queue) -> None:
    run = queue.add(experiment())
    assert turns(queue) == [Turn.WAITING]
    is_at(run, "training", os.getpid())
    assert turns(queue) == [Turn.GOING]
    is_at(run, "training", 2**22 + 1)  # no such process: it was killed
    assert turns(queue) == [Turn.WAITING]
    for phase in ("finished", "stopped", "parked", "failed"):
        is_at(run, phase, os.getpid())
        assert turns(queue) == [Turn.OVER], phase
    assert queue.tidy() == [run.name]
    assert names(queue) == []


def test_what_was_parked_can_be_queued_to_go_on(queue: Queue) -> None:
    run = queue.project.create_run(experiment())
    is_at(run, "parked", 1, step=5)
    queue.put(run)
    assert turns(queue) == [Turn.WAITING]
    assert queue.started(run.name)
    assert turns(queue) == [Turn.WAITING]  # its process may be killed before it says anything
    is_at(run, "parked", os.getpid(), step=9)
    assert turns(queue) == [Turn.OVER]
    with pytest.raises(InputError, match="in the queue already"):
        queue.put(run)
    is_at(run, "finished")
    with pytest.raises(InputError, match="cannot be queued"):
        queue.put(run)


def test_a_run_that_gets_nowhere_is_given_up(queue: Queue) -> None:
    run = queue.add(experiment())
    for step in (0, 0, 7, 7):  # it gets on once, and the tries count from there
        is_at(run, "training", 2**22 + 1, step=step)
        assert queue.started(run.name)
        assert turns(queue) == [Turn.WAITING]
    for _ in range(MOST_TRIES - 2):
        assert queue.started(run.name)
    assert turns(queue) == [Turn.GIVEN_UP]
    assert queue.next({}) == []
    queue.try_again(run.name)
    assert turns(queue) == [Turn.WAITING]


def test_runs_side_by_side_are_counted_by_device(queue: Queue) -> None:
    devices = ("cuda:0", "cuda:0", "cuda:1", "cuda:0")
    runs = [queue.add(experiment(device)) for device in devices]
    assert [queued.run for queued in queue.next({})] == [runs[0], runs[2]]
    assert [queued.run for queued in queue.next({"cuda:0": 1})] == [runs[2]]
    queue.set_side_by_side(2)
    assert [queued.run for queued in queue.next({})] == runs[:3]
    with pytest.raises(InputError, match="side by side"):
        queue.set_side_by_side(0)


def test_a_paused_queue_starts_nothing(queue: Queue) -> None:
    run = queue.add(experiment())
    queue.pause(True)
    assert queue.next({}) == []
    assert not queue.started(run.name)
    queue.pause(False)
    assert [queued.run for queued in queue.next({})] == [run]


def test_a_deleted_run_leaves_the_queue(queue: Queue) -> None:
    run = queue.add(experiment())
    run.experiment_path.unlink()
    assert names(queue) == []
    assert queue.tidy() == [run.name]
    assert queue.read().entries == []


def test_a_damaged_file_is_told(queue: Queue, tmp_path: Path) -> None:
    queue.add(experiment())
    queue.path.write_text('{"entries": 3}')
    with pytest.raises(InputError, match=r"queue\.json: the queue cannot be read"):
        queue.listed()


def test_nothing_works_on_a_new_queue(queue: Queue) -> None:
    begin = time.monotonic()
    assert not is_worked_on(queue)
    assert time.monotonic() - begin < 5
    assert not queue.worker_lock.exists()


def test_the_queue_is_the_projects(queue: Queue) -> None:
    queue.add(experiment())
    assert names(Queue(Project.open(queue.project.root))) == ["a/001"]
