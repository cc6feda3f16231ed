"""Runs with a teacher that is asked once: the same losses, under augmentation too, whatever stops them in between."""

from __future__ import annotations

import logging
import shutil
from typing import Any

import pytest
import torch

from kdstudio.engine.cache import CachedTeacher, PlannedTeacher
from kdstudio.engine.data import Batch
from kdstudio.engine.run import execute
from kdstudio.engine.teacher import Numbers, Teacher
from kdstudio.engine.trainer import Trainer
from kdstudio.project.cache import entries
from kdstudio.project.runs.control import request
from kdstudio.project.runs.folder import RunFolder

DATA = {"source": "digits", "batch_size": 32, "train_limit": 160}
MOVED = {**DATA, "augment": ["crop", "flip"], "crop_padding": 2}


@pytest.fixture(autouse=True)
def all_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "kdstudio")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many samples the teacher itself was asked about, call by call, in training and filling."""
    calls: list[int] = []
    before = Teacher.__call__

    def counted(teacher: Teacher, inputs: torch.Tensor, numbers: Numbers | None = None) -> Any:
        calls.append(len(inputs))
        return before(teacher, inputs, numbers)

    monkeypatch.setattr(Teacher, "__call__", counted)
    return calls


def losses(lab: Any, run: Any) -> list[float]:
    return lab.metrics(run).series("student", "train", "loss").values.tolist()


def logged(run: Any) -> str:
    return (run.path / "log.txt").read_text(encoding="utf-8")


def test_cached_and_online_losses_agree(lab: Any, hints: list[Any]) -> None:
    objective = [*hints, {"term": "distance", "weight": 10, "pairs": hints[2]["pairs"]}]
    for data in (DATA, {**MOVED, "views": 2}):
        runs = [lab.run(data=data, objective=objective, cache={"use": use}) for use in ("on", "off")]
        cached, online = (losses(lab, run) for run in runs)
        assert "its answers are kept" in logged(runs[0])
        assert "works at each step: cache.use is off" in logged(runs[1])
        assert cached == pytest.approx(online, rel=2e-3)
        exact = lab.run(data=data, objective=objective, cache={"use": "on", "precision": "fp32"})
        assert losses(lab, exact) == pytest.approx(online, rel=2e-6)


def test_the_answers_belong_to_the_pixels_of_the_step(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every step of every epoch: what comes from the cache is what the teacher says of the student's own inputs."""
    errors: list[float] = []
    before = CachedTeacher.__call__

    def compared(cached: CachedTeacher, inputs: torch.Tensor, numbers: Numbers | None = None) -> Any:
        logits, features = before(cached, inputs, numbers)
        assert numbers is not None
        with torch.no_grad():
            errors.append(float((cached.model(inputs) - logits).abs().max()))
        return logits, features

    monkeypatch.setattr(CachedTeacher, "__call__", compared)
    lab.run(data={**MOVED, "views": 3}, train={"epochs": 7}, cache={"precision": "fp32"})
    assert len(errors) == 35
    assert max(errors) < 1e-5


def test_the_teacher_is_asked_once(lab: Any, asked: list[int]) -> None:
    fields = {"data": {**MOVED, "views": 2}, "train": {"epochs": 6}}
    lab.run(**fields)
    shares = 64 * 6  # what each term does to the student is measured with 64 samples, once an epoch at most
    assert sum(asked) <= 1.1 * 2 * 160 + shares
    asked.clear()
    lab.run(**fields, objective=[{"term": "soft", "temperature": 2}])
    lab.run(**{**fields, "train": {"epochs": 6, "seed": 5}})
    assert sum(asked) <= shares + 2 * 4
    assert len(entries(lab.project.root)) == 1


def test_new_views_each_epoch_are_kept_where_they_are_small(lab: Any, asked: list[int]) -> None:
    run = lab.run(data=MOVED, train={"epochs": 3})
    (entry,) = entries(lab.project.root)
    assert entry.views == 3
    asked.clear()
    again = lab.run(data=MOVED, train={"epochs": 3})
    assert losses(lab, run) == losses(lab, again)
    assert sum(asked) <= 64 * 3 + 2


def test_a_layer_with_new_views_each_epoch_is_not_kept(lab: Any, hints: list[Any]) -> None:
    run = lab.run(data=MOVED, objective=hints, train={"epochs": 3})
    assert "is not kept: each epoch has new views" in logged(run)
    assert "no epoch can do without a layer that is not kept" in logged(run)
    assert entries(lab.project.root) == []


def test_what_does_not_fit_is_not_kept(lab: Any) -> None:
    run = lab.run(data=DATA, cache={"limit_gb": 1e-6})
    assert "its answers would take 3.2 kB of the 1 kB" in logged(run)
    assert run.state().phase == "finished"


