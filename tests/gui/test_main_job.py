"""The main job in the real window: open the sample, run it by a click, see curves and soft targets, export."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QToolBar, QToolButton, QWidget
from pytestqt.qtbot import QtBot

from kdstudio.gui.main_window import MainWindow
from kdstudio.gui.monitor.curve import Curve
from kdstudio.gui.worker import Outcome, OutcomeKind
from kdstudio.project.folder import Project
from kdstudio.project.runs.state import RunStatus

PATIENCE = 180_000  # milliseconds; the engine's process imports torch on a machine that may be busy


def tool_button(qtbot: QtBot, window: MainWindow, name: str) -> QWidget:
    """The button of an action in the tool bar."""
    bar = window.findChild(QToolBar, "toolbar")
    button = bar.widgetForAction(window.actions_by_name[name])
    qtbot.waitUntil(button.isVisible, timeout=PATIENCE)
    return button


def click(qtbot: QtBot, widget: QWidget) -> None:
    qtbot.mouseClick(widget, Qt.MouseButton.LeftButton)


def run_to_end(qtbot: QtBot, window: MainWindow) -> Outcome:
    """Clicks Run and waits for the end."""
    click(qtbot, tool_button(qtbot, window, "run"))
    worker = window.worker
    assert worker is not None
    with qtbot.waitSignal(worker.ended, timeout=PATIENCE) as caught:
        pass
    qtbot.waitUntil(lambda: worker.isFinished(), timeout=PATIENCE)
    return caught.args[0]


@pytest.mark.engine
def test_a_click_on_run_trains_a_student_that_is_watched_and_exported(qtbot: QtBot, window: MainWindow) -> None:
    outcome = run_to_end(qtbot, window)
    assert outcome.kind is OutcomeKind.FINISHED, outcome
    assert window.pages.currentWidget() is window.monitor
    losses, soft = window.monitor.losses, window.monitor.soft_targets
    qtbot.waitUntil(lambda: losses.stack.currentIndex() == 1 and soft.stack.currentIndex() == 1, timeout=20_000)
    (total,) = [c for c in losses.series.curves if (c.stage, c.split, c.key) == ("student", "train", "loss")]
    assert total.data.count > 5
    probes, snapshot = window.monitor.moment.probes, window.monitor.moment.snapshot
    assert probes is not None
    assert snapshot is not None
    assert probes.teacher_logits is not None
    assert len(window.monitor.moment.infos) >= 2
    assert window.export.stack.currentIndex() == 1
    click(qtbot, page_button(window, "export"))
    card = window.export.cards["onnx"]
    click(qtbot, card.button)
    qtbot.waitUntil(lambda: not window.export.busy, timeout=PATIENCE)
    assert "in a fresh process on" in card.result.text(), card.result.text()
    run = window.worker.run_folder
    assert json.loads((run.path / "exports" / "onnx" / "parity.json").read_text())["ok"]


def page_button(window: MainWindow, name: str) -> QWidget:
    """The tab of a page."""
    action = window.actions_by_name[f"page-{name}"]
    (button,) = [thing for thing in action.associatedObjects() if isinstance(thing, QToolButton)]
    assert button.isVisible()
    return button


def test_hold_continue_and_stop_by_clicks(qtbot: QtBot, window: MainWindow, digits: Project) -> None:
    path = digits.path_of("soft-targets")
    path.write_text(path.read_text().replace("epochs: 6", "epochs: 4000"), encoding="utf-8")
    window.setup_page.close_experiment()
    window._experiment_chosen(path)
    click(qtbot, tool_button(qtbot, window, "run"))

    def status() -> RunStatus:
        return window.worker.run_folder.status()

    qtbot.waitUntil(lambda: window.worker.run_folder.state().stage == "student", timeout=PATIENCE)
    click(qtbot, tool_button(qtbot, window, "hold"))
    qtbot.waitUntil(lambda: window.actions_by_name["continue"].isEnabled(), timeout=PATIENCE)
    assert status() is RunStatus.HOLDING
    held_at = window.worker.run_folder.state().step
    click(qtbot, tool_button(qtbot, window, "continue"))
    qtbot.waitUntil(lambda: window.worker.run_folder.state().step > held_at, timeout=PATIENCE)
    switch_themes(qtbot, window)
    qtbot.waitUntil(lambda: window.actions_by_name["stop"].isEnabled(), timeout=PATIENCE)
    with qtbot.waitSignal(window.worker.ended, timeout=PATIENCE) as caught:
        click(qtbot, tool_button(qtbot, window, "stop"))
    assert caught.args[0].kind is OutcomeKind.STOPPED
    assert window.worker.run_folder.scorecard() is not None
    assert window.actions_by_name["resume"].isEnabled()


def switch_themes(qtbot: QtBot, window: MainWindow) -> None:
    """Both themes while the run goes on: curves grow, and take the colours over."""

    def totals() -> list[Curve]:
        curves = window.monitor.losses.series.curves
        return [c for c in curves if (c.stage, c.key) == ("student", "loss") and c.smooth]

    # the state is written at each step, the records of losses a while after
    qtbot.waitUntil(lambda: len(totals()) == 1, timeout=PATIENCE)
    (total,) = totals()
    for name in ("dark", "light"):
        window.actions_by_name[f"theme-{name}"].trigger()
        seen = total.data.count
        qtbot.waitUntil(lambda seen=seen: total.data.count > seen, timeout=PATIENCE)
        assert window.theme.dark is (name == "dark")
        assert total.line.opts["pen"].color().name() == window.theme.tokens.total


@pytest.mark.parametrize("choice", ["keep", "park"])
def test_closing_the_window_leaves_the_run_as_asked(
    qtbot: QtBot, make_window: Callable[..., MainWindow], digits: Project, monkeypatch: pytest.MonkeyPatch, choice: str
) -> None:
    path = digits.path_of("soft-targets")
    path.write_text(path.read_text().replace("epochs: 6", "epochs: 4000"), encoding="utf-8")
    first = make_window(digits)
    click(qtbot, tool_button(qtbot, first, "run"))
    run = first.worker.run_folder
    qtbot.waitUntil(lambda: run.state().stage == "student", timeout=PATIENCE)
    monkeypatch.setattr(first, "ask_about_run", lambda: choice)
    first.close()
    qtbot.waitUntil(lambda: not first.isVisible(), timeout=PATIENCE)
    second = make_window(digits)
    if choice == "keep":
        assert run.status().active
        assert second.worker is not None
        assert second.worker.run_folder == run
    else:
        assert run.status() is RunStatus.PARKED
        second.show_run(run)
        qtbot.waitUntil(lambda: second.actions_by_name["resume"].isEnabled(), timeout=PATIENCE)
        second.resume()
        qtbot.waitUntil(lambda: run.status() is RunStatus.TRAINING, timeout=PATIENCE)
    qtbot.waitUntil(lambda: second.actions_by_name["stop-now"].isEnabled(), timeout=PATIENCE)
    with qtbot.waitSignal(second.worker.ended, timeout=PATIENCE):
        second.request("stop-now")
    assert run.status() is RunStatus.STOPPED
