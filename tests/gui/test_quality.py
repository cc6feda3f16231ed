"""The quality panel: its sources live and finished, its curves, and runs that lack something."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from kdstudio.gui.monitor.quality_curves import LANGUAGE
from kdstudio.project.runs.folder import RunFolder
from tests.gui.metric_runs import Story, write_run
from tests.gui.panels import draw, read
from tests.gui.quality_kit import VIEWS, Shown, evaluated, evaluated_as
from tests.gui.snapshot_runs import Recipe, make_run
from tests.gui.tag_runs import TagRecipe, make_tag_run


def test_it_begins_empty(quality: Shown, tmp_path: Path) -> None:
    assert quality.panel.stack.currentIndex() == 0
    quality.follow(write_run(tmp_path / "runs" / "made" / "002", Story(epochs=0)))
    assert quality.panel.stack.currentIndex() == 0
    assert not quality.panel.source.isVisible()


def test_metrics_alone_give_curves_alone(quality: Shown, tmp_path: Path) -> None:
    quality.follow(write_run(tmp_path / "runs" / "made" / "002"))
    bar = quality.panel.switch.switch
    assert [bar.isTabEnabled(index) for index in range(5)] == [True, False, False, False, False]


def test_live_facts_are_those_of_the_shown_moment(quality: Shown, live_run: RunFolder) -> None:
    quality.follow(live_run)
    view = quality.choose("classes")
    facts = quality.panel.state.facts()
    assert facts is not None
    assert list(facts.networks) == ["teacher", "student"]
    assert facts.words == "step 700, 200 validation samples"
    last = facts.networks["student"]["accuracy"]
    quality.moment.go(0)
    draw(quality.panel)
    facts = quality.panel.state.facts()
    assert facts is not None
    assert facts.words.startswith("step 0,")
    assert facts.networks["student"]["accuracy"] < last
    assert "step 0," in view.legend.text()


def test_finished_facts_are_those_of_the_scorecard(quality: Shown, evaluated_run: RunFolder) -> None:
    quality.follow(evaluated_run)
    view = quality.choose("classes")
    facts = quality.panel.state.facts()
    assert facts is not None
    assert facts.words == "120 test samples"
    assert list(facts.networks) == ["teacher", "student", "baseline"]
    assert facts.networks["student"]["accuracy"] == evaluated_run.scorecard()["networks"]["student"]["test"]["accuracy"]
    assert "120 test samples" in view.legend.text()


def test_going_back_in_time_shows_that_moment(quality: Shown, evaluated_run: RunFolder) -> None:
    quality.follow(evaluated_run)
    quality.choose("confusion")
    quality.moment.go(2)
    draw(quality.panel)
    assert quality.panel.state.shown() == "moment"
    quality.moment.go(7)
    draw(quality.panel)
    assert quality.panel.state.shown() == "test"


def test_the_source_can_be_chosen(quality: Shown, evaluated_run: RunFolder) -> None:
    quality.follow(evaluated_run)
    quality.choose("classes")
    box = quality.panel.source
    assert [box.itemText(index) for index in range(box.count())] == ["Latest", "Shown moment", "Validation", "Test"]
    quality.pick(box, "Shown moment")
    assert quality.panel.state.facts().words.startswith("step 700")  # type: ignore[union-attr]
    quality.pick(box, "Validation")
    assert quality.panel.state.facts().words == "120 validation samples"  # type: ignore[union-attr]
    draw(quality.panel)
    assert box.currentText() == "Validation"


def test_the_scorecard_is_taken_when_it_comes(quality: Shown, live_run: RunFolder) -> None:
    quality.follow(live_run)
    quality.choose("calibration")
    assert quality.panel.state.shown() == "moment"
    evaluated(live_run)
    draw(quality.panel)
    assert quality.panel.state.shown() == "test"


def test_the_head_holds_what_belongs_to_the_view(quality: Shown, evaluated_run: RunFolder) -> None:
    quality.follow(evaluated_run)
    panel = quality.panel
    for view in VIEWS:
        found = quality.choose(view)
        assert [other.options.isVisible() for other in panel.views] == [other is found for other in panel.views]
        assert panel.source.isVisible() == (view != "curves")


def test_a_tall_panel_shows_curves_and_a_view(qtbot: QtBot, quality: Shown, evaluated_run: RunFolder) -> None:
    quality.follow(evaluated_run)
    quality.panel.__dict__["host"].resize(700, 900)
    qtbot.waitUntil(lambda: quality.panel.switch.tall)
    assert quality.panel.curves.isVisible()
    assert quality.panel.classes.isVisible()
    assert quality.panel.curves.options.isVisible()
    assert quality.panel.source.isVisible()


# -- curves -------------------------------------------------------------------------------------------------------


def test_accuracy_of_every_stage_with_lines(quality: Shown, evaluated_run: RunFolder) -> None:
    quality.follow(evaluated_run)
    plot = quality.panel.curves.shares
    names = [entry.entry.name for entry in plot.legend.entries]
    assert names == ["teacher", "student", "baseline", "teacher, finished", "baseline, finished"]
    assert plot.curves[1].data.count == 6
    assert plot.curves[1].data.last == 6  # by epoch


def test_agreement_and_divergence(quality: Shown, evaluated_run: RunFolder) -> None:
    worker = quality.follow(evaluated_run)
    view = quality.panel.curves
    quality.pick(view.measure, "Agreement")
    assert [curve.key for curve in view.shares.curves] == ["agreement"]
    quality.pick(view.measure, "KL")
    assert view.figures.isVisible()
    assert not view.shares.isVisible()
    assert [curve.key for curve in view.figures.curves] == ["kl"]
    expected = worker.series("student", "validation", "kl").values
    assert np.allclose(view.figures.curves[0].line.yData, expected)
    assert view.table()[1][3] == "kl"


def test_compared_runs(quality: Shown, evaluated_run: RunFolder, tmp_path: Path, qtbot: QtBot) -> None:
    quality.follow(evaluated_run)
    other = read(qtbot, write_run(tmp_path / "runs" / "made" / "002", Story(epochs=3)))
    quality.panel.compare([other])
    draw(quality.panel)
    plot = quality.panel.curves.shares
    assert [curve.label for curve in plot.curves] == ["teacher", "student", "baseline", "made/002"]
    assert plot.curves[3].data.count == 3
    quality.panel.compare([])
    draw(quality.panel)
    assert len(plot.curves) == 3


# -- other runs, themes, saving -----------------------------------------------------------------------------------


def test_no_teacher(quality: Shown, tmp_path: Path) -> None:
    recipe = replace(Recipe(), teacher=False, phase="training")
    run = make_run(tmp_path / "runs" / "made" / "005", recipe)
    quality.follow(run)
    for view in VIEWS:
        quality.choose(view)
        assert not quality.panel.grab().isNull()
    assert [quality.panel.confusion.pair.itemText(index) for index in range(quality.panel.confusion.pair.count())] == [
        "Student against label"
    ]
    gap = quality.panel.classes.order.model().item(2)  # type: ignore[attr-defined]
    assert not gap.isEnabled()
    evaluated(run, teacher=False)
    draw(quality.panel)
    for view in VIEWS[1:]:
        quality.choose(view)
    assert quality.panel.samples.which.currentText() == "Worst"


def test_damaged_snapshots_and_scorecard(quality: Shown, tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs" / "made" / "006", Recipe(snapshots=2, broken=(1, 2), phase="training"))
    run.scorecard_path.write_text("{")
    quality.follow(run)
    for view in VIEWS:
        quality.choose(view)
        assert not quality.panel.grab().isNull()


def test_another_run_takes_over(quality: Shown, evaluated_run: RunFolder, tmp_path: Path) -> None:
    quality.follow(evaluated_run)
    for view in VIEWS:
        quality.choose(view)
    quality.follow(make_run(tmp_path / "runs" / "made" / "007", Recipe(classes=4, pool=40, phase="training")))
    for view in VIEWS:
        quality.choose(view)
    assert quality.panel.confusion._counts.shape == (4, 4)  # type: ignore[union-attr]
    assert len(quality.panel.classes.bars.order) == 4


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_is_saved_in_both_themes(
    quality: Shown, evaluated_run: RunFolder, tmp_path: Path, view: str
) -> None:
    quality.follow(evaluated_run)
    quality.choose(view)
    for choice in ("light", "dark"):
        quality.panel.theme.apply(choice)
        path = tmp_path / f"{view}-{choice}.png"
        quality.panel.save(path, "png")
        assert path.stat().st_size > 1000
    quality.panel.save(tmp_path / "x.svg", "svg")
    quality.panel.save(tmp_path / "x.csv", "csv")
    assert (tmp_path / "x.svg").stat().st_size > 1000
    rows = list(csv.reader((tmp_path / "x.csv").open()))
    assert len(rows) > 3
    assert len({len(row) for row in rows}) == 1


def tabs(quality: Shown) -> list[bool]:
    return [quality.panel.switch.switch.isTabEnabled(index) for index in range(5)]


def test_of_taggers_classes_are_kinds_of_tags(quality: Shown, tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs" / "made" / "002")
    evaluated_as(run, "f1")
    quality.follow(run)
    assert tabs(quality) == [True, True, True, True, False]
    assert "The evaluation keeps no single sentences" in quality.panel.switch.switch.tabToolTip(4)
    view = quality.choose("classes")
    assert view.bars.facts.classes == ["LOC", "PER"]
    assert "60 words of the test samples" in view.legend.text()
    assert "80.0 %" in view.legend.text(), "F1 of the student"
    assert view.bars.words(1).startswith("PER, F1: teacher 44.0 %")
    quality.pick(view.measure, "Precision")
    draw(quality.panel)
    assert view.bars.words(0).startswith("LOC, Precision: teacher 90.0 %")
    heads, first, _ = view.table()
    assert first[heads.index("student recall")] == 0.8
    quality.choose("confusion")
    quality.choose("calibration")
    run = write_run(tmp_path / "runs" / "made" / "003")
    evaluated(run)
    quality.follow(run)
    view = quality.choose("classes")
    assert view.measure.isHidden()
    assert "class 3: teacher" in view.bars.words(3)


def test_a_tab_without_anything_behind_it_says_why(quality: Shown, tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs" / "made" / "002")
    quality.follow(run)
    assert not any(tabs(quality)[1:])
    bar = quality.panel.switch.switch
    assert "with the first snapshot" in bar.tabToolTip(1)
    evaluated_as(run, "perplexity")
    draw(quality.panel)
    assert tabs(quality) == [True, False, False, False, False]
    reasons = [bar.tabToolTip(index) for index in range(1, 5)]
    assert len(set(reasons)) == 4
    assert all("anguage model" in reason for reason in reasons)
    assert not quality.panel.source.isVisible()
    quality.panel.window().resize(900, 760)
    draw(quality.panel)
    classes = quality.panel.classes
    assert classes.isVisible()
    assert classes.note.words.text() == reasons[0]
    assert not classes.bars.isVisible()
    assert not classes.options.isVisible()
    evaluated(run)
    draw(quality.panel)
    assert all(tabs(quality))
    assert classes.bars.isVisible()
    assert not classes.note.isVisible()


def test_a_tagger_that_was_evaluated_by_an_earlier_version(quality: Shown, tmp_path: Path) -> None:
    """It has F1 of each kind, and no confusions; nothing breaks where a tall panel shows that view."""
    run = write_run(tmp_path / "runs" / "made" / "002")
    card = evaluated_as(run, "f1")
    for network in card["networks"].values():
        for key in ("confusion", "reliability", "per_class"):
            del network["test"][key]
            network["validation"].pop(key, None)
    run.scorecard_path.write_text(json.dumps(card))
    quality.follow(run)
    assert tabs(quality) == [True, True, False, False, False]
    assert "kdstudio evaluate" in quality.panel.switch.switch.tabToolTip(2)
    quality.panel.window().resize(900, 760)
    quality.panel.switch.switch.setCurrentIndex(2)
    draw(quality.panel)
    assert quality.panel.confusion.note.isVisible()
    quality.panel.save(tmp_path / "panel.csv", "csv")
    assert "F1" not in (tmp_path / "panel.csv").read_text(encoding="utf-8")
    assert quality.choose("classes").bars.facts.classes == ["LOC", "PER"]


def test_kinds_of_tags_are_followed_while_a_tagger_learns(quality: Shown, tmp_path: Path) -> None:
    run = make_tag_run(tmp_path / "tags", TagRecipe(phase="training"))
    quality.follow(run)
    assert "F1 score on validation sentences" in quality.panel.empty.words.text()
    lines = []
    for stage, scores in (("teacher", [0.9]), ("student", [0.2, 0.6])):
        for epoch, score in enumerate(scores):
            values = {"loss": 1.0, "f1": score, "precision": score, "recall": score}
            values |= {f"{name}.PER": score / 2 for name in ("f1", "precision", "recall")}
            place = {"step": 30 + 30 * epoch, "epoch": epoch, "stage": stage, "split": "validation", "time": 1.0}
            lines.append(json.dumps({**place, "values": values}))
    run.metrics_path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    quality.follow(run)
    assert tabs(quality) == [True, True, False, False, False]
    assert "when the run is finished" in quality.panel.switch.switch.tabToolTip(2)
    view = quality.choose("classes")
    assert view.bars.words(0) == "PER, F1: teacher 45.0 %, student 30.0 %"
    assert "step 75, validation sentences" in view.legend.text()
    quality.moment.go(2)
    draw(quality.panel)
    assert view.bars.words(0) == "PER, F1: teacher 45.0 %, student 10.0 %", "the epoch before the shown moment"
    evaluated_as(run, "f1")
    draw(quality.panel)
    assert view.bars.facts.classes == ["LOC", "PER"]
    assert tabs(quality) == [True, True, True, True, False]


def test_the_axis_says_what_is_drawn(quality: Shown) -> None:
    curves = quality.panel.curves
    curves._offer(frozenset(LANGUAGE))
    for key, words in (("perplexity", "Perplexity"), ("kl", "nats")):
        curves.measure.setCurrentIndex(curves.measure.findData(key))
        curves._show_plot()
        assert curves.figures.chart.y_label == words
