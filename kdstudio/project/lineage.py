"""Where a network's weights come from: run after run, as from general to task-specific distillation."""

from __future__ import annotations

from dataclasses import dataclass

from kdstudio.project.errors import KDStudioError
from kdstudio.project.folder import Project
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.summary import Catalogue, RunSummary
from kdstudio.project.spec import Experiment

MOST = 16


@dataclass(frozen=True)
class Step:
    """A run whose student became the start of the next.

    Attributes:
        weights: What the spec says: `run:general/001`.
        run: None where there is no finished one.
        experiment: The frozen experiment of the run, where it can be read.
        summary: Its figures.
    """

    weights: str
    run: RunFolder | None
    experiment: Experiment | None
    summary: RunSummary | None


def lineage(project: Project, weights: str | None) -> list[Step]:
    """The runs behind a student's weights, the first one first; empty where they are of no run."""
    found: list[Step] = []
    catalogue = Catalogue()
    while weights is not None and weights.startswith("run:") and len(found) < MOST:
        run = project.run_with_student(weights)
        if run is None or any(step.run == run for step in found):
            found.append(Step(weights, None, None, None))
            break
        try:
            experiment: Experiment | None = run.experiment()
        except KDStudioError:
            experiment = None
        found.append(Step(weights, run, experiment, catalogue.summary(run)))
        weights = experiment.student.weights if experiment is not None else None
    return found[::-1]
