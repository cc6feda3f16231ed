"""`kdstudio compare`: mean and spread over seeds, never of differing specs, whatever state the runs are in."""

from __future__ import annotations

import csv
import io
import json
import statistics
from pathlib import Path
from typing import Any

import pytest

from kdstudio.cli import main
from kdstudio.commands.compare import compare
from kdstudio.project.folder import Project, create_project
from kdstudio.project.runs.folder import RunFolder, write_bytes
from kdstudio.project.runs.state import RunState, encode_state
from kdstudio.project.spec import Experiment


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return create_project(tmp_path / "project", "empty")


def experiment(name: str = "a", seed: int = 0, teacher_seed: int | None = 0, **fields: Any) -> Experiment:
    plain: dict[str, Any] = {"name": name, "student": {"model": "mlp"}, "train": {"seed": seed}, **fields}
    if teacher_seed is not None:
        plain["teacher"] = {"model": "mlp", "train": {"seed": teacher_seed}}
    else:
        plain["objective"] = [{"term": "hard"}]
    return Experiment.model_validate(plain)


def scorecard(student: float, teacher: float | None = 0.9, baseline: float | None = None) -> dict[str, Any]:
    networks: dict[str, Any] = {"student": {"test": {"accuracy": student}}}
    head: dict[str, Any] = {"score": student}
    if teacher is not None:
        networks["teacher"] = {"test": {"accuracy": teacher}}
        head["agreement"] = 0.8
    if baseline is not None:
        networks["baseline"] = {"test": {"accuracy": baseline}}
        head["gain"] = student - baseline
    return {"reported_split": "test", "networks": networks, "headline": head, "seed": 0}


def add(project: Project, made: Experiment, card: dict[str, Any] | None, phase: str = "finished") -> RunFolder:
    run = project.create_run(made)
    write_bytes(run.state_path, encode_state(RunState(phase=phase)))
    if card is not None:
        run.scorecard_path.write_text(json.dumps(card))
    return run


def test_mean_and_spread_over_seeds(project: Project) -> None:
    scores, alone = [0.8, 0.9, 0.7], [0.75, 0.85, 0.8]
    for seed, (score, other) in enumerate(zip(scores, alone)):
        add(project, experiment(seed=seed, teacher_seed=seed), scorecard(score, 0.9 + seed / 100, other))
    (row,), skipped = compare(project)
    assert skipped == []
    assert (row["experiment"], row["runs"], row["seeds"]) == ("a", 3, 3)
    assert row["run_names"] == ["a/001", "a/002", "a/003"]
    expected = {"mean": statistics.mean(scores), "spread": statistics.stdev(scores)}
    assert row["student"] == pytest.approx(expected)
    assert row["teacher"] == pytest.approx({"mean": 0.91, "spread": 0.01})
    gains = [score - other for score, other in zip(scores, alone)]
    assert row["gain"] == pytest.approx({"mean": statistics.mean(gains), "spread": statistics.stdev(gains)})


