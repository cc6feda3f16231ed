"""The Monitor page: its arrangement, and that nothing of another arrangement is left over it."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QTabBar
from pytestqt.qtbot import QtBot

from kdstudio.gui.monitor.page import MonitorPage
from kdstudio.gui.theme import Theme
from kdstudio.gui.worker import TrainingWorker
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.state import RunState, RunStatus

GROUPS = [{"Soft targets", "Alignment"}, {"Quality", "Resources", "Log"}]


@pytest.fixture
def page(qtbot: QtBot, theme: Theme) -> MonitorPage:
    found = MonitorPage(theme)
    qtbot.addWidget(found, before_close_func=lambda page: page.shut_down())
    found.resize(1040, 600)
    found.show()
    qtbot.waitExposed(found)
    return found


def tabs(page: MonitorPage) -> list[set[str]]:
    bars = page.area.findChildren(QTabBar, options=Qt.FindChildOption.FindDirectChildrenOnly)
    groups = [{bar.tabText(index) for index in range(bar.count())} for bar in bars if bar.isVisible()]
    return sorted(groups, key=len)


def is_default(page: MonitorPage) -> bool:
    docks = page.docks
    return (
        tabs(page) == GROUPS
        and docks["losses"].geometry().bottom() < docks["quality"].geometry().top()
        and docks["losses"].geometry().right() < docks["soft-targets"].geometry().left()
        and page.quality.isVisible()
    )


def test_the_first_arrangement(qtbot: QtBot, page: MonitorPage) -> None:
    qtbot.waitUntil(lambda: is_default(page))
    assert page.minimumSizeHint().width() <= 1040
    assert page.minimumSizeHint().height() <= 600


def test_it_comes_back_whatever_was_done(qtbot: QtBot, page: MonitorPage) -> None:
    qtbot.waitUntil(lambda: is_default(page))
    page.docks["log"].setFloating(True)
    page.docks["alignment"].hide()
    page.area.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, page.docks["quality"])
    page.reset_layout()
    qtbot.waitUntil(lambda: is_default(page))
    page.reset_layout()
    qtbot.waitUntil(lambda: is_default(page))


def test_empty_panels_have_the_button_that_fills_them(qtbot: QtBot, theme: Theme, tmp_path: Path) -> None:
    pressed: list[str] = []
    actions = {name: QAction(name) for name in ("run", "resume", "page-setup")}
    for name, action in actions.items():
        action.triggered.connect(lambda checked=False, name=name: pressed.append(name))
    page = MonitorPage(theme, actions)
    qtbot.addWidget(page, before_close_func=lambda page: page.shut_down())
    page.resize(1040, 600)
    page.show()
    qtbot.waitUntil(lambda: is_default(page))
    button = page.losses.empty.button

    def offered() -> str:
        return button.text() if button.isVisibleTo(page.losses.empty) else ""

    assert offered() == "run"
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    actions["run"].setEnabled(False)
    assert not button.isEnabled()
    worker = TrainingWorker(RunFolder(tmp_path), False)
    page.set_worker(worker)
    assert offered() == ""  # its data will come by themselves
    for status, name in (
        (RunStatus.TRAINING, ""),
        (RunStatus.PARKED, "resume"),
        (RunStatus.INTERRUPTED, "resume"),
        (RunStatus.FINISHED, "page-setup"),
    ):
        worker.state_changed.emit(RunState(), status)
        assert offered() == name
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert pressed == ["run", "page-setup"]
    page.set_worker(None)
    assert offered() == "run"


def test_an_arrangement_is_remembered(qtbot: QtBot, theme: Theme, page: MonitorPage) -> None:
    qtbot.waitUntil(lambda: is_default(page))
    page.docks["resources"].hide()
    state = page.layout_state()
    other = MonitorPage(theme)
    qtbot.addWidget(other, before_close_func=lambda page: page.shut_down())
    other.resize(1040, 600)
    other.restore_layout(state)
    other.show()
    qtbot.waitUntil(lambda: tabs(other) == [{"Soft targets", "Alignment"}, {"Quality", "Log"}])
    assert not other.docks["resources"].isVisible()


def test_an_arrangement_of_another_version_is_ignored(qtbot: QtBot, theme: Theme) -> None:
    page = MonitorPage(theme)
    qtbot.addWidget(page, before_close_func=lambda page: page.shut_down())
    page.resize(1040, 600)
    page.restore_layout("bm9uc2Vuc2U=")
    page.show()
    qtbot.waitUntil(lambda: is_default(page))
