"""The command line that README promises, as it stands there, through the installed program in a process of its own."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sysconfig
import time
from pathlib import Path

import pytest

from kdstudio.project.folder import Project
from kdstudio.project.runs.control import request
from kdstudio.project.runs.state import RunStatus

ROOT = Path(__file__).resolve().parents[2]
SHORT = ["train.epochs=2", "teacher.train.epochs=2", "baseline=false", "evaluate.latency=false"]


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """README's command, and beside it the sample project as it ships. A folder stands for the checkout."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = re.findall(r"^```\n(kdstudio run .*)\n```$", readme, re.MULTILINE)
    assert len(lines) == 1
    program, *rest = shlex.split(lines[0])
    assert rest == ["run", "projects/digits"]
    shutil.copytree(
        ROOT / "projects/digits", tmp_path / "projects/digits", ignore=shutil.ignore_patterns("runs", "teachers")
    )
    found = shutil.which(program, path=sysconfig.get_path("scripts"))
    assert found, "the program is not installed"
    return [found, *rest]


def begin(words: list[str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        words,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONUTF8": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def test_the_command_of_readme_prints_a_scorecard(words: list[str], tmp_path: Path) -> None:
    child = begin([*words, *(word for change in SHORT for word in ("--set", change))], tmp_path)
    try:
        out, err = child.communicate(timeout=240)
    finally:
        child.kill()
    assert (child.returncode, err) == (0, "")
    run = Project.open(tmp_path / "projects/digits").runs()[0]
    assert run.status() is RunStatus.FINISHED
    assert out.splitlines()[-1] == f"report: {run.report_path}"
    assert "of the teacher's accuracy" in out


def test_the_command_of_readme_as_it_stands(words: list[str], tmp_path: Path) -> None:
    child = begin(words, tmp_path)
    project = Project.open(tmp_path / "projects/digits")
    try:
        deadline = time.monotonic() + 240
        while not any(run.status() is RunStatus.TRAINING for run in project.runs()):
            assert child.poll() is None, child.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        request(project.runs()[0], "stop-now")
        out, err = child.communicate(timeout=240)
    finally:
        child.kill()
    assert err == ""
    assert out.startswith(f"run folder: {project.runs()[0].path}\n")