def test_numbers_too_large_for_fp16_are_kept_in_fp32(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Teacher.__call__

    def loud(teacher: Teacher, inputs: torch.Tensor, numbers: Numbers | None = None) -> Any:
        logits, features = before(teacher, inputs, numbers)
        return logits * 1e6, features

    monkeypatch.setattr(Teacher, "__call__", loud)
    objective = [{"term": "hard"}, {"term": "soft", "weight": 1e-9}]
    run = lab.run(data=DATA, objective=objective)
    assert "fp16 cannot hold what the teacher of the student says" in logged(run)
    assert {entry.about["precision"] for entry in entries(lab.project.root)} == {"fp16", "fp32"}
    assert run.state().phase == "finished"


def test_a_full_disk_makes_the_teacher_work_at_each_step(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from kdstudio.engine.cache.store import CacheStore
    from kdstudio.project.yaml_io import storage_error

    def full(store: CacheStore, view: int, *_: Any) -> None:
        raise storage_error(store.folder, OSError(28, "No space left on device"))

    online = lab.run(data=DATA, cache={"use": "off"})
    monkeypatch.setattr(CacheStore, "write", full)
    run = lab.run(data=DATA)
    assert "works at each step: its answers cannot be kept" in logged(run)
    assert losses(lab, run) == losses(lab, online)


@pytest.mark.parametrize(("ask", "phase"), [("park", "parked"), ("stop", "stopped")])
def test_requests_are_answered_while_the_teacher_is_asked(
    lab: Any, monkeypatch: pytest.MonkeyPatch, ask: str, phase: str
) -> None:
    fields: dict[str, Any] = {"data": {**MOVED, "views": 2}, "train": {"epochs": 3}}
    whole = lab.run(**fields)
    for entry in entries(lab.project.root):
        shutil.rmtree(entry.path)
    lab.before_step("student", 10**9, lambda trainer: None)  # requests are looked for all the time
    before, done = CachedTeacher._asked, []

    def interrupted(cached: CachedTeacher, view: int, shard: int, names: list[str]) -> Any:
        if len(done) == 1:  # the second view, before the second epoch
            request(RunFolder(lab.project.root / "runs" / "small" / "002"), ask)
        done.append(shard)
        return before(cached, view, shard, names)

    monkeypatch.setattr(CachedTeacher, "_asked", interrupted)
    run = lab.run(**fields)
    assert (run.state().phase, run.state().step) == (phase, 5)
    execute(run)
    assert run.state().phase == "finished"
    assert lab.same(lab.module(run), lab.module(whole))


def test_a_run_that_is_parked_goes_on_bit_for_bit(lab: Any, hints: list[Any]) -> None:
    fields: dict[str, Any] = {"data": {**MOVED, "views": 2}, "objective": hints, "train": {"epochs": 4}}
    whole = lab.run(**fields)
    lab.before_step("student", 8, lambda trainer: request(trainer.recorder.run, "park"))
    parked = lab.run(**fields)
    assert parked.state().phase == "parked"
    execute(parked)
    assert losses(lab, parked) == losses(lab, whole)
    assert lab.same(lab.module(parked), lab.module(whole))


def test_other_weights_samples_and_preprocessing_have_other_answers(lab: Any) -> None:
    lab.run(data=DATA)
    lab.run(data={**DATA, "train_limit": 150})
    lab.run(data=DATA, teacher={"model": "mlp", "widths": [24], "train": {"epochs": 2, "lr": 0.1, "seed": 3}})
    assert len(entries(lab.project.root)) == 3


def test_a_first_stage_reads_what_is_kept(lab: Any, asked: list[int]) -> None:
    term = {"term": "factor", "pairs": [{"teacher": "stage2", "student": "stage2"}], "paraphraser_epochs": 6}
    cnn = {"model": "cnn", "widths": [4, 6]}
    fields = {"student": cnn, "teacher": {**cnn, "widths": [6, 8], "train": {"epochs": 1}}, "baseline": False}
    fields |= {"data": DATA, "objective": [{"term": "hard"}, term], "train": {"epochs": 1, "precision": "fp32"}}
    kept = lab.run(**fields, cache={"use": "on", "precision": "fp32"})
    assert "the teacher of factor" not in logged(kept)  # it does not work at each step
    assert sum(asked) <= 1.1 * 2 * 160 + 64  # once for each stage's arithmetic, and for the shares of the gradient
    live = lab.run(**fields, cache={"use": "off"})
    stages = [lab.metrics(run).series("factor-first", "train", "loss").values for run in (kept, live)]
    assert stages[0] == pytest.approx(stages[1], rel=1e-5)


def test_what_says_nothing_of_samples_stays_live(lab: Any) -> None:
    """A batch without sample numbers is asked of the teacher itself."""
    answers: list[torch.Tensor] = []

    def ask(trainer: Trainer) -> None:
        planned = trainer.teacher
        assert isinstance(planned, PlannedTeacher)
        batch: Batch = trainer.batches.rows(0, 8, 0)
        numbers = Numbers(batch.indices, batch.here)
        answers.extend(planned(trainer.preprocess(batch.images), which)[0] for which in (None, numbers))

    lab.before_step("student", 1, ask)
    run = lab.run(data=DATA)
    live, kept = answers
    assert torch.allclose(live, kept, atol=0.05)
    assert torch.equal(kept, kept.half().float())
    assert run.state().phase == "finished"
