"""What every verb prints and returns, and the forms in which an experiment can be named."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from kdstudio import __version__
from kdstudio.cli import VERBS, main
from kdstudio.project.folder import Project, templates
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.state import RunStatus
from tests.e2e.conftest import QUICK

QUIET_SPEC = """\
version: 1
name: named
data: {source: digits, batch_size: 32, train_limit: 160}
student: {model: mlp, widths: [12]}
objective: [{term: hard, weight: 1}]
train: {epochs: 2}
evaluate: {latency: false}
"""


def test_help_lists_every_verb_and_the_exit_codes(command: Any) -> None:
    code, out, err = command("--help")
    assert (code, err) == (0, "")
    for verb in VERBS:
        assert f"    {verb} " in out
    assert "Exit codes: 0 done, 2 the input is wrong, 1 it failed, 130 interrupted (and resumable)." in out
    assert command("--version") == (0, f"kdstudio {__version__}\n", "")


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_explains_itself(command: Any, verb: str) -> None:
    code, out, err = command(verb, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: kdstudio {verb}")


def test_the_run_verb_in_full(project: Project, command: Any) -> None:
    code, out, err = command("run", project.experiments_dir / "quick.yaml")
    assert (code, err) == (0, "")
    run = project.runs()[0]
    lines = out.splitlines()
    assert lines[0] == f"run folder: {run.path}"
    assert f"finished: {run.path}" in lines
    assert lines[-1] == f"report: {run.report_path}"
    assert "of the teacher's accuracy" in lines[-2]
    assert [line.split()[0] for line in lines[-4:-2]] == ["student", "teacher"]
    assert any("teacher: epoch 2 of 2: validation loss" in line for line in lines)
    assert run.name == "quick/001"


def test_each_way_to_name_an_experiment(project: Project, command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def ran() -> list[str]:
        return [run.name for run in project.runs()]

    assert command("run", project.root, "--quiet") == (0, "", "")  # the only one
    assert ran() == ["quick/001"]
    (project.experiments_dir / "named.yaml").write_text(QUIET_SPEC)
    assert command("run", project.root / "named", "--quiet")[0] == 0
    monkeypatch.chdir(project.root)
    assert command("run", "./named", "--quiet")[0] == 0
    assert command("run", Path("experiments") / "named.yaml", "--quiet")[0] == 0
    assert ran() == ["named/001", "named/002", "named/003", "quick/001"]
    (project.root / "project.yaml").write_text("version: 1\nname: x\ndefault: quick\n")
    assert command("run", ".", "--quiet", "--set", "train.epochs=1")[0] == 0
    assert ran() == ["named/001", "named/002", "named/003", "quick/001", "quick/002"]
    assert project.runs("quick")[1].experiment().train.epochs == 1
    assert project.load("quick").train.epochs == 3  # the file stays as it is


def test_a_file_that_belongs_to_no_project(tmp_path: Path, command: Any) -> None:
    path = tmp_path / "lone.yaml"
    path.write_text(QUIET_SPEC)
    assert command("run", path, "--quiet") == (0, "", "")
    run = RunFolder(tmp_path / "runs" / "named" / "001")
    assert run.status() is RunStatus.FINISHED
    assert run.project_root == tmp_path
    code, _, err = command("run", path, "--resume")
    assert (code, err.splitlines()[0]) == (2, "kdstudio: there is no run of 'named' to resume")
    assert command("run", path, "--quiet", "--set", "train.lr=100", "--set", "train.device=cuda:9")[0] == 2
    assert RunFolder(tmp_path / "runs" / "named" / "002").status() is RunStatus.FAILED
    code, _, err = command("run", path, "--quiet", "--resume")
    assert (code, err.splitlines()[0]) == (2, "kdstudio: train.device: there is no device 'cuda:9' here")


def test_out_puts_the_run_elsewhere(project: Project, tmp_path: Path, command: Any) -> None:
    out = tmp_path / "some" / "where"
    code, printed, _ = command("run", project.root, "--out", out, "--json")
    assert code == 0
    answer = json.loads(printed)
    assert answer["run"] == str(out)
    run = RunFolder.open(out)
    assert (run.status(), run.project_root) == (RunStatus.FINISHED, project.root)
    assert not project.runs_dir.exists()
    assert (out / json.loads((out / "teacher.json").read_text())["folder"]).is_dir()
    assert command("evaluate", out)[0] == 0
    code, _, err = command("run", project.root, "--out", out)
    assert code == 2
    assert err == (
        f"kdstudio: --out {out}: this folder is not empty\nWhat to do: choose a new folder, or use --resume\n"
    )


def test_out_inside_another_project_keeps_to_its_own(project: Project, tmp_path: Path, command: Any) -> None:
    other = tmp_path / "other"
    assert command("new", other, "--template", "empty")[0] == 0
    assert command("run", project.root, "--out", other / "guest", "--quiet")[0] == 0
    assert RunFolder(other / "guest").project_root == project.root
    assert not (other / "teachers").exists()


def test_threads_are_those_of_the_first_start(project: Project, command: Any) -> None:
    usual = torch.get_num_threads()
    try:
        assert command("run", project.root, "--quiet", "--threads", "1")[0] == 0
        (run,) = project.runs()
        assert (run.state().threads, run.state().device) == (1, "CPU (1 thread)")
        torch.set_num_threads(2)
        run.state_path.write_text(run.state_path.read_text().replace('"finished"', '"parked"'))
        assert command("run", run.path, "--quiet", "--resume", "--threads", "2")[0] == 0
        assert run.state().threads == torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(usual)
    for wrong in ("0", "-1", "many"):
        code, _, err = command("run", project.root, "--threads", wrong)
        assert (code, f"'{wrong}' is no number of threads" in err) == (2, True)


def test_quiet_prints_errors_only(project: Project, command: Any) -> None:
    assert command("run", project.root, "--quiet") == (0, "", "")
    code, out, err = command("run", project.root, "--quiet", "--set", "train.lr=-1")
    assert (code, out) == (2, "")
    assert err.startswith("kdstudio: --set: train.lr: should be greater than 0")


def test_json_is_one_object_with_run_and_scorecard(project: Project, command: Any) -> None:
    code, out, err = command("run", project.root, "--json", "--set", "baseline=true")
    assert code == 0
    answer = json.loads(out)
    run = RunFolder(answer["run"])
    assert answer == {"run": str(project.runs()[0].path), "phase": "finished", "scorecard": run.scorecard()}
    card = answer["scorecard"]
    assert list(card["networks"]) == ["student", "teacher", "baseline"]
    assert card["reported_split"] == "test"
    assert "teacher: epoch 1 of 2" in err  # the log goes elsewhere
    code, out, err = command("run", project.root, "--json", "--quiet", "--set", "train.epochs=1")
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 1


def test_changes_reach_the_frozen_spec(project: Project, command: Any) -> None:
    changes = ["objective.1.temperature=8", "train.seed=7", "student.widths=[5]", "objective.0.weight=0.5"]
    words = [word for change in changes for word in ("--set", change)]
    assert command("run", project.root / "quick", "--quiet", *words)[0] == 0
    spec = project.runs()[0].experiment()
    assert (spec.objective[1].temperature, spec.train.seed, spec.student.widths) == (8, 7, [5])
    assert spec.objective[0].weight == 0.5
    assert project.runs()[0].scorecard()["seed"] == 7


def test_a_run_folder_is_resumed_and_its_spec_is_frozen(project: Project, command: Any) -> None:
    run = project.create_run(project.load("quick"))
    assert command("run", run.path, "--quiet") == (0, "", "")  # it had not begun, so it needs no --resume
    code, _, err = command("run", run.path)
    assert code == 2
    assert err == ("kdstudio: quick/001: this run is finished\nWhat to do: start a new run of its experiment\n")
    failed = project.create_run(project.load("quick"))
    failed.state_path.write_text('{"phase": "failed", "step": 3}')
    code, _, err = command("run", failed.path)
    assert (code, err) == (
        2,
        "kdstudio: quick/002: this run was begun before (failed)\nWhat to do: add --resume to go on with it\n",
    )
    code, _, err = command("run", failed.path, "--resume", "--set", "train.epochs=1")
    assert (code, err) == (
        2,
        f"kdstudio: {failed.path}: a run's spec is frozen\n"
        "What to do: leave --set and --out away, or start a new run\n",
    )
    code, _, err = command("run", project.root, "--resume", "--set", "train.epochs=1")
    assert (code, err.splitlines()[0]) == (2, "kdstudio: a run's spec is frozen, so --resume takes no --set")
    assert command("run", project.root, "--resume", "--quiet")[0] == 0  # the latest that is not finished
    assert [run.status() for run in project.runs()] == [RunStatus.FINISHED] * 2


def test_evaluate_measures_again(project: Project, command: Any) -> None:
    assert command("run", project.root, "--quiet")[0] == 0
    run = project.runs()[0]
    before = run.scorecard()
    run.scorecard_path.unlink()
    code, out, _ = command("evaluate", run.path, "--json")
    assert code == 0
    again = json.loads(out)
    assert again == run.scorecard()
    assert {name: entry["test"] for name, entry in again["networks"].items()} == {
        name: entry["test"] for name, entry in before["networks"].items()
    }
    created = project.create_run(project.load("quick"))
    code, _, err = command("evaluate", created.path)
    assert (code, err) == (
        2,
        "kdstudio: quick/002: there is no student yet\nWhy: Not started\nWhat to do: let the run finish first\n",
    )


def test_compare_takes_runs_apart_by_their_seeds_alone(project: Project, command: Any) -> None:
    """Its forms and odd runs have tests of their own; these are real runs."""
    for words in (["train.seed=0"], ["train.seed=1"], ["train.seed=0", "train.epochs=1"]):
        changes = [word for change in words for word in ("--set", change)]
        assert command("run", project.root, "--quiet", *changes)[0] == 0
    scores = [run.scorecard()["networks"]["student"]["test"]["accuracy"] for run in project.runs()]
    rows = json.loads(command("compare", project.root, "--json")[1])["rows"]
    assert [(row["experiment"], row["runs"]) for row in rows] == [("quick", 2), ("quick", 1)]
    assert rows[0]["student"]["mean"] == pytest.approx((scores[0] + scores[1]) / 2)
    assert rows[0]["student"]["spread"] == pytest.approx(abs(scores[0] - scores[1]) / 2**0.5)
    assert rows[1]["student"]["mean"] == pytest.approx(scores[2])
    assert len(command("compare", project.root, "--markdown")[1].splitlines()) == 4
    table = csv.DictReader(io.StringIO(command("compare", project.root, "--csv")[1]))
    assert [row["experiment"] for row in table] == ["quick", "quick"]


def test_new_makes_each_template(tmp_path: Path, command: Any) -> None:
    for name, source in templates().items():
        code, out, _ = command("new", tmp_path / name, "--template", name)
        assert code == 0
        made = Project.open(tmp_path / name)
        assert made.experiment_names() == [path.stem for path in sorted((source / "experiments").iterdir())]
        assert out.splitlines()[0] == f"made {tmp_path / name}"
        assert out.splitlines()[-1] == f"open it:  kdstudio {tmp_path / name}"
        for experiment in made.experiment_names():
            made.load(experiment)
    assert command("new", tmp_path / "bare", "--template", "empty")[0] == 0
    assert Project.open(tmp_path / "bare").experiment_names() == []
    code, _, err = command("run", tmp_path / "bare")
    assert (code, err.splitlines()[0]) == (2, f"kdstudio: {tmp_path / 'bare'}: this project has no experiments")


def test_doctor(command: Any) -> None:
    code, out, err = command("doctor", "--json")
    assert err == ""
    found = {finding["name"]: finding for finding in json.loads(out)}
    assert found["KD Studio"]["value"] == __version__
    assert found["Python"]["ok"] is True
    assert found["torch"]["ok"] is True
    assert found["settings"]["value"] == os.environ["KDSTUDIO_CONFIG"]
    assert {"CPU", "Qt", "onnxruntime", "PySide6-Essentials"} <= found.keys()
    assert code == 0
    assert all(finding["fix"] for finding in found.values() if finding["ok"] is False)


def test_doctor_tells_what_is_missing(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from kdstudio.commands import doctor

    monkeypatch.setattr(doctor, "PACKAGES", ("torch", "no-such-package"))
    monkeypatch.setattr(doctor, "_window", list)
    code, out, _ = command("doctor")
    assert code == 1
    assert any(line.split()[:4] == ["MISS", "no-such-package", "not", "installed"] for line in out.splitlines())
    assert "-> pip install kdstudio" in out


def test_help_and_the_window_need_no_torch() -> None:
    code = (
        "import sys\n"
        "from kdstudio.cli import main\n"
        "assert main(['--help']) == 0\n"
        "assert main(['compare', '/nowhere']) == 2\n"
        "assert main(['run', '/nowhere']) == 2\n"
        "import kdstudio.gui.app\n"
        "print(sorted({'torch', 'torchvision', 'timm', 'accelerate'} & sys.modules.keys()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_plain_run_loads_no_compiler_and_no_shards(project: Project) -> None:
    """Either takes as long to load as a short run takes."""
    script = f"""
