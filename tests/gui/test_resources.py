"""The resources panel: speeds from the times of steps, the engine's record, time left in words."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from kdstudio.gui.monitor.resource_data import Rates, Usage
from kdstudio.gui.monitor.resources import ResourcesPanel
from kdstudio.gui.monitor.words import duration, remaining, size
from kdstudio.gui.theme import Theme
from kdstudio.gui.worker import TrainingWorker
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.metrics import MetricRecord, MetricStore
from tests.gui.metric_runs import BEGIN, RunWriter, Story, write_run
from tests.gui.panels import LEFT, draw, follow, show


def folder(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "made" / "001"


def write_usage(run: RunFolder, seconds: int, stages: tuple[str, ...] = ("teacher", "student"), **more: float) -> None:
    """A record for each second, stage after stage."""
    lines = []
    for second in range(seconds):
        stage = stages[second * len(stages) // seconds]
        values = {"memory": 4e8 + 1e6 * second, "cpu": 150.0 + second % 5, **more}
        record = {"seq": second, "step": second, "stage": stage, "time": BEGIN + second, "split": "resources"}
        lines.append(json.dumps({**record, "values": values}))
    run.resources_path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def panel(qtbot: QtBot, theme: Theme) -> ResourcesPanel:
    found = ResourcesPanel(theme)
    show(qtbot, found, (900, 340))
    return found


def figures(panel: ResourcesPanel) -> dict[str, str]:
    return {figure.name.text(): figure.value.text() for figure in panel.figures.values() if not figure.isHidden()}


def choose(qtbot: QtBot, panel: ResourcesPanel, title: str) -> Any:
    bar = panel.switch.switch
    index = [view.title for view in panel.views].index(title)
    qtbot.mouseClick(bar, LEFT, pos=bar.tabRect(index).center())
    draw(panel)
    return panel.views[index]


class Going:
    """A run whose process is this one."""

    def __init__(self, tmp_path: Path, story: Story) -> None:
        self.writer = RunWriter(folder(tmp_path), story)
        self.state = {
            "phase": "training",
            "pid": os.getpid(),
            "process_start": psutil.Process().create_time(),
            "host": socket.gethostname(),
        }

    def say(self, **fields: Any) -> None:
        self.writer.write_state(**{**self.state, **fields})


# -- words --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (2, "a few seconds"),
        (22, "about 25 seconds"),
        (70, "about a minute"),
        (200, "about 3 minutes"),
        (32 * 60, "about 30 minutes"),
        (65 * 60, "about an hour"),
        (2.4 * 3600, "about 2.5 hours"),
        (30 * 3600, "about 30 hours"),
    ],
)
def test_time_left_is_no_more_exact_than_it_is_known(seconds: float, words: str) -> None:
    assert remaining(seconds) == words


def test_lengths_and_sizes() -> None:
    lengths = [duration(seconds) for seconds in (0.0042, 4.24, 42, 185, 7800)]
    assert lengths == ["4.2 ms", "4.2 s", "42 s", "3 min 05 s", "2 h 10 min"]
    assert [size(count) for count in (512, 8.16e8, 1.24e9)] == ["512 bytes", "816 MB", "1.24 GB"]


# -- speeds -------------------------------------------------------------------------------------------------------


def store_of(times: list[float], stage: str = "student") -> MetricStore:
    store = MetricStore()
    for step, time in enumerate(times):
        store.add(MetricRecord(step=step, stage=stage, time=time, split="train", values={"loss": 1.0}))
    return store


def test_steps_are_counted_over_windows() -> None:
    rates = Rates()
    rates.update(store_of([0.01 * step for step in range(1000)]))
    series = rates.series("student", 64, 0, None)
    assert len(series.values) > 40
    assert np.allclose(series.values, 6400, rtol=1e-6)
    assert np.allclose(rates.milliseconds("student", 0, None).values, 10)
    assert rates.recent("student") == pytest.approx(100)


def test_pieces_make_no_difference_to_speeds() -> None:
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.uniform(0.001, 0.1, 800)).tolist()
    whole = Rates()
    whole.update(store_of(times))
    pieces, store = Rates(), store_of([])
    for step, time in enumerate(times):
        store.add(MetricRecord(step=step, stage="student", time=time, split="train", values={"loss": 1.0}))
        if step % 13 == 0:
            pieces.update(store)
    pieces.update(store)
    found, expected = (rates.series("student", 1, 0, None) for rates in (pieces, whole))
    assert np.array_equal(found.times, expected.times)
    assert np.array_equal(found.values, expected.values)


def test_pauses_are_no_slow_steps() -> None:
    times = [0.01 * step for step in range(200)]
    times += [600 + time for time in times]  # held for ten minutes
    rates = Rates()
    rates.update(store_of(times))
    assert rates.series("student", 1, 0, None).values.min() > 90


def test_slow_steps_are_no_pauses() -> None:
    rates = Rates()
    rates.update(store_of([20.0 * step for step in range(50)]))
    assert np.allclose(rates.series("student", 1, 0, None).values, 0.05)


def test_a_resume_counts_anew() -> None:
    store = store_of([0.1 * step for step in range(100)])
    rates = Rates()
    rates.update(store)
    before = len(rates.series("student", 1, 0, None).values)
    store.add(MetricRecord(step=49, stage="student", time=100.0, split="event", event="resume"))
    rates.update(store)
    assert 0 < len(rates.series("student", 1, 0, None).values) < before


def test_a_few_steps_have_a_speed_already() -> None:
    rates = Rates()
    rates.update(store_of([0.0, 0.01, 0.02]))
    assert rates.recent("student") == pytest.approx(100)
    assert rates.recent("teacher") is None


# -- the engine's record ------------------------------------------------------------------------------------------


def test_usage_joins_the_stages_and_grows(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    usage = Usage(run)
    assert not usage.poll()
    assert usage.last("memory") is None
    write_usage(run, 40)
    usage.poll()
    assert len(usage.series("memory", 0, None).values) == 40
    assert (np.diff(usage.series("memory", 0, None).times) > 0).all()
    record = {"step": 1, "stage": "baseline", "time": BEGIN + 99, "split": "resources", "values": {"memory": 7.0}}
    with run.resources_path.open("a") as file:
        file.write(json.dumps(record) + "\n" + '{"cut o')
    usage.poll()
    assert usage.last("memory") == 7.0
    assert len(usage.series("memory", 0, None).values) == 41


# -- the panel ----------------------------------------------------------------------------------------------------


def test_it_begins_empty(panel: ResourcesPanel) -> None:
    assert panel.stack.currentIndex() == 0
    assert not panel.switch.switch.isVisible()


def test_a_finished_run(qtbot: QtBot, panel: ResourcesPanel, tmp_path: Path) -> None:
    run = write_run(folder(tmp_path), Story(epochs=10))
    write_usage(run, 15)
    follow(qtbot, panel, run)
    found = figures(panel)
    assert found["Speed"] == "1,280 samples/s"
    assert found["Step"] == "50 ms"
    assert found["Memory at the end"] == "500 MB"
    assert found["From start to end"] == duration(300 * 0.05)
    assert [curve.label for curve in panel.speed.series.curves] == ["teacher", "student", "baseline"]
    assert [mark.words for mark in panel.speed.series.marks] == ["teacher", "student", "baseline"]


def test_memory_and_load_over_the_run(qtbot: QtBot, panel: ResourcesPanel, tmp_path: Path) -> None:
    run = write_run(folder(tmp_path))
    write_usage(run, 30, gpu=80.0, gpu_memory=2e9, device_memory=1e9)
    follow(qtbot, panel, run)
    view = choose(qtbot, panel, "Memory")
    assert [curve.label for curve in view.series.curves] == ["process", "on the device", "whole device"]
    assert view.series.curves[0].data.count == 30
    view = choose(qtbot, panel, "Load")
    assert [curve.label for curve in view.series.curves] == ["processor", "GPU"]
    view = choose(qtbot, panel, "Step time")
    assert view.series.curves[0].data.count > 3
    assert np.allclose(view.series.curves[0].window.mean, 50)


def test_a_run_of_an_earlier_version_says_that_nothing_was_recorded(
    qtbot: QtBot, panel: ResourcesPanel, tmp_path: Path
) -> None:
    follow(qtbot, panel, write_run(folder(tmp_path)))
    view = choose(qtbot, panel, "Memory")
    assert view.note.isVisible()
    assert not view.series.isVisible()


def test_a_run_that_is_going(qtbot: QtBot, panel: ResourcesPanel, tmp_path: Path) -> None:
    going = Going(tmp_path, Story(epochs=100, per_epoch=10))
    going.writer.stage("teacher", 2)
    going.writer.event("stage", "student", 0)
    for step in range(100):
        going.writer.step("student", step)
    going.say(stage="student", step=100, samples_per_second=1280.0, memory_bytes=300_000_000)
    write_usage(going.writer.run, 5, gpu=80.0, gpu_memory=2e9)
    worker = TrainingWorker(going.writer.run, False)
    panel.set_worker(worker)
    worker.start()
    qtbot.waitUntil(lambda: panel.status.active and worker.length("student", "train", "loss") == 100, timeout=30_000)
    draw(panel)
    found = figures(panel)
    assert found["Time left for the student"] == "about 45 seconds, then the baseline"
    assert found["Memory"] == "300 MB"
    assert found["Processor"] == "154 %"
    assert found["GPU"] == "80 %, 2 GB"
    going.say(phase="holding", stage="student", step=100)
    qtbot.waitUntil(lambda: panel.status.value == "holding", timeout=30_000)
    draw(panel)
    assert figures(panel)["Time left"] == "on hold"
    worker.detach()


def test_interrupted_without_an_experiment(qtbot: QtBot, panel: ResourcesPanel, tmp_path: Path) -> None:
    writer = RunWriter(folder(tmp_path), Story(phase="training"))
    writer.stage("student")
    writer.run.experiment_path.unlink()
    follow(qtbot, panel, writer.run)
    assert figures(panel)["Speed"] == "20 samples/s"  # steps, where the batch size is not known


def test_another_run_takes_over(qtbot: QtBot, panel: ResourcesPanel, tmp_path: Path) -> None:
    run = write_run(folder(tmp_path))
    write_usage(run, 10)
    follow(qtbot, panel, run)
    other = write_run(tmp_path / "runs" / "made" / "002", Story(stages=("student",), terms=("hard",), weights=(1.0,)))
    follow(qtbot, panel, other)
    assert [curve.label for curve in panel.speed.series.curves] == ["student"]
    assert choose(qtbot, panel, "Memory").note.isVisible()


def test_tools_belong_to_the_view(qtbot: QtBot, panel: ResourcesPanel, tmp_path: Path) -> None:
    run = write_run(folder(tmp_path))
    write_usage(run, 10)
    follow(qtbot, panel, run)
    for view in panel.views:
        choose(qtbot, panel, view.title)
        assert [other.tools.isVisible() for other in panel.views] == [other is view for other in panel.views]


@pytest.mark.parametrize("choice", ["light", "dark"])
def test_saved_in_both_themes(qtbot: QtBot, panel: ResourcesPanel, tmp_path: Path, choice: str) -> None:
    run = write_run(folder(tmp_path))
    write_usage(run, 10)
    follow(qtbot, panel, run)
    panel.theme.apply(choice)
    QApplication.processEvents()
    for kind in ("png", "svg", "csv"):
        panel.save(tmp_path / f"x.{kind}", kind)
        assert (tmp_path / f"x.{kind}").stat().st_size > 500
    rows = (tmp_path / "x.csv").read_text().splitlines()
    assert sum(",memory," in row for row in rows) == 10
