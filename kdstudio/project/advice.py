"""Advice: what a run's figures suggest to try, each statement with the figures that it rests on. docs/advice.md says
why the thresholds are what they are."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdstudio.project.advice_words import NOTES, WORDS
from kdstudio.project.capacity_report import FEWEST, CapacityReport, Quarter, capacity_report
from kdstudio.project.errors import KDStudioError
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.snapshots import entropy, read_probes
from kdstudio.project.runs.texts import read_texts
from kdstudio.project.spec import Experiment
from kdstudio.project.temperature_report import ENOUGH, SHARE, TemperatureReport, second_share, temperature_report

#: A gap in the score that is worth an effort.
GAP = 0.01
#: A student that agrees on this share of the training samples can copy what it learned from.
COPIES = 0.95
#: From this ratio of parameters on, a network of the geometric mean is twice as large as the student.
ROOM = 4.0
#: Agreement on training samples may be so much higher than on validation samples.
APART = 0.02
#: A gap below this many times its noise is told to be thin.
CLEAR = 1.5
#: Fewer measurements than these are a thin line.
ENOUGH_POINTS = 5
#: Below this share of the second class soft targets are almost labels.
SHARP = 0.02
#: From this share of the largest entropy on they are almost uniform.
FLAT = 0.95


@dataclass(frozen=True)
class Statement:
    """One piece of advice.

    Attributes:
        rule: Names its words in `WORDS`.
        figures: What the words have places for; shares are percentages.
        field: Dotted path of what it suggests to change in the experiment; empty where it suggests nothing.
        notes: Whose figures these are and why they are thin evidence, by name in `NOTES`.
    """

    rule: str
    figures: dict[str, float]
    field: str = ""
    notes: tuple[str, ...] = ()

    @property
    def thin(self) -> bool:
        """Whether the evidence is."""
        return any(name not in ("of-assistant", "alone") for name in self.notes)

    def told(self, translate: Callable[..., str] = str.format) -> tuple[str, str]:
        """The heading, and the reason with its figures and what makes it thin. `translate(text, **figures)`."""
        head, reason = WORDS[self.rule]
        parts = [reason, *(NOTES[name] for name in self.notes)]
        return translate(head, **self.figures), " ".join(translate(part, **self.figures) for part in parts)


@dataclass(frozen=True)
class Advice:
    """What a run says; parts that it has no figures for are None. `metric` tells what its samples are: of taggers (f1)
    words, of language models (perplexity) tokens."""

    temperature: TemperatureReport | None
    capacity: CapacityReport | None
    statements: tuple[Statement, ...]
    metric: str = "accuracy"


def advice_of(run: RunFolder, share: float = SHARE) -> Advice:
    """Reads a run's figures and applies the rules to them."""
    logits, metric = _teacher_logits(run)
    temperature = None
    statements: list[Statement] = []
    try:
        experiment: Experiment | None = run.experiment()
    except KDStudioError:
        experiment = None
    capacity = capacity_report(run)
    if capacity is not None:
        statements += capacity_statements(capacity)
    if logits is not None and len(logits) and logits.shape[-1] > 1:
        temperature = temperature_report(logits, share)
        statements += temperature_statements(temperature, logits, experiment, metric)
    return Advice(temperature, capacity, tuple(statements), metric)


def _teacher_logits(run: RunFolder) -> tuple[np.ndarray | None, str]:
    """What the teacher says of the pool, or of the words of a tagger's probe sentences, and what the score is."""
    probes = read_probes(run)
    if probes is not None:
        return probes.pool_teacher_logits, "accuracy"
    texts = read_texts(run)
    if texts is None or not texts.tags:
        return None, "accuracy"
    return (None if texts.teacher_tags is None else texts.teacher_tags[texts.hidden]), "f1"