import sys
from kdstudio.cli import main
assert main(["run", {str(project.path_of("quick"))!r}, "--quiet"]) == 0
print([name for name in ("torch._dynamo", "torch.distributed.tensor") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_closed_reader_is_no_error(project: Project) -> None:
    script = "import sys; from kdstudio.cli import main; sys.exit(main(['--help']))"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr as stream:
        assert stream.read() == b""
    process.wait(timeout=120)


def test_words_come_from_the_command_line(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(sys, "argv", ["kdstudio", "--version"])
    assert main() == 0
    assert capsys.readouterr().out == f"kdstudio {__version__}\n"


def test_unreadable_files_are_left_out_told_and_reported(project: Project, command: Any) -> None:
    for label in ("cats", "dogs"):
        folder = project.root / "photos" / label
        folder.mkdir(parents=True)
        for number in range(12):
            pixels = np.random.default_rng(number).integers(0, 256, (9, 9, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{label}-{number:02d}.png")
    (project.root / "photos/cats/broken.png").write_bytes(b"no picture")
    spec = QUIET_SPEC.replace("{source: digits, batch_size: 32, train_limit: 160}", "{source: folder, path: photos}")
    path = project.experiments_dir / "named.yaml"
    path.write_text(spec)
    code, _, err = command("run", path)
    assert code == 2
    assert "cats/broken.png" in err
    assert "set data.unreadable to leave_out" in err
    told = "photos: 1 of 25 images cannot be read and was left out: cats/broken.png (not an image)."
    code, out, _ = command("run", path, "--set", "data.unreadable=leave_out")
    assert code == 0
    assert f"data: {told}" in out
    run = project.runs()[-1]
    assert told in run.scorecard()["data"]["problems"]
    assert told in run.report_path.read_text(encoding="utf-8")
    path.write_text(spec.replace("photos}", "photos, unreadable: leave_out}"))
    code, out, _ = command("inspect", path)
    assert code == 0
    assert f"Problem: {told}" in out
    assert "pictures of 9 x 9 pixels on disk, read in colour and resized" in out


def test_the_share_of_test_samples_is_set_like_any_field(project: Project, command: Any) -> None:
    path = project.experiments_dir / "quick.yaml"
    assert command("run", path, "--set", "data.test_fraction=0.4")[0] == 0
    counts = project.runs()[-1].scorecard()["data"]["counts"]
    assert counts["test"] == round(0.4 * 1797)
    code, _, err = command("run", path, "--set", "data.test_fraction=0.89", "--set", "data.validation_fraction=0.2")
    assert code == 2
    assert "must be less than 1 together" in err


def test_printed_commands_can_be_pasted_wherever_the_project_lies(tmp_path: Path, command: Any) -> None:
    code, out, _ = command("new", tmp_path / "it's my project", "--template", "empty")
    assert code == 0
    words = shlex.split(out.splitlines()[-1].removeprefix("open it:"))
    assert words == ["kdstudio", str(tmp_path / "it's my project")]
    project = Project.open(Path(words[1]))
    (project.experiments_dir / "quick.yaml").write_text(QUICK)
    run = project.create_run(project.load("quick"))
    code, _, err = command("hold", run.path)
    assert code == 2
    words = shlex.split(err.partition("resume it with: ")[2])
    assert words == ["kdstudio", "run", str(run.path), "--resume"]
    code, out, _ = command(*words[1:], "--until", "teacher")
    assert code == 130
    assert shlex.split(out.splitlines()[-1].partition("resume it with: ")[2]) == words
    assert command(*words[1:])[0] == 0
    assert run.status() is RunStatus.FINISHED
