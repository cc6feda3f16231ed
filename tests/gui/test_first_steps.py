"""What a newcomer stumbles over: runs that cannot work, messages, the first size, figures that say what they mean."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QProcess, QSize, Qt, QTimer
from PySide6.QtWidgets import QApplication, QDialog, QLabel, QMenu, QMessageBox, QToolBar, QToolButton, QWidget
from pytestqt.qtbot import QtBot

from kdstudio.gui.dialogs.closing import ask_about_runs
from kdstudio.gui.dialogs.palette import CommandPalette
from kdstudio.gui.export.scorecard import headline_figures
from kdstudio.gui.frame import first_size
from kdstudio.gui.main_window import MainWindow
from kdstudio.gui.runs.controller import RunController
from kdstudio.gui.settings import Settings
from kdstudio.gui.setup.sections import SECTIONS
from kdstudio.gui.tree import RUN_MENU
from kdstudio.gui.worker import outcome_of, told_once
from kdstudio.project.errors import KDStudioError
from kdstudio.project.folder import Project, create_project
from kdstudio.project.runs.folder import RunFolder, write_bytes
from kdstudio.project.runs.state import RunState, RunStatus, encode_state, process_start
from kdstudio.project.shipped import resource
from tests.gui.synthetic import finished_run, interrupted_run, scorecard
from tests.gui.test_window import in_dialog

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch, make_window: Callable[..., MainWindow], digits: Project) -> MainWindow:
    """The window with an engine that answers when the test says so, and runs that start no process."""
    monkeypatch.setattr("kdstudio.gui.worker.TrainingWorker.start", lambda worker: None)
    return make_window(digits)


def tool(window: MainWindow, name: str) -> QWidget:
    """A button of the tool bar."""
    return window.findChild(QToolBar, "toolbar").widgetForAction(window.actions_by_name[name])


def page_tab(window: MainWindow, name: str) -> QWidget:
    """The tab of a page."""
    found = window.actions_by_name[f"page-{name}"].associatedObjects()
    return next(thing for thing in found if isinstance(thing, QToolButton))


def show_newest(qtbot: QtBot, window: MainWindow) -> None:
    """Opens the first run of the table by Enter."""
    window.show_page("runs")
    window.runs.table.setCurrentIndex(window.runs.proxy.index(0, 0))
    qtbot.keyClick(window.runs.table, Qt.Key.Key_Return)


def going_run(project: Project, name: str = "soft-targets", phase: str = "training") -> RunFolder:
    """A run that this very process seems to be at."""
    run = project.create_run(project.load(name))
    state = RunState(phase=phase, stage="teacher", step=40, total_steps=200, pid=os.getpid())
    state.process_start = process_start(os.getpid())
    write_bytes(run.state_path, encode_state(state))
    return run


def failed_run(project: Project, step: int = 0) -> RunFolder:
    """A run that failed, before its first step or later."""
    run = project.create_run(project.load("soft-targets"))
    error = {"kind": "failed", "what": "The folder is empty.", "why": "No pictures.", "fix": "Choose another."}
    write_bytes(run.state_path, encode_state(RunState(phase="failed", step=step, total_steps=200, error=error)))
    return run


def test_a_run_that_the_engine_knows_to_fail_is_refused(qtbot: QtBot, quiet: MainWindow, digits: Project) -> None:
    page = quiet.setup_page
    error = KDStudioError("data.source: there are no pictures.", "The folder is empty.", "Choose another.")
    page.client.failed.emit("data", error)
    quiet.show_page("runs")
    qtbot.mouseClick(tool(quiet, "run"), LEFT)
    assert not digits.runs()
    assert quiet.pages.currentWidget() is page
    assert SECTIONS[page.sections.currentRow()].name == "data"
    assert "no pictures" in quiet.message.why.text()
    qtbot.mouseClick(quiet.message.button, LEFT)  # asks again, and what is asked stops nobody
    qtbot.mouseClick(tool(quiet, "run"), LEFT)
    assert len(digits.runs()) == 1


def test_that_the_inspecting_process_died_stops_no_run(qtbot: QtBot, quiet: MainWindow, digits: Project) -> None:
    quiet.setup_page.client.failed.emit("data", KDStudioError("It died.", kind="engine-died"))
    qtbot.mouseClick(tool(quiet, "run"), LEFT)
    assert len(digits.runs()) == 1


@pytest.mark.parametrize(("step", "way"), [(0, "Setup"), (40, "Resume")])
def test_a_run_that_failed_at_once_is_not_resumed(
    qtbot: QtBot, make_window: Callable[..., MainWindow], digits: Project, step: int, way: str
) -> None:
    run = failed_run(digits, step)
    window = make_window(digits)
    window.control._unfinished = {run}
    window.control.look()  # it ends out of sight
    qtbot.mouseClick(window.message.button, LEFT)  # Show
    qtbot.waitUntil(lambda: window.control.status is RunStatus.FAILED)
    assert window.monitor.losses.empty.button.text() == way
    window.control.ended.emit(run, outcome_of(run.state(), run.status(), None, ""))
    assert window.message.button.text().endswith(way)
    if step == 0:
        qtbot.mouseClick(window.message.button, LEFT)
        assert window.pages.currentWidget() is window.setup_page


@pytest.mark.parametrize(
    ("screen", "size"), [((1280, 720), (1264, 672)), ((1920, 1080), (1440, 900)), ((1366, 768), (1350, 720))]
)
def test_the_first_window_fits_the_screen(screen: tuple[int, int], size: tuple[int, int]) -> None:
    assert first_size(QSize(*screen)) == QSize(*size)


def test_details_leave_the_window_its_size(qtbot: QtBot, quiet: MainWindow) -> None:
    quiet.resize(1264, 672)
    quiet.show_page("monitor")
    quiet.message.tell("What.", "Why.", "Fix.", "a line\n" * 200)
    qtbot.waitUntil(lambda: quiet.message.height() > 40)
    least, size = quiet.minimumSizeHint().height(), quiet.size()
    assert least <= 672
    qtbot.mouseClick(quiet.message.fold, LEFT)
    qtbot.waitUntil(lambda: quiet.message.details.height() >= 80)
    assert quiet.size() == size
    assert quiet.minimumSizeHint().height() <= least + 12  # the gap above the details


def test_details_tell_an_error_once() -> None:
    error = ["nothing: no such folder", "Why: It was looked for.", "What to do: Check the path."]
    log = ["12:00 INFO begun", f"12:00 ERROR {error[0]}", *error[1:], f"kdstudio: {error[0]}", *error[1:]]
    assert told_once(log) == log[:4]
    more = ["12:05 INFO again", f"12:05 ERROR {error[0]}", "kdstudio: something else", "MemoryError"]
    assert told_once(log + more) == log[:4] + more


@pytest.mark.parametrize(("accuracy", "more"), [(0.94, ""), (0.93, "as much"), (0.92, "more")])
def test_the_scorecard_says_whether_distillation_helped(
    qtbot: QtBot, make_window: Callable[..., MainWindow], digits: Project, accuracy: float, more: str
) -> None:
    finished_run(digits, accuracy=accuracy)
    window = make_window(digits)
    show_newest(qtbot, window)
    qtbot.mouseClick(page_tab(window, "export"), LEFT)
    label = window.export.scorecard.verdict
    assert label is not None
    assert label.isVisible()
    assert label.objectName() == ("error" if more else "good")
    if not more:
        assert "helped" in label.text()
        assert "1.00 points" in label.text()
        return
    template = resource("report").joinpath("report.html").read_text(encoding="utf-8")
    sentence, hints = label.text().split("\n")
    written = 'reached {{ "as much" if gain == 0 else "more" }}'
    assert sentence in template.replace(written, f"reached {more}")  # in the words of the report
    assert "lower temperature" in hints


def test_negative_figures_have_a_true_minus() -> None:
    worse = scorecard(0.92)
    assert "; −1.00 points" in headline_figures(worse)[-1][2]
    worse["headline"]["smaller_by"] = -0.5
    assert headline_figures(worse)[0][:2] == ("50.0 %", "larger")


def test_the_export_page_waits_for_a_run_that_is_going(
    qtbot: QtBot, make_window: Callable[..., MainWindow], digits: Project
) -> None:
    run = going_run(digits)
    window = make_window(digits)
    qtbot.mouseClick(page_tab(window, "export"), LEFT)
    empty = window.export.empty
    qtbot.waitUntil(lambda: empty.heading.text() == "The run is going")
    qtbot.mouseClick(empty.button, LEFT)
    assert window.pages.currentWidget() is window.monitor
    write_bytes(run.state_path, encode_state(RunState(phase="parked", step=40)))
    qtbot.waitUntil(lambda: empty.heading.text() == "No finished student")
    assert empty.button.text() == "Run"


def test_an_export_that_has_ended_is_seen_whole(
    qtbot: QtBot, make_window: Callable[..., MainWindow], digits: Project
) -> None:
    finished_run(digits)
    window = make_window(digits, size=(1100, 600))
    show_newest(qtbot, window)
    qtbot.mouseClick(page_tab(window, "export"), LEFT)
    page = window.export
    card = page.cards["onnx"]
    page._kind = "onnx"
    page._process = QProcess(page)
    page._finished(0, QProcess.ExitStatus.NormalExit)

    def seen() -> bool:
        place = card.mapTo(page.area.viewport(), card.rect().bottomLeft())
        return place.y() < page.area.viewport().height()

    qtbot.waitUntil(seen)
    assert page.area.verticalScrollBar().value() > 0


def end(run: RunFolder) -> None:
    """Ends a run that this process only seems to be at, before the window could."""
    write_bytes(run.state_path, encode_state(RunState(phase="parked", step=40, total_steps=200)))


def test_the_pill_names_the_run_and_the_time_its_stage(
    qtbot: QtBot, make_window: Callable[..., MainWindow], digits: Project
) -> None:
    run = going_run(digits, "hints")
    window = make_window(digits)
    strip = window.strip
    qtbot.waitUntil(lambda: strip.progress.format() == "hints/001: Training the teacher")
    now = time.time()
    for step in (40, 60, 80):
        now += 1
        state = RunState(phase="training", stage="teacher", step=step, total_steps=600, heartbeat=now)
        strip.show(run, state, RunStatus.TRAINING)
    assert strip.left.text() == "26 s left for the teacher"
    assert strip.time.text().startswith("26 s left for the teacher, then the student")
    strip.show(run, RunState(), RunStatus.FINISHED)
    assert strip.progress.text() == "hints/001: Finished"
    strip.progress.setFormat("a-very-long-name-of-an-experiment-of-mine/001: Finished")
    assert strip.progress.text().endswith("…")
    end(run)
    qtbot.waitUntil(lambda: window.control.status is RunStatus.PARKED)


def test_the_runs_line_comes_back_after_a_message(
    qtbot: QtBot, make_window: Callable[..., MainWindow], digits: Project
) -> None:
    finished_run(digits)
    window = make_window(digits)
    show_newest(qtbot, window)
    strip = window.strip
    qtbot.waitUntil(lambda: strip.phase.text() == "Finished · step 200 of 200")
    qtbot.waitUntil(lambda: not strip.run.toolTip())
    assert QLabel.text(strip.run) == "soft-targets/001"  # whole where there is room
    window.theme.scale(5)
    strip.say("A long message that is said for a while. " * 8, 300)
    assert strip.note.isVisible()
    assert not strip.phase.isVisible()
    qtbot.waitUntil(lambda: strip.note.width() > 100)
    assert strip.note.geometry().right() <= strip.device.geometry().left()
    qtbot.waitUntil(strip.phase.isVisible)
    qtbot.mouseMove(tool(window, "run"))
    assert strip.phase.isVisible()
    assert not window.statusBar().currentMessage()
    window.actions_by_name["text-normal"].trigger()


def test_the_welcome_page_tells_of_runs_in_the_background(
    qtbot: QtBot, make_window: Callable[..., MainWindow], settings: Settings, digits: Project, tmp_path: Path
) -> None:
    quiet = create_project(tmp_path / "quiet", "empty")
    for project in (quiet, digits):
        settings.opened(project.root)
    run = going_run(digits)
    window = make_window()
    first, second = window.welcome.recent
    qtbot.waitUntil(lambda: first.text().endswith("● 1 run going"))
    assert "going" not in second.text()
    end(run)
    qtbot.mouseClick(first, LEFT)
    window.close_project()
    first = window.welcome.recent[0]
    assert "going" not in first.text()


@pytest.mark.parametrize(("name", "phase"), [("Cancel", "training"), ("Run both", "holding")])
def test_a_run_beside_another_is_asked_about(
    qtbot: QtBot,
    make_window: Callable[..., MainWindow],
    digits: Project,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    phase: str,
) -> None:
    started: list[str] = []
    monkeypatch.setattr(RunController, "start", lambda control, experiment, until="": started.append(experiment.name))
    run = going_run(digits, phase=phase)
    window = make_window(digits)
    said: list[str] = []

    def answer(box: QDialog) -> None:
        assert isinstance(box, QMessageBox)
        said.append(box.text())
        qtbot.mouseClick(next(button for button in box.buttons() if button.text() == name), LEFT)

    in_dialog(qtbot, QMessageBox, answer)
    qtbot.mouseClick(tool(window, "run"), LEFT)
    assert said == ["soft-targets/001 is going."]
    assert len(started) == (name == "Run both")
    end(run)
    qtbot.waitUntil(lambda: window.control.status is RunStatus.PARKED)
    qtbot.mouseClick(tool(window, "run"), LEFT)  # now it is alone
    assert len(started) == 1 + (name == "Run both")


def test_the_table_of_runs_fits_has_a_menu_and_ticks_what_has_curves(
    qtbot: QtBot, make_window: Callable[..., MainWindow], digits: Project
) -> None:
    failed, finished = failed_run(digits), finished_run(digits)
    interrupted_run(digits, "hints")
    window = make_window(digits)
    qtbot.mouseClick(page_tab(window, "runs"), LEFT)
    table, proxy = window.runs.table, window.runs.proxy
    bar = table.horizontalScrollBar()
    qtbot.waitUntil(lambda: bar.maximum() == 0)
    assert window.runs.untick.text() == "Clear ticks"
    rows = {proxy.index(row, 0).data(): proxy.index(row, 0) for row in range(proxy.rowCount())}
    for name in (failed.name, finished.name):
        rect = table.visualRect(rows[name])
        qtbot.mouseClick(table.viewport(), LEFT, pos=rect.topLeft() + QPoint(16, rect.height() // 2))
    assert window.runs.model.compared == [finished]
    qtbot.mouseClick(window.runs.untick, LEFT)
    seen: list[str] = []

    def look() -> None:
        menu = QApplication.activePopupWidget()
        if isinstance(menu, QMenu):
            timer.stop()
            seen.extend(action.objectName() for action in menu.actions())
            menu.close()

    timer = QTimer()
    timer.setInterval(30)
    timer.timeout.connect(look)
    timer.start()
    table.customContextMenuRequested.emit(table.visualRect(rows[finished.name]).center())
    assert seen == list(RUN_MENU)
    assert window.control.run == finished
    assert window.pages.currentWidget() is window.runs
    assert window.tree.chosen() == finished


def test_the_palette_says_that_nothing_was_found(qtbot: QtBot, quiet: MainWindow) -> None:
    texts: list[str] = []

    def look(dialog: QDialog) -> None:
        assert isinstance(dialog, CommandPalette)
        qtbot.keyClicks(dialog.line, "qqqqzzzz")
        qtbot.keyClick(dialog.line, Qt.Key.Key_Down)
        qtbot.keyClick(dialog.line, Qt.Key.Key_Return)
        texts.append(dialog.list.topLevelItem(0).text(0))
        assert dialog.isVisible()
        dialog.line.clear()
        qtbot.keyClicks(dialog.line, "default layout")
        item = dialog.list.topLevelItem(0)
        texts.extend(item.text(column) for column in range(2))
        dialog.reject()

    in_dialog(qtbot, CommandPalette, look)
    qtbot.keyClick(quiet, Qt.Key.Key_K, Qt.KeyboardModifier.ControlModifier)
    assert texts == ["Nothing found", "Default layout", "View"]


def test_the_buttons_of_closing_stand_as_its_text(qtbot: QtBot, quiet: MainWindow) -> None:
    order: list[str] = []

    def look(box: QDialog) -> None:
        assert isinstance(box, QMessageBox)
        buttons = sorted(box.buttons(), key=lambda button: button.mapToGlobal(QPoint(0, 0)).x())
        order.extend(button.text() for button in buttons)
        qtbot.mouseClick(buttons[1], LEFT)

    in_dialog(qtbot, QMessageBox, look)
    assert ask_about_runs(quiet, ["soft-targets/001"]) == "park"
    assert order == ["Keep training", "Park", "Stop", "Cancel"]
