"""The scorecard: teacher, student and baseline side by side, as plain data."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from kdstudio.engine import scorecard
from kdstudio.engine.data import load_data
from kdstudio.engine.evaluate import classification_metrics, fidelity, predict
from kdstudio.engine.models import count_flops, count_parameters
from kdstudio.engine.scorecard import headline, networks_of, plain, score_run, summary_lines
from kdstudio.project.errors import InputError, ModelError
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.spec import EvaluateSpec
from tests.engine.conftest import Lab

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished run with teacher and baseline, scored on test data with speed."""
    with pytest.MonkeyPatch.context() as patch:
        lab = Lab(tmp_path_factory.mktemp("lab"), patch)
        return lab.run(baseline=True, evaluate={"repeats": 3, "latency_batch": 4})


@pytest.fixture
def run(finished: RunFolder, tmp_path: Path) -> RunFolder:
    shutil.copytree(finished.project_root, tmp_path / "project")
    return RunFolder(tmp_path / "project" / finished.path.relative_to(finished.project_root))


def card(run: RunFolder) -> dict[str, Any]:
    found = run.scorecard()
    assert found is not None
    return found


def test_what_it_holds(finished: RunFolder) -> None:
    found = card(finished)
    assert found["version"] == 1
    assert found["run"] == "small/001"
    assert found["experiment"] == "small"
    assert found["seed"] == 0
    assert found["reported_split"] == "test"
    assert found["classes"] == [str(digit) for digit in range(10)]
    assert found["data"]["counts"]["test"] == found["networks"]["student"]["test"]["count"] == 270
    assert set(found["networks"]) == {"student", "teacher", "baseline"}
    assert {"torch", "kdstudio", "python", "device", "threads"} <= found["environment"].keys()
    for name, entry in found["networks"].items():
        assert set(entry) == {"model", "parameters", "flops", "file_bytes", "speed", "validation", "test"}
        assert ("fidelity" in entry["test"]) == ("fidelity" in entry["validation"]) == (name != "teacher")
        assert entry["speed"]["batch"] == 4
        assert entry["speed"]["repeats"] == 3


def test_figures_are_those_of_the_networks(finished: RunFolder) -> None:
    bundle = load_data(finished.experiment().data, finished.project_root)
    found = card(finished)
    networks = networks_of(finished)
    logits = {}
    for name, (folder, network) in networks.items():
        entry = found["networks"][name]
        assert entry["parameters"] == count_parameters(network.model)
        assert entry["flops"] == count_flops(network.model, network.input_shape)
        assert entry["file_bytes"] == (folder / "model.safetensors").stat().st_size
        for split in ("validation", "test"):
            logits[name, split] = predict(network.model, network.preprocess, bundle.splits[split], CPU)
            expected = classification_metrics(logits[name, split], bundle.splits[split].labels, bundle.classes)
            measured = {key: value for key, value in entry[split].items() if key != "fidelity"}
            assert measured == json.loads(json.dumps(expected))
    expected = fidelity(logits["student", "test"], logits["teacher", "test"])
    assert found["networks"]["student"]["test"]["fidelity"] == json.loads(json.dumps(expected))


def test_headline_of_the_run(finished: RunFolder) -> None:
    found = card(finished)
    networks, head = found["networks"], found["headline"]
    student, teacher, alone = (networks[name]["test"]["accuracy"] for name in ("student", "teacher", "baseline"))
    assert head["score"] == student
    assert head["keeps"] == pytest.approx(student / teacher)
    assert head["gain"] == pytest.approx(student - alone)
    sizes = networks["student"]["parameters"], networks["teacher"]["parameters"]
    assert head["smaller_by"] == pytest.approx(1 - sizes[0] / sizes[1])
    assert head["agreement"] == networks["student"]["test"]["fidelity"]["agreement"]
    times = [1 / networks[name]["speed"]["throughput"]["median"] for name in ("student", "teacher")]
    assert head["faster_by"] == pytest.approx(1 - times[0] / times[1])


def entry(accuracy: float, parameters: int, rate: float | None = None) -> dict[str, Any]:
    made: dict[str, Any] = {
        "parameters": parameters,
        "test": {"accuracy": accuracy, "fidelity": {"agreement": 0.7}},
    }
    if rate is not None:
        made["speed"] = {"throughput": {"median": rate}}
    return made


def test_headline_by_hand() -> None:
    entries = {"student": entry(0.9, 10, 400.0), "teacher": entry(0.8, 100, 100.0), "baseline": entry(0.95, 10)}
    assert headline(entries, "test") == pytest.approx(
        {"score": 0.9, "keeps": 1.125, "smaller_by": 0.9, "agreement": 0.7, "faster_by": 0.75, "gain": -0.05}
    )


def test_headline_of_odd_networks() -> None:
    assert headline({"student": entry(0.5, 10)}, "test") == {"score": 0.5}
    worse = headline({"student": entry(0.5, 200, 50.0), "teacher": entry(0.0, 100, 100.0)}, "test")
    assert worse["keeps"] is None  # a teacher that is never right
    assert worse["smaller_by"] == -1
    assert worse["faster_by"] == -1
    nothing = headline({"student": entry(0.5, 10), "teacher": entry(0.5, 0)}, "test")
    assert nothing["smaller_by"] is None


