"""Advice on the Export page: what is said of a run, and the way to the field."""

from __future__ import annotations

import json
import re

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QApplication, QLabel
from pytestqt.qtbot import QtBot

from kdstudio.gui.export.advice import AdviceCard
from kdstudio.gui.main_window import MainWindow
from kdstudio.gui.theme import Theme
from kdstudio.project.folder import Project
from kdstudio.project.runs.folder import RunFolder
from tests.gui.synthetic import finished_run
from tests.project.test_advice import recorded

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def far(digits: Project) -> RunFolder:
    """A finished run of the experiment hints whose student stays far from its teacher, with a plateau."""
    run = finished_run(digits, "hints")
    recorded(run.metrics_path, [0.5] * 24)
    card = json.loads(run.scorecard_path.read_text())
    for name, accuracy, parameters in (("teacher", 0.95, 9000), ("student", 0.7, 1000)):
        card["networks"][name] |= {"parameters": parameters, "validation": {"accuracy": accuracy, "count": 300}}
    card["data"] = {"counts": {"train": 500, "validation": 300}}
    run.scorecard_path.write_text(json.dumps(card), encoding="utf-8")
    return run


def texts(card: AdviceCard) -> list[str]:
    return [label.text() for label in card.findChildren(QLabel) if label.text()]


def shown(qtbot: QtBot, window: MainWindow, run: RunFolder) -> AdviceCard:
    """Shows a run and asks for its advice, as the menu does."""
    window.show_run(run)
    action: QAction = window.actions_by_name["advice"]
    qtbot.waitUntil(action.isEnabled, timeout=20_000)
    action.trigger()
    qtbot.waitUntil(lambda: bool(window.export.advice.statements), timeout=20_000)
    return window.export.advice


def test_it_says_what_is_worth_trying_and_leads_to_the_field(qtbot: QtBot, window: MainWindow, far: RunFolder) -> None:
    assert not window.actions_by_name["advice"].isEnabled()
    card = shown(qtbot, window, far)
    assert window.pages.currentWidget() is window.export
    qtbot.waitUntil(lambda: card.visibleRegion().boundingRect() == card.rect(), timeout=20_000)
    said = texts(card)
    assert "An assistant is worth trying" in said
    assert any("80.0 % of 300 training samples" in text and "9.0 times" in text for text in said)
    assert window.setup_page.path != window.project.path_of("hints")
    button = next(each for each in card.buttons if each.accessibleName().startswith("An assistant"))
    qtbot.mouseClick(button, LEFT)
    assert window.pages.currentWidget() is window.setup_page
    assert window.setup_page.path == window.project.path_of("hints"), "the run's experiment is opened"
    assert window.setup_page.current_section() is window.setup_page.section("assistants")


def test_the_temperature_leads_to_the_soft_term(
    qtbot: QtBot, window: MainWindow, far: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdstudio.project.advice.SHARP", 0.45)
    text = far.experiment_path.read_text(encoding="utf-8")
    far.experiment_path.write_text(re.sub("temperature: [0-9.]+", "temperature: 0.5", text), encoding="utf-8")
    card = shown(qtbot, window, far)
    button = next(each for each in card.buttons if each.accessibleName().startswith("A higher temperature"))
    qtbot.mouseClick(button, LEFT)
    box = window.setup_page.context.boxes["objective.1.temperature"]
    qtbot.waitUntil(lambda: box.isVisible() and box.isAncestorOf(QApplication.focusWidget()), timeout=20_000)


def test_an_experiment_that_is_gone_is_told(qtbot: QtBot, window: MainWindow, far: RunFolder) -> None:
    card = shown(qtbot, window, far)
    window.project.path_of("hints").unlink()
    qtbot.mouseClick(card.buttons[0], LEFT)
    assert window.message.what.text() == "The experiment hints is gone."
    assert window.pages.currentWidget() is window.export


def test_it_follows_the_theme_and_the_run(qtbot: QtBot, theme: Theme, far: RunFolder, digits: Project) -> None:
    card = AdviceCard(theme)
    qtbot.addWidget(card)
    card.show_run(far)
    assert not card.statements, "nothing is worked out unseen"
    card.show()
    qtbot.waitExposed(card)
    assert card.statements[0].field
    theme.apply("light")
    before = card.grab().toImage()
    theme.apply("dark")
    assert card.grab().toImage() != before
    plain = digits.create_run(digits.load("hard-labels"))
    card.show_run(plain)
    assert not card.buttons
    assert any(text.startswith("Without a teacher") for text in texts(card))
