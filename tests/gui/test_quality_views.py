"""The views of the quality panel: classes, confusion, calibration and samples."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot
from safetensors import safe_open
from safetensors.numpy import save_file

from kdstudio.gui.monitor.quality_classes import ordered
from kdstudio.project.runs.evaluation import EVALUATION_FILE, classification_facts
from kdstudio.project.runs.folder import RunFolder
from tests.gui.panels import LEFT, draw
from tests.gui.quality_kit import VIEWS, Shown, evaluated
from tests.gui.snapshot_runs import Recipe, make_run

# -- classes ------------------------------------------------------------------------------------------------------


def test_orders_of_classes(quality: Shown, evaluated_run: RunFolder) -> None:
    quality.follow(evaluated_run)
    view = quality.choose("classes")
    facts = quality.panel.state.facts()
    assert facts is not None
    entries = facts.networks["student"]["per_class"]
    assert view.bars.order == list(range(10))
    quality.pick(view.order, "Worst first")
    shares = [entries[label]["accuracy"] for label in view.bars.order]
    assert shares == sorted(shares)
    quality.pick(view.order, "Largest gap to the teacher")
    taught = facts.networks["teacher"]["per_class"]
    gaps = [entries[label]["accuracy"] - taught[label]["accuracy"] for label in view.bars.order]
    assert gaps == sorted(gaps)


def test_classes_without_samples_come_last() -> None:
    facts = classification_facts(np.eye(4)[:2], np.array([1, 1]), list("abcd"))
    from kdstudio.gui.monitor.quality_state import Facts

    found = Facts("", list("abcd"), {"student": facts})
    assert ordered(found, "worst") == [1, 0, 2, 3]


def test_classes_by_keys(qtbot: QtBot, quality: Shown, evaluated_run: RunFolder) -> None:
    quality.follow(evaluated_run)
    bars = quality.choose("classes").bars
    bars.setFocus()
    qtbot.keyClick(bars, Qt.Key.Key_Right)
    assert bars.accessibleDescription().startswith("class 0: teacher ")
    qtbot.keyClick(bars, Qt.Key.Key_End)
    assert bars.accessibleDescription().startswith("class 9: ")
    qtbot.keyClick(bars, Qt.Key.Key_Left)
    assert "student" in bars.accessibleDescription()


def test_a_hundred_classes_are_scrolled_through(qtbot: QtBot, quality: Shown, tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs" / "made" / "003", Recipe(classes=100, pool=400, phase="training"))
    quality.follow(run)
    view = quality.choose("classes")
    assert view.bars.minimumWidth() > view.area.viewport().width()
    bars = view.bars
    bars.setFocus()
    qtbot.keyClick(bars, Qt.Key.Key_End)
    assert view.area.horizontalScrollBar().value() > 0
    assert bars.at == 99
    evaluated(run, classes=100, count=500)
    draw(quality.panel)
    for name in VIEWS[2:]:
        quality.choose(name)
        assert not quality.panel.grab().isNull()


# -- confusion ----------------------------------------------------------------------------------------------------


def test_confusion_against_label_and_teacher(quality: Shown, evaluated_run: RunFolder) -> None:
    quality.follow(evaluated_run)
    view = quality.choose("confusion")
    pairs = [view.pair.itemText(index) for index in range(view.pair.count())]
    assert pairs == [
        "Student against label", "Student against teacher", "Teacher against label", "Baseline against label",
    ]  # fmt: skip
    entry = evaluated_run.scorecard()["networks"]["student"]["test"]
    assert view._counts.tolist() == entry["confusion"]
    quality.pick(view.pair, "Student against teacher")
    assert view._counts.tolist() == entry["fidelity"]["confusion"]
    assert "what the teacher says" in view.caption.text()
    assert view._words(1, 1).startswith("the teacher says class 1, the student says class 1: ")


def test_errors_alone(qtbot: QtBot, quality: Shown, evaluated_run: RunFolder) -> None:
    quality.follow(evaluated_run)
    view = quality.choose("confusion")
    qtbot.mouseClick(view.errors, LEFT, pos=QPoint(8, view.errors.height() // 2))
    assert view.errors.isChecked()
    values = view.map.matrix.values
    assert np.isnan(np.diag(values)).all()
    assert view.map.matrix.scale.high == pytest.approx(np.nanmax(values))


def test_the_list_leads_to_the_cell(qtbot: QtBot, quality: Shown, evaluated_run: RunFolder) -> None:
    quality.follow(evaluated_run)
    view = quality.choose("confusion")
    counts = view._counts.copy()
    np.fill_diagonal(counts, 0)
    first = view._listed[0]
    assert counts[first] == counts.max()
    item = view.list.item(0)
    qtbot.mouseClick(view.list.viewport(), LEFT, pos=view.list.visualItemRect(item).center())
    assert view.map.cursor_cell == first
    qtbot.keyClick(view.list, Qt.Key.Key_Down)
    assert view.map.cursor_cell == view._listed[1]
    view.map.setFocus()
    qtbot.keyClick(view.map, Qt.Key.Key_Right)
    assert view.map.accessibleDescription()


# -- calibration --------------------------------------------------------------------------------------------------


def test_calibration_tells_each_error(qtbot: QtBot, quality: Shown, evaluated_run: RunFolder) -> None:
    quality.follow(evaluated_run)
    view = quality.choose("calibration")
    for network in ("teacher", "student", "baseline"):
        error = evaluated_run.scorecard()["networks"][network]["test"]["ece"]
        assert f"ECE {error:.3f}" in view.legend.text()
    view.diagram.setFocus()
    qtbot.keyClick(view.diagram, Qt.Key.Key_Left)
    assert view.diagram.accessibleDescription().startswith("Confidence 93 to 100 %")
    assert len(view.table()) == 1 + 3 * 15


def test_a_narrow_diagram_has_its_counts_below(qtbot: QtBot, quality: Shown, evaluated_run: RunFolder) -> None:
    quality.follow(evaluated_run)
    view = quality.choose("calibration")
    diagram, counts = view.diagram._areas()
    assert counts.left() > diagram.right()
    quality.panel.__dict__["host"].resize(500, 540)
    QApplication.processEvents()
    diagram, counts = view.diagram._areas()
    assert counts.top() > diagram.bottom()


# -- samples ------------------------------------------------------------------------------------------------------


def test_the_worst_and_the_furthest_as_pictures(qtbot: QtBot, quality: Shown, evaluated_run: RunFolder) -> None:
    card = evaluated_run.scorecard()
    assert card is not None
    quality.follow(evaluated_run)
    view = quality.choose("samples")
    worst = card["networks"]["student"]["test"]["worst"]
    assert view.list.count() == len(worst)
    first = view.list.item(0)
    assert first.data(Qt.ItemDataRole.DecorationRole) is not None
    words = first.data(Qt.ItemDataRole.AccessibleTextRole)
    assert words.startswith(f"Sample {worst[0]} of test, label class {worst[0] % 10}")
    assert "student: " in words
    quality.pick(view.which, "Furthest from the teacher")
    furthest = card["networks"]["student"]["test"]["fidelity"]["disagreeing"]
    assert view.list.item(0).toolTip().startswith(f"Sample {furthest[0]} of test")
    view.list.setFocus()
    qtbot.keyClick(view.list, Qt.Key.Key_Right)
    assert view.list.currentRow() >= 0
    assert len(view.table()) == 1 + len(furthest)


def test_live_samples_are_the_probes(quality: Shown, live_run: RunFolder) -> None:
    quality.follow(live_run)
    view = quality.choose("samples")
    assert view.list.count() == 16
    assert "the probe samples" in view.caption.text()
    assert view.list.item(0).data(Qt.ItemDataRole.DecorationRole) is not None


def test_samples_that_are_no_pictures(quality: Shown, tmp_path: Path) -> None:
    quality.follow(make_run(tmp_path / "runs" / "made" / "004", Recipe(pictures=False, phase="training")))
    view = quality.choose("samples")
    assert view.list.count() == 16
    assert view.list.item(0).data(Qt.ItemDataRole.DecorationRole) is None
    assert not quality.panel.grab().isNull()


def test_samples_that_are_read(quality: Shown, evaluated_run: RunFolder) -> None:
    path = evaluated_run.path / EVALUATION_FILE
    with safe_open(path, "numpy") as file:
        meta, arrays = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    del arrays["images"]
    texts = [
        f"Text {number} with a good many words that go on and on. " * 9 for number in range(len(arrays["indices"]))
    ]
    save_file(arrays, path, {**meta, "texts": json.dumps(texts)})
    quality.follow(evaluated_run)
    view = quality.choose("samples")
    first = view.list.item(0)
    row = int(first.data(Qt.ItemDataRole.UserRole))
    assert f"Text {row} with a good many words" in first.toolTip()
    assert first.sizeHint().width() > 400
    assert not quality.panel.grab().isNull()


def test_a_run_evaluated_before_there_were_pictures(quality: Shown, evaluated_run: RunFolder) -> None:
    (evaluated_run.path / EVALUATION_FILE).unlink()
    quality.follow(evaluated_run)
    view = quality.choose("samples")
    assert view.list.count() == 0
    assert "without them" in view.caption.text()
