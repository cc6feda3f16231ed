"""`kdstudio advise RUN|EXPERIMENT`: what is worth trying, each statement with the figures that it rests on."""

from __future__ import annotations

import argparse
import json
import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kdstudio.commands.run import project_and_experiment
from kdstudio.project.advice import Advice, Statement, advice_of, temperature_statements
from kdstudio.project.capacity_report import CapacityReport
from kdstudio.project.errors import InputError
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.temperature_report import (
    HIGHEST,
    LOWEST,
    SHARE,
    TemperatureReport,
    temperature_report,
)

WIDTH = 96
#: What is counted, by what the score is.
SAMPLES = {"accuracy": "samples", "f1": "words", "perplexity": "tokens"}


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "advise",
        help="what is worth trying, by the figures of a run or of a trained teacher",
        description="Of a run: the teacher's entropy and the share of its second class by temperature, as means over "
        "the pool of validation samples; and, once it is finished, the gap between teacher and student, how near the "
        "student came on training samples, and what that suggests. Of an experiment whose teacher is trained: the "
        "temperature.",
    )
    parser.add_argument("target", metavar="RUN|EXPERIMENT", help="a run folder, or an experiment of a project")
    parser.add_argument(
        "--share", type=float, default=SHARE, help=f"of the second class, above 0 and below 0.5 (default {SHARE:g})"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    if not 0 < args.share < 0.5:
        raise InputError(f"--share: {args.share:g} is not above 0 and below 0.5", fix="the usual share is 0.1")
    target = Path(args.target).expanduser()
    advice = _of_run(target, args.share) if _is_run(target) else _of_experiment(target, args.share)
    print(json.dumps(_data(advice)) if args.json else _text(advice))
    return 0


def _is_run(target: Path) -> bool:
    return (target / "experiment.yaml").exists()


def _of_run(target: Path, share: float) -> Advice:
    folder = RunFolder.open(target)
    advice = advice_of(folder, share)
    if advice.temperature is None and advice.capacity is None:
        raise InputError(
            f"{folder.name}: this run holds no outputs of a teacher",
            fix="choose a run with a teacher, and whose student has begun to train",
        )
    return advice


def _of_experiment(target: Path, share: float) -> Advice:
    project, experiment = project_and_experiment(target, [])
    if project is None:
        raise InputError(f"{target}: this file belongs to no project", fix="put it into experiments/ of one")
    if experiment.teacher is None:
        raise InputError(f"{target}: this experiment has no teacher to ask", fix="add one")
    from kdstudio.engine.data import load_data
    from kdstudio.engine.first_look import teacher_answers

    bundle = load_data(experiment.data, project.root)
    answers = teacher_answers(experiment.teacher, experiment.data, bundle, project.root, project.trusted)
    if answers is None:
        raise InputError(
            f"{target}: the teacher is not trained yet",
            fix="train it first: Run > Train the teacher, or kdstudio run EXPERIMENT --until teacher",
            kind="no-teacher",
        )
    logits = answers.logits.numpy()
    if logits.shape[-1] < 2:
        raise InputError(f"{target}: the data have one class only", fix="use data with two classes or more")
    report = temperature_report(logits, share)
    metric = "accuracy"
    if bundle.text is not None and bundle.is_language:
        metric = "f1" if bundle.text.is_tagger else "perplexity"
    return Advice(report, None, tuple(temperature_statements(report, logits, experiment, metric)), metric)


# -- as data ---------------------------------------------------------------------------------------------------


def _data(advice: Advice) -> dict[str, Any]:
    temperature, capacity = advice.temperature, advice.capacity
    return {
        "temperature": {**asdict(temperature), "thin": temperature.thin} if temperature else None,
        "capacity": {**asdict(capacity), **_derived(capacity)} if capacity else None,
        "statements": [_statement(statement) for statement in advice.statements],
    }


def _derived(report: CapacityReport) -> dict[str, Any]:
    trend = report.quarter.trend if report.quarter is not None else "unknown"
    return {"gap": report.gap, "noise": report.noise, "ratio": report.ratio, "trend": trend}


def _statement(statement: Statement) -> dict[str, Any]:
    head, reason = statement.told()
    return {**asdict(statement), "thin": statement.thin, "says": head, "because": reason}


# -- as text ---------------------------------------------------------------------------------------------------


def _text(advice: Advice) -> str:
    parts = []
    if advice.temperature is not None:
        parts.append(_temperature(advice.temperature, SAMPLES[advice.metric]))
    if advice.capacity is not None:
        parts.append(_capacity(advice.capacity))
    for statement in advice.statements:
        head, reason = statement.told()
        lines = [f"{'*' if statement.field else '-'} {head}", *textwrap.wrap(reason, WIDTH, break_long_words=False)]
        if statement.field:
            lines.append(f"change {statement.field}")
        parts.append("\n  ".join(lines))
    return "\n\n".join(parts)


def _temperature(report: TemperatureReport, counted: str) -> str:
    lines = [f"teacher on {report.samples} validation {counted}", "    T  entropy  second class"]
    for degree, nats, second in zip(report.temperatures, report.entropies, report.second_shares):
        lines.append(f"{degree:5g}  {nats:7.3f}  {100 * second:10.1f} %")
    share = f"{100 * report.share:g} %"
    if report.found is None:
        lines.append(f"at no T from {LOWEST:g} to {HIGHEST:g} does the second class have {share} on average")
    elif report.found <= LOWEST:
        lines.append(f"the second class has {share} on average already at T = {LOWEST:g}, the lowest tried")
    else:
        lines.append(f"the second class has {share} on average at T = {report.found:.2f}")
    if report.thin:
        lines.append(f"{report.samples} {counted} are few: this is thin evidence")
    return "\n".join(lines)


def _scores(report: CapacityReport) -> str:
    if report.metric == "perplexity":
        gap = f"the {report.guide}'s is {'lower' if report.gap >= 0 else 'higher'} by {100 * abs(report.gap):.2f} %"
        return f"  perplexity  {report.student_score:.2f} and {report.guide_score:.2f}: {gap}"
    name = "F1" if report.metric == "f1" else report.metric
    return (
        f"  {name:10}  {100 * report.student_score:.2f} % and {100 * report.guide_score:.2f} %: a gap of "
        f"{100 * report.gap:.2f} points, noise up to {100 * report.noise:.2f}"
    )


def _capacity(report: CapacityReport) -> str:
    lines = [
        f"student and {report.guide} on {report.validation_samples} validation {SAMPLES[report.metric]}",
        _scores(report),
        f"  parameters  {report.student_parameters:,} and {report.guide_parameters:,}: {report.ratio:.2f} times",
        f"  agreement   {100 * report.validation_agreement:.2f} % over the last quarter",
    ]
    quarter = report.quarter
    if quarter is None:
        return "\n".join([*lines, "nothing was recorded on training samples"])
    error = "" if quarter.error is None else f" +- {100 * quarter.error:.1f} %"
    lines += [
        f"on {report.train_samples} training samples, epochs {quarter.first} to {quarter.last} of {report.epochs}, "
        f"{quarter.points} measurements",
        f"  agreement   {100 * quarter.agreement:.2f} %",
        f"  KL          {quarter.kl:.4f} nats, changed by {100 * quarter.change:+.1f} %{error}: {quarter.trend}",
    ]
    return "\n".join(lines)
