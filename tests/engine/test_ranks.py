"""Several processes share the work of a run: the same losses, the same answers to requests, and no rank left behind."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
import torch._inductor.config
from torch import distributed

from kdstudio.engine import control
from kdstudio.engine.cache.teacher import CachedTeacher
from kdstudio.engine.data.views import sharers, slice_of
from kdstudio.engine.ranks import group, workers
from kdstudio.engine.ranks.group import RankLost, Ranks
from kdstudio.engine.ranks.join import device_for
from kdstudio.engine.run import execute
from kdstudio.engine.trainer import Trainer
from kdstudio.project.errors import InputError
from kdstudio.project.runs.control import request
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.place import ALONE, Place
from kdstudio.project.runs.state import RunStatus
from kdstudio.project.spec import TrainSpec

#: By how much a loss of two processes may differ from that of one: as a share of it, and near zero.
TOLERANCE, NEAR_ZERO = 1e-5, 1e-6


@pytest.mark.parametrize("samples", [1, 2, 3, 5, 31, 32])
@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_slices_make_up_the_batch_and_none_is_a_single_sample(samples: int, size: int) -> None:
    slices = [slice_of(samples, Place(rank, size)) for rank in range(size)]
    counted = [(first, last) for first, last, counts in slices if counts]
    assert [place for first, last in counted for place in range(first, last)] == list(range(samples))
    assert len(counted) == sharers(samples, size)
    assert all(last - first >= min(2, samples) for first, last, _ in slices)


def test_the_place_is_read_from_the_environment() -> None:
    assert Place.here({}) == ALONE == Place.here({"RANK": "x", "WORLD_SIZE": "2"})
    found = Place.here({"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"})
    assert found == Place(5, 8, 1, launched=True)


def test_one_alone_asks_nobody() -> None:
    ranks = Ranks()
    assert ranks.alone
    assert ranks.main
    assert ranks.decide(lambda: 3) == ranks.least(lambda: 3) == ranks.in_turn(lambda: 3) == 3


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"device": "cuda"}, "4 CUDA devices are asked for on this machine, and there are 2"),
        ({"device": "cuda:1"}, "train.device names one, 'cuda:1'"),
    ],
)
def test_more_devices_than_there_are_is_told_by_the_field(
    fields: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(InputError, match=r"train\.devices") as caught:
        device_for(TrainSpec(devices=4, **fields), ALONE, 4)
    assert words in caught.value.what
    assert device_for(TrainSpec(device="cuda"), Place(3, 4, 1, True), 4) == torch.device("cuda", 1)
    assert device_for(TrainSpec(device="cpu"), ALONE, 4) == torch.device("cpu")


def test_a_rank_says_why_it_ends_and_not_that_it_lost_the_others() -> None:
    store = distributed.HashStore()
    broken = RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer")
    first, second, third = (Ranks(Place(rank, 3), store) for rank in range(3))
    second.report(broken)
    third.report(MemoryError("no room for the batch"))
    found = first.blame(broken)
    assert found is not None
    assert found.what.startswith("rank 2 of 3")
    assert found.why == "MemoryError: no room for the batch"
    assert first.blame(ValueError("its own mistake")) is None


def test_a_rank_whose_process_is_gone_is_found_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "LOOK_SECONDS", 0.1)
    store = distributed.HashStore()
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    store.set("process/1", f"{group._host()} {child.pid}")
    found = Ranks(Place(0, 3), store).blame(RuntimeError("gloo: timed out"))
    assert found is not None
    assert found.what.startswith("rank 1 of 3")
    nobody = Ranks(Place(0, 3), distributed.HashStore()).blame(RuntimeError("gloo: timed out"))
    assert nobody is not None
    assert nobody.what.startswith("one of the 3 ranks")


def test_rank_0_hears_of_a_rank_that_is_gone_where_no_error_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "HANG_SECONDS", 0.3)
    heard: list[tuple[int, str]] = []
    begun = workers.Workers(RunFolder(tmp_path), 2, {}, [], lambda rank, how: heard.append((rank, how)))
    begun._command = [sys.executable, "-c", "raise SystemExit(3)"]
    with begun:
        deadline = time.monotonic() + 30
        while not heard and time.monotonic() < deadline:
            time.sleep(0.05)
    assert heard == [(1, "its process ended with exit code 3")]


def losses(lab: Any, run: RunFolder, stage: str) -> dict[tuple[str, str, str], list[float]]:
    store = lab.metrics(run)
    keys = store.keys()
    return {
        key: list(store.series(*key).values) for key in keys if key[1] in ("train", "validation") and stage in key[0]
    }


def assert_alike(lab: Any, one: RunFolder, two: RunFolder, stage: str = "") -> None:
    first, second = losses(lab, one, stage), losses(lab, two, stage)
    assert first.keys() == second.keys()
    for key, values in first.items():
        assert len(values) == len(second[key])
        for value, other in zip(values, second[key]):
            same = math.isclose(value, other, rel_tol=TOLERANCE, abs_tol=NEAR_ZERO) or (
                value != value and other != other
            )
            assert same, (key, value, other)


def test_two_ranks_have_the_losses_of_one(lab: Any, hints: list[dict[str, Any]]) -> None:
    """Views, an uneven last batch (5 of 32), a term that rests, micro-batches, clipping; the teacher too."""
    hints = [*hints[:2], {**hints[2], "until_epoch": 2}]
    fields = {
        "objective": hints,
        "data": {"source": "digits", "batch_size": 32, "train_limit": 165, "augment": ["jitter"]},
        "cache": {"use": "off"},
        "baseline": True,
    }
    train = {"epochs": 3, "lr": 0.05, "accumulate": 2, "clip_norm": 0.5}
    one = lab.run(train=train, **fields)
    other = lab.new_project("other")  # without the first one's teacher
    two = lab.run(project=other, train={**train, "devices": 2}, **fields)
    assert two.state().means["ranks"] == "2 share each batch"
    assert_alike(lab, one, two)
    weights, others = lab.module(one), lab.module(two)
    assert all(torch.allclose(weights[name], others[name], rtol=1e-4, atol=1e-6) for name in weights)
    assert (two.path / "student" / "student.json").exists()
    assert two.scorecard() is not None


@pytest.mark.slow
def test_the_memory_of_contrasts_takes_in_all_ranks(lab: Any) -> None:
    term = {
        "term": "contrastive",
        "weight": 0.8,
        "dimensions": 8,
        "pairs": [{"teacher": "hidden1", "student": "hidden1"}],
    }
    fields = {"objective": [{"term": "hard", "weight": 1.0}, term], "cache": {"use": "off"}}
    one = lab.run(train={"epochs": 2}, **fields)
    two = lab.run(train={"epochs": 2, "devices": 2}, **fields)
    memory = "objective.terms.1.contrasts.0.student_memory"
    first, second = lab.module(one)[memory], lab.module(two)[memory]
    moved = (first - second).abs().amax(dim=1)
    assert float(moved.max()) < 0.2  # negatives are drawn by each rank's own chance


def parked(lab: Any, devices: int, step: int = 6) -> RunFolder:
    run = lab.project.create_run(lab.experiment(train={"epochs": 8, "devices": devices}, cache={"use": "off"}))
    lab.before_step("student", step, lambda trainer: request(run, "park"))
    assert execute(run).phase == "parked"
    assert run.status() is RunStatus.PARKED
    return run


@pytest.mark.parametrize(("before", "after"), [pytest.param(2, 1, marks=pytest.mark.slow), (1, 2)])
def test_a_parked_run_goes_on_with_another_number_of_ranks(lab: Any, before: int, after: int) -> None:
    whole = lab.run(train={"epochs": 8}, cache={"use": "off"})
    run = parked(lab, before)
    assert 6 <= run.state().step < 40
    assert execute(run, devices=after).phase == "finished"
    assert_alike(lab, whole, run, "student")


def test_stop_reaches_all_ranks_at_the_same_step(lab: Any) -> None:
    run = lab.project.create_run(lab.experiment(train={"epochs": 400, "devices": 2}))
    lab.before_step("student", 7, lambda trainer: request(run, "stop"))
    assert execute(run).phase == "stopped"
    assert 7 <= run.state().step < 200
    assert (run.path / "student" / "student.json").exists()


def test_a_hold_waits_and_stop_now_ends(lab: Any) -> None:
    run = lab.project.create_run(lab.experiment(train={"epochs": 400, "devices": 2}))
    held: list[int] = []

    def on_hold(trainer: Trainer, begins: bool) -> None:
        held.append(trainer.progress.step)
        request(run, "continue" if begins else "stop-now")

    lab.before_step("student", 3, lambda trainer: request(run, "hold"))
    lab.monkeypatch.setattr(Trainer, "_on_hold", on_hold)
    assert execute(run).phase == "stopped"
    assert len(held) == 2
    assert held[0] == held[1]


def kill_worker(trainer: Trainer) -> None:
    found = [child for child in psutil.Process().children() if "kdstudio" in child.cmdline()]
    assert len(found) == 1
    found[0].kill()


def test_a_rank_that_is_killed_is_named_and_the_run_goes_on_without_it(lab: Any) -> None:
    run = lab.project.create_run(lab.experiment(train={"epochs": 30, "devices": 2}))
    lab.before_step("student", 12, kill_worker)
    with pytest.raises(RankLost, match="rank 1 of 2 has ended"):
        execute(run)
    error = run.state().error
    assert run.status() is RunStatus.FAILED
    assert error is not None
    assert error["kind"] == "rank-lost"
    assert "signal 9 (SIGKILL)" in error["why"]
    assert execute(run, devices=1).phase == "finished"


def test_two_ranks_ask_the_teacher_side_by_side_and_once(lab: Any) -> None:
    fields = {"data": {"source": "digits", "batch_size": 128}, "cache": {"use": "on"}}
    one = lab.run(train={"epochs": 2, "devices": 2}, **fields)
    assert "answers are kept" in one.state().means["teacher"]
    view = next((lab.project.root / "cache").glob("*/v*"))
    assert len((view / "logits.done").read_text().splitlines()) == 2  # shards, each written by one of them
    asked = "asked the teacher"
    again = lab.run(train={"epochs": 2, "devices": 2}, **fields)
    assert asked not in again.log_path.read_text()
    alone = lab.run(train={"epochs": 2}, **fields)
    assert asked not in alone.log_path.read_text()
    assert_alike(lab, alone, again, "student")


def test_a_park_while_the_teacher_is_asked_reaches_all_ranks(lab: Any) -> None:
    run = lab.project.create_run(lab.experiment(train={"epochs": 2, "devices": 2}, cache={"use": "on"}))
    original, asked = CachedTeacher.prepare, []

    def prepare(teacher: CachedTeacher, epoch: int, layers: list[str]) -> None:
        if not asked:
            asked.append(epoch)
            request(run, "park")
            teacher._tell(0, 1)
        original(teacher, epoch, layers)

    lab.monkeypatch.setattr(CachedTeacher, "prepare", prepare)
    lab.monkeypatch.setattr(control, "POLL_SECONDS", 0.0)
    assert execute(run).phase == "parked"
    assert execute(run).phase == "finished"


def test_first_stages_and_relations_work_on_two_ranks(lab: Any) -> None:
    """With batch normalisation too."""
    pair = [{"teacher": "stage2", "student": "stage2"}]
    factor = {"term": "factor", "weight": 1.0, "pairs": pair, "paraphraser_epochs": 1}
    fields = {
        "teacher": {"model": "cnn", "widths": [4, 6], "train": {"epochs": 1, "lr": 0.1}},
        "student": {"model": "cnn", "widths": [4, 6]},
        "objective": [{"term": "hard", "weight": 1.0}, {"term": "similarity", "weight": 10.0, "pairs": pair}, factor],
    }
    run = lab.run(train={"epochs": 1, "devices": 2}, **fields)
    assert run.status() is RunStatus.FINISHED
    assert "similarity: relations are those within a rank's slice" in run.log_path.read_text()
    assert ("factor-first", "stage") in lab.events(run)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_compiled_students_of_two_ranks_have_the_losses_of_one(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch._inductor.config, "compile_threads", 1)  # in this process: others would outlive the test
    data = {"source": "digits", "batch_size": 64, "train_limit": 300}
    runs = [lab.run(data=data, train={"epochs": 2, "compile": "on", "devices": count}) for count in (1, 2)]
    assert [run.state().means["compile"] for run in runs] == ["on", "on"]
    one, two = (lab.metrics(run).series("student", "train", "loss").values for run in runs)
    assert two == pytest.approx(one, rel=TOLERANCE, abs=NEAR_ZERO)
