"""`kdstudio evaluate`: measures again, and says what is missing."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from kdstudio.cli import main
from kdstudio.engine.run import execute
from kdstudio.project.folder import create_project
from kdstudio.project.runs.folder import RunFolder, write_bytes
from kdstudio.project.runs.state import RunState, encode_state, process_start
from kdstudio.project.spec import Experiment


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    project = create_project(tmp_path_factory.mktemp("root") / "project", "empty")
    plain = {
        "name": "small",
        "data": {"source": "digits", "batch_size": 32, "train_limit": 100},
        "teacher": {"model": "mlp", "widths": [24], "train": {"epochs": 1}},
        "student": {"model": "mlp", "widths": [12]},
        "train": {"epochs": 1},
        "baseline": True,
        "evaluate": {"repeats": 3},
    }
    run = project.create_run(Experiment.model_validate(plain))
    execute(run)
    return run


@pytest.fixture
def run(finished: RunFolder, tmp_path: Path) -> RunFolder:
    shutil.copytree(finished.project_root, tmp_path / "project")
    return RunFolder(tmp_path / "project" / "runs" / "small" / "001")


def lasting(card: dict[str, Any]) -> dict[str, Any]:
    """What does not depend on the clock."""
    kept = {key: value for key, value in card.items() if key != "created"}
    kept["headline"] = {key: value for key, value in card["headline"].items() if key != "faster_by"}
    kept["networks"] = {
        name: {key: value for key, value in entry.items() if key != "speed"} for name, entry in card["networks"].items()
    }
    return kept


def test_it_finds_the_same_figures_again(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    before = run.scorecard()
    assert before is not None
    run.scorecard_path.unlink()
    run.report_path.unlink()
    assert main(["evaluate", str(run.path), "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "test acc" in said
    assert f"report: {run.report_path}" in said
    after = run.scorecard()
    assert after is not None
    assert lasting(after) == lasting(before)
    assert run.report_path.exists()


def test_json(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == run.scorecard()


def test_a_damaged_scorecard_is_made_anew(run: RunFolder) -> None:
    run.scorecard_path.write_text("{")
    assert main(["evaluate", str(run.path)]) == 0
    assert run.scorecard() is not None


@pytest.mark.parametrize("name", ["", "gpu", "cuda:x", "cuda:99", "meta", "cpu:0"])
def test_wrong_devices(run: RunFolder, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = run.scorecard_path.read_bytes()
    assert main(["evaluate", str(run.path), "--device", name]) == 2
    said = capsys.readouterr().err
    assert said.startswith("kdstudio: --device: ")
    assert "What to do: use auto" in said
    assert run.scorecard_path.read_bytes() == before


def test_what_is_missing_is_said(run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(tmp_path)]) == 2
    assert "there is no run here" in capsys.readouterr().err
    shutil.rmtree(run.project_root / "teachers")
    assert main(["evaluate", str(run.path)]) == 2
    assert "teacher: the network that this run used cannot be read" in capsys.readouterr().err
    shutil.rmtree(run.student_dir)
    assert main(["evaluate", str(run.path)]) == 2
    assert "there is no student yet" in capsys.readouterr().err


def test_a_run_at_work_is_left_alone(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    """Its own process is the only one that writes into its folder."""
    state = RunState(phase="training", stage="student", pid=os.getpid(), process_start=process_start(os.getpid()))
    write_bytes(run.state_path, encode_state(state))
    before = run.scorecard_path.read_bytes()
    assert main(["evaluate", str(run.path)]) == 2
    assert "still at work (training the student)" in capsys.readouterr().err
    assert run.scorecard_path.read_bytes() == before
