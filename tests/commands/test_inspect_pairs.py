"""`kdstudio inspect EXPERIMENT --pairs`: ready YAML, and what is said where there is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kdstudio.cli import main
from kdstudio.project.folder import Project, create_project
from kdstudio.project.spec import Experiment, validate
from kdstudio.project.yaml_io import parse_yaml

CNNS = """\
data: {source: digits, batch_size: 32, train_limit: 160}
teacher: {model: cnn, widths: [4, 6, 8], train: {epochs: 1}}
student: {model: cnn, widths: [4, 6]}
objective: [{term: hard}]
train: {epochs: 1}
evaluate: {latency: false, test: false}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = create_project(tmp_path / "project", "empty")
    (made.experiments_dir / "pair.yaml").write_text(CNNS)
    return made


def pairs(project: Project, capsys: pytest.CaptureFixture[str], *words: str) -> list[tuple[str, str]]:
    assert main(["inspect", str(project.root / "pair"), *words, "--json"]) == 0
    return [(pair["teacher"], pair["student"]) for pair in json.loads(capsys.readouterr().out)["pairs"]]


def test_pairs_by_name_and_by_size(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    stages = [("stage1", "stage1"), ("stage2", "stage2")]
    assert pairs(project, capsys, "--pairs", "stage") == stages
    assert pairs(project, capsys, "--pairs", "resolution", "--term", "attention") == stages
    assert main(["inspect", str(project.root / "pair"), "--pairs", "stage", "--term", "attention"]) == 0
    text = capsys.readouterr().out
    indented = text.replace("\n", "\n  ")
    plain = parse_yaml(f"name: a\n{CNNS.replace('objective: [{term: hard}]', f'objective:{chr(10)}  {indented}')}")
    assert len(validate(Experiment, plain).objective[0].pairs) == 2


def test_pairs_by_likeness(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(project.root / "pair"), "--pairs", "cka"]) == 2
    assert "the teacher is not trained yet" in capsys.readouterr().err
    assert main(["run", str(project.root / "pair"), "--quiet"]) == 0
    capsys.readouterr()
    for way in ("cka", "run:pair/001"):
        found = pairs(project, capsys, "--pairs", way, "--term", "attention")
        assert 1 <= len(found) <= 2
        assert all(one.startswith("stage") and other.startswith("stage") for one, other in found)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--pairs", "nothing"], "no way to find pairs"),
        (["--pairs", "stage", "--term", "soft"], "no term on pairs of layers"),
        (["--pairs", "run:pair/009"], "009"),
    ],
)
def test_what_is_refused(project: Project, capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    assert main(["inspect", str(project.root / "pair"), *words]) == 2
    assert message in capsys.readouterr().err


def test_every_network_of_an_experiment_is_described(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    more = "teachers: [{model: mlp, widths: [8]}]\nassistants: [{model: cnn, widths: [4, 4]}]\n"
    (project.experiments_dir / "more.yaml").write_text(more + CNNS)
    assert main(["inspect", str(project.root / "more"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    models = {part: report[part]["model"] for part in ("teacher", "teacher-2", "assistant-1", "student")}
    assert models == {"teacher": "cnn", "teacher-2": "mlp", "assistant-1": "cnn", "student": "cnn"}
