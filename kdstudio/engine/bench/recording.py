"""What recording and probes cost: the same training with them and without, in turns."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kdstudio.engine.control import Control
from kdstudio.engine.data import DataBundle, Preprocess
from kdstudio.engine.data.base import ArraySplit, statistics
from kdstudio.engine.device import pick_device, seed_everything
from kdstudio.engine.models import build_model
from kdstudio.engine.objective import DistillationModule, Objective
from kdstudio.engine.probes import Probes
from kdstudio.engine.recorder import Recorder
from kdstudio.engine.run import make_accelerator
from kdstudio.engine.teacher import Teacher
from kdstudio.engine.trainer import Trainer
from kdstudio.engine.validate import Validation
from kdstudio.project.figures import BenchResult, figure_of
from kdstudio.project.folder import init_run
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.spec import Experiment

TITLE = "Recording and probes, as a share of the training time"
TARGET_PERCENT = 2.0
#: Seconds of training in one turn, and turns of each kind.
TURN_SECONDS, TURNS = 6.0, 9

PAIRS: dict[str, dict[str, Any]] = {
    "mlp 1200-1200 to 800-800, 28 x 28": {
        "shape": (1, 28, 28),
        "teacher": {"model": "mlp", "widths": [1200, 1200]},
        "student": {"model": "mlp", "widths": [800, 800]},
    },
    "resnet56 to resnet20, 32 x 32": {
        "shape": (3, 32, 32),
        "teacher": {"model": "resnet56"},
        "student": {"model": "resnet20"},
    },
}


class Silent(Recorder):
    """A recorder that writes nothing."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *_: Any) -> None:
        self._writer.shutdown()

    def metrics(self, records: Any) -> None:
        pass

    def update(self, **changes: Any) -> None:
        pass

    def position(self, **changes: Any) -> None:
        pass


class NoMeter:
    """A meter that collects nothing."""

    def add(self, *_: Any) -> None:
        pass

    def flush(self) -> None:
        pass


def measure(quick: bool) -> BenchResult:
    """Trains each pair in turns with and without recording, and compares CPU time for the same number of steps."""
    result = BenchResult()
    result.notes.append(
        "Median of turns in random order; each turn is the same number of steps. CPU time of the whole process, the "
        "recorder's threads included, so that other work on the machine does not count. With: one record a step, "
        "state.json once a second, snapshots of 256 pool samples with alignment maps every 2 s or at 1.5 % of the time."
    )
    for name, pair in list(PAIRS.items())[: 1 if quick else None]:
        shares, milliseconds = _pair(pair, 0.3 if quick else TURN_SECONDS, 3 if quick else TURNS)
        result.figures.append(figure_of(f"{name}: CPU time added", shares, "%", TARGET_PERCENT))
        result.figures.append(figure_of(f"{name}: one step without", milliseconds, "ms"))
    return result


def _bundle(shape: tuple[int, ...]) -> DataBundle:
    numbers = np.random.default_rng(0)

    def split(count: int) -> ArraySplit:
        images = torch.from_numpy(numbers.integers(0, 256, (count, *shape), dtype=np.uint8))
        return ArraySplit(images, torch.arange(count) % 10)

    train = split(4096)
    mean, std = statistics(train.images)
    return DataBundle("noise", train, split(512), split(64), [str(c) for c in range(10)], shape, mean, std)


def _trainer(pair: dict[str, Any], folder: Path, recorded: bool, stack: ExitStack) -> Callable[[int], None]:
    """A function that trains a number of steps, as the trainer's own loop does."""
    experiment = Experiment.model_validate(
        {"name": "bench", "teacher": pair["teacher"], "student": pair["student"], "train": {"epochs": 100_000}}
    )
    run: RunFolder = init_run(folder, experiment)
    bundle = _bundle(pair["shape"])
    device = pick_device("auto")
    seed_everything(0, False)
    networks = [
        build_model(spec, bundle.input_shape, 10, folder, False).to(device)
        for spec in (experiment.teacher, experiment.student)
        if spec is not None
    ]
    preprocess = Preprocess(bundle.mean, bundle.std, bundle.input_shape).to(device)
    recorder = stack.enter_context(Recorder(run) if recorded else Silent(run))
    control = Control(run)
    objective = Objective(experiment.objective, experiment.train.epochs).to(device)
    teacher = Teacher(networks[0], [])
    stack.callback(teacher.close)
    probes = Probes(experiment.monitor, bundle, preprocess, recorder, device, networks[0]) if recorded else None
    trainer = Trainer(
        stage="student",
        module=DistillationModule(networks[1], objective),
        teacher=teacher,
        bundle=bundle,
        data=experiment.data,
        preprocess=preprocess,
        spec=experiment.train,
        recorder=recorder,
        control=control,
        checkpoints=run.checkpoints_dir,
        accelerator=make_accelerator(device, experiment.train),
        validation=Validation(bundle.validation, preprocess, device, None),
        probes=probes,
    )
    if not recorded:
        trainer.meter = NoMeter()  # type: ignore[assignment]
    trainer.module.train()
    epoch = iter(trainer.batches.epoch(0))

    def train(steps: int) -> None:
        nonlocal epoch
        for _ in range(steps):
            batch = next(epoch, None)
            if batch is None:
                epoch = iter(trainer.batches.epoch(0))
                batch = next(epoch)
            control.poll()
            trainer._step(batch.images, batch.labels)
            trainer.progress.step += 1
            if probes is not None and probes.due():
                trainer._snapshot()
            if recorded:
                trainer._report(len(batch.labels))
        trainer.meter.flush()

    return train


def _pair(pair: dict[str, Any], seconds: float, turns: int) -> tuple[list[float], list[float]]:
    """Shares of added CPU time in %, and milliseconds a step without recording, one of each per pair of turns."""
    order = random.Random(0)
    with ExitStack() as stack, tempfile.TemporaryDirectory() as scratch:
        trains = {kind: _trainer(pair, Path(scratch) / kind, kind == "with", stack) for kind in ("with", "without")}
        begin = time.process_time()
        for train in trains.values():  # warms up, and tells how many steps fill a turn
            train(4)
        each = (time.process_time() - begin) / 8
        steps = max(8, int(seconds / each))
        spent: dict[str, list[float]] = {kind: [] for kind in trains}
        for _ in range(turns):
            kinds = list(trains)
            order.shuffle(kinds)
            for kind in kinds:
                begin = time.process_time()
                trains[kind](steps)
                spent[kind].append(time.process_time() - begin)
    shares = [100 * (a / b - 1) for a, b in zip(spent["with"], spent["without"])]
    return shares, [1000 * b / steps for b in spent["without"]]
