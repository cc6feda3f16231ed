"""What lists of runs show of each run, read again only where a file has changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.marks import Marks, read_marks
from kdstudio.project.runs.state import RunState, RunStatus, status_of

if TYPE_CHECKING:
    from kdstudio.project.folder import Project


@dataclass(frozen=True)
class RunSummary:
    """One run: where it stands, and its figures once there is a scorecard (None before)."""

    run: RunFolder
    state: RunState
    status: RunStatus
    scorecard: dict[str, Any] | None
    marks: Marks = field(default_factory=Marks)

    def accuracy(self, network: str) -> float | None:
        """Accuracy of `student`, `teacher` or `baseline` on the reported split, a share; of a tagger its F1 score."""
        card = self.scorecard or {}
        measured = card.get("networks", {}).get(network, {}).get(card.get("reported_split", ""), {})
        return measured.get("f1", measured.get("accuracy"))

    def headline(self, name: str) -> float | None:
        """A figure of the scorecard's headline: `keeps`, `smaller_by`, `faster_by`, `agreement`, `gain`."""
        return (self.scorecard or {}).get("headline", {}).get(name)

    def fact(self, network: str, name: str) -> Any:
        """A plain fact of a network, such as `parameters` or `model`."""
        return (self.scorecard or {}).get("networks", {}).get(network, {}).get(name)

    @property
    def metric(self) -> str:
        """What its score is: `accuracy`, `f1` of a tagger, or `perplexity` of a language model."""
        return str(self.scorecard.get("metric", "accuracy")) if self.scorecard else self.state.best_metric

    @property
    def is_language(self) -> bool:
        """Whether its score is a perplexity, of which less is better."""
        return self.metric == "perplexity"

    @property
    def score(self) -> float | None:
        """The student's accuracy, a tagger's F1 score, or a language model's perplexity; while there is no scorecard,
        the best so far."""
        metric = (self.scorecard or {}).get("metric", "accuracy")
        if metric != "accuracy" and self.scorecard:
            split = self.scorecard["reported_split"]
            found = self.scorecard["networks"]["student"][split].get(metric)
        else:
            found = self.accuracy("student")
        return found if found is not None else self.state.best

    @property
    def mark(self) -> tuple[object, ...]:
        """Changes when a list would show something else."""
        return (self.run.path, self.status, self.score, self.marks.text)


class Catalogue:
    """The runs of a project. Scorecards are kept as long as their files do not change."""

    def __init__(self) -> None:
        self._cards: dict[Path, tuple[int, dict[str, Any] | None]] = {}

    def read(self, project: Project | None, experiment: str | None = None) -> list[RunSummary]:
        """All runs, oldest first within each experiment."""
        return [self.summary(run) for run in project.runs(experiment)] if project is not None else []

    def summary(self, run: RunFolder) -> RunSummary:
        """One run."""
        state = run.state()
        return RunSummary(run, state, status_of(state), self._card(run), read_marks(run))

    def _card(self, run: RunFolder) -> dict[str, Any] | None:
        try:
            changed = run.scorecard_path.stat().st_mtime_ns
        except OSError:
            return None
        known = self._cards.get(run.path)
        if known is None or known[0] != changed:
            known = self._cards[run.path] = (changed, run.scorecard())
        return known[1]
