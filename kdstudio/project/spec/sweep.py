"""One sweep: an experiment, the fields that vary, and how their values are searched."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field, model_validator

from kdstudio.project.spec.base import Strict

Search = Literal["grid", "random", "tpe"]
Prune = Literal["none", "median", "halving"]

GRID_POINTS = 5
#: Seeds are those of the sweep; a trial has no baseline and measures no latency.
FIXED = ("train.seed", "name", "version", "notes", "baseline", "evaluate.latency")
#: Digits of a value between bounds; more would only look exact.
DIGITS = 4


class SweepField(Strict):
    """A field of the experiment that varies: over a list of values, or between two bounds."""

    path: str = Field(min_length=1)
    """Where it stands in the experiment: objective.1.temperature"""
    values: list[Any] = Field(default_factory=list)
    """The values to try (empty: those between `low` and `high`)."""
    low: float | None = None
    """Smallest value."""
    high: float | None = None
    """Largest value."""
    log: bool = False
    """Values are spread evenly in their logarithm, as is usual for learning rates."""
    whole: bool = False
    """Whole numbers only."""
    points: int = Field(GRID_POINTS, ge=2, le=1000)
    """How many values a grid takes between the bounds, both included."""
    rest: str | None = None
    """Another field that gets 1 minus this one, as the weight of `hard` where this is the weight of `soft`."""

    @model_validator(mode="after")
    def _consistent(self) -> SweepField:
        if self.values:
            if self.low is not None or self.high is not None:
                raise ValueError("there are values and bounds; give either 'values', or 'low' and 'high'")
            if len({repr(value) for value in self.values}) < len(self.values):
                raise ValueError("a value stands there twice; give each once")
        else:
            if self.low is None or self.high is None:
                raise ValueError("there is nothing to try; give 'values', or both 'low' and 'high'")
            if self.low >= self.high:
                raise ValueError(f"low ({self.low:g}) is not below high ({self.high:g}); exchange them")
            if self.log and self.low <= 0:
                raise ValueError(f"low is {self.low:g}, which has no logarithm; give one above 0, or set log to false")
            if self.whole and (self.low % 1 or self.high % 1):
                raise ValueError("bounds of whole numbers are whole numbers; change them, or set whole to false")
        if self.rest is not None:
            ends = self.values or [self.low, self.high]
            if not all(isinstance(end, (int, float)) and not isinstance(end, bool) and 0 <= end <= 1 for end in ends):
                raise ValueError(f"'{self.rest}' cannot get the rest to 1; keep the values between 0 and 1")
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        """The smallest and the largest value, of a field that has no list of them."""
        if self.low is None or self.high is None:
            raise TypeError(f"'{self.path}' has values, not bounds")
        return self.low, self.high

    def candidates(self) -> list[Any]:
        """The values that a grid takes."""
        if self.values:
            return list(self.values)
        low, high = self.bounds
        first, last = (math.log(low), math.log(high)) if self.log else (low, high)
        found = [first + (last - first) * place / (self.points - 1) for place in range(self.points)]
        return list(dict.fromkeys(self.rounded(math.exp(value) if self.log else value) for value in found))

    def rounded(self, value: float) -> float | int:
        """A value between the bounds, as it is tried."""
        low, high = self.bounds
        short = min(max(float(f"{value:.{DIGITS}g}"), low), high)
        return round(short) if self.whole else short

    def changes(self, value: Any) -> dict[str, Any]:
        """What a value changes in the experiment, by path."""
        changed = {self.path: value}
        if self.rest is not None:
            changed[self.rest] = float(f"{1 - value:.{DIGITS}g}")
        return changed


class SweepSpec(Strict):
    """One sweep."""

    version: Literal[1] = 1
    """Version of this file's format."""
    notes: str = ""
    """Anything you want to remember about it."""
    experiment: str = Field(min_length=1)
    """The experiment that it varies. It is copied beside the sweep when the sweep is made."""
    search: Search = "grid"
    """Every combination (`grid`), at random (`random`), or where earlier trials were good (`tpe`)."""
    trials: int = Field(20, ge=1, le=100_000)
    """How many combinations are tried; a grid has as many as it has."""
    seeds: list[int] = Field(default_factory=lambda: [0], min_length=1)
    """Each combination is trained once with each of these seeds; its score is the mean."""
    prune: Prune = "none"
    """Trials that fall behind are stopped early: `none`, those below the median, or by successive `halving`."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Of the search itself."""
    fields: list[SweepField] = Field(min_length=1)
    """What varies."""

    @model_validator(mode="after")
    def _consistent(self) -> SweepSpec:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("a seed stands there twice; give each once")
        paths = [path for field in self.fields for path in (field.path, field.rest) if path]
        for path in paths:
            if paths.count(path) > 1:
                raise ValueError(f"'{path}' varies twice; leave one of them out")
            if path in FIXED:
                fix = "give 'seeds'" if path == "train.seed" else "leave it out"
                raise ValueError(f"'{path}' cannot vary; {fix}")
        return self

    @property
    def total(self) -> int:
        """How many trials it has."""
        if self.search != "grid":
            return self.trials
        return math.prod(len(field.candidates()) for field in self.fields)
