"""`kdstudio bench` works and its answer is well formed. No figure is asserted on: timings are for people to read."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from kdstudio.cli import main
from kdstudio.commands import bench
from kdstudio.engine.bench.footprint import busy_share
from kdstudio.project.figures import figure_of

SLOW = ("recording", "vocabulary", "distil", "pipeline", "footprint")


@pytest.mark.parametrize("name", ["metrics", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_a_quick_benchmark_gives_figures(name: str) -> None:
    command = [sys.executable, "-m", "kdstudio", "bench", name, "--quick", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert set(report) == {"machine", "benchmarks"}
    figures = report["benchmarks"][name]["figures"]
    assert figures
    for figure in figures:
        if figure["low"] is not None:
            assert figure["low"] <= figure["value"] <= figure["high"]
        assert figure["met"] is None or figure["target"] is not None


def test_without_a_screen_the_start_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(variable, raising=False)
    if sys.platform.startswith("linux"):
        assert "xvfb-run" in bench._in_a_process("start", True)["notes"][0]


def test_an_unknown_benchmark_has_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "recordings"]) == 2
    assert "did you mean 'recording'" in capsys.readouterr().err


def test_the_share_of_the_time_in_which_a_device_works() -> None:
    assert busy_share([(0, 2), (1, 3), (6, 10)]) == pytest.approx(0.7)
    assert busy_share([(5, 6)]) == 1.0
    assert busy_share([]) == 0.0


def test_tables() -> None:
    figure = figure_of("reading", [3.0, 1.0, 2.0], "s", target=2.5)
    assert (figure.value, figure.low, figure.high, figure.met) == (2.0, 1.0, 3.0, True)
    text = bench.as_text({"title": "Reading", "figures": [figure.as_dict()], "notes": ["a note"]})
    assert text.splitlines()[1] == "Reading"
    assert "met" in text
    assert text.endswith("a note")
