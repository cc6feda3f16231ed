"""The trials of a sweep, read from their runs."""

from __future__ import annotations

import contextlib
import enum
import json
import statistics
from dataclasses import dataclass, field
from typing import Any

from kdstudio.project.errors import InputError
from kdstudio.project.folder import create_run, init_run
from kdstudio.project.runs.folder import RunFolder, write_bytes
from kdstudio.project.runs.metrics import MetricFollower
from kdstudio.project.runs.state import RunState, RunStatus, status_of
from kdstudio.project.sweeps.folder import Sweep

FILE = "trial.json"


class Outcome(enum.Enum):
    """Where a trial stands."""

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"
    PRUNED = "pruned"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def over(self) -> bool:
        """Whether nothing more is done for it."""
        return self not in (Outcome.WAITING, Outcome.RUNNING)


@dataclass(frozen=True)
class TrialRun:
    """One training of a trial, and what `trial.json` in it says."""

    run: RunFolder
    trial: int
    seed: int
    values: dict[str, Any]
    pruned: bool
    given_up: str
    state: RunState
    status: RunStatus

    @property
    def outcome(self) -> Outcome:
        """Where it stands."""
        if self.given_up:
            return Outcome.FAILED
        if self.status.active:
            return Outcome.RUNNING
        match self.status:
            case RunStatus.FINISHED:
                return Outcome.FINISHED
            case RunStatus.FAILED:
                return Outcome.FAILED
            case RunStatus.STOPPED:
                return Outcome.PRUNED if self.pruned else Outcome.STOPPED
        return Outcome.WAITING


@dataclass
class Trial:
    """One combination of values.

    Attributes:
        number: From 0, in the order in which they were made.
        values: By the path of the field.
        runs: Its trainings, one a seed, in the order of the seeds.
        seeds: How many trainings make it whole.
    """

    number: int
    values: dict[str, Any]
    runs: list[TrialRun] = field(default_factory=list)
    seeds: int = 1

    @property
    def outcome(self) -> Outcome:
        """Where it stands: over as soon as one of its trainings was pruned, stopped or failed."""
        found = [run.outcome for run in self.runs]
        for bad in (Outcome.FAILED, Outcome.PRUNED, Outcome.STOPPED):
            if bad in found:
                return bad
        if Outcome.RUNNING in found:
            return Outcome.RUNNING
        return Outcome.FINISHED if found.count(Outcome.FINISHED) >= self.seeds else Outcome.WAITING

    @property
    def scores(self) -> list[float]:
        """The best validation score of each training that has one."""
        return [run.state.best for run in self.runs if run.state.best is not None]

    @property
    def score(self) -> float | None:
        """The mean of the validation scores so far."""
        return statistics.mean(self.scores) if self.scores else None

    @property
    def spread(self) -> float | None:
        """The standard deviation over seeds."""
        return statistics.stdev(self.scores) if len(self.scores) > 1 else None


@dataclass(frozen=True)
class Trials:
    """All trials of a sweep.

    Attributes:
        trials: By number.
        metric: What the score is: `accuracy`, `perplexity`...
        lower: Whether less is better.
    """

    trials: list[Trial]
    metric: str
    lower: bool

    @property
    def best(self) -> Trial | None:
        """The finished trial with the best score on validation samples."""
        done = [trial for trial in self.trials if trial.outcome is Outcome.FINISHED and trial.score is not None]
        sign = 1 if self.lower else -1
        return min(done, key=lambda trial: sign * (trial.score or 0.0), default=None)

    def count(self, *outcomes: Outcome) -> int:
        """How many stand so."""
        return sum(trial.outcome in outcomes for trial in self.trials)

    @property
    def over(self) -> int:
        """How many are over."""
        return sum(trial.outcome.over for trial in self.trials)

    def best_so_far(self) -> list[tuple[int, float]]:
        """The best score after each finished trial, in the order of the trials' numbers."""
        found: list[tuple[int, float]] = []
        for trial in self.trials:
            if trial.outcome is Outcome.FINISHED and trial.score is not None:
                better = min if self.lower else max
                found.append((trial.number, better(trial.score, found[-1][1]) if found else trial.score))
        return found


#: Scores of which less is better.
LOWER = ("perplexity",)


