"""What a newcomer stumbles over: runs that cannot work, messages, the first size, figures that say what they mean."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QToolBar, QWidget
from pytestqt.qtbot import QtBot

from kdstudio.gui.main_window import MainWindow
from kdstudio.gui.setup.sections import SECTIONS
from kdstudio.gui.worker import outcome_of
from kdstudio.project.errors import KDStudioError
from kdstudio.project.folder import Project
from kdstudio.project.runs.folder import RunFolder, write_bytes
from kdstudio.project.runs.state import RunState, RunStatus, encode_state
from tests.gui.setup_kit import SilentEngine

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch, make_window: Callable[..., MainWindow], digits: Project) -> MainWindow:
    """The window with an engine that answers when the test says so, and runs that start no process."""
    monkeypatch.setattr("kdstudio.gui.setup.page.EngineClient", SilentEngine)
    monkeypatch.setattr("kdstudio.gui.worker.TrainingWorker.start", lambda worker: None)
    return make_window(digits)


def tool(window: MainWindow, name: str) -> QWidget:
    """A button of the tool bar."""
    return window.findChild(QToolBar, "toolbar").widgetForAction(window.actions_by_name[name])


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
    window.control._going = {run}
    window.control.look()  # it ends out of sight
    qtbot.mouseClick(window.message.button, LEFT)  # Show
    qtbot.waitUntil(lambda: window.control.status is RunStatus.FAILED)
    assert window.monitor.losses.empty.button.text() == way
    window.control.ended.emit(run, outcome_of(run.state(), run.status(), None, ""))
    assert window.message.button.text().endswith(way)
    if step == 0:
        qtbot.mouseClick(window.message.button, LEFT)
        assert window.pages.currentWidget() is window.setup_page
