"""`kdstudio bench methods`: real runs of a small pair; what is finished is kept, what is interrupted is resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from kdstudio.project.comparison import folder_of, read_comparison
from kdstudio.project.folder import Project
from kdstudio.project.runs.control import request
from kdstudio.project.runs.state import RunStatus
from tests.e2e.conftest import Command

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def test_it_runs_and_keeps_what_is_finished(project: Project, command: Command) -> None:
    words = ("bench", "methods", project.root / "quick", "--methods", "flow", "--seeds", 1, "--epochs", 1)
    code, _, err = command(*words)
    assert code == 0, err
    runs = project.runs()
    assert [run.name for run in runs] == [f"methods-quick-{name}/001" for name in ("hard", "soft")]
    assert all(run.status() is RunStatus.FINISHED for run in runs)
    ended = [run.state().ended for run in runs]
    folder = folder_of(project, "quick")
    rows = {row["method"]: row for row in json.loads((folder / "methods.json").read_text())["rows"]}
    assert list(rows)[-1] == "flow"
    assert not rows["flow"]["fits"]
    assert rows["hard"]["verdict"] == "too few seeds"
    for name in ("methods.md", "methods.html", "methods.csv"):
        assert rows["hard"]["title"] in (folder / name).read_text() or name == "methods.csv"
    found = read_comparison(folder)
    assert found is not None
    assert (found.status, found.done, found.total, found.unfit) == ("finished", 2, 2, ["flow"])
    assert command(*words)[0] == 0
    assert [run.state().ended for run in project.runs()] == ended
    assert "No method has enough seeds" in command(*words, "--table")[1]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_parks_and_the_next_call_goes_on(project: Project, command: Command) -> None:
    words = ["bench", "methods", str(project.root / "quick"), "--methods", "soft", "--seeds", "1"]
    long = [sys.executable, "-m", "kdstudio", *words, "--epochs", "100000"]
    process = subprocess.Popen(long, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    folder = folder_of(project, "quick")
    try:
        while not any(run.state().step for run in project.runs()):
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        found = read_comparison(folder)
        assert found is not None
        assert (found.status, found.method, found.pid) == ("running", "hard", process.pid)
        code, _, err = command(*words)
        assert code == 2
        assert "this comparison is going already" in err
        process.send_signal(signal.SIGINT)
        _, error = process.communicate()
    finally:
        process.kill()
    assert process.returncode == 130, error
    found = read_comparison(folder)
    assert found is not None
    assert found.status == "stopped"
    (run,) = project.runs()
    assert run.status() is RunStatus.PARKED
    parked = run.state().step
    process = subprocess.Popen(long, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while run.state().step <= parked:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        request(run, "park")  # as the window does when it is closed
        process.communicate()
    finally:
        process.kill()
    assert process.returncode == 130
    assert [each.name for each in project.runs()] == [run.name]
    assert not run.status().active
