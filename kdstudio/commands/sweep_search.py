"""What a sweep tries next, and which trials fall behind: Optuna's samplers and pruners over the trials that there are.

The study is made anew from the run folders each time. It holds what every process did that worked on the sweep, and
nothing that a killed one could have left half done.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from kdstudio.project.spec.sweep import SweepField, SweepSpec
from kdstudio.project.sweeps.trials import Outcome, Trial, Trials

#: Trials at random before TPE has something to go by; pruning waits for the first finished ones, too.
FIRST_AT_RANDOM, FIRST_WHOLE = 8, 4
#: Draws until a combination comes that was not tried. Where most were, one that was is better than none.
DRAWS = 20

STATES = {
    Outcome.FINISHED: TrialState.COMPLETE,
    Outcome.PRUNED: TrialState.PRUNED,
    Outcome.STOPPED: TrialState.FAIL,
    Outcome.FAILED: TrialState.FAIL,
}


def next_values(spec: SweepSpec, trials: Trials) -> dict[str, Any] | None:
    """The values of the next trial, by path; None where there are enough trials.

    Args:
        spec: What is searched.
        trials: Those that there are, of all processes.
    """
    if spec.search == "grid":
        tried = [trial.values for trial in trials.trials]
        lists = [[(field.path, value) for value in field.candidates()] for field in spec.fields]
        points = (dict(point) for point in itertools.product(*lists))
        return next((point for point in points if point not in tried), None)
    if len(trials.trials) >= spec.trials:
        return None
    drawn: dict[str, Any] = {}
    for draw in range(DRAWS):
        drawn = _drawn(spec, trials, draw)
        if all(drawn != trial.values for trial in trials.trials):
            break
    return drawn


def _drawn(spec: SweepSpec, trials: Trials, draw: int) -> dict[str, Any]:
    seed = (spec.seed * 1_000_003 + len(trials.trials) * DRAWS + draw) % 2**31
    sampler: optuna.samplers.BaseSampler = optuna.samplers.RandomSampler(seed=seed)
    if spec.search == "tpe":
        sampler = optuna.samplers.TPESampler(
            n_startup_trials=FIRST_AT_RANDOM, multivariate=True, constant_liar=True, seed=seed
        )
    study = _study(spec, trials, lambda trial: {}, sampler)
    distributions = {field.path: _distribution(field) for field in spec.fields}
    params = study.ask(distributions).params
    return {field.path: _value(field, params[field.path]) for field in spec.fields}


def falls_behind(spec: SweepSpec, trials: Trials, number: int, curve: Callable[[Trial], list[float]]) -> bool:
    """Whether a trial is to be stopped, as its scores on validation samples so far are behind those of others.

    Args:
        spec: Says how that is decided.
        trials: Those that there are.
        number: The trial.
        curve: The scores of a trial's first training, epoch by epoch.
    """
    if spec.prune == "none":
        return False
    pruner: optuna.pruners.BasePruner
    if spec.prune == "median":
        pruner = optuna.pruners.MedianPruner(n_startup_trials=FIRST_WHOLE)
    else:
        pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    study = _study(spec, trials, lambda trial: dict(enumerate(curve(trial))), None, pruner)
    mine = next(trial for trial in study.trials if trial.user_attrs["number"] == number)
    return bool(mine.intermediate_values) and pruner.prune(study, mine)


def _study(
    spec: SweepSpec,
    trials: Trials,
    curve: Callable[[Trial], dict[int, float]],
    sampler: optuna.samplers.BaseSampler | None,
    pruner: optuna.pruners.BasePruner | None = None,
) -> optuna.Study:
    """The trials as Optuna's."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    direction = optuna.study.StudyDirection.MINIMIZE if trials.lower else optuna.study.StudyDirection.MAXIMIZE
    study = optuna.create_study(direction=direction, sampler=sampler, pruner=pruner or optuna.pruners.NopPruner())
    for trial in trials.trials:
        study.add_trial(_frozen(spec, trial, curve(trial)))
    return study


def _frozen(spec: SweepSpec, trial: Trial, curve: dict[int, float]) -> FrozenTrial:
    state = STATES.get(trial.outcome, TrialState.RUNNING)
    score = trial.score
    if state is TrialState.PRUNED and not curve and score is not None:
        curve = {0: score}
    if state is TrialState.COMPLETE and score is None:
        state = TrialState.FAIL
    known = {field.path: _param(field, trial.values[field.path]) for field in spec.fields}
    return create_trial(
        state=state,
        value=score if state is TrialState.COMPLETE else None,
        params=known,
        distributions={field.path: _distribution(field) for field in spec.fields},
        intermediate_values=curve,
        user_attrs={"number": trial.number},
    )


def _distribution(field: SweepField) -> BaseDistribution:
    if field.values:  # by their places: values may be lists, which Optuna does not take
        return CategoricalDistribution(range(len(field.values)))
    low, high = field.bounds
    if field.whole:
        return IntDistribution(int(low), int(high), log=field.log)
    return FloatDistribution(low, high, log=field.log)


def _param(field: SweepField, value: Any) -> Any:
    return field.values.index(value) if field.values else value


def _value(field: SweepField, param: Any) -> Any:
    return field.values[param] if field.values else field.rounded(param)
