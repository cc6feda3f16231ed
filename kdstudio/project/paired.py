"""Whether one method does better than another, from the differences of their scores, seed by seed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

#: Fewer differences than these say nothing: two of one sign are no rarer than a coin that falls the same twice.
LEAST_SEEDS = 3
BETTER, WORSE, NO_DIFFERENCE, TOO_FEW = "better", "worse", "no clear difference", "too few seeds"
#: Student's t at 97.5 %, by degrees of freedom from 1 on.
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


@dataclass(frozen=True)
class Paired:
    """What differences say.

    Attributes:
        mean: Of the differences.
        spread: Their standard deviation; None for a single one.
        interval: Half the width of the mean's 95 % interval; None for a single one.
        verdict: `better`, `worse`, `no clear difference` or `too few seeds`.
    """

    mean: float
    spread: float | None
    interval: float | None
    verdict: str


def quantile(freedom: int) -> float:
    """Student's t at 97.5 %; beyond the table that of its last line, which is a little larger."""
    return _T[min(freedom, len(_T)) - 1]


def judged(differences: Sequence[float]) -> Paired | None:
    """The verdict: better (worse) where the whole 95 % interval of the mean lies above (below) zero.

    Args:
        differences: One a seed. With none there is nothing to say: None.
    """
    if not differences:
        return None
    count, mean = len(differences), statistics.mean(differences)
    spread = statistics.stdev(differences) if count > 1 else None
    interval = quantile(count - 1) * spread / math.sqrt(count) if spread is not None else None
    if count < LEAST_SEEDS or interval is None:
        return Paired(mean, spread, interval, TOO_FEW)
    verdict = NO_DIFFERENCE if abs(mean) <= interval else BETTER if mean > 0 else WORSE
    return Paired(mean, spread, interval, verdict)
