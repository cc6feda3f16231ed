"""The trainer's loop as the benchmarks drive it: any number of steps at a time, with recording or without."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import torch
from accelerate.state import AcceleratorState

from kdstudio.engine.data import ArraySplit, Batch, DataBundle
from kdstudio.engine.data.base import statistics
from kdstudio.engine.recorder import Recorder
from kdstudio.engine.trainer import Trainer

CLASSES = 10
TRAIN, VALIDATION = 4096, 512


def synthetic_data(shape: tuple[int, ...]) -> DataBundle:
    """Noise with labels: what is measured does not depend on what is learnt."""
    numbers = np.random.default_rng(0)

    def split(count: int) -> ArraySplit:
        images = torch.from_numpy(numbers.integers(0, 256, (count, *shape), dtype=np.uint8))
        return ArraySplit(images, torch.arange(count) % CLASSES)

    train = split(TRAIN)
    mean, std = statistics(train.images)
    classes = [str(number) for number in range(CLASSES)]
    return DataBundle("noise", train, split(VALIDATION), split(VALIDATION), classes, shape, mean, std)


class Silent(Recorder):
    """A recorder that writes nothing and has no heartbeat."""

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


class Loop(Trainer):
    """A trainer whose epochs have no end: steps and what belongs to them, without validation and checkpoints.

    Args:
        recording: Whether steps are recorded; without, `_measure` and `_report` do nothing. Left out: if it has probes.
        parts: What a trainer takes.
    """

    def __init__(self, recording: bool | None = None, **parts: Any) -> None:
        super().__init__(**parts)
        self.recording = self.probes is not None if recording is None else recording
        self.snapshots = 0
        self._endless = self._batches()
        # all that accelerate knows is global, and the loop that was made last would decide on everybody's precision
        self._arithmetic = dict(AcceleratorState._shared_state)
        self.module.train()

    def _batches(self) -> Generator[Batch, None, None]:
        while True:
            self._ask_teachers()
            yield from self.batches.epoch(self.progress.epoch)

    def train(self, steps: int) -> None:
        """Takes some steps, in the order of `Trainer._epoch`."""
        AcceleratorState._shared_state.update(self._arithmetic)
        for _ in range(steps):
            batch = next(self._endless)
            self.control.poll(self._on_hold)
            self._step(batch)
            self.progress.step += 1
            if self.probes is not None and self.probes.due():
                self.snapshot()
            self._report(len(batch.labels))
        self.meter.flush()

    def rest(self) -> None:
        """Lets go of what was read ahead."""
        self._endless.close()

    def snapshot(self) -> None:
        """Takes a snapshot, and waits for it as little as the trainer does."""
        self.snapshots += 1
        self._snapshot()

    def postpone(self, seconds: float) -> None:
        """Says that the loop stood still for a while, in which no snapshot became due."""
        if self.probes is not None:
            self.probes._next += seconds

    def _measure(self, *step: Any) -> None:
        if self.recording:
            super()._measure(*step)

    def _report(self, samples: int) -> None:
        if self.recording:
            super()._report(samples)
