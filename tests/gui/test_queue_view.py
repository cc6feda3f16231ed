"""The queue in the window: experiments are queued, moved, taken out, paused; a real queue runs to its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from kdstudio.gui.main_window import MainWindow
from kdstudio.gui.runs.queue_view import QueueView
from kdstudio.project.folder import Project
from kdstudio.project.queue import MOST_TRIES, Queue, is_worked_on
from kdstudio.project.runs.folder import write_bytes
from kdstudio.project.runs.state import RunState, RunStatus, encode_state

LEFT = Qt.MouseButton.LeftButton
QUICK = """\
data: {source: digits, batch_size: 64, train_limit: 128}
teacher: {model: mlp, widths: [16], train: {epochs: 1, lr: 0.1}}
student: {model: mlp, widths: [8]}
train: {epochs: 2, lr: 0.1}
evaluate: {latency: false}
"""


@pytest.fixture
def quick(digits: Project) -> Project:
    (digits.experiments_dir / "quick.yaml").write_text(QUICK)
    return digits


@pytest.fixture
def paused(quick: Project) -> Queue:
    queue = Queue(quick)
    queue.pause(True)
    return queue


def view_of(window: MainWindow) -> QueueView:
    found = window.runs.findChild(QueueView)
    assert isinstance(found, QueueView)
    return found


def rows(view: QueueView) -> list[str]:
    return [view.list.item(row).text() for row in range(view.list.count())]


def test_runs_are_queued_moved_and_taken_out(
    qtbot: QtBot, make_window: Callable[..., MainWindow], quick: Project, paused: Queue
) -> None:
    window = make_window(quick)
    window.open_experiment(quick.path_of("quick"))
    view = view_of(window)
    assert view.isHidden()
    for _ in range(3):
        qtbot.keyClick(window, Qt.Key.Key_E, Qt.KeyboardModifier.ControlModifier)
    window.show_page("runs")
    qtbot.waitUntil(view.isVisible)
    assert rows(view) == ["quick/001: waiting", "quick/002: waiting", "quick/003: waiting"]
    assert view.note.text() == "3 waiting, 0 going; paused"
    rect = view.list.visualItemRect(view.list.item(2))
    qtbot.mouseClick(view.list.viewport(), LEFT, pos=rect.topLeft() + QPoint(20, rect.height() // 2))
    qtbot.mouseClick(view.up, LEFT)
    assert rows(view) == ["quick/001: waiting", "quick/003: waiting", "quick/002: waiting"]
    assert view.list.currentRow() == 1
    assert not view.again.isEnabled()
    qtbot.mouseClick(view.remove, LEFT)
    assert [one.run.name for one in paused.listed()] == ["quick/001", "quick/002"]
    assert (quick.runs_dir / "quick/003").exists()
    view.side_by_side.setFocus()
    QTest.keyClick(view.side_by_side, Qt.Key.Key_Up)
    assert paused.read().side_by_side == 2
    assert quick.runs("quick")[0].status() is RunStatus.CREATED, "a paused queue starts nothing"


def test_a_run_that_was_given_up_gets_new_tries(
    qtbot: QtBot, make_window: Callable[..., MainWindow], quick: Project, paused: Queue
) -> None:
    run = paused.add(quick.load("quick"))
    paused.pause(False)
    for _ in range(MOST_TRIES):
        paused.started(run.name)
    paused.pause(True)
    window = make_window(quick)
    window.show_page("runs")
    view = view_of(window)
    assert rows(view) == [f"quick/001: given up after {MOST_TRIES} tries"]
    view.list.setCurrentRow(0)
    qtbot.mouseClick(view.again, LEFT)
    assert rows(view) == ["quick/001: waiting"]


def test_a_damaged_queue_is_told(
    qtbot: QtBot, make_window: Callable[..., MainWindow], quick: Project, paused: Queue
) -> None:
    window = make_window(quick)
    paused.path.write_text("{")
    qtbot.waitUntil(lambda: "the queue cannot be read" in window.message.what.text(), timeout=10_000)


def test_runs_that_begin_and_end_between_two_looks_are_shown_and_told(
    qtbot: QtBot, make_window: Callable[..., MainWindow], quick: Project
) -> None:
    """One that is shown, and one that is not."""
    control = make_window(quick).control
    runs = [quick.create_run(quick.load("quick")) for _ in range(2)]
    control.show(runs[0])
    qtbot.waitUntil(lambda: control.worker is not None and control.worker.isFinished(), timeout=10_000)
    control.look()
    ended: list[str] = []
    control.ended.connect(lambda run, outcome: ended.append(f"{run.path.name} {outcome.kind.value}"))
    for run in runs:
        write_bytes(run.state_path, encode_state(RunState(phase="finished", stage="student")))
    control.look()
    qtbot.waitUntil(lambda: control.status is RunStatus.FINISHED, timeout=10_000)
    qtbot.waitUntil(lambda: control.worker is not None and control.worker.isFinished(), timeout=10_000)
    control.look()
    assert sorted(ended) == ["001 finished", "002 finished"]


def test_a_queue_runs_to_its_end(qtbot: QtBot, make_window: Callable[..., MainWindow], quick: Project) -> None:
    window: Any = make_window(quick)
    window.open_experiment(quick.path_of("quick"))
    for _ in range(2):
        window.actions_by_name["enqueue"].trigger()
    runs = quick.runs("quick")
    assert len(runs) == 2
    window.show_run(runs[1])  # it only waits, and is followed when its turn comes
    qtbot.waitUntil(lambda: all(run.status() is RunStatus.FINISHED for run in runs), timeout=120_000)
    qtbot.waitUntil(lambda: window.control.status is RunStatus.FINISHED, timeout=20_000)
    qtbot.waitUntil(lambda: view_of(window).isHidden(), timeout=20_000)
    assert runs[0].state().ended <= runs[1].state().started + 1, "one after the other"
    qtbot.waitUntil(lambda: not is_worked_on(window.queue.queue), timeout=20_000)
    if window.queue._process is not None:
        window.queue._process.wait()
