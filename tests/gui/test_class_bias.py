"""The Export page's card for class bias: live figures from stored logits, priors, and a new student by a process."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot
from safetensors.numpy import save_file

from kdstudio.gui.export.class_bias import ClassBiasCard
from kdstudio.gui.main_window import MainWindow
from kdstudio.project.class_bias import effect
from kdstudio.project.folder import Project
from kdstudio.project.runs.evaluation import EVALUATION_FILE
from kdstudio.project.runs.folder import RunFolder
from tests.gui.synthetic import finished_run

LEFT = Qt.MouseButton.LeftButton
NAMES = ["cat", "a dog", "owl", "fox"]
LABELS = np.arange(200) % 4
#: Says what it was asked, and writes a student as `kdstudio bias` does.
FAKE = """#!{python}
import json, sys
from pathlib import Path
arguments = sys.argv[1:]
run = Path(arguments[3])
run.joinpath("asked.json").write_text(json.dumps(arguments))
if "{fails}":
    sys.exit("kdstudio: it is broken\\nWhy: so it is\\nWhat to do: mend it")
folder = run / ("student-" + arguments[arguments.index("--write") + 1])
folder.mkdir()
folder.joinpath("student.json").write_text("{{}}")
scores = {{"before": {{"accuracy": 0.5}}, "after": {{"accuracy": 0.75}}}}
print(json.dumps({{"validation": scores, "test": scores, "folder": str(folder)}}))
"""


def outputs() -> np.ndarray:
    """Logits of a student that hardly knows owls."""
    found = np.random.default_rng(3).normal(size=(200, 4)) + 2.5 * np.eye(4)[LABELS]
    found[:, 2] -= 4
    return found.astype(np.float32)


def store(run: RunFolder) -> None:
    arrays = {"validation_logits": outputs(), "validation_labels": LABELS}
    save_file(arrays, run.path / EVALUATION_FILE, {"split": "test", "classes": json.dumps(NAMES)})


def shown(card: ClassBiasCard) -> list[list[str]]:
    return [[label.text() for label in row[1:]] for row in card.figures]


@pytest.fixture
def run(digits: Project) -> RunFolder:
    run = finished_run(digits)
    store(run)
    return run


@pytest.fixture
def card(qtbot: QtBot, run: RunFolder) -> ClassBiasCard:
    card = ClassBiasCard()
    qtbot.addWidget(card)
    card.resize(960, 240)
    card.show()
    card.show_run(run, [])
    return card


def test_the_figures_follow_the_slider(card: ClassBiasCard) -> None:
    assert card.classes.currentText() == "owl", "the class that is known worst"
    assert not card.button.isEnabled()
    card.slider.setValue(35)
    before, after = (effect(outputs(), LABELS, np.array([0, 0, shift, 0])) for shift in (0.0, 3.5))
    for row, pick in enumerate(
        (lambda found: found.accuracy, lambda found: found.per_class[2], lambda found: found.shares[2])
    ):
        assert shown(card)[row] == [f"{100 * pick(found):.2f} %" for found in (before, after)]
    assert card.value.text() == "+3.5"
    assert card.button.isEnabled()
    assert card.name.text() == "bias-owl"
    card.classes.setCurrentIndex(1)
    assert (card.value.text(), card.slider.value()) == ("+0.0", 0)
    assert shown(card)[0] == [f"{100 * found.accuracy:.2f} %" for found in (before, after)], "the owl stays shifted"
    card.reset.click()
    assert not card.button.isEnabled()


def test_a_class_that_was_left_out_is_offered_first(card: ClassBiasCard, run: RunFolder, digits: Project) -> None:
    other = finished_run(digits, "hints")
    store(other)
    card.show_run(other, ["a dog"])
    assert card.classes.currentText() == "a dog"
    card.slider.setValue(20)
    assert card.name.text() == "bias-a-dog"
    card.show_run(other, ["a dog"])
    assert card.slider.value() == 20, "the same run shown again keeps what was shifted"
    card.show_run(run, [])
    assert card.slider.value() == 0


def test_even_shares(card: ClassBiasCard) -> None:
    asked: list[list[str]] = []
    card.asked.connect(asked.append)
    card.priors["uniform"].click()
    assert shown(card)[2][1] == "25.00 %"
    assert card.name.text() == "even-shares"
    card.button.click()
    assert asked == [["--write", "even-shares", "--prior", "uniform"]]
    card.slider.setValue(card.slider.value() + 5)
    card.button.click()
    assert asked[1][:2] == ["--write", "bias-owl"]
    assert [word.partition("=")[0] for word in asked[1][2:4]] == ["--class", "--by"]


def test_names(card: ClassBiasCard, run: RunFolder) -> None:
    card.slider.setValue(10)
    card.name.clear()
    card.name.insert("../x")
    assert not card.button.isEnabled()
    assert "begins with a letter" in card.problem.text()
    run.derived_dir("mine").mkdir()
    (run.derived_dir("mine") / "student.json").write_text("{}")
    card.name.setText("mine")
    assert "of this name already" in card.problem.text()
    card.name.setText("other")
    assert not card.problem.isVisible()


def test_a_run_without_stored_logits_says_how_to_get_them(card: ClassBiasCard, digits: Project) -> None:
    card.show_run(finished_run(digits, "hints"), [])
    assert not card.content.isVisible()
    assert "Evaluate again" in card.words.text()


def test_a_wheel_over_the_slider_scrolls_the_page(card: ClassBiasCard) -> None:
    card.classes.setFocus()
    place = QPointF(card.slider.rect().center())
    turn = QWheelEvent(
        place,
        QPointF(card.slider.mapToGlobal(place.toPoint())),
        QPoint(),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(card.slider, turn)
    assert card.slider.value() == 0


@pytest.mark.skipif(sys.platform == "win32", reason="the process that stands in is a script")
@pytest.mark.parametrize("fails", [False, True])
def test_a_new_student_is_saved_and_offered(
    qtbot: QtBot,
    make_window: Callable[..., MainWindow],
    digits: Project,
    run: RunFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fails: bool,
) -> None:
    script = tmp_path / "stand-in"
    script.write_text(FAKE.format(python=sys.executable, fails="yes" if fails else ""))
    script.chmod(0o755)
    window = make_window(digits)
    window.show_run(run)
    window.show_page("export")
    page = window.export
    assert not page.which.isVisible()
    told: list[tuple[str, str, str]] = []
    page.failed.connect(lambda *words: told.append(words))
    page.bias.slider.setValue(15)
    page.area.ensureWidgetVisible(page.bias)
    monkeypatch.setattr(sys, "executable", str(script))
    qtbot.mouseClick(page.bias.button, LEFT)
    assert page.busy
    assert page.bias.button.text() == "Cancel"
    assert not page.cards["onnx"].button.isEnabled()
    qtbot.waitUntil(lambda: not page.busy, timeout=60_000)
    asked = json.loads((run.path / "asked.json").read_text())
    assert asked == [
        *("-m", "kdstudio", "bias", str(run.path)), "--write", "bias-owl", "--class=owl", "--by=1.5", "--json",
    ]  # fmt: skip
    assert page.cards["onnx"].button.isEnabled()
    if fails:
        assert told == [("it is broken", "so it is", "mend it")]
        assert not page.bias.result.isVisible()
        return
    assert page.derived == "bias-owl"
    assert page.which.isVisible()
    assert page.cards["onnx"].folder == run.path / "exports" / "student-bias-owl" / "onnx"
    assert "50.00% → 75.00%" in page.bias.result.text()
    assert page.bias.name.text() == "bias-owl-2"
    page.which.setCurrentIndex(0)
    assert page.cards["onnx"].folder == run.path / "exports" / "onnx"
