"""Variants of one piece of work in turns and random order, and what each takes in proportion to another."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping

import numpy as np
import torch

from kdstudio.project.figures import Figure

RESAMPLES = 2000


class Turns:
    """Seconds of each variant's turns: of the processor, and of the clock.

    Args:
        variants: What takes a turn, by name.
        device: Where they work. An accelerator is waited for, and the clock counts in place of the processor.
    """

    def __init__(self, variants: Mapping[str, Callable[[], object]], device: torch.device | None = None) -> None:
        self.cuda = device is not None and device.type == "cuda"
        self.variants = dict(variants)
        self.processor: dict[str, list[float]] = {name: [] for name in variants}
        self.clock: dict[str, list[float]] = {name: [] for name in variants}

    def take(self, rounds: int) -> None:
        """Each variant takes a turn in each round, after one that does not count."""
        order, names = random.Random(0), list(self.variants)
        for number in range(rounds + 1):
            order.shuffle(names)
            for name in names:
                clock, processor = time.perf_counter(), time.process_time()
                self.variants[name]()
                if self.cuda:
                    torch.cuda.synchronize()
                if number:
                    self.processor[name].append(time.process_time() - processor)
                    self.clock[name].append(time.perf_counter() - clock)

    def ratio(
        self, name: str, variant: str, floors: tuple[str, ...], target: float | None = None, elapsed: bool = False
    ) -> Figure:
        """What a variant takes for each second that others take together.

        Args:
            name: Of the figure.
            variant, floors: Their names.
            target: Largest value that is aimed at.
            elapsed: Whether time is the clock's; otherwise it is the processor's.

        Returns:
            The median of the rounds' ratios; its bounds are the middle 90 % of the medians of resampled rounds.
        """
        seconds = self.clock if elapsed or self.cuda else self.processor
        below = np.array([seconds[floor] for floor in floors]).sum(axis=0)
        ratios = np.array(seconds[variant]) / below  # of one round: what else the computer does slows both alike
        drawn = np.random.default_rng(0).integers(0, len(ratios), (RESAMPLES, len(ratios)))
        value = float(np.median(ratios))
        low, high = np.percentile(np.median(ratios[drawn], axis=1), [5, 95])
        return Figure(name, value, "x", float(min(low, value)), float(max(high, value)), target)
