"""What a benchmark finds: figures with their spread, and the target where there is one."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        name: What was measured.
        value: The median (or the one value).
        unit: Of value, low and high; a share is in %.
        low, high: Smallest and largest of the repetitions.
        target: Largest value that was aimed at, None where there is no aim.
    """

    name: str
    value: float
    unit: str
    low: float | None = None
    high: float | None = None
    target: float | None = None

    @property
    def met(self) -> bool | None:
        return None if self.target is None else self.value <= self.target

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "met": self.met}


@dataclass
class BenchResult:
    """All figures of one benchmark, and what has to be said of them."""

    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def figure_of(name: str, values: list[float], unit: str, target: float | None = None) -> Figure:
    """The figure of several repetitions."""
    return Figure(name, float(np.median(values)), unit, min(values), max(values), target)
