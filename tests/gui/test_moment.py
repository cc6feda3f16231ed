"""The shared moment and its bar: following, going back, replaying, marks, damaged and withdrawn snapshots."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from kdstudio.gui.monitor import moment as moment_module
from kdstudio.gui.monitor.moment import Moment
from kdstudio.gui.monitor.moment_bar import MomentBar
from kdstudio.gui.theme import Theme
from kdstudio.gui.widgets.marked_slider import MarkedSlider
from kdstudio.gui.worker import TrainingWorker
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.metrics import MetricRecord
from kdstudio.project.runs.snapshots import list_snapshots
from tests.gui.snapshot_runs import Recipe, make_run, write_snapshot

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return make_run(tmp_path / "run", Recipe())


@pytest.fixture
def moment(qapp: object, run: RunFolder) -> Moment:
    made = Moment()
    made.set_run(run)
    made.take(list_snapshots(run))
    return made


@pytest.fixture
def bar(qtbot: QtBot, theme: Theme, moment: Moment) -> MomentBar:
    made = MomentBar(moment, theme)
    qtbot.addWidget(made)
    made.resize(600, 40)
    made.show()
    qtbot.waitExposed(made)
    return made


def event(name: str, step: int, epoch: int = 0, text: str = "", stage: str = "student") -> MetricRecord:
    return MetricRecord(stage=stage, split="event", step=step, epoch=epoch, event=name, text=text)


def test_it_follows_until_it_goes_back(moment: Moment, run: RunFolder) -> None:
    assert moment.following
    assert moment.snapshot.step == 700
    moment.go(2)
    assert not moment.following
    recipe = Recipe(snapshots=9)
    write_snapshot(run, recipe, 9, moment.snapshot.pool_student_logits, 1.0)
    moment.take(list_snapshots(run))
    assert (moment.index, len(moment.infos)) == (2, 9)
    moment.go(8)
    assert moment.following
    assert moment.snapshot.step == 800


def test_snapshots_that_a_resume_took_back_are_left_out(tmp_path: Path, qapp: object) -> None:
    run = make_run(tmp_path / "resumed", Recipe(snapshots=6, steps=(0, 100, 200, 100, 250, 300)))
    moment = Moment()
    moment.set_run(run)
    infos = list_snapshots(run)
    moment.take(infos[:3])
    moment.go(1)
    moment.take(infos)
    assert [info.step for info in moment.infos] == [0, 100, 250, 300]
    assert [info.number for info in moment.infos] == [1, 4, 5, 6]
    assert moment.info.number == 4  # in place of the withdrawn one of the same step


def test_a_damaged_snapshot_is_told_and_the_one_before_is_readable(tmp_path: Path, qapp: object) -> None:
    run = make_run(tmp_path / "damaged", Recipe(broken=(7, 8)))
    moment = Moment()
    moment.set_run(run)
    moment.take(list_snapshots(run))
    assert moment.damaged
    assert moment.snapshot is None
    assert moment.readable().step == 500
    moment.go(3)
    assert not moment.damaged
    assert moment.readable() is moment.snapshot


def test_nothing_to_show(moment: Moment, bar: MomentBar) -> None:
    moment.set_run(None)
    assert moment.info is None
    assert moment.snapshot is None
    assert moment.probes is None
    assert moment.experiment is None
    assert moment.marks([]) == []
    moment.go(3)
    moment.play()
    assert not moment.playing
    assert not bar.isEnabled()
    assert bar.label.text() == "No snapshots yet"


def test_keys_step_and_replay(qtbot: QtBot, moment: Moment, bar: MomentBar, monkeypatch: pytest.MonkeyPatch) -> None:
    bar.slider.setFocus()
    qtbot.keyClick(bar.slider, Qt.Key.Key_Left)
    assert moment.index == 6
    assert "7 of 8" in bar.label.text()
    qtbot.keyClick(bar.button, Qt.Key.Key_Left)
    qtbot.keyClick(bar.button, Qt.Key.Key_Left)
    qtbot.keyClick(bar.button, Qt.Key.Key_Right)
    assert moment.index == 5
    qtbot.keyClick(bar.slider, Qt.Key.Key_Home)
    assert moment.index == 0
    monkeypatch.setattr(moment_module, "REPLAY_SECONDS", 0.1)
    qtbot.keyClick(bar.slider, Qt.Key.Key_Space)
    assert moment.playing
    assert "Pause" in bar.button.toolTip()
    qtbot.waitUntil(lambda: not moment.playing, timeout=20_000)
    assert moment.following
    assert "Replay" in bar.button.toolTip()


def test_the_button_replays_from_the_start_and_pauses(qtbot: QtBot, moment: Moment, bar: MomentBar) -> None:
    seen: list[int] = []
    moment.changed.connect(lambda: seen.append(moment.index))
    qtbot.mouseClick(bar.button, LEFT)
    assert moment.playing
    assert seen[0] == 0
    qtbot.mouseClick(bar.button, LEFT)
    assert not moment.playing


def test_a_click_on_the_slider_goes_there(qtbot: QtBot, moment: Moment, bar: MomentBar) -> None:
    before = moment.index
    qtbot.mouseClick(bar.slider, LEFT, pos=bar.slider.place_of(1))
    assert moment.index < before


@pytest.mark.parametrize("value", [0, 3, 70, 100])
def test_a_click_goes_to_its_place_however_far(qtbot: QtBot, theme: Theme, value: int) -> None:
    slider = MarkedSlider(theme)
    qtbot.addWidget(slider)
    slider.resize(400, 24)
    slider.setRange(0, 100)
    slider.setValue(50)
    slider.show()
    qtbot.mouseClick(slider, LEFT, pos=slider.place_of(value))
    assert slider.value() == value


def test_marks_of_resumes_best_and_terms(tmp_path: Path, qtbot: QtBot, theme: Theme) -> None:
    run = make_run(tmp_path / "run", Recipe())
    text = run.experiment_path.read_text(encoding="utf-8").replace("weight: 0.1}", "weight: 0.1, from_epoch: 3}")
    run.experiment_path.write_text(text.replace("{term: hint,", "{term: hint, until_epoch: 5,"), encoding="utf-8")
    moment = Moment()
    moment.set_run(run)
    moment.take(list_snapshots(run))
    events = [
        event("resume", 199, epoch=2),
        event("best", 90, epoch=1, text="0.5"),
        event("best", 599, epoch=6, text="0.9"),
        event("resume", 50, stage="teacher"),
    ]
    assert moment.marks(events) == [
        (2, "resumed at step 200"),
        (3, "epoch 3: hard starts"),
        (5, "epoch 5: hint ends"),
        (6, "best so far: epoch 6, 0.9"),
    ]


def test_the_bar_marks_what_the_worker_read(qtbot: QtBot, theme: Theme, moment: Moment, bar: MomentBar) -> None:
    run = moment.run_folder
    line = '{"seq":1,"step":199,"epoch":2,"stage":"student","split":"event","event":"resume","text":""}\n'
    run.metrics_path.write_text(line, encoding="utf-8")
    worker = TrainingWorker(run, False)
    bar.set_worker(worker)
    worker.start()
    qtbot.waitUntil(lambda: bar.slider.marks == [(2, "resumed at step 200")], timeout=20_000)
    qtbot.waitUntil(worker.isFinished, timeout=20_000)
    assert not bar.grab().toImage().isNull()
    bar.set_worker(None)
    assert bar.slider.marks == []