def test_plain() -> None:
    data = {"a": [1.5, float("nan"), (float("inf"), "x")], "b": {"c": -float("inf")}, "d": None, "e": True, "f": 3}
    found = plain(data)
    assert found == {"a": [1.5, None, [None, "x"]], "b": {"c": None}, "d": None, "e": True, "f": 3}
    json.dumps(found, allow_nan=False)


def test_the_file_is_plain_json(finished: RunFolder) -> None:
    text = finished.scorecard_path.read_text()

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    json.loads(text, parse_constant=refuse)


def test_without_test_data(lab: Lab) -> None:
    run = lab.run(evaluate={"test": False, "latency": False}, teacher=None, objective=[{"term": "hard"}])
    found = card(run)
    assert found["reported_split"] == "validation"
    assert set(found["networks"]) == {"student"}
    assert "test" not in found["networks"]["student"]
    assert "speed" not in found["networks"]["student"]
    assert "fidelity" not in found["networks"]["student"]["validation"]
    assert found["headline"] == {"score": found["networks"]["student"]["validation"]["accuracy"]}
    assert "validation acc" in summary_lines(found)[0]


def test_networks_that_give_nan_are_told(run: RunFolder) -> None:
    """The student's weights are finite, and its outputs overflow."""
    from safetensors.torch import load_file, save_file

    path = run.student_dir / "model.safetensors"
    weights = {key: value * 1e30 for key, value in load_file(path).items()}
    save_file(weights, path)
    found = score_run(run, load_data(run.experiment().data, run.project_root), CPU)
    measured = found["networks"]["student"]["test"]
    assert measured["not_finite"] > 0
    assert measured["nll"] is None
    assert measured["ece"] is None
    assert measured["fidelity"]["kl"] is None
    assert measured["accuracy"] <= 1 - measured["not_finite"] / 270
    lines = "\n".join(summary_lines(found))
    assert f"student: NaN or infinite outputs for {measured['not_finite']} of 270 samples" in lines
    assert "count as wrong" in run.report_path.read_text(encoding="utf-8")
    assert card(run) == found


def test_summary_lines(finished: RunFolder) -> None:
    found = card(finished)
    text = "\n".join(summary_lines(found))
    for name in ("student", "teacher", "baseline"):
        assert f"{found['networks'][name]['test']['accuracy']:.2%}" in text
    assert "of the teacher's accuracy" in text
    assert "points against hard labels alone" in text


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda run: (run.path / "teacher.json").write_text("{"), "teacher.json: cannot be read"),
        (lambda run: (run.path / "teacher.json").write_text("[]"), "teacher.json: cannot be read"),
        (lambda run: (run.path / "teacher.json").write_text('{"folder": "../gone"}'), "teacher: the network that this"),
        (lambda run: shutil.rmtree(run.project_root / "teachers"), "teacher: the network that this run used"),
        (lambda run: (run.baseline_dir / "model.safetensors").unlink(), "baseline: the network"),
        (lambda run: (run.student_dir / "model.safetensors").write_bytes(b""), "student: the network"),
    ],
)
def test_damaged_networks(run: RunFolder, damage: Any, message: str) -> None:
    damage(run)
    with pytest.raises(ModelError, match=message) as caught:
        networks_of(run)
    assert caught.value.exit_code == 2
    assert caught.value.fix


def test_unfinished_runs_have_no_networks(lab: Lab) -> None:
    run = lab.project.create_run(lab.experiment())
    with pytest.raises(InputError, match="there is no student yet"):
        networks_of(run)


def test_data_that_changed_are_refused(run: RunFolder) -> None:
    bundle = load_data(run.experiment().data, run.project_root)
    bundle.classes = bundle.classes[::-1]
    before = run.scorecard_path.read_bytes()
    with pytest.raises(InputError, match="are not the student's"):
        score_run(run, bundle, CPU)
    assert run.scorecard_path.read_bytes() == before


def test_progress(run: RunFolder) -> None:
    said: list[tuple[str, int, int]] = []
    bundle = load_data(run.experiment().data, run.project_root)
    score_run(run, bundle, CPU, progress=lambda label, done, total: said.append((label, done, total)))
    assert [item[1] for item in said[:6]] == [0, 1, 2, 3, 4, 5]
    assert all(total == 6 for _, _, total in said[:6])
    assert said[-1][0] == "measuring speed"
    assert math.isfinite(card(run)["created"])


def test_a_student_of_a_gpu_is_timed_on_the_processor_too(finished: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    class Elsewhere:
        """A device that there is not: what is timed there is not looked at."""

        type = "cuda"

    asked: list[tuple[str, int]] = []

    def timed(models: Any, shape: Any, device: Any, batch: int, repeats: int) -> dict[str, dict[str, Any]]:
        asked.append((device.type, repeats))
        figure = {"median": 1.0, "low": 1.0, "high": 1.0}
        return {name: {"latency_ms": figure, "throughput": figure, "batch": batch} for name in models}

    monkeypatch.setattr(scorecard, "measure_speed", timed)
    monkeypatch.setattr(torch.nn.Module, "to", lambda self, *_, **__: self)
    monkeypatch.setattr(scorecard, "predict", lambda model, preprocess, split, device: torch.zeros(len(split), 10))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "none")
    networks = scorecard.networks_of(finished)
    bundle = load_data(finished.experiment().data, finished.project_root)
    card = scorecard.build_scorecard(networks, bundle, Elsewhere(), EvaluateSpec(repeats=30))  # type: ignore[arg-type]
    assert asked == [("cuda", 30), ("cpu", 10)]
    assert card["networks"]["student"]["speed_cpu"]["batch"] == 32
