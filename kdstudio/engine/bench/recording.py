"""What recording and probes cost: the same training with them and without, in turns."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from kdstudio.engine.arithmetic import make_accelerator
from kdstudio.engine.bench.loop import Loop, Silent, synthetic_data
from kdstudio.engine.control import Control
from kdstudio.engine.data import Preprocess
from kdstudio.engine.device import seed_everything
from kdstudio.engine.models import build_model
from kdstudio.engine.objective import DistillationModule, Objective
from kdstudio.engine.probes import BUDGET, Probes
from kdstudio.engine.recorder import Recorder
from kdstudio.engine.teacher import Teacher
from kdstudio.engine.validate import Validation
from kdstudio.project.figures import BenchResult, Figure, figure_of
from kdstudio.project.folder import init_run
from kdstudio.project.spec import Experiment

TITLE = "Recording and probes, as a share of the training time"
TARGET_PERCENT = 2.0
#: Seconds of training in one turn, and pairs of turns.
TURN_SECONDS, PAIRS = 5.0, 12
QUICK_SECONDS, QUICK_PAIRS = 0.2, 3
RESAMPLES = 2000

NETWORKS: dict[str, dict[str, Any]] = {
    "mlp 256-256 to 32, 8 x 8 (the digits sample)": {
        "shape": (1, 8, 8),
        "data": {"source": "digits", "batch_size": 64},
        "teacher": {"model": "mlp", "widths": [256, 256], "dropout": 0.3},
        "student": {"model": "mlp", "widths": [32]},
        "train": {"optimizer": "adamw", "lr": 0.003, "epochs": 100_000},
    },
    "mlp 1200-1200 to 800-800, 28 x 28": {
        "shape": (1, 28, 28),
        "teacher": {"model": "mlp", "widths": [1200, 1200]},
        "student": {"model": "mlp", "widths": [800, 800]},
        "train": {"epochs": 100_000},
    },
    "resnet56 to resnet20, 32 x 32": {
        "shape": (3, 32, 32),
        "teacher": {"model": "resnet56"},
        "student": {"model": "resnet20"},
        "train": {"epochs": 100_000},
    },
}


@dataclass
class Turns:
    """Seconds of each turn, by kind: `with` and `without`; of the processor and of the clock."""

    steps: int
    processor: dict[str, list[float]] = field(default_factory=lambda: {"with": [], "without": []})
    clock: dict[str, list[float]] = field(default_factory=lambda: {"with": [], "without": []})
    snapshots: int = 0
    ends: float = 0.0


def measure(quick: bool) -> BenchResult:
    """Trains each pair in turns with and without recording, and compares the same number of steps."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads that wait for each other burn time that no step and no record needs
    result = BenchResult()
    try:
        for name, networks in list(NETWORKS.items())[: 1 if quick else None]:
            seconds, pairs = (QUICK_SECONDS, QUICK_PAIRS) if quick else (TURN_SECONDS, PAIRS)
            result.figures += _figures(name, _take_turns(networks, seconds, pairs))
    finally:
        torch.set_num_threads(threads)
    result.notes.append(
        f"{QUICK_PAIRS if quick else PAIRS} pairs of turns in random order, one PyTorch thread, a turn always the same "
        "number of steps. Without: the trainer's steps alone. With: one record a step, accuracy and terms included, "
        "state.json once a second, snapshots of 256 samples with alignment maps at their own pace (at most "
        f"{100 * BUDGET:g} % of the time). All turns together; lowest and highest bound the middle 90 % of resampled "
        "pairs. CPU time is that of the whole process, the recorder's threads included."
    )
    return result


def _figures(name: str, turns: Turns) -> list[Figure]:
    step = [1000 * seconds / turns.steps for seconds in turns.processor["without"]]
    figures = [
        _added(f"{name}: CPU time added", turns.processor, TARGET_PERCENT),
        _added(f"{name}: elapsed time added", turns.clock, None),
        figure_of(f"{name}: one step without", step, "ms"),
        Figure(f"{name}: snapshots taken meanwhile", turns.snapshots, ""),
        Figure(f"{name}: first and last snapshot, once a run", turns.ends, "s"),
    ]
    return figures


def _added(name: str, seconds: dict[str, list[float]], target: float | None) -> Figure:
    """The share that `with` took more, over all pairs; its bounds from pairs drawn anew many times."""
    pairs = np.array([seconds["with"], seconds["without"]])
    drawn = np.random.default_rng(0).integers(0, pairs.shape[1], (RESAMPLES, pairs.shape[1]))
    sums = pairs[:, drawn].sum(axis=-1)
    low, high = np.percentile(100 * (sums[0] / sums[1] - 1), [5, 95])
    value = 100 * (pairs[0].sum() / pairs[1].sum() - 1)
    return Figure(name, float(value), "%", float(min(low, value)), float(max(high, value)), target)


def _take_turns(networks: dict[str, Any], seconds: float, pairs: int) -> Turns:
    order = random.Random(0)
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        loops = {kind: _loop(networks, Path(scratch) / kind, kind == "with", stack) for kind in ("with", "without")}
        with_probes = loops["with"]
        ends = [_timed(with_probes.snapshot)]
        for loop in loops.values():  # warms up
            loop.train(4)
        each = _timed(lambda: loops["without"].train(8)) / 8
        turns = Turns(steps=max(8, int(seconds / each)))
        before = with_probes.snapshots
        for _ in range(pairs):
            kinds = list(loops)
            order.shuffle(kinds)
            for kind in kinds:
                clock, processor = time.perf_counter(), time.process_time()
                loops[kind].train(turns.steps)
                turns.processor[kind].append(time.process_time() - processor)
                spent = time.perf_counter() - clock
                turns.clock[kind].append(spent)
                if kind == "without":
                    with_probes.postpone(spent)
        turns.snapshots = with_probes.snapshots - before
        ends.append(_timed(with_probes.snapshot))
        turns.ends = sum(ends)
    return turns


def _timed(action: Callable[[], object]) -> float:
    """The processor time of an action, in seconds."""
    begin = time.process_time()
    action()
    return time.process_time() - begin


def _loop(networks: dict[str, Any], folder: Path, recorded: bool, stack: ExitStack) -> Loop:
    """A trainer on the networks, with all that a run has or with nothing that records."""
    shape = networks["shape"]
    plain = {key: value for key, value in networks.items() if key != "shape"}
    experiment = Experiment.model_validate({"name": "bench", **plain})
    assert experiment.teacher is not None
    run = init_run(folder, experiment)
    bundle = synthetic_data(shape)
    device = torch.device("cpu")
    seed_everything(0, experiment.train.deterministic)
    specs = (experiment.teacher, experiment.student)
    models: list[nn.Module] = [build_model(spec, shape, len(bundle.classes), folder, False) for spec in specs]
    preprocess = Preprocess(bundle.mean, bundle.std, shape)
    recorder = stack.enter_context(Recorder(run) if recorded else Silent(run))
    teacher = Teacher(models[0], [])
    stack.callback(teacher.close)
    return Loop(
        stage="student",
        module=DistillationModule(models[1], Objective(experiment.objective, experiment.train.epochs)),
        teacher=teacher,
        bundle=bundle,
        data=experiment.data,
        preprocess=preprocess,
        spec=experiment.train,
        recorder=recorder,
        control=Control(run),
        checkpoints=run.checkpoints_dir,
        accelerator=make_accelerator(device, experiment.train),
        validation=Validation(bundle.validation, preprocess, device, None),
        probes=Probes(experiment.monitor, bundle, preprocess, recorder, device, models[0]) if recorded else None,
    )
