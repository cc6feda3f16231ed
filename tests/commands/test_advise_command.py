"""`kdstudio advise` on a run folder made by hand, and on an experiment."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from kdstudio.cli import main
from kdstudio.engine.run import execute
from kdstudio.project.folder import create_project
from kdstudio.project.own_texts import own_project
from kdstudio.project.spec import Experiment
from tests.engine.text_kit import write_tagged
from tests.project.test_advice import card, recorded


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


def test_a_finished_run_tells_the_gap_and_what_to_try(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "scorecard.json").write_text(json.dumps(card()))
    recorded(run / "metrics.jsonl", [0.5] * 24)
    assert main(["advise", str(run)]) == 0
    text = capsys.readouterr().out
    assert "a gap of 20.00 points" in text
    assert "1,000 and 8,000: 8.00 times" in text
    assert "* An assistant is worth trying" in text
    assert "change assistants" in text
    assert main(["advise", str(run), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["capacity"]["quarter"]["kl"] == pytest.approx(0.5)
    assert found["capacity"]["trend"] == "level"
    assert [each["rule"] for each in found["statements"]] == ["assistant", "temperature-alone"]
    assert found["statements"][0]["field"] == "assistants"


def test_an_experiment_is_advised_once_its_teacher_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = create_project(tmp_path / "project", "empty")
    text = "name: plain\ndata: {source: digits, train_limit: 100}\n"
    text += "teacher: {model: mlp, widths: [8], train: {epochs: 1}}\n"
    text += "student: {model: mlp, widths: [4]}\nobjective: [{term: soft, temperature: 0.5}]\n"
    project.path_of("plain").write_text(text, encoding="utf-8")
    target = str(project.root / "plain")
    assert main(["advise", target]) == 2
    assert "the teacher is not trained yet" in capsys.readouterr().err
    assert main(["run", target, "--until", "teacher", "--quiet"]) == 130
    capsys.readouterr()
    assert main(["advise", target, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["temperature"]["samples"] > 100
    assert found["capacity"] is None
    assert [each["rule"] for each in found["statements"]] == ["temperature"]
    assert main(["advise", str(tmp_path / "nothing")]) == 2
    assert "no experiment" in capsys.readouterr().err


def test_a_taggers_samples_are_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a run and of its experiment; and a run that distillation did not help is not told to be good."""
    file = write_tagged(tmp_path / "names.conll")
    project = own_project(tmp_path / "project", file, None, None, None)
    plain = project.load("half-the-layers").model_dump(mode="json")
    plain["teacher"]["args"] |= {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    plain["teacher"]["train"]["epochs"] = plain["train"]["epochs"] = 1
    plain["student"]["layers"] = {"count": 1}
    plain["objective"] = plain["objective"][:2]
    experiment = Experiment.model_validate(plain)
    project.save(experiment)
    run = project.create_run(experiment)
    execute(run)
    for target in (run.path, project.path_of("half-the-layers")):
        capsys.readouterr()
        assert main(["advise", str(target)]) == 0
        said = capsys.readouterr().out
        assert "tag " in said
        assert " validation words\n" in said
    assert main(["advise", str(run.path)]) == 0
    said = capsys.readouterr().out
    card = run.scorecard()
    assert card is not None
    assert card["headline"]["gain"] > 0 or "Nothing to mend" not in said
