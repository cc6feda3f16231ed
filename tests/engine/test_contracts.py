"""The contracts of the engine, watched at every step of real runs."""

from __future__ import annotations

import dataclasses
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from kdstudio.engine import run as run_module
from kdstudio.engine.data import load_data
from kdstudio.engine.models import build_model
from kdstudio.engine.objective import DistillationModule
from kdstudio.engine.probes import Probes
from kdstudio.engine.trainer import Trainer
from kdstudio.engine.validate import Validation
from kdstudio.project.errors import KDStudioError, ModelError
from kdstudio.project.spec import ModelSpec


def watch(monkeypatch: pytest.MonkeyPatch, look: Any) -> None:
    """Calls `look(trainer)` after every step."""
    original = Trainer._step

    def wrapped(trainer: Trainer, *batch: Any) -> None:
        original(trainer, *batch)
        look(trainer)

    monkeypatch.setattr(Trainer, "_step", wrapped)


def test_the_teacher_is_frozen_at_every_step(lab: Any, hints: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, torch.Tensor]] = []
    modes: list[bool] = []
    original = DistillationModule.forward

    def forward(module: DistillationModule, *args: Any) -> Any:
        modes.extend(part.training for part in module.modules())
        return original(module, *args)

    def look(trainer: Trainer) -> None:
        if trainer.teacher is None:
            return
        model = trainer.teacher.model
        seen.append({key: value.clone() for key, value in model.state_dict().items()})
        assert not any(part.training for part in model.modules())
        assert all(not parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
        held = {id(p) for group in trainer.optimizer.param_groups for p in group["params"]}
        assert held == {id(parameter) for parameter in trainer.raw.parameters()}
        assert not held & {id(parameter) for parameter in model.parameters()}
        model.train()  # whatever happens in between

    monkeypatch.setattr(DistillationModule, "forward", forward)
    monkeypatch.setattr(Probes, "due", lambda probes: True)
    watch(monkeypatch, look)
    teacher = {"model": "cnn", "widths": [4, 4], "dropout": 0.2, "train": {"epochs": 1}}
    objective = [*hints[:2], {**hints[2], "pairs": [{"teacher": "fc", "student": "hidden1"}]}]
    run = lab.run(teacher=teacher, objective=objective, cache={"use": "off"})
    assert len(seen) == 15
    assert all(lab.same(state, seen[0]) for state in seen)
    assert all(modes), "the student was not in train mode at some step"
    module = lab.module(run)
    assert {key.split(".")[0] for key in module} == {"student", "objective"}
    assert {key for key in module if key.startswith("objective")} == {
        "objective.terms.2.regressors.0.map.weight",
        "objective.terms.2.regressors.0.map.bias",
    }
    content = torch.load(run.checkpoints_dir / "last.pt", weights_only=True)
    assert content.keys() == {"module", "optimizer", "scaler", "progress", "random"}
    assert len(content["optimizer"]["state"]) == len(module)


def test_helpers_are_trained_and_stay_behind(lab: Any, hints: list[Any]) -> None:
    first: dict[str, torch.Tensor] = {}
    lab.before_step("student", 0, lambda trainer: first.update(clone(trainer.raw.state_dict())))
    run = lab.run(objective=hints)
    last = lab.module(run)
    helper = "objective.terms.2.regressors.0.map.weight"
    assert not torch.equal(first[helper], last[helper])
    saved = load_file(run.student_dir / "model.safetensors")
    plain = build_model(ModelSpec(model="mlp", widths=[12]), (1, 8, 8), 10, Path(), trusted=False)
    assert saved.keys() == plain.state_dict().keys()


def clone(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in state.items()}


def test_hooks_leave_and_no_activation_outlives_its_step(
    lab: Any, hints: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: list[weakref.ref[torch.Tensor]] = []
    trainers: list[Trainer] = []
    original = DistillationModule.forward

    def forward(
        module: DistillationModule, inputs: Any, targets: Any, epoch: int, logits: Any, taps: Any, *more: Any
    ) -> Any:
        alive.extend(weakref.ref(tensor) for tensor in (inputs, logits, *taps.values()) if tensor is not None)
        return original(module, inputs, targets, epoch, logits, taps, *more)

    def look(trainer: Trainer) -> None:
        trainers[:] = [trainer]
        assert all(reference() is None for reference in alive)
        assert not any(part._forward_hooks for part in trainer.raw.modules())
        if trainer.teacher is not None:
            assert trainer.teacher.taps._captured == {}

    monkeypatch.setattr(DistillationModule, "forward", forward)
    watch(monkeypatch, look)
    lab.run(objective=hints)
    assert len(alive) > 30
    teacher = trainers[0].teacher
    assert teacher is not None
    assert not any(part._forward_hooks for part in teacher.model.modules())


SEQUENCE_FIRST = """
from torch import nn

class Turn(nn.Module):
    def forward(self, values):
        return values.flatten(1).t()

class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.turn = Turn()
        self.fc = nn.Linear(64, classes)

    def forward(self, images):
        return self.fc(self.turn(images).t())

def build(input_shape, num_classes):
    return Net(num_classes)

def five(input_shape, num_classes):
    return Net(5)
"""
BATCH_NORM = """
from torch import nn

def build(input_shape, num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, num_classes))
"""


def pair(teacher: str, student: str) -> list[dict[str, Any]]:
    return [{"term": "hard"}, {"term": "hint", "pairs": [{"teacher": teacher, "student": student}]}]


@pytest.mark.parametrize(
    ("fields", "message", "fix"),
    [
        (
            {"objective": pair("hidden1", "hiden1")},
            r"objective\.1\.pairs\.0\.student: no layer 'hiden1' in mlp",
            "did you mean 'hidden1'?",
        ),
        (
            {"objective": pair("layer9", "hidden1")},
            r"objective\.1\.pairs\.0\.teacher: no layer 'layer9' in mlp",
            "its top layers are: input_dropout, dropout, hidden1, fc",
        ),
        (
            {"objective": pair("hidden1", "stage1"), "student": {"model": "cnn", "widths": [4]}},
            r"objective\.1\.pairs\.0: 'hidden1' of the teacher and 'stage1' of the student: features of shape "
            r"\(4, 8, 8\) \(student\) and \(24,\) \(teacher\) cannot be joined",
            "choose two layers of one kind",
        ),
        (
            {"objective": pair("hidden1", "turn"), "student": {"model": "net.py:build"}},
            r"student: layer 'turn' gives a tensor of shape \(64, 2\) for 2 samples",
            "choose another layer; kdstudio inspect lists them",
        ),
        (
            {"student": {"model": "net.py:five"}},
            r"student\.model: net\.py:five gives outputs of shape \(5,\) for each sample",
            "Make the last layer as wide as num_classes, and flatten what comes before it.",
        ),
        (
            {"student": {"model": "mlp", "widths": [12], "weights": "five.safetensors"}},
            r"student\.weights: five\.safetensors does not fit the model",
            "The last layer differs: the weights are for another number of classes than the data has.",
        ),
        (
            {"student": {"model": "norm.py:build"}, "data": {"source": "digits", "batch_size": 1, "train_limit": 40}},
            r"data\.batch_size: the student cannot be trained on one sample at a time",
            "set data.batch_size to 2 or more (usual 32 to 512)",
        ),
        (
            {"teacher": {"model": "norm.py:build"}, "data": {"source": "digits", "batch_size": 1, "train_limit": 40}},
            r"data\.batch_size: the teacher cannot be trained on one sample at a time",
            "set data.batch_size to 2 or more (usual 32 to 512)",
        ),
    ],
)
def test_everything_is_checked_before_the_first_step(
    lab: Any, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], message: str, fix: str
) -> None:
    def never(trainer: Trainer, *batch: Any) -> None:
        pytest.fail("a step was taken")

    monkeypatch.setattr(Trainer, "_step", never)
    root = lab.project.root
    (root / "net.py").write_text(SEQUENCE_FIRST)
    (root / "norm.py").write_text(BATCH_NORM)
    five = build_model(ModelSpec(model="mlp", widths=[12]), (1, 8, 8), 5, Path(), trusted=False)
    save_file(five.state_dict(), root / "five.safetensors")
    lab.project.trust()
    run = lab.project.create_run(lab.experiment(**fields))
    with pytest.raises(ModelError, match=message) as caught:
        run_module.execute(run)
    assert caught.value.exit_code == 2
    assert caught.value.fix == fix
    state = run.state()
    assert state.phase == "failed"
    assert state.error == caught.value.as_dict()
    assert not (root / "teachers").exists()


def test_a_single_sample_is_fine_where_nothing_normalises(lab: Any) -> None:
    data = {"source": "digits", "batch_size": 1, "train_limit": 10}
    run = lab.run(teacher=None, objective=[{"term": "hard"}], train={"epochs": 1, "lr": 0.01}, data=data)
    assert run.state().step == 10


@pytest.mark.parametrize("count", [3, 7, 32])
def test_accumulation_is_the_same_as_one_batch(lab: Any, hints: list[Any], count: int) -> None:
    """32 into 3 is 11, 11, 10; the last batch of an epoch, of 24, splits unevenly as well."""
    data = {"source": "digits", "batch_size": 32, "train_limit": 120}
    whole, parts = (
        lab.run(objective=hints, data=data, train={"epochs": 2, "lr": 0.05, "accumulate": k, "clip_norm": 0.5})
        for k in (1, count)
    )
    expected, found = lab.module(whole), lab.module(parts)
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-5, atol=2e-6)
    for key in ("loss", "accuracy", "term.hard", "term.soft", "term.hint", "grad_norm"):
        first, second = (lab.metrics(run).series("student", "train", key).values for run in (whole, parts))
        np.testing.assert_allclose(second, first, rtol=1e-4)


