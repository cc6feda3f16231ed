"""The quality panel: curves, classes, confusion, calibration and samples; live, finished, without a teacher."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QApplication, QComboBox
from pytestqt.qtbot import QtBot
from safetensors.numpy import save_file

from kdstudio.gui.monitor.moment import Moment
from kdstudio.gui.monitor.quality import QualityPanel
from kdstudio.gui.monitor.quality_classes import ordered
from kdstudio.gui.theme import Theme
from kdstudio.gui.worker import TrainingWorker
from kdstudio.project.runs.evaluation import EVALUATION_FILE, classification_facts, fidelity_facts
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.snapshots import list_snapshots
from tests.gui.metric_runs import RunWriter, Story, write_run
from tests.gui.panels import LEFT, draw, follow, read, show
from tests.gui.snapshot_runs import Recipe, make_run

VIEWS = ("curves", "classes", "confusion", "calibration", "samples")


def evaluated(run: RunFolder, classes: int = 10, count: int = 120, teacher: bool = True) -> dict[str, Any]:
    """Writes a scorecard and the samples that belong to it. Returns the scorecard."""
    rng = np.random.default_rng(4)
    labels = np.arange(count) % classes
    names = [f"class {number}" for number in range(classes)]
    outputs = {
        name: (rng.normal(size=(count, classes)) + strength * np.eye(classes)[labels]).astype(np.float32)
        for name, strength in (("student", 2.0), ("teacher", 3.0), ("baseline", 1.5))
        if teacher or name == "student"
    }
    networks = {}
    for name, found in outputs.items():
        entry = classification_facts(found, labels, names)
        if teacher and name != "teacher":
            entry["fidelity"] = fidelity_facts(found, outputs["teacher"])
        networks[name] = {"validation": entry, "test": entry}
    card = {"reported_split": "test", "classes": names, "networks": networks}
    run.scorecard_path.write_text(json.dumps(card))
    student = networks["student"]["test"]
    rows = {"worst": student["worst"], "disagreeing": student.get("fidelity", {}).get("disagreeing", [])}
    indices = np.array(sorted({index for found in rows.values() for index in found}))
    arrays: dict[str, np.ndarray] = {
        "indices": indices,
        "labels": labels[indices],
        "images": rng.integers(0, 255, (len(indices), 8, 8, 1), dtype=np.uint8),
    }
    for name, found in rows.items():
        arrays[name] = np.searchsorted(indices, np.array(found, np.int64)).astype(np.int64)
    for name, found in outputs.items():
        sure = np.exp(found - found.max(axis=1, keepdims=True))
        arrays[f"predicted_{name}"] = found[indices].argmax(axis=1)
        arrays[f"confidence_{name}"] = (1 / sure.sum(axis=1))[indices].astype(np.float32)
    save_file(
        {key: np.ascontiguousarray(array) for key, array in arrays.items()},
        run.path / EVALUATION_FILE,
        {"split": "test", "classes": json.dumps(names)},
    )
    return card


class Shown:
    """A quality panel and the moment that it shows."""

    def __init__(self, qtbot: QtBot, theme: Theme) -> None:
        self.qtbot = qtbot
        self.moment = Moment()
        self.panel = QualityPanel(theme, self.moment)
        show(qtbot, self.panel, (900, 340))

    def follow(self, run: RunFolder) -> TrainingWorker:
        self.moment.set_run(run)
        self.moment.take(list_snapshots(run))
        return follow(self.qtbot, self.panel, run)

    def choose(self, view: str) -> Any:
        """Goes to a view by a click on its tab."""
        bar = self.panel.switch.switch
        index = VIEWS.index(view)
        self.qtbot.mouseClick(bar, LEFT, pos=bar.tabRect(index).center())
        assert bar.currentIndex() == index
        draw(self.panel)
        return self.panel.views[index]

    def pick(self, box: QComboBox, text: str) -> None:
        box.setCurrentIndex(box.findText(text))
        assert box.currentText() == text
        box.activated.emit(box.currentIndex())
        QApplication.processEvents()


@pytest.fixture
def shown(qtbot: QtBot, theme: Theme) -> Shown:
    return Shown(qtbot, theme)


@pytest.fixture
def live(tmp_path: Path) -> RunFolder:
    """A run that is going on: snapshots and no scorecard yet."""
    return make_run(tmp_path / "runs" / "made" / "001", Recipe(phase="training"))


@pytest.fixture
def finished(tmp_path: Path) -> RunFolder:
    run = make_run(tmp_path / "runs" / "made" / "001", Recipe())
    writer = RunWriter(tmp_path / "other", Story())
    for stage in writer.story.stages:
        writer.stage(stage)
    run.metrics_path.write_bytes(writer.run.metrics_path.read_bytes())
    evaluated(run)
    return run


# -- empty, live, finished ----------------------------------------------------------------------------------------


def test_it_begins_empty(shown: Shown, tmp_path: Path) -> None:
    assert shown.panel.stack.currentIndex() == 0
    shown.follow(write_run(tmp_path / "runs" / "made" / "002", Story(epochs=0)))
    assert shown.panel.stack.currentIndex() == 0
    assert not shown.panel.source.isVisible()


def test_metrics_alone_give_curves_alone(shown: Shown, tmp_path: Path) -> None:
    shown.follow(write_run(tmp_path / "runs" / "made" / "002"))
    bar = shown.panel.switch.switch
    assert [bar.isTabEnabled(index) for index in range(5)] == [True, False, False, False, False]


def test_live_facts_are_those_of_the_shown_moment(shown: Shown, live: RunFolder) -> None:
    shown.follow(live)
    view = shown.choose("classes")
    facts = shown.panel.state.facts()
    assert facts is not None
    assert list(facts.networks) == ["teacher", "student"]
    assert facts.words == "step 700, 200 validation samples"
    last = facts.networks["student"]["accuracy"]
    shown.moment.go(0)
    draw(shown.panel)
    facts = shown.panel.state.facts()
    assert facts is not None
    assert facts.words.startswith("step 0,")
    assert facts.networks["student"]["accuracy"] < last
    assert "step 0," in view.legend.text()


def test_finished_facts_are_those_of_the_scorecard(shown: Shown, finished: RunFolder) -> None:
    shown.follow(finished)
    view = shown.choose("classes")
    facts = shown.panel.state.facts()
    assert facts is not None
    assert facts.words == "120 test samples"
    assert list(facts.networks) == ["teacher", "student", "baseline"]
    assert facts.networks["student"]["accuracy"] == finished.scorecard()["networks"]["student"]["test"]["accuracy"]
    assert "120 test samples" in view.legend.text()


def test_going_back_in_time_shows_that_moment(shown: Shown, finished: RunFolder) -> None:
    shown.follow(finished)
    shown.choose("confusion")
    shown.moment.go(2)
    draw(shown.panel)
    assert shown.panel.state.shown() == "moment"
    shown.moment.go(7)
    draw(shown.panel)
    assert shown.panel.state.shown() == "test"


def test_the_source_can_be_chosen(shown: Shown, finished: RunFolder) -> None:
    shown.follow(finished)
    shown.choose("classes")
    box = shown.panel.source
    assert [box.itemText(index) for index in range(box.count())] == ["Latest", "Shown moment", "Validation", "Test"]
    shown.pick(box, "Shown moment")
    assert shown.panel.state.facts().words.startswith("step 700")  # type: ignore[union-attr]
    shown.pick(box, "Validation")
    assert shown.panel.state.facts().words == "120 validation samples"  # type: ignore[union-attr]
    draw(shown.panel)
    assert box.currentText() == "Validation"


def test_the_scorecard_is_taken_when_it_comes(shown: Shown, live: RunFolder) -> None:
    shown.follow(live)
    shown.choose("calibration")
    assert shown.panel.state.shown() == "moment"
    evaluated(live)
    draw(shown.panel)
    assert shown.panel.state.shown() == "test"


def test_the_head_holds_what_belongs_to_the_view(shown: Shown, finished: RunFolder) -> None:
    shown.follow(finished)
    panel = shown.panel
    for view in VIEWS:
        found = shown.choose(view)
        assert [other.options.isVisible() for other in panel.views] == [other is found for other in panel.views]
        assert panel.source.isVisible() == (view != "curves")


def test_a_tall_panel_shows_curves_and_a_view(qtbot: QtBot, shown: Shown, finished: RunFolder) -> None:
    shown.follow(finished)
    shown.panel.__dict__["host"].resize(700, 900)
    qtbot.waitUntil(lambda: shown.panel.switch.tall)
    assert shown.panel.curves.isVisible()
    assert shown.panel.classes.isVisible()
    assert shown.panel.curves.options.isVisible()
    assert shown.panel.source.isVisible()


# -- curves -------------------------------------------------------------------------------------------------------


def test_accuracy_of_every_stage_with_lines(shown: Shown, finished: RunFolder) -> None:
    shown.follow(finished)
    plot = shown.panel.curves.shares
    names = [entry.entry.name for entry in plot.legend.entries]
    assert names == ["teacher", "student", "baseline", "teacher, finished", "baseline, finished"]
    assert plot.curves[1].data.count == 6
    assert plot.curves[1].data.last == 6  # by epoch


def test_agreement_and_divergence(shown: Shown, finished: RunFolder) -> None:
    worker = shown.follow(finished)
    view = shown.panel.curves
    shown.pick(view.measure, "Agreement")
    assert [curve.key for curve in view.shares.curves] == ["agreement"]
    shown.pick(view.measure, "KL")
    assert view.figures.isVisible()
    assert not view.shares.isVisible()
    assert [curve.key for curve in view.figures.curves] == ["kl"]
    expected = worker.series("student", "validation", "kl").values
    assert np.allclose(view.figures.curves[0].line.yData, expected)
    assert view.table()[1][3] == "kl"


def test_compared_runs(shown: Shown, finished: RunFolder, tmp_path: Path, qtbot: QtBot) -> None:
    shown.follow(finished)
    other = read(qtbot, write_run(tmp_path / "runs" / "made" / "002", Story(epochs=3)))
    shown.panel.compare([other])
    draw(shown.panel)
    plot = shown.panel.curves.shares
    assert [curve.label for curve in plot.curves] == ["teacher", "student", "baseline", "made/002"]
    assert plot.curves[3].data.count == 3
    shown.panel.compare([])
    draw(shown.panel)
    assert len(plot.curves) == 3


# -- classes ------------------------------------------------------------------------------------------------------


def test_orders_of_classes(shown: Shown, finished: RunFolder) -> None:
    shown.follow(finished)
    view = shown.choose("classes")
    facts = shown.panel.state.facts()
    assert facts is not None
    entries = facts.networks["student"]["per_class"]
    assert view.bars.order == list(range(10))
    shown.pick(view.order, "Worst first")
    shares = [entries[label]["accuracy"] for label in view.bars.order]
    assert shares == sorted(shares)
    shown.pick(view.order, "Largest gap to the teacher")
    taught = facts.networks["teacher"]["per_class"]
    gaps = [entries[label]["accuracy"] - taught[label]["accuracy"] for label in view.bars.order]
    assert gaps == sorted(gaps)


def test_classes_without_samples_come_last() -> None:
    facts = classification_facts(np.eye(4)[:2], np.array([1, 1]), list("abcd"))
    from kdstudio.gui.monitor.quality_state import Facts

    found = Facts("", list("abcd"), {"student": facts})
    assert ordered(found, "worst") == [1, 0, 2, 3]


def test_classes_by_keys(qtbot: QtBot, shown: Shown, finished: RunFolder) -> None:
    shown.follow(finished)
    bars = shown.choose("classes").bars
    bars.setFocus()
    qtbot.keyClick(bars, Qt.Key.Key_Right)
    assert bars.accessibleDescription().startswith("class 0: teacher ")
    qtbot.keyClick(bars, Qt.Key.Key_End)
    assert bars.accessibleDescription().startswith("class 9: ")
    qtbot.keyClick(bars, Qt.Key.Key_Left)
    assert "student" in bars.accessibleDescription()


def test_a_hundred_classes_are_scrolled_through(qtbot: QtBot, shown: Shown, tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs" / "made" / "003", Recipe(classes=100, pool=400, phase="training"))
    shown.follow(run)
    view = shown.choose("classes")
    assert view.bars.minimumWidth() > view.area.viewport().width()
    bars = view.bars
    bars.setFocus()
    qtbot.keyClick(bars, Qt.Key.Key_End)
    assert view.area.horizontalScrollBar().value() > 0
    assert bars.at == 99
    evaluated(run, classes=100, count=500)
    draw(shown.panel)
    for name in VIEWS[2:]:
        shown.choose(name)
        assert not shown.panel.grab().isNull()


# -- confusion ----------------------------------------------------------------------------------------------------


def test_confusion_against_label_and_teacher(shown: Shown, finished: RunFolder) -> None:
    shown.follow(finished)
    view = shown.choose("confusion")
    pairs = [view.pair.itemText(index) for index in range(view.pair.count())]
    assert pairs == [
        "Student against label", "Student against teacher", "Teacher against label", "Baseline against label",
    ]  # fmt: skip
    entry = finished.scorecard()["networks"]["student"]["test"]
    assert view._counts.tolist() == entry["confusion"]
    shown.pick(view.pair, "Student against teacher")
    assert view._counts.tolist() == entry["fidelity"]["confusion"]
    assert "what the teacher says" in view.caption.text()
    assert view._words(1, 1).startswith("the teacher says class 1, the student says class 1: ")


def test_errors_alone(qtbot: QtBot, shown: Shown, finished: RunFolder) -> None:
    shown.follow(finished)
    view = shown.choose("confusion")
    qtbot.mouseClick(view.errors, LEFT, pos=QPoint(8, view.errors.height() // 2))
    assert view.errors.isChecked()
    values = view.map.matrix.values
    assert np.isnan(np.diag(values)).all()
    assert view.map.matrix.scale.high == pytest.approx(np.nanmax(values))


def test_the_list_leads_to_the_cell(qtbot: QtBot, shown: Shown, finished: RunFolder) -> None:
    shown.follow(finished)
    view = shown.choose("confusion")
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


def test_calibration_tells_each_error(qtbot: QtBot, shown: Shown, finished: RunFolder) -> None:
    shown.follow(finished)
    view = shown.choose("calibration")
    for network in ("teacher", "student", "baseline"):
        error = finished.scorecard()["networks"][network]["test"]["ece"]
        assert f"ECE {error:.3f}" in view.legend.text()
    view.diagram.setFocus()
    qtbot.keyClick(view.diagram, Qt.Key.Key_Left)
    assert view.diagram.accessibleDescription().startswith("Confidence 93 to 100 %")
    assert len(view.table()) == 1 + 3 * 15


def test_a_narrow_diagram_has_its_counts_below(qtbot: QtBot, shown: Shown, finished: RunFolder) -> None:
    shown.follow(finished)
    view = shown.choose("calibration")
    diagram, counts = view.diagram._areas()
    assert counts.left() > diagram.right()
    shown.panel.__dict__["host"].resize(500, 540)
    QApplication.processEvents()
    diagram, counts = view.diagram._areas()
    assert counts.top() > diagram.bottom()


# -- samples ------------------------------------------------------------------------------------------------------


def test_the_worst_and_the_furthest_as_pictures(qtbot: QtBot, shown: Shown, finished: RunFolder) -> None:
    card = finished.scorecard()
    assert card is not None
    shown.follow(finished)
    view = shown.choose("samples")
    worst = card["networks"]["student"]["test"]["worst"]
    assert view.list.count() == len(worst)
    first = view.list.item(0)
    assert first.data(Qt.ItemDataRole.DecorationRole) is not None
    words = first.data(Qt.ItemDataRole.AccessibleTextRole)
    assert words.startswith(f"Sample {worst[0]} of test, label class {worst[0] % 10}")
    assert "student: " in words
    shown.pick(view.which, "Furthest from the teacher")
    furthest = card["networks"]["student"]["test"]["fidelity"]["disagreeing"]
    assert view.list.item(0).toolTip().startswith(f"Sample {furthest[0]} of test")
    view.list.setFocus()
    qtbot.keyClick(view.list, Qt.Key.Key_Right)
    assert view.list.currentRow() >= 0
    assert len(view.table()) == 1 + len(furthest)


def test_live_samples_are_the_probes(shown: Shown, live: RunFolder) -> None:
    shown.follow(live)
    view = shown.choose("samples")
    assert view.list.count() == 16
    assert "the probe samples" in view.caption.text()
    assert view.list.item(0).data(Qt.ItemDataRole.DecorationRole) is not None


def test_samples_that_are_no_pictures(shown: Shown, tmp_path: Path) -> None:
    shown.follow(make_run(tmp_path / "runs" / "made" / "004", Recipe(pictures=False, phase="training")))
    view = shown.choose("samples")
    assert view.list.count() == 16
    assert view.list.item(0).data(Qt.ItemDataRole.DecorationRole) is None
    assert not shown.panel.grab().isNull()


def test_a_run_evaluated_before_there_were_pictures(shown: Shown, finished: RunFolder) -> None:
    (finished.path / EVALUATION_FILE).unlink()
    shown.follow(finished)
    view = shown.choose("samples")
    assert view.list.count() == 0
    assert "without them" in view.caption.text()


# -- other runs, themes, saving -----------------------------------------------------------------------------------


def test_no_teacher(shown: Shown, tmp_path: Path) -> None:
    recipe = replace(Recipe(), teacher=False, phase="training")
    run = make_run(tmp_path / "runs" / "made" / "005", recipe)
    shown.follow(run)
    for view in VIEWS:
        shown.choose(view)
        assert not shown.panel.grab().isNull()
    assert [shown.panel.confusion.pair.itemText(index) for index in range(shown.panel.confusion.pair.count())] == [
        "Student against label"
    ]
    gap = shown.panel.classes.order.model().item(2)  # type: ignore[attr-defined]
    assert not gap.isEnabled()
    evaluated(run, teacher=False)
    draw(shown.panel)
    for view in VIEWS[1:]:
        shown.choose(view)
    assert shown.panel.samples.which.currentText() == "Worst"


def test_damaged_snapshots_and_scorecard(shown: Shown, tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs" / "made" / "006", Recipe(snapshots=2, broken=(1, 2), phase="training"))
    run.scorecard_path.write_text("{")
    shown.follow(run)
    for view in VIEWS:
        shown.choose(view)
        assert not shown.panel.grab().isNull()


def test_another_run_takes_over(shown: Shown, finished: RunFolder, tmp_path: Path) -> None:
    shown.follow(finished)
    for view in VIEWS:
        shown.choose(view)
    shown.follow(make_run(tmp_path / "runs" / "made" / "007", Recipe(classes=4, pool=40, phase="training")))
    for view in VIEWS:
        shown.choose(view)
    assert shown.panel.confusion._counts.shape == (4, 4)  # type: ignore[union-attr]
    assert len(shown.panel.classes.bars.order) == 4


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_is_saved_in_both_themes(shown: Shown, finished: RunFolder, tmp_path: Path, view: str) -> None:
    shown.follow(finished)
    shown.choose(view)
    for choice in ("light", "dark"):
        shown.panel.theme.apply(choice)
        path = tmp_path / f"{view}-{choice}.png"
        shown.panel.save(path, "png")
        assert path.stat().st_size > 1000
    shown.panel.save(tmp_path / "x.svg", "svg")
    shown.panel.save(tmp_path / "x.csv", "csv")
    assert (tmp_path / "x.svg").stat().st_size > 1000
    rows = list(csv.reader((tmp_path / "x.csv").open()))
    assert len(rows) > 3
    assert len({len(row) for row in rows}) == 1
