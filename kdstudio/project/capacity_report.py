"""How a finished run's student stands to the network that it learned from: the gap, and how near it came on samples
that it had seen. docs/advice.md has the definitions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.metrics import MetricStore
from kdstudio.project.runs.slots import MetricRecord
from kdstudio.project.train_eval import SPLIT, sample_count

#: Over the last quarter KL has to change by this share of its level to count as falling or rising.
CHANGE = 0.1
#: A slope from fewer points is none.
FEWEST = 3
STAGE = "student"


@dataclass(frozen=True)
class Quarter:
    """KL and agreement on training samples over the last quarter of the epochs.

    Attributes:
        first, last: Epochs of the first and the last measurement in it, counted from 1.
        points: How many measurements there are.
        agreement, kl: Means; KL in nats at T = 1.
        change: By how much the fitted line changes from `first` to `last`, as a share of the mean KL; below 0 it falls.
        error: The standard error of `change`; None for fewer than `FEWEST` points.
    """

    first: int
    last: int
    points: int
    agreement: float
    kl: float
    change: float
    error: float | None

    @property
    def trend(self) -> str:
        """`falling`, `rising`, `level`, or `unknown` for too few points. What is within two errors is level."""
        if self.error is None:
            return "unknown"
        if abs(self.change) < CHANGE or abs(self.change) <= 2 * self.error:
            return "level"
        return "falling" if self.change < 0 else "rising"


@dataclass(frozen=True)
class CapacityReport:
    """The figures that advice on the student's size and training rests on.

    Attributes:
        guide: The network that the student learned from: `teacher`, or the last assistant.
        guide_score, student_score: Accuracy on the validation split.
        guide_parameters, student_parameters: Their sizes.
        validation_samples: Size of the validation split.
        validation_agreement: With the guide, mean over the same epochs as `quarter`.
        noise: Two standard errors of the gap at most, from the share of samples on which the two differ.
        train_samples: How many training samples were looked at.
        quarter: None where nothing was recorded on training samples.
        epochs: How many the student was trained.
    """

    guide: str
    guide_score: float
    student_score: float
    guide_parameters: int
    student_parameters: int
    validation_samples: int
    validation_agreement: float
    train_samples: int
    quarter: Quarter | None
    epochs: int

    @property
    def gap(self) -> float:
        """Accuracy that the student lacks; below 0 it is better."""
        return self.guide_score - self.student_score

    @property
    def noise(self) -> float:
        """See above. Only samples on which the two differ make a gap, so its variance is at most their share / N."""
        return 2 * math.sqrt(max(1 - self.validation_agreement, 0.0) / max(self.validation_samples, 1))

    @property
    def ratio(self) -> float:
        """How many times the guide's parameters are the student's."""
        return self.guide_parameters / max(self.student_parameters, 1)


def capacity_report(run: RunFolder) -> CapacityReport | None:
    """The figures of a run; None for one that is not finished, or that has no teacher."""
    scorecard = run.scorecard()
    if scorecard is None:
        return None
    return report_of(scorecard, read_epochs(run.metrics_path))


def read_epochs(path: Path) -> MetricStore:
    """What a run has recorded once an epoch, and its events. Steps are passed over unread: there may be millions."""
    store = MetricStore()
    decoder = msgspec.json.Decoder(MetricRecord)
    wanted = (b'"validation"', b'"train-eval"', b'"event"')
    try:
        with path.open("rb") as file:
            for line in file:
                if any(word in line for word in wanted):
                    try:
                        store.add(decoder.decode(line))
                    except msgspec.DecodeError:  # a crash cut it off
                        continue
    except OSError:
        pass
    return store


def report_of(scorecard: dict[str, Any], metrics: MetricStore) -> CapacityReport | None:
    """As `capacity_report`, from what stands in the folder."""
    try:
        networks = scorecard["networks"]
        guide = scorecard.get("chain", [])[-2:-1] or ["teacher"]
        if guide[0] not in networks:
            return None
        teacher, student = networks[guide[0]], networks["student"]
        counts = scorecard["data"]["counts"]
        steps = metrics.series(STAGE, "validation", "agreement").steps
        quarter = _quarter(metrics, steps)
        return CapacityReport(
            guide=guide[0],
            guide_score=float(teacher["validation"]["accuracy"]),
            student_score=float(student["validation"]["accuracy"]),
            guide_parameters=int(teacher["parameters"]),
            student_parameters=int(student["parameters"]),
            validation_samples=int(student["validation"]["count"]),
            validation_agreement=_validation_agreement(metrics, student),
            train_samples=sample_count(int(counts["train"]), int(counts["validation"])),
            quarter=quarter,
            epochs=len(steps),
        )
    except (KeyError, TypeError, ValueError):
        return None  # a scorecard of another version, or one that was damaged


def quarter_start(epochs: int) -> int:
    """The epoch at whose end the last quarter begins."""
    return epochs - math.ceil(epochs / 4)


def _validation_agreement(metrics: MetricStore, student: dict[str, Any]) -> float:
    values = metrics.series(STAGE, "validation", "agreement").values
    if not len(values):  # nothing was recorded; the scorecard's is with the teacher
        return float(student["validation"]["fidelity"]["agreement"])
    return float(values[max(quarter_start(len(values)) - 1, 0) :].mean())


def _quarter(metrics: MetricStore, validation_steps: np.ndarray) -> Quarter | None:
    kl = metrics.series(STAGE, SPLIT, "kl")
    agreement = metrics.series(STAGE, SPLIT, "agreement")
    epochs = np.searchsorted(validation_steps, kl.steps) + 1
    inside = (epochs >= quarter_start(len(validation_steps))) & np.isfinite(kl.values)
    if len(agreement.steps) != len(kl.steps) or not inside.any():
        return None
    places = epochs[inside].astype(float)
    change, error = _line(places, kl.values[inside])
    return Quarter(
        first=int(places[0]),
        last=int(places[-1]),
        points=len(places),
        agreement=float(agreement.values[inside].mean()),
        kl=float(kl.values[inside].mean()),
        change=change,
        error=error,
    )


def _line(places: np.ndarray, values: np.ndarray) -> tuple[float, float | None]:
    """The change of a least-squares line over the places and its standard error, as shares of the mean."""
    level = float(values.mean())
    spread = float(((places - places.mean()) ** 2).sum())
    if len(places) < 2 or spread == 0 or level <= 0:
        return 0.0, None
    slope = float(((places - places.mean()) * (values - level)).sum()) / spread
    span = float(places[-1] - places[0])
    change = slope * span / level
    if len(places) < FEWEST:
        return change, None
    rest = values - level - slope * (places - places.mean())
    error = math.sqrt(float((rest**2).sum()) / (len(places) - 2) / spread)
    return change, error * span / level
