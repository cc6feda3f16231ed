"""The meter puts together later what a step hands over, and nothing of it is lost."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kdstudio.engine.meter import FLUSH_SECONDS, KEPT_CLASSES, WATCHED_SECONDS, Meter, Row, shortest, told
from kdstudio.engine.recorder import Recorder
from kdstudio.engine.run import execute
from kdstudio.project.errors import KDStudioError
from kdstudio.project.folder import init_run
from kdstudio.project.runs.control import tell_watched
from kdstudio.project.runs.metrics import MetricFollower, MetricStore
from kdstudio.project.spec import Experiment


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    fields = {"name": "small", "student": {"model": "mlp"}, "objective": [{"term": "hard"}]}
    with Recorder(init_run(tmp_path, Experiment.model_validate(fields))) as recorder:
        yield recorder


def read(recorder: Recorder) -> MetricStore:
    return MetricFollower(recorder.run.metrics_path).read_all()


def outputs(right: list[bool], classes: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and targets of samples that are told right or wrong."""
    targets = torch.arange(len(right)) % classes
    return torch.eye(classes)[(targets + (~torch.tensor(right)).long()) % classes], targets


@pytest.mark.parametrize("classes", [3, KEPT_CLASSES + 1])
def test_accuracy_of_batches_of_different_sizes(recorder: Recorder, classes: int) -> None:
    meter = Meter(recorder, "student", ["hard"], torch.device("cpu"))
    meter._next_flush = math.inf
    batches = [[True, False, True, True], [False, False], [True], [True, True, False]]
    for step, right in enumerate(batches):
        logits, targets = outputs(right, classes)
        meter.add(Row(step, 0, 0.1, 0.0, torch.tensor(0.5), torch.ones(2, 1), told(logits), targets))
    meter.flush()
    found = read(recorder).series("student", "train", "accuracy").values
    np.testing.assert_allclose(found, [0.75, 0.0, 1.0, 2 / 3], rtol=1e-6)


def test_terms_and_norms_are_those_of_their_steps(recorder: Recorder) -> None:
    meter = Meter(recorder, "student", ["hard", "soft"], torch.device("cpu"))
    meter._next_flush = math.inf
    for step in range(3):
        parts = torch.tensor([[step + 0.25, step + 0.5], [step + 1.0, math.nan]])
        norm = torch.tensor(float(step)) if step else None
        meter.add(Row(step, 1, 0.1 * step, 0.0, torch.tensor(step + 0.125), parts, *outputs([True]), norm))
    meter.flush()
    store = read(recorder)
    for key, first in (("loss", 0.125), ("term.hard", 0.25), ("term.soft", 0.5), ("term.hard.weighted", 1.0)):
        assert store.series("student", "train", key).values.tolist() == [first, first + 1, first + 2]
    assert store.series("student", "train", "grad_norm").steps.tolist() == [1, 2]
    assert store.length("student", "train", "term.soft.weighted") == 0
    assert store.series("student", "train", "lr").values.tolist() == [0.0, 0.1, 0.2]


@pytest.mark.parametrize(("ago", "seconds"), [(None, FLUSH_SECONDS), (1, WATCHED_SECONDS), (60, FLUSH_SECONDS)])
def test_who_watches_sees_steps_sooner(recorder: Recorder, ago: float | None, seconds: float) -> None:
    if ago is not None:
        tell_watched(recorder.run)
        os.utime(recorder.run.path / "watched", (time.time() - ago,) * 2)
    watched = Recorder(recorder.run)
    meter = Meter(watched, "student", ["hard"], torch.device("cpu"))
    watched.metrics = lambda records: None  # type: ignore[method-assign,assignment]
    before = time.time()
    meter.add(Row(0, 0, 0.1, before, torch.tensor(0.5), torch.ones(2, 1), *outputs([True])))
    assert before + seconds <= meter._next_flush <= time.time() + seconds


def test_short_numbers_name_their_single_precision_value() -> None:
    random = np.random.default_rng(0)
    bits = random.integers(0, 2**32, 300_000, dtype=np.uint32).view(np.float32)
    usual = np.concatenate([random.random(50_000), random.normal(size=50_000) * 100]).astype(np.float32)
    edges = np.array([0.0, -0.0, 1.0, 0.1, 1e-8, 0.99999994, 16777216, 3e38, 1e-45, np.inf, -np.inf], np.float32)
    values = np.concatenate([bits[~np.isnan(bits)], usual, edges])
    assert np.array_equal(shortest(values).astype(np.float32), values)
    assert np.isnan(shortest(np.array([np.nan], np.float32)))[0]
    assert max(len(repr(value)) for value in shortest(usual).tolist()) <= len("-0.00000123456789")


def test_a_stage_killed_before_its_first_checkpoint_starts_its_curves_anew(lab: Any) -> None:
    """What the lost process had recorded is taken back, though there is no checkpoint to go back to."""
    run = lab.project.create_run(lab.experiment())

    def crash(trainer: object) -> None:
        raise RuntimeError("gone")

    lab.before_step("student", 3, crash)
    with pytest.raises(KDStudioError):
        execute(run)
    execute(run)
    steps = lab.metrics(run).series("student", "train", "loss").steps.tolist()
    assert steps == list(range(15))