def test_micro_batches_suit_batch_normalisation(lab: Any) -> None:
    """33 samples in 32 pieces would leave single samples."""
    (lab.project.root / "norm.py").write_text(BATCH_NORM)
    lab.project.trust()
    run = lab.run(
        student={"model": "norm.py:build"},
        data={"source": "digits", "batch_size": 33, "train_limit": 66},
        train={"epochs": 1, "accumulate": 32},
    )
    assert run.state().phase == "finished"


def test_the_best_epoch_never_depends_on_test_data(lab: Any, hints: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    plain = lab.run(objective=hints, train={"epochs": 6, "lr": 0.3})

    def permuted(*args: Any) -> Any:
        bundle = load_data(*args)
        order = torch.randperm(len(bundle.test), generator=torch.Generator().manual_seed(5))
        test = dataclasses.replace(bundle.test, labels=bundle.test.labels[order])
        return dataclasses.replace(bundle, test=test)

    monkeypatch.setattr(run_module, "load_data", permuted)
    other = lab.run(objective=hints, train={"epochs": 6, "lr": 0.3}, project=lab.new_project("other"))
    for name in ("last.pt", "best.pt", "teacher-last.pt"):
        assert lab.same(lab.module(plain, name), lab.module(other, name))
    assert plain.state().best_epoch == other.state().best_epoch
    assert lab.same(*(load_file(run.student_dir / "model.safetensors") for run in (plain, other)))


def test_the_kept_student_is_the_best_on_validation(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.5, 0.9, 0.7, 0.9])
    original = Validation.score

    def score(validation: Validation, *args: Any) -> dict[str, float]:
        return {**original(validation, *args), "accuracy": next(scores), "loss": 1.0}

    states: dict[int, dict[str, torch.Tensor]] = {}
    monkeypatch.setattr(Validation, "score", score)
    watch(monkeypatch, lambda trainer: states.update({trainer.progress.step: clone(trainer.raw.student.state_dict())}))
    run = lab.run(teacher=None, objective=[{"term": "hard"}], train={"epochs": 4})
    assert run.state().best_epoch == 2  # a tie goes to the earlier one
    assert lab.same(load_file(run.student_dir / "model.safetensors"), states[9])


