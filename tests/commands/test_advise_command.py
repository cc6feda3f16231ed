"""`kdstudio advise` on a run folder made by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from kdstudio.cli import main


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "plain" / "001"
    (folder / "snapshots").mkdir(parents=True)
    (folder / "state.json").write_text("{}")
    (folder / "experiment.yaml").write_text("")
    labels = np.zeros(40, np.int64)
    logits = np.tile(np.array([6.0, 0.0], np.float32), (40, 1))
    arrays = {"labels": labels, "indices": labels, "pool_labels": labels, "pool_teacher_logits": logits}
    save_file(arrays, folder / "snapshots" / "probes.safetensors", {"classes": json.dumps(["a", "b"])})
    return folder


def test_the_temperature_and_its_evidence_are_told(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["advise", str(run)]) == 0
    text = capsys.readouterr().out
    assert "the second class has 10 % on average at T = 2.73" in text
    assert "40 samples are few" in text
    assert main(["advise", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["temperature"]["found"] == pytest.approx(2.7307, abs=2e-3)


def test_a_share_outside_its_range_and_a_run_without_a_teacher_are_told(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["advise", str(run), "--share", "0.7"]) == 2
    assert "--share" in capsys.readouterr().err
    (run / "snapshots" / "probes.safetensors").unlink()
    assert main(["advise", str(run)]) == 2
    assert "no outputs of a teacher" in capsys.readouterr().err
