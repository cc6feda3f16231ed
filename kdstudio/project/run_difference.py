"""Two runs side by side: where their specs differ, and where their students do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kdstudio.project.errors import InputError
from kdstudio.project.runs.evaluation import read_validation_logits
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.summary import Catalogue, RunSummary

MOST_SAMPLES = 12


@dataclass(frozen=True)
class Disagreement:
    """What two students say of the same validation samples.

    Attributes:
        classes: Names.
        count: Samples.
        agreement: Share on which both give the same class.
        both, first_only, second_only, neither: How many are right.
        per_class: For each class its samples, and the share that either student has right.
        samples: (index, label, first's class, second's class), those of which the two are surest first.
    """

    classes: list[str]
    count: int
    agreement: float
    both: int
    first_only: int
    second_only: int
    neither: int
    per_class: list[tuple[int, float, float]]
    samples: list[tuple[int, int, int, int]]


@dataclass(frozen=True)
class Difference:
    """Two runs.

    Attributes:
        runs: Their figures.
        spec: (path, first's value, second's value) of every field that differs; None where there is none.
        students: Where the students differ; None where that is not known of both.
        why_not: Why it is not known.
    """

    runs: tuple[RunSummary, RunSummary]
    spec: list[tuple[str, Any, Any]]
    students: Disagreement | None
    why_not: str


def difference(first: RunFolder, second: RunFolder) -> Difference:
    """What differs between two runs.

    Raises:
        InputError, SpecError: An experiment cannot be read.
    """
    if first.path.resolve() == second.path.resolve():
        raise InputError(f"{first.name}: this is the same run twice", fix="give two runs")
    one, other = (run.experiment().model_dump(mode="json") for run in (first, second))
    catalogue = Catalogue()
    students, why_not = _disagreement(first, second)
    return Difference(
        (catalogue.summary(first), catalogue.summary(second)), spec_difference(one, other), students, why_not
    )


def spec_difference(first: Any, second: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """The fields in which plain data differ, by dotted path."""
    if isinstance(first, dict) and isinstance(second, dict):
        keys = [*first, *(key for key in second if key not in first)]
        pairs = [(str(key), first.get(key), second.get(key)) for key in keys]
    elif isinstance(first, list) and isinstance(second, list) and any(isinstance(x, dict) for x in [*first, *second]):
        most = max(len(first), len(second))
        pairs = [
            (str(place), first[place] if place < len(first) else None, second[place] if place < len(second) else None)
            for place in range(most)
        ]
    else:
        return [] if first == second else [(path, first, second)]
    return [found for key, one, other in pairs for found in spec_difference(one, other, f"{path}.{key}".lstrip("."))]


def _disagreement(first: RunFolder, second: RunFolder) -> tuple[Disagreement | None, str]:
    said = [read_validation_logits(run) for run in (first, second)]
    for run, found in zip((first, second), said):
        if found is None:
            return None, f"{run.name} kept no outputs of its student on the validation samples"
    one, other = said
    assert one is not None
    assert other is not None
    if one.classes != other.classes or not np.array_equal(one.labels, other.labels):
        return None, "the two runs have other validation samples"
    labels = one.labels
    answers = [each.logits.argmax(axis=1) for each in (one, other)]
    right = [answer == labels for answer in answers]
    apart = np.flatnonzero(answers[0] != answers[1])
    sure = sum(each.logits.max(axis=1) - each.logits.mean(axis=1) for each in (one, other))
    apart = apart[np.argsort(-np.asarray(sure)[apart], kind="stable")][:MOST_SAMPLES]
    per_class = []
    for number in range(len(one.classes)):
        here = labels == number
        count = int(here.sum())
        shares = [float(each[here].mean()) if count else float("nan") for each in right]
        per_class.append((count, shares[0], shares[1]))
    return (
        Disagreement(
            classes=one.classes,
            count=len(labels),
            agreement=float((answers[0] == answers[1]).mean()),
            both=int((right[0] & right[1]).sum()),
            first_only=int((right[0] & ~right[1]).sum()),
            second_only=int((~right[0] & right[1]).sum()),
            neither=int((~right[0] & ~right[1]).sum()),
            per_class=per_class,
            samples=[(int(i), int(labels[i]), int(answers[0][i]), int(answers[1][i])) for i in apart],
        ),
        "",
    )