def test_probes_change_nothing(lab: Any, hints: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    student = {"model": "cnn", "widths": [4, 6], "dropout": 0.3}
    objective = [*hints[:2], {**hints[2], "pairs": [{"teacher": "hidden1", "student": "fc"}]}]
    fields = {"student": student, "objective": objective}
    quick = lab.run(**fields, monitor={"every_seconds": 0.05})
    with monkeypatch.context() as patch:
        patch.setattr(Probes, "due", lambda probes: True)
        always = lab.run(**fields)
    assert len(list(always.snapshots_dir.glob("0*.safetensors"))) == 17  # first, one a step, last
    with monkeypatch.context() as patch:
        patch.setattr(Probes, "take", lambda *args: None)
        never = lab.run(**fields)
    assert not list(never.snapshots_dir.glob("0*.safetensors"))
    assert lab.same(lab.module(quick), lab.module(never))
    assert lab.same(lab.module(always), lab.module(never))


def test_bf16_works_on_the_cpu(lab: Any, hints: list[Any]) -> None:
    half, full = (
        lab.run(objective=hints, data={"source": "digits", "batch_size": 64}, train={"precision": precision})
        for precision in ("bf16", "fp32")
    )
    first, second = lab.module(half), lab.module(full)
    assert all(value.dtype == torch.float32 for value in first.values())
    assert not lab.same(first, second)
    losses = [lab.metrics(run).series("student", "train", "loss").values for run in (half, full)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=0.1)
    scores = [run.scorecard()["networks"]["student"]["validation"]["accuracy"] for run in (half, full)]
    assert scores[0] == pytest.approx(scores[1], abs=0.05)


def test_fp16_on_the_cpu_is_refused(lab: Any) -> None:
    run = lab.project.create_run(lab.experiment(train={"precision": "fp16"}))
    with pytest.raises(KDStudioError, match=r"train\.precision: fp16 needs a CUDA device") as caught:
        run_module.execute(run)
    assert (caught.value.exit_code, caught.value.fix) == (2, "use auto, fp32 or bf16")