Marks = tuple[int, int]
Known = dict[RunFolder, tuple[Marks, TrialRun]]
"""Runs that are over, with the times of their files: who looks often reads them once."""


def read_trials(sweep: Sweep, known_runs: Known | None = None) -> Trials:
    """The trials that there are, by number. Runs whose `trial.json` is missing or damaged are left out.

    Args:
        sweep: The sweep.
        known_runs: What was read before; it is filled.
    """
    found: dict[int, Trial] = {}
    for run in sweep.project.runs(sweep.name):
        known = _known_run(run, known_runs) if known_runs is not None else read_run(run)
        if known is not None:
            trial = found.setdefault(known.trial, Trial(known.trial, known.values, seeds=len(sweep.spec.seeds)))
            trial.runs.append(known)
    order = {seed: place for place, seed in enumerate(sweep.spec.seeds)}
    for trial in found.values():
        trial.runs.sort(key=lambda run: order.get(run.seed, len(order)))
    trials = [found[number] for number in sorted(found)]
    metrics = [run.state.best_metric for trial in trials for run in trial.runs if run.state.best is not None]
    metric = metrics[0] if metrics else "accuracy"
    return Trials(trials, metric, metric in LOWER)


def _known_run(run: RunFolder, known_runs: Known) -> TrialRun | None:
    try:
        marks = run.state_path.stat().st_mtime_ns, (run.path / FILE).stat().st_mtime_ns
    except OSError:
        return None
    if run in known_runs and known_runs[run][0] == marks:
        return known_runs[run][1]
    found = read_run(run)
    if found is not None and found.outcome.over:
        known_runs[run] = marks, found
    return found


def read_run(run: RunFolder) -> TrialRun | None:
    """One training of a trial; None where the run is none."""
    try:
        said = json.loads((run.path / FILE).read_bytes())
        facts = int(said["trial"]), int(said["seed"]), dict(said["values"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    state = run.state()
    return TrialRun(run, *facts, bool(said.get("pruned")), str(said.get("given_up", "")), state, status_of(state))


def make_run(sweep: Sweep, trial: int, values: dict[str, Any], seed: int, device: str = "") -> TrialRun:
    """Makes the run of a trial with one seed. Called while the sweep is locked.

    A folder that was made by a process that died before it said what it is for is used again.
    """
    experiment = sweep.experiment(values, seed)
    if device:
        experiment = experiment.model_copy(update={"train": experiment.train.model_copy(update={"device": device})})
    empty = [run for run in sweep.project.runs(sweep.name) if _is_left(run)]
    run = init_run(empty[0].path, experiment) if empty else create_run(sweep.runs_dir, experiment)
    say(run, trial=trial, seed=seed, values=values)
    found = read_run(run)
    assert found is not None
    return found


def _is_left(run: RunFolder) -> bool:
    return (
        not (run.path / FILE).exists()
        and run.status() in (RunStatus.CREATED, RunStatus.FAILED)
        and not run.log_path.exists()
    )


def say(run: RunFolder, **facts: Any) -> None:
    """Writes facts into `trial.json`, beside those that stand there."""
    known: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):
        known = json.loads((run.path / FILE).read_bytes())
    write_bytes(run.path / FILE, json.dumps({**known, **facts}).encode() + b"\n")


def curve_of(run: RunFolder, metric: str) -> list[float]:
    """The student's score on validation samples after each epoch."""
    series = MetricFollower(run.metrics_path).read_all().series("student", "validation", metric)
    return [float(value) for value in series.values]


def test_scores(trial: Trial, metric: str) -> list[float]:
    """The student's scores on test samples, for the trial that was chosen by its score on validation samples."""
    found = []
    for run in trial.runs:
        card = run.run.scorecard() or {}
        measured = card.get("networks", {}).get("student", {}).get("test", {})
        if metric in measured:
            found.append(float(measured[metric]))
    return found


def find_trial(trials: Trials, number: int) -> Trial:
    """A trial by its number.

    Raises:
        InputError: There is none.
    """
    for trial in trials.trials:
        if trial.number == number:
            return trial
    raise InputError(f"there is no trial {number}", fix=f"there are {len(trials.trials)}, counted from 0")
