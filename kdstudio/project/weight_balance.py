"""Weights that give each term a chosen share of the gradient on the student."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from kdstudio.project.errors import InputError
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.metrics import MetricFollower
from kdstudio.project.spec import term_names

#: The split under which shares are recorded.
SPLIT = "gradient"
DIGITS = 4


@dataclass(frozen=True)
class Shares:
    """Measured shares, by the name of the term, and the weights that they were measured with.

    Attributes:
        shares: Of the sum of the gradients' norms; they sum to 1.
        weights: The weight of each term in its spec then; a schedule's factor is in the share alone.
        step: When.
        source: The run, or what else they were measured on.
    """

    shares: dict[str, float]
    weights: dict[str, float]
    step: int
    source: str


def shares_of_run(run: RunFolder) -> Shares | None:
    """The last shares that a run has recorded; None where it has none.

    Raises:
        InputError, SpecError: The run's experiment cannot be read.
    """
    store = MetricFollower(run.metrics_path).read_all()
    experiment = run.experiment()
    names = term_names(experiment.objective)
    found: dict[str, float] = {}
    step = -1
    for name in names:
        series = store.series("student", SPLIT, f"term.{name}")
        if len(series.steps) and int(series.steps[-1]) >= step:
            if int(series.steps[-1]) > step:
                found, step = {}, int(series.steps[-1])
            found[name] = float(series.values[-1])
    if len(found) < 2:
        return None
    weights = {name: term.weight for name, term in zip(names, experiment.objective)}
    return Shares(found, {name: weights[name] for name in found}, step, run.name)


def balanced(measured: Shares, wanted: Mapping[str, float]) -> dict[str, float]:
    """The weights with which the terms would have the wanted shares, by name, to four digits.

    A gradient is in proportion to its weight, so w' = w x wanted / measured; the sum of the norms stays as it is.

    Args:
        measured: The shares, with the weights that they were measured with.
        wanted: A share above 0 for each of these terms; they are divided by their sum.

    Raises:
        InputError: A term is missing or is none, a share is not above 0, or a term has no gradient at all.
    """
    unknown = [name for name in wanted if name not in measured.shares]
    if unknown:
        known = ", ".join(measured.shares)
        raise InputError(f"there is no share of a term '{unknown[0]}'", fix=f"these were measured: {known}")
    missing = [name for name in measured.shares if name not in wanted]
    if missing:
        raise InputError(f"the share of '{missing[0]}' is missing", fix="give one for each term that was measured")
    low = [name for name, share in wanted.items() if not share > 0]
    if low:
        raise InputError(f"the share of '{low[0]}' is not above 0", fix="remove the term, or set its weight to 0")
    endless = [name for name, share in wanted.items() if math.isinf(share)]
    if endless:
        raise InputError(f"the share of '{endless[0]}' is no finite number", fix="give a number, for example 3")
    silent = [name for name, share in measured.shares.items() if not share > 0]
    if silent:
        raise InputError(
            f"'{silent[0]}' does not move the student at all",
            why="its gradient on the student was 0 when it was measured",
            fix="no weight changes that; look at its layers",
        )
    total = sum(wanted.values())
    return {
        name: float(f"{measured.weights[name] * wanted[name] / total / share:.{DIGITS}g}")
        for name, share in measured.shares.items()
    }
