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
        guide_score, student_score: On the validation split, by `metric`.
        guide_parameters, student_parameters: Their sizes.
        validation_samples: Size of the validation split: of taggers in words, of language models in tokens.
        validation_agreement: With the guide, mean over the same epochs as `quarter`.
        train_samples: How many training samples were looked at.
        quarter: None where nothing was recorded on training samples.
        epochs: How many the student was trained.
        metric: What scores are: accuracy, f1 of taggers, or perplexity of language models.
        evidence: As many samples of accuracy tell a gap as surely; None for `validation_samples`.
        helped: Whether the student is better than the same one from hard labels alone, as the scorecard says it; None
            where that was not trained.
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
    metric: str = "accuracy"
    evidence: float | None = None
    helped: bool | None = None

    @property
    def gap(self) -> float:
        """What the student lacks, below 0 it is better: of perplexities the share by which the guide's is lower."""
        if self.metric == "perplexity":
            return 1 - self.guide_score / self.student_score
        return self.guide_score - self.student_score

    @property
    def noise(self) -> float:
        """Two standard errors of the gap at most; 0 of perplexities, of which it is not known.

        Only samples on which the two differ make a gap, so its variance is at most their share / N.
        """
        if self.metric == "perplexity":
            return 0.0
        count = self.validation_samples if self.evidence is None else self.evidence
        return 2 * math.sqrt(max(1 - self.validation_agreement, 0.0) / max(count, 1.0))

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
        metric = str(scorecard.get("metric", "accuracy"))
        gain = scorecard.get("headline", {}).get("gain")
        quarter = _quarter(metrics, steps)
        return CapacityReport(
            guide=guide[0],
            guide_score=float(teacher["validation"][metric]),
            student_score=float(student["validation"][metric]),
            guide_parameters=int(teacher["parameters"]),
            student_parameters=int(student["parameters"]),
            validation_samples=int(student["validation"]["count"]),
            validation_agreement=_validation_agreement(metrics, student),
            train_samples=sample_count(int(counts["train"]), int(counts["validation"])),
            quarter=quarter,
            epochs=len(steps),
            metric=metric,
            evidence=_evidence(student["validation"]) if metric == "f1" else None,
            helped=None if gain is None else gain > 0,
        )
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None  # a scorecard of another version, or one that was damaged


def _evidence(measured: dict[str, Any]) -> float:
    """How many samples of accuracy tell a gap as surely as a tagger's words tell one in F1.

    D words on which two taggers differ move the number of right spans by sqrt(D) at most, and F1 by that over the
    number of spans. F1 of tags without spans is a mean over tags, and rare ones move it as much as others.
    """
    counts = [entry["count"] for entry in measured["per_tag"].values() if entry["count"]]
    words = int(measured["count"])
    if sum(counts) == words:  # every word has a tag that counts: there are no spans
        return len(counts) ** 2 / sum(1 / count for count in counts)
    return float(sum(counts) ** 2 / words)


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
