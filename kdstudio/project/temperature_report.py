"""What a teacher's outputs say about the temperature: entropy by T, and the T that shows enough of the second class."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kdstudio.project.runs.snapshots import entropy, soften

TEMPERATURES = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 20.0)
#: The share of the probability that the second class is to carry on average.
SHARE = 0.1
#: With fewer samples than this the means are thin evidence.
ENOUGH = 100
LOWEST, HIGHEST = 0.5, 20.0


@dataclass(frozen=True)
class TemperatureReport:
    """Means over the samples, one value for each temperature, and the T for the asked share."""

    samples: int
    temperatures: tuple[float, ...]
    entropies: tuple[float, ...]  # nats
    second_shares: tuple[float, ...]
    share: float
    found: float | None  # None where no T from LOWEST to HIGHEST gives the share

    @property
    def thin(self) -> bool:
        """Whether there are too few samples to lean on."""
        return self.samples < ENOUGH

    @property
    def advised(self) -> float | None:
        """`found` rounded up to a tenth, so that the second class has no less than the share there."""
        return None if self.found is None else math.ceil(round(10 * self.found, 6)) / 10


def second_share(logits: np.ndarray, temperature: float) -> float:
    """The mean over samples of the second largest probability of softmax(z / T)."""
    return float(np.partition(soften(logits, temperature), -2, axis=-1)[:, -2].mean())


def temperature_report(logits: np.ndarray, share: float = SHARE) -> TemperatureReport:
    """Looks at a teacher's logits.

    Args:
        logits: (N, C), at least one sample and two classes.
        share: In (0, 0.5).
    """
    return TemperatureReport(
        samples=len(logits),
        temperatures=TEMPERATURES,
        entropies=tuple(float(entropy(logits, degree).mean()) for degree in TEMPERATURES),
        second_shares=tuple(second_share(logits, degree) for degree in TEMPERATURES),
        share=share,
        found=_lowest(logits, share),
    )


def _lowest(logits: np.ndarray, share: float) -> float | None:
    """The lowest T with that share. The share may fall again at large T, so a grid finds where it is first reached."""
    grid = np.geomspace(LOWEST, HIGHEST, 65)
    reached = next((place for place, degree in enumerate(grid) if second_share(logits, degree) >= share), None)
    if reached is None:
        return None
    low, high = float(grid[max(reached - 1, 0)]), float(grid[reached])
    while high - low > 1e-3:
        middle = (low + high) / 2
        if second_share(logits, middle) >= share:
            high = middle
        else:
            low = middle
    return high