def capacity_statements(report: CapacityReport) -> list[Statement]:
    """What the gap, the agreement on training samples and the course of KL suggest."""
    factor = 1 if report.metric == "perplexity" else 100
    figures = {
        "student": factor * report.student_score,
        "guide": factor * report.guide_score,
        "gap": 100 * report.gap,
        "noise": 100 * report.noise,
        "ratio": report.ratio,
        "validation_samples": report.validation_samples,
        "validation_agreement": 100 * report.validation_agreement,
        "train_samples": report.train_samples,
        "epochs": report.epochs,
        "fewest": FEWEST,
        "points": report.quarter.points if report.quarter is not None else 0,
    }
    notes = _notes(report)
    kind = "" if report.metric == "accuracy" else f"-{report.metric}"
    if report.gap < GAP and report.helped is False:
        return [Statement(f"keeps-up-alone{kind}", figures, notes=("alone", *notes))]
    if report.gap < GAP:
        return [Statement(f"keeps-up{kind}", figures, notes=notes)]
    if report.gap <= report.noise:
        return [Statement(f"noise{kind}", figures, notes=notes)]
    if report.quarter is None:
        return [Statement(f"no-record{kind}", figures, notes=notes)]
    figures |= _quarter_figures(report.quarter)
    notes += _thin_record(report, report.quarter)
    return [Statement(rule, figures, field, notes) for rule, field in _causes(report, report.quarter)]


def _causes(report: CapacityReport, quarter: Quarter) -> list[tuple[str, str]]:
    """What may hold the student back, and the field that would be changed. The gap is worth an effort."""
    copies = quarter.agreement >= COPIES
    loses = copies and quarter.agreement - report.validation_agreement > APART
    data = [("data", "data.augment")] if loses else []
    if quarter.trend == "unknown":
        return data or [("short", "train.epochs")]
    if quarter.trend == "falling":
        return [("epochs", "train.epochs"), *data]
    if quarter.trend == "rising":
        return [("unsteady", "train.lr")]
    if copies:
        return data or [("follows", "")]
    return [("assistant", "assistants")] if report.ratio >= ROOM else [("larger-student", "student.model")]


def _quarter_figures(quarter: Quarter) -> dict[str, float]:
    return {
        "agreement": 100 * quarter.agreement,
        "kl": quarter.kl,
        "moved": 100 * abs(quarter.change),
        "first": quarter.first,
        "last": quarter.last,
    }


def _notes(report: CapacityReport) -> tuple[str, ...]:
    found = {"of-assistant": report.guide != "teacher", "few-validation": report.validation_samples < ENOUGH}
    return tuple(name for name, true in found.items() if true)


def _thin_record(report: CapacityReport, quarter: Quarter) -> tuple[str, ...]:
    found = {
        "few-train": report.train_samples < ENOUGH,
        "few-points": FEWEST <= quarter.points < ENOUGH_POINTS,
        "gap-noise": report.gap < CLEAR * report.noise,
    }
    return tuple(name for name, thin in found.items() if thin)


def temperature_statements(
    report: TemperatureReport, logits: Any, experiment: Experiment | None, metric: str = "accuracy"
) -> list[Statement]:
    """What the teacher's outputs say of the soft term's temperature. None where no T gives the share."""
    if report.advised is None:
        return []
    notes = ("few-samples",) if report.thin else ()
    kind = "-f1" if metric == "f1" else ""
    figures: dict[str, float] = {"found": report.advised, "share": 100 * report.share, "samples": report.samples}
    place, degree = _soft_term(experiment)
    figures |= {
        "temperature": degree,
        "second": 100 * second_share(logits, degree),
        "entropy": float(entropy(logits, degree).mean()),
        "most": math.log(logits.shape[-1]),
    }
    if place < 0:
        return [Statement(f"temperature-alone{kind}", figures, notes=notes)]
    field = f"objective.{place}.temperature"
    if figures["second"] < 100 * SHARP and report.advised > degree:
        return [Statement(f"sharp{kind}", figures, field, notes)]
    if figures["entropy"] > FLAT * figures["most"] and report.advised < degree:
        return [Statement(f"flat{kind}", figures, field, notes)]
    return [Statement(f"temperature{kind}", figures, notes=notes)]


def _soft_term(experiment: Experiment | None) -> tuple[int, float]:
    """The place and the temperature of the first soft term; -1 and 1 where there is none."""
    for place, term in enumerate(experiment.objective if experiment is not None else []):
        if term.term == "soft":
            return place, float(term.temperature)
    return -1, 1.0
