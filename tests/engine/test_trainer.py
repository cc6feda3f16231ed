"""Training: seeds, clipping, early stop, teachers that are kept, given weights, the baseline, FitNets' two stages."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from kdstudio.engine.data import Batch
from kdstudio.engine.models import build_model
from kdstudio.engine.run import execute
from kdstudio.engine.trainer import Trainer
from kdstudio.project.errors import ModelError
from kdstudio.project.folder import load_experiment, templates
from kdstudio.project.overrides import apply_overrides
from kdstudio.project.schedules import learning_rate
from kdstudio.project.spec import ModelSpec

ALONE = {"teacher": None, "objective": [{"term": "hard"}]}


def teachers(lab: Any) -> list[Path]:
    return sorted(path for path in (lab.project.root / "teachers").iterdir() if path.is_dir())


def test_the_rate_that_was_used_is_that_of_the_schedule(lab: Any) -> None:
    run = lab.run(**ALONE, train={"epochs": 3, "warmup_epochs": 1, "schedule": "cosine"})
    found = lab.metrics(run).series("student", "train", "lr")
    spec = run.experiment().train
    assert found.steps.tolist() == list(range(15))
    assert found.values.tolist() == [learning_rate(spec, step, 5) for step in range(15)]


def test_the_same_seed_gives_the_same_weights_bit_for_bit(lab: Any) -> None:
    fields = {
        **ALONE,
        "student": {"model": "cnn", "widths": [4, 6], "dropout": 0.2},
        "data": {"source": "digits", "batch_size": 32, "train_limit": 160, "augment": ["jitter"]},
    }
    first, again, other = (lab.run(**fields, train={"seed": seed}) for seed in (1, 1, 2))
    assert lab.same(lab.module(first), lab.module(again))
    assert not lab.same(lab.module(first), lab.module(other))
    assert lab.metrics(first).series("student", "train", "loss").values.tolist() == (
        lab.metrics(again).series("student", "train", "loss").values.tolist()
    )


def test_clipping_bounds_the_update(lab: Any) -> None:
    start: dict[str, torch.Tensor] = {}
    lab.before_step("student", 0, lambda t: start.update({k: v.clone() for k, v in t.raw.state_dict().items()}))
    train = {"epochs": 1, "lr": 1.0, "momentum": 0, "weight_decay": 0, "clip_norm": 0.01, "schedule": "constant"}
    run = lab.run(**ALONE, train=train, data={"source": "digits", "batch_size": 32, "train_limit": 32})
    moved = torch.cat([(value - start[key]).flatten() for key, value in lab.module(run).items()]).norm()
    norm = lab.metrics(run).series("student", "train", "grad_norm").values[0]
    assert norm > 0.01  # what is recorded is the norm before clipping
    assert float(moved) == pytest.approx(0.01, rel=1e-3)


def test_early_stop(lab: Any) -> None:
    """With such a rate no weight moves, so the second epoch is no better than the first."""
    run = lab.run(**ALONE, train={"epochs": 50, "lr": 1e-30, "early_stop": 2})
    state = run.state()
    assert (state.phase, state.epoch, state.best_epoch, state.total_epochs) == ("finished", 2, 1, 50)
    assert ("student", "early-stop") in lab.events(run)
    assert len(lab.metrics(run).series("student", "validation", "accuracy").steps) == 3
    assert run.scorecard() is not None


def test_early_stop_does_not_count_epochs_that_train_no_outputs(lab: Any, hints: list[Any]) -> None:
    """In the first of FitNets' stages the head is untrained, and its score says nothing."""
    objective = [{**hints[2], "until_epoch": 6}, {**hints[1], "from_epoch": 6}]
    run = lab.run(objective=objective, train={"epochs": 20, "lr": 1e-30, "early_stop": 2})
    assert run.state().epoch == 7
    assert ("student", "early-stop") in lab.events(run)


def test_a_teacher_is_trained_once_and_found_again(lab: Any) -> None:
    first = lab.run()
    assert ("teacher", "stage") in lab.events(first)
    kept = teachers(lab)
    assert len(kept) == 1
    second = lab.run(student={"model": "mlp", "widths": [7]}, train={"seed": 9, "epochs": 1}, name="other")
    assert teachers(lab) == kept
    assert ("teacher", "stage") not in lab.events(second)
    assert not (second.checkpoints_dir / "teacher-last.pt").exists()
    paths = [json.loads((run.path / "teacher.json").read_text())["folder"] for run in (first, second)]
    assert {(run.path / path).resolve() for run, path in zip((first, second), paths)} == {kept[0].resolve()}
    best = lab.module(first, "teacher-best.pt")
    saved = load_file(kept[0] / "model.safetensors")
    assert lab.same({f"student.{key}": value for key, value in saved.items()}, best)


@pytest.mark.parametrize(
    "change",
    [
        {"teacher": {"model": "mlp", "widths": [24], "train": {"epochs": 2, "lr": 0.1, "seed": 1}}},
        {"teacher": {"model": "mlp", "widths": [25], "train": {"epochs": 2, "lr": 0.1}}},
        {"data": {"source": "digits", "batch_size": 32, "train_limit": 160, "split_seed": 1}},
        {"data": {"source": "digits", "batch_size": 32, "train_limit": 160, "augment": ["jitter"]}},
        {"data": {"source": "digits", "batch_size": 16, "train_limit": 160}},
    ],
)
def test_another_seed_spec_or_data_means_another_teacher(lab: Any, change: dict[str, Any]) -> None:
    lab.run(train={"epochs": 1})
    lab.run(train={"epochs": 1}, **change)
    assert len(teachers(lab)) == 2


