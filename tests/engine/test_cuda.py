"""The same runs on a CUDA device: run with `pytest -m cuda`."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from kdstudio.cli import main
from kdstudio.engine.meter import Meter
from kdstudio.engine.run import execute
from kdstudio.engine.trainer import Trainer

pytestmark = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

STUDENT = {"model": "cnn", "widths": [4, 6], "dropout": 0.2}


def objective(hints: list[Any]) -> list[Any]:
    return [*hints[:2], {**hints[2], "pairs": [{"teacher": "hidden1", "student": "fc"}]}]


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16", "auto"])
def test_each_precision_learns(lab: Any, hints: list[Any], precision: str) -> None:
    train = {"epochs": 6, "device": "cuda", "precision": precision, "clip_norm": 5.0}
    teacher = {"model": "mlp", "widths": [24], "train": {"epochs": 6, "lr": 0.1, "precision": precision}}
    data = {"source": "digits", "batch_size": 64, "augment": ["jitter"], "jitter_pixels": 1}
    run = lab.run(objective=objective(hints), student=STUDENT, train=train, teacher=teacher, data=data)
    assert all(value.dtype != torch.float16 for value in lab.module(run).values())
    assert run.state().device.endswith("(cuda:0)")
    losses = lab.metrics(run).series("student", "train", "loss").values
    assert losses[-20:].mean() < losses[:20].mean()


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_parked_and_resumed_it_is_the_undisturbed_run(lab: Any, hints: list[Any], precision: str) -> None:
    """Dropout on the device draws from the device's own random state, and fp16 has a scaler."""
    fields = {
        "objective": objective(hints),
        "student": STUDENT,
        "train": {"epochs": 3, "device": "cuda", "precision": precision},
    }
    undisturbed = lab.run(**fields)
    run = lab.new_project("other").create_run(lab.experiment(**fields))
    for stage, step in (("teacher", 3), ("student", 7)):
        lab.before_step(stage, step, lambda trainer: main(["park", str(trainer.recorder.run.path)]))
    phases = [execute(run).phase for _ in range(3)]
    assert phases == ["parked", "parked", "finished"]
    first, second = lab.module(undisturbed), lab.module(run)
    for key, value in first.items():
        torch.testing.assert_close(second[key], value, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("use", ["on", "off"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_no_step_waits_for_the_device(
    lab: Any, hints: list[Any], monkeypatch: pytest.MonkeyPatch, use: str, precision: str
) -> None:
    """CUDA's own debug mode raises where the host waits; the first steps may, since kernels are chosen in them."""
    before = Trainer._step

    def watched(trainer: Trainer, batch: Any) -> None:
        if trainer.stage != "student" or trainer.progress.step < 5:
            return before(trainer, batch)
        torch.cuda.set_sync_debug_mode("error")
        try:
            return before(trainer, batch)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(Trainer, "_step", watched)
    monkeypatch.setattr(Meter, "flush", lambda meter: None)  # once in many steps, outside of what is watched
    data = {"source": "digits", "batch_size": 64, "augment": ["crop", "flip"], "crop_padding": 1, "views": 2}
    train = {"epochs": 4, "device": "cuda", "precision": precision}
    run = lab.run(objective=objective(hints), student=STUDENT, data=data, train=train, cache={"use": use})
    assert run.state().phase == "finished"


def test_a_compiled_student_learns_alike(lab: Any, hints: list[Any]) -> None:
    fields = {"objective": objective(hints), "student": {**STUDENT, "dropout": 0}}
    plain, compiled = (
        lab.run(**fields, train={"epochs": 3, "device": "cuda", "precision": "fp32", "compile": word})
        for word in ("off", "on")
    )
    assert compiled.state().means["compile"] == "on"
    first, second = (lab.metrics(run).series("student", "train", "loss").values for run in (plain, compiled))
    assert second[:10] == pytest.approx(first[:10], rel=1e-3)
