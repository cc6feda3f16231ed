"""`kdstudio balance`: the shares come out as chosen, comments stay, and a foreign run is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kdstudio.cli import main
from kdstudio.project.folder import Project, create_project

TEXT = """# what a person wrote
name: pair
data: {source: digits, batch_size: 64, train_limit: 160}
teacher: {model: cnn, widths: [4, 6], train: {epochs: 1}}
student: {model: cnn, widths: [4, 6]}
objective:
  - {term: hard, weight: 0.5}  # of the labels
  - {term: soft, weight: 1.0, schedule: {start: 0.25, end: 0.25}}
train: {epochs: 1}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = create_project(tmp_path / "project", "empty")
    (made.root / "experiments" / "pair.yaml").write_text(TEXT)
    return made


def test_balanced_weights_have_the_shares_with_a_schedule_too(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    place = str(project.root / "pair")
    assert main(["balance", place, "--start"]) == 2
    assert "kdstudio run EXPERIMENT --until teacher" in capsys.readouterr().err
    assert main(["run", place, "--quiet"]) == 0
    assert main(["balance", place, "--start"]) == 0
    file = project.root / "experiments" / "pair.yaml"
    assert file.read_text() == TEXT  # nothing is written without --write
    assert main(["balance", place, "--start", "--shares", "hard=1,soft=3", "--write"]) == 0
    text = file.read_text()
    assert "# what a person wrote" in text
    assert "# of the labels" in text
    capsys.readouterr()
    assert main(["balance", place, "--start", "--json"]) == 0
    shares = json.loads(capsys.readouterr().out)["shares"]
    assert shares == pytest.approx({"hard": 0.25, "soft": 0.75}, abs=1e-3)
    (file.parent / "hard.yaml").write_text(
        TEXT.replace("name: pair", "name: hard").replace("term: soft", "term: logits")
    )
    assert main(["balance", str(project.root / "hard"), "--run", "pair/001"]) == 2
    assert "the experiment has no term 'soft'" in capsys.readouterr().err