def test_weights_of_a_run_make_a_teacher_and_a_student(lab: Any) -> None:
    first = lab.run(name="first", **ALONE)
    weights = load_file(first.student_dir / "model.safetensors")
    network = {"model": "mlp", "widths": [12], "weights": "run:first"}
    unmoved = {"lr": 1e-30, "epochs": 1, "weight_decay": 0}
    second = lab.run(name="second", teacher=network, student=network, train=unmoved)
    frozen = second.experiment()
    assert (frozen.teacher.weights, frozen.student.weights) == ("run:first/001", "run:first/001")
    assert lab.same(load_file(teachers(lab)[0] / "model.safetensors"), weights)
    assert lab.same(load_file(second.student_dir / "model.safetensors"), weights)
    card = second.scorecard()["networks"]["student"]["validation"]["fidelity"]
    assert (card["agreement"], card["kl"]) == (1.0, pytest.approx(0.0, abs=1e-9))
    assert ("teacher", "stage") not in lab.events(second)


@pytest.mark.parametrize("name", ["given.safetensors", "given.pt"])
def test_weights_from_a_file(lab: Any, name: str) -> None:
    net = build_model(ModelSpec(model="mlp", widths=[12]), (1, 8, 8), 10, Path(), trusted=False)
    state = net.state_dict()
    path = lab.project.root / name
    save_file(state, path) if path.suffix == ".safetensors" else torch.save({"state_dict": state}, path)
    run = lab.run(
        teacher={"model": "mlp", "widths": [12], "weights": name}, train={"epochs": 1}, student={"model": "mlp"}
    )
    assert run.state().phase == "finished"
    assert lab.same(load_file(teachers(lab)[0] / "model.safetensors"), state)


class Bomb:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("exploded",)


@pytest.mark.parametrize("side", ["teacher", "student"])
def test_pickles_are_refused(lab: Any, monkeypatch: pytest.MonkeyPatch, side: str) -> None:
    monkeypatch.chdir(lab.root)
    (lab.project.root / "bad.pt").write_bytes(pickle.dumps({"fc.weight": Bomb()}))
    network = {"model": "mlp", "widths": [12], "weights": "bad.pt"}
    run = lab.project.create_run(lab.experiment(**{side: network}))
    with pytest.raises(ModelError, match=rf"{side}\.weights: .*bad\.pt") as caught:
        execute(run)
    assert (caught.value.exit_code, caught.value.kind) == (2, "unsafe")
    assert not (lab.root / "exploded").exists()


def test_a_missing_run_or_file_is_named(lab: Any) -> None:
    for weights, message in (
        ("run:nothing", r"teacher\.weights: no finished run for 'run:nothing'"),
        ("no/such.safetensors", r"teacher\.weights: there is no file 'no/such\.safetensors'"),
    ):
        run = lab.project.create_run(lab.experiment(teacher={"model": "mlp", "weights": weights}))
        with pytest.raises(ModelError, match=message):
            execute(run)


def test_the_baseline_is_the_same_student_without_the_teacher(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    start: dict[str, dict[str, torch.Tensor]] = {}
    views: dict[str, list[bytes]] = {}
    original = Trainer._step

    def step(trainer: Trainer, batch: Batch) -> None:
        start.setdefault(trainer.stage, {k: v.clone() for k, v in trainer.raw.student.state_dict().items()})
        views.setdefault(trainer.stage, []).append(batch.images.numpy().tobytes() + batch.labels.numpy().tobytes())
        original(trainer, batch)

    monkeypatch.setattr(Trainer, "_step", step)
    data = {"source": "digits", "batch_size": 32, "train_limit": 160, "augment": ["jitter"]}
    run = lab.run(baseline=True, data=data, student={"model": "mlp", "widths": [12], "dropout": 0.2})
    assert lab.same(start["student"], start["baseline"])
    assert views["student"] == views["baseline"]
    assert not lab.same(lab.module(run), lab.module(run, "baseline-last.pt"))
    alone = lab.run(**ALONE, data=data, student={"model": "mlp", "widths": [12], "dropout": 0.2})
    assert lab.same(lab.module(alone), lab.module(run, "baseline-last.pt"))
    card = run.scorecard()
    scores = {name: entry["validation"]["accuracy"] for name, entry in card["networks"].items()}
    assert list(scores) == ["student", "teacher", "baseline"]
    assert card["headline"]["gain"] == scores["student"] - scores["baseline"]


def test_the_two_stages_of_fitnets(lab: Any) -> None:
    sample = load_experiment(templates()["digits"] / "experiments" / "two-stage.yaml")
    changes = ["train.epochs=20", "teacher.train.epochs=10", "baseline=false", "evaluate.latency=false"]
    changes += ["objective.0.until_epoch=2", "objective.1.from_epoch=2", "objective.2.from_epoch=2"]
    heads: list[torch.Tensor] = []
    per_epoch = 5
    for step in (0, 2 * per_epoch, 3 * per_epoch):
        lab.before_step("student", step, lambda t: heads.append(t.raw.state_dict()["student.fc.weight"].clone()))
    run = lab.project.create_run(apply_overrides(sample, changes))
    execute(run)
    store = lab.metrics(run)
    active = {
        term: np.isfinite(store.series("student", "train", f"term.{term}").values).sum()
        for term in ("hint", "hard", "soft")
    }
    assert active == {"hint": 2 * per_epoch, "hard": 18 * per_epoch, "soft": 18 * per_epoch}
    assert store.series("student", "train", "term.hint").steps.max() == 2 * per_epoch - 1
    assert store.series("student", "train", "term.soft").steps.min() == 2 * per_epoch
    assert torch.equal(heads[0], heads[1])  # the hint alone does not reach the head
    assert not torch.equal(heads[1], heads[2])
    assert run.scorecard()["networks"]["student"]["test"]["accuracy"] > 0.5
