"""The rules of advice, each on figures that were made for it."""

from __future__ import annotations

import dataclasses
import json
import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdstudio.project.advice import Statement, advice_of, capacity_statements, temperature_statements
from kdstudio.project.advice_words import NOTES, WORDS
from kdstudio.project.capacity_report import CapacityReport, Quarter, quarter_start, read_epochs, report_of
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.spec import Experiment
from kdstudio.project.temperature_report import temperature_report

LEVEL = Quarter(first=30, last=40, points=8, agreement=0.8, kl=0.2, change=-0.03, error=0.01)
FAR = CapacityReport(
    guide="teacher",
    guide_score=0.95,
    student_score=0.85,
    guide_parameters=1_000_000,
    student_parameters=50_000,
    validation_samples=1000,
    validation_agreement=0.82,
    train_samples=1000,
    quarter=LEVEL,
    epochs=40,
)


def quarter(**changes: Any) -> Quarter:
    return dataclasses.replace(LEVEL, **changes)


def rules(**changes: Any) -> list[tuple[str, str]]:
    """Rule and field of what is said."""
    return [(each.rule, each.field) for each in capacity_statements(dataclasses.replace(FAR, **changes))]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [("assistant", "assistants")]),
        ({"guide_parameters": 150_000}, [("larger-student", "student.model")]),
        ({"quarter": quarter(change=-0.3, error=0.05)}, [("epochs", "train.epochs")]),
        ({"quarter": quarter(change=-0.3, error=0.2)}, [("assistant", "assistants")]),
        ({"quarter": quarter(change=0.3, error=0.05)}, [("unsteady", "train.lr")]),
        ({"quarter": quarter(agreement=0.99)}, [("data", "data.augment")]),
        ({"quarter": quarter(agreement=0.99), "validation_agreement": 0.98}, [("follows", "")]),
        (
            {"quarter": quarter(agreement=0.99, change=-0.3, error=0.05)},
            [("epochs", "train.epochs"), ("data", "data.augment")],
        ),
        ({"quarter": quarter(points=2, error=None)}, [("short", "train.epochs")]),
        ({"quarter": None}, [("no-record", "")]),
        ({"student_score": 0.945}, [("keeps-up", "")]),
        ({"student_score": 0.97}, [("keeps-up", "")]),
        ({"student_score": 0.93}, [("noise", "")]),
    ],
)
def test_each_rule(changes: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert rules(**changes) == expected


@pytest.mark.parametrize(
    ("changes", "expected", "said"),
    [
        ({"student_score": 0.945, "helped": True}, "keeps-up", "Nothing to mend"),
        ({"student_score": 0.945, "helped": False}, "keeps-up-alone", "distillation did not help"),
        ({"metric": "f1", "student_score": 0.945}, "keeps-up-f1", "1000 validation words it reaches F1 94.5 %"),
        ({"metric": "f1", "student_score": 0.945, "helped": False}, "keeps-up-alone-f1", "did not help"),
        ({"metric": "f1", "evidence": 50.0}, "noise-f1", "up to 12.0 points"),
        ({"metric": "f1", "quarter": None}, "no-record-f1", "lacks 10.0 points of its teacher's F1"),
        (
            {"metric": "perplexity", "guide_score": 20.0, "student_score": 25.0, "quarter": None},
            "no-record-perplexity",
            "20.0 % lower than the student's",
        ),
        ({"metric": "perplexity", "guide_score": 20.0, "student_score": 19.0}, "keeps-up-perplexity", "19.00"),
    ],
)
def test_the_score_is_what_the_run_is_judged_by(changes: dict[str, Any], expected: str, said: str) -> None:
    (statement,) = capacity_statements(dataclasses.replace(FAR, **changes))
    assert statement.rule == expected
    assert said in " ".join(statement.told())
    assert ("Nothing to mend" in statement.told()[0]) is (changes.get("helped") is not False and "keeps" in expected)
    assert not statement.thin


def test_every_statement_shows_its_figures() -> None:
    (statement,) = capacity_statements(FAR)
    head, reason = statement.told()
    assert head == "An assistant is worth trying"
    for figure in ("80.0 %", "1000 training samples", "KL 0.200", "3 %", "30 to 40", "20.0 times", "10.0 points"):
        assert figure in reason
    assert not statement.thin
    for words in (*WORDS.values(), *((note,) for note in NOTES.values())):
        assert all(
            name is None or name.isidentifier() for text in words for _, name, *_ in string.Formatter().parse(text)
        )
    for told, reason in WORDS.values():
        assert "{" in told + reason, "a figure"


def test_thin_evidence_is_told() -> None:
    report = dataclasses.replace(
        FAR, train_samples=60, validation_samples=60, student_score=0.6, quarter=quarter(points=3), guide="assistant-1"
    )
    (statement,) = capacity_statements(report)
    assert statement.thin
    assert statement.notes == ("of-assistant", "few-validation", "few-train", "few-points")
    assert statement.told()[1].count("Thin evidence") == 3
    assert not Statement("assistant", {}, notes=("of-assistant",)).thin
    near = capacity_statements(dataclasses.replace(FAR, student_score=0.92))
    assert near[0].notes == ("gap-noise",)


# -- from a run ------------------------------------------------------------------------------------------------


def card(**changes: Any) -> dict[str, Any]:
    def entry(parameters: int, accuracy: float) -> dict[str, Any]:
        measured = {"accuracy": accuracy, "count": 300, "fidelity": {"agreement": 0.5}}
        return {"parameters": parameters, "validation": measured}

    networks = {"teacher": entry(8000, 0.9), "assistant-1": entry(4000, 0.85), "student": entry(1000, 0.7)}
    rest = {"headline": {}, "reported_split": "validation", "chain": []}
    return {**rest, "networks": networks, "data": {"counts": {"train": 500, "validation": 300}}, **changes}


def recorded(path: Path, kl: list[float], every: int = 1) -> Path:
    """`metrics.jsonl` with ten steps an epoch."""
    lines = ["{broken by a crash, validation"]
    for epoch, value in enumerate(kl):
        place = {"step": 10 * epoch + 9, "epoch": epoch, "stage": "student", "time": 1.0}
        lines.append(json.dumps({**place, "split": "train", "values": {"loss": 1.0}}))
        lines.append(json.dumps({**place, "split": "validation", "values": {"agreement": 0.6, "kl": 1.0}}))
        if (len(kl) - 1 - epoch) % every == 0:
            lines.append(json.dumps({**place, "split": "train-eval", "values": {"agreement": 0.8, "kl": value}}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_the_figures_of_a_run(tmp_path: Path) -> None:
    kl = [2.0] * 15 + [0.5 - 0.02 * place for place in range(6)]  # 21 epochs; the last quarter begins with the 15th
    report = report_of(card(), read_epochs(recorded(tmp_path / "metrics.jsonl", kl)))
    assert report is not None
    assert (report.guide, report.epochs, quarter_start(21)) == ("teacher", 21, 15)
    assert report.gap == pytest.approx(0.2)
    assert report.ratio == 8
    assert report.train_samples == 300
    assert report.noise == pytest.approx(2 * np.sqrt(0.4 / 300))
    assert report.quarter is not None
    found = report.quarter
    assert (found.first, found.last, found.points) == (15, 21, 7)
    assert found.kl == pytest.approx(np.mean([2.0, *kl[15:]]))
    slope = np.polyfit(range(15, 22), [2.0, *kl[15:]], 1)[0]
    assert found.change == pytest.approx(6 * slope / found.kl)


def test_of_taggers_f1_counts(tmp_path: Path) -> None:
    """A word in ten differs: of 20 spans in 300 words five or six may be others, of three even tags fewer."""
    tagged = card(metric="f1", headline={"gain": -0.01})
    for entry, score in zip(tagged["networks"].values(), (0.9, 0.8, 0.6)):
        entry["validation"] |= {"f1": score, "per_tag": {"LOC": {"count": 12}, "PER": {"count": 8}}}
        entry["validation"]["fidelity"]["agreement"] = 0.9
    found = report_of(tagged, read_epochs(tmp_path / "none.jsonl"))
    assert found is not None
    assert (found.metric, found.helped, found.gap) == ("f1", False, pytest.approx(0.3))
    assert found.noise == pytest.approx(2 * np.sqrt(0.1 * 300) / 20)
    for entry in tagged["networks"].values():
        entry["validation"]["per_tag"] = {"A": {"count": 100}, "B": {"count": 100}, "C": {"count": 100}}
    found = report_of(tagged, read_epochs(tmp_path / "none.jsonl"))
    assert found is not None
    assert found.noise == pytest.approx(2 * np.sqrt(0.1 / 300))


def test_of_a_chain_the_last_assistant_counts(tmp_path: Path) -> None:
    chain = card(chain=["teacher", "assistant-1", "student"])
    report = report_of(chain, read_epochs(recorded(tmp_path / "metrics.jsonl", [0.5] * 8, every=4)))
    assert report is not None
    assert (report.guide, report.ratio) == ("assistant-1", 4)
    assert report.quarter is not None
    assert (report.quarter.points, report.quarter.trend) == (1, "unknown")


def test_trends(tmp_path: Path) -> None:
    def trend(kl: list[float]) -> str:
        report = report_of(card(), read_epochs(recorded(tmp_path / "metrics.jsonl", kl)))
        assert report is not None
        assert report.quarter is not None
        return report.quarter.trend

    falling = list(np.linspace(1.0, 0.5, 24))
    assert trend(falling) == "falling"
    assert trend(falling[::-1]) == "rising"
    assert trend([0.5] * 24) == "level"
    noisy = [0.5 + 0.2 * (-1) ** place for place in range(24)]
    assert trend(noisy) == "level"


def test_without_a_teacher_or_a_scorecard_there_is_no_report(tmp_path: Path) -> None:
    empty = read_epochs(tmp_path / "none.jsonl")
    assert report_of({"networks": {"student": {}}}, empty) is None
    assert report_of({}, empty) is None
    without = report_of(card(), empty)
    assert without is not None
    assert without.quarter is None
    assert without.validation_agreement == 0.5
    folder = tmp_path / "runs" / "plain" / "001"
    folder.mkdir(parents=True)
    advice = advice_of(RunFolder(folder))
    assert (advice.temperature, advice.capacity, advice.statements) == (None, None, ())


# -- the temperature -------------------------------------------------------------------------------------------


def soft(temperature: float | None) -> Experiment:
    terms: list[dict[str, Any]] = [{"term": "hard"}]
    if temperature is not None:
        terms.append({"term": "soft", "temperature": temperature})
    networks = {"teacher": {"model": "mlp"}, "student": {"model": "mlp"}}
    return Experiment.model_validate({"name": "a", "data": {"source": "digits"}, **networks, "objective": terms})


@pytest.mark.parametrize(
    ("temperature", "expected"),
    [
        (0.5, ("sharp", "objective.1.temperature")),
        (3.0, ("temperature", "")),
        (20.0, ("flat", "objective.1.temperature")),
    ],
)
def test_the_temperature_of_the_soft_term(temperature: float, expected: tuple[str, str]) -> None:
    logits = np.tile(np.array([6.0, 2.0, 0.0, 0.0]), (200, 1))
    report = temperature_report(logits)
    (statement,) = temperature_statements(report, logits, soft(temperature))
    assert (statement.rule, statement.field) == expected
    assert not statement.thin
    head, reason = statement.told()
    assert f"{report.advised:.1f}" in head + reason
    assert "200 validation samples" in reason


def test_without_a_soft_term_the_temperature_is_told_all_the_same() -> None:
    logits = np.tile(np.array([6.0, 2.0, 0.0, 0.0]), (20, 1))
    (statement,) = temperature_statements(temperature_report(logits), logits, soft(None))
    assert (statement.rule, statement.notes) == ("temperature-alone", ("few-samples",))
    assert temperature_statements(temperature_report(logits, 0.45), logits, None) == []