def test_one_run_has_no_spread(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    add(project, experiment(teacher_seed=None), scorecard(0.8, teacher=None))
    (row,), _ = compare(project)
    assert row["student"] == {"mean": 0.8, "spread": None}
    assert row["teacher"] is row["gain"] is row["agreement"] is None
    assert main(["compare", str(project.root)]) == 0
    assert "±" not in capsys.readouterr().out


def test_the_same_seed_twice_is_one_sample(project: Project) -> None:
    for seed, score in ((0, 0.6), (0, 0.6), (1, 0.8)):
        add(project, experiment(seed=seed), scorecard(score))
    (row,), _ = compare(project)
    assert (row["runs"], row["seeds"]) == (3, 2)
    assert row["student"] == pytest.approx({"mean": 0.7, "spread": statistics.stdev([0.6, 0.8])})


@pytest.mark.parametrize(
    "other",
    [
        {"train": {"seed": 1, "epochs": 7}},
        {"data": {"source": "digits", "split_seed": 3}},
        {"student": {"model": "cnn"}},
        {"objective": [{"term": "hard", "weight": 0.1}, {"term": "soft", "weight": 0.9, "temperature": 5}]},
        {"evaluate": {"test": False}},
        {"baseline": True},
        {"teacher_seed": None},
    ],
)
def test_differing_specs_are_never_averaged(
    project: Project, other: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    add(project, experiment(), scorecard(0.8))
    add(project, experiment(**other), scorecard(0.2))
    rows, _ = compare(project)
    assert [row["student"]["mean"] for row in rows] == [0.8, 0.2]
    assert main(["compare", str(project.root)]) == 0
    text = capsys.readouterr().out
    assert "a (001)" in text
    assert "a (002)" in text


def test_experiments_of_one_spec_and_two_names_stay_apart(project: Project) -> None:
    add(project, experiment("a"), scorecard(0.8))
    add(project, experiment("b"), scorecard(0.2))
    assert [row["experiment"] for row in compare(project)[0]] == ["a", "b"]


def damaged(run: RunFolder, file: str, content: str | bytes) -> None:
    (run.path / file).write_bytes(content if isinstance(content, bytes) else content.encode())


DAMAGE: list[tuple[str, str | bytes, str]] = [
    ("scorecard.json", "{", "scorecard.json is damaged"),
    ("scorecard.json", "[]", "scorecard.json is damaged"),
    ("scorecard.json", "{}", "scorecard.json is damaged"),
    ("scorecard.json", b"\xff\xfe\x00", "scorecard.json is damaged"),
    ("scorecard.json", json.dumps({**scorecard(0.5), "networks": []}), "scorecard.json is damaged"),
    ("scorecard.json", json.dumps({**scorecard(0.5), "headline": None}), "scorecard.json is damaged"),
    ("scorecard.json", json.dumps({**scorecard(0.5), "reported_split": "validation"}), "scorecard.json is damaged"),
    ("scorecard.json", json.dumps(scorecard("high")), "scorecard.json is damaged"),  # type: ignore[arg-type]
    ("scorecard.json", json.dumps(scorecard(float("nan"))), "scorecard.json is damaged"),
    ("experiment.yaml", "student: [", "experiment.yaml cannot be read"),
    ("experiment.yaml", "name: a\n", "experiment.yaml cannot be read"),
    ("state.json", "{", "state.json is missing or damaged"),
    ("state.json", "", "state.json is missing or damaged"),
]


@pytest.mark.parametrize(("file", "content", "why"), DAMAGE)
def test_damaged_runs_are_left_out_and_named(
    project: Project, file: str, content: str | bytes, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    add(project, experiment(seed=0), scorecard(0.8))
    broken = add(project, experiment(seed=1), scorecard(0.1))
    damaged(broken, file, content)
    (row,), (left,) = compare(project)
    assert (row["runs"], row["student"]["mean"]) == (1, 0.8)
    assert left["run"] == "a/002"
    assert why in left["why"]
    assert main(["compare", str(project.root)]) == 0
    said = capsys.readouterr()
    assert "skipped a/002: " in said.err
    assert "a/002" not in said.out
    assert "Traceback" not in said.err


def test_missing_files(project: Project) -> None:
    for file, why in (("scorecard.json", "no scorecard"), ("experiment.yaml", "cannot"), ("state.json", "missing")):
        run = add(project, experiment(), scorecard(0.8))
        (run.path / file).unlink()
        assert why in compare(project)[1][-1]["why"]


@pytest.mark.parametrize("phase", ["created", "stopped", "parked", "failed"])
def test_unfinished_runs_are_not_averaged(project: Project, phase: str) -> None:
    """A run that was stopped early has a scorecard too, and less training than its spec says."""
    add(project, experiment(seed=0), scorecard(0.8))
    add(project, experiment(seed=1), scorecard(0.1), phase)
    (row,), (left,) = compare(project)
    assert row["student"]["mean"] == 0.8
    assert left["why"].startswith("not finished (")


def test_forms(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(2):
        add(project, experiment("first", seed), scorecard(0.8 + seed / 10, baseline=0.7))
    add(project, experiment("second", teacher_seed=None), scorecard(0.5, teacher=None))
    (project.runs_dir / "first" / "notes").mkdir()
    (project.runs_dir / "stray.txt").write_text("x")
    target = str(project.root)
    assert main(["compare", target]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [
        "experiment", "runs", "seeds", "student", "baseline", "teacher", "agreement", "gain",
    ]  # fmt: skip
    assert "85.00 ± 7.07" in lines[1]
    assert lines[2].split() == ["second", "1", "1", "50.00", "-", "-", "-", "-"]
    assert main(["compare", target, "--markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "|---|---:|---:|---:|---:|---:|---:|---:|"
    assert all(line.count("|") == 9 for line in lines)
    assert main(["compare", target, "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert float(rows[0]["student_mean"]) == pytest.approx(0.85)
    assert rows[1]["student_spread"] == rows[1]["teacher_mean"] == ""
    assert main(["compare", target, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [row["experiment"] for row in answer["rows"]] == ["first", "second"]
    assert answer["skipped"] == []


def test_nothing_to_compare(project: Project, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["compare", str(project.root)]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "no finished runs" in said.err
    assert main(["compare", str(project.root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"rows": [], "skipped": []}
    assert main(["compare", str(tmp_path / "absent")]) == 2
    assert "no such folder" in capsys.readouterr().err
