"""The losses panel: terms weighted and not, stages, marks, reference lines, comparison with earlier runs."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from kdstudio.gui.monitor.losses import LossesPanel
from kdstudio.gui.monitor.plot import Curve
from kdstudio.gui.monitor.run_styles import MOST, RunStyles
from kdstudio.gui.theme import Theme
from kdstudio.gui.words import and_then
from kdstudio.project.runs.folder import RunFolder
from tests.gui.metric_runs import RunWriter, Story, write_run
from tests.gui.panels import LEFT, draw, follow, read, show


def folder(tmp_path: Path, number: int = 1) -> Path:
    return tmp_path / "runs" / "made" / f"{number:03d}"


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return write_run(folder(tmp_path))


@pytest.fixture
def panel(qtbot: QtBot, theme: Theme) -> LossesPanel:
    found = LossesPanel(theme)
    show(qtbot, found)
    assert found.series.logarithmic, "what a loss does after its first steps is small against where it began"
    found.series.set_options(logarithmic=False)  # so that drawn points are values
    return found


def labels(panel: LossesPanel) -> list[str]:
    return [entry.entry.name for entry in panel.series.legend.entries]


def named(panel: LossesPanel, label: str) -> Curve:
    return next(curve for curve in panel.series.curves if curve.label == label)


def marks(panel: LossesPanel) -> list[tuple[str, float]]:
    return [(mark.words, mark.step) for mark in panel.series.marks]


def choose(qtbot: QtBot, panel: LossesPanel, box: str, text: str) -> None:
    """Chooses an entry of a box in the head, by keys."""
    combo = getattr(panel, box)
    combo.setFocus()
    while combo.currentText() != text:
        before = combo.currentIndex()
        qtbot.keyClick(combo, Qt.Key.Key_Down)
        if combo.currentIndex() == before:
            qtbot.keyClick(combo, Qt.Key.Key_Home)
    combo.activated.emit(combo.currentIndex())
    QApplication.processEvents()


def test_it_begins_empty(panel: LossesPanel) -> None:
    assert panel.stack.currentIndex() == 0
    assert not panel.menu_button.isEnabled()


def test_a_first_stage_is_shown_beside_the_networks(qtbot: QtBot, panel: LossesPanel, tmp_path: Path) -> None:
    writer = RunWriter(folder(tmp_path), Story(("teacher", "student")))
    writer.event("stage", "factor-first", 0)
    for step in range(20):
        writer.add(split="train", stage="factor-first", step=step, epoch=step // 10, values={"loss": 9.0 - step / 4})
    writer.event("resume", "factor-first", 12)
    writer.stage("student")
    writer.write_state()
    follow(qtbot, panel, writer.run)
    assert [panel.stage.itemText(index) for index in range(panel.stage.count())] == ["first stage of factor", "student"]
    assert panel.stage.currentText() == "student"
    choose(qtbot, panel, "stage", "first stage of factor")
    assert labels(panel) == ["total"]
    assert ("resumed", 12) in marks(panel)
    assert and_then("2 min", "factor-first", baseline=True) == "2 min, then the student and the baseline"


def test_a_term_of_any_method_has_a_curve_and_a_tip(qtbot: QtBot, panel: LossesPanel, tmp_path: Path) -> None:
    story = Story(("student",), terms=("soft", "reverse-kl", "jsd", "soft-2"), weights=(1, 1, 1, 1))
    writer = RunWriter(folder(tmp_path), story)
    text = writer.run.experiment_path.read_text(encoding="utf-8").replace("term: soft-2", "term: soft")
    writer.run.experiment_path.write_text(text, encoding="utf-8")
    writer.stage("student")
    writer.write_state()
    follow(qtbot, panel, writer.run)
    assert labels(panel)[1:5] == ["soft", "reverse-kl", "jsd", "soft-2"]
    assert named(panel, "reverse-kl").tip.startswith("Reverse KL: T^2 KL(student || teacher)")
    assert named(panel, "soft-2").tip == named(panel, "soft").tip


def test_the_student_is_shown_with_every_term_and_validation(qtbot: QtBot, panel: LossesPanel, run: RunFolder) -> None:
    follow(qtbot, panel, run)
    assert panel.stack.currentIndex() == 1
    assert [panel.stage.itemText(index) for index in range(panel.stage.count())] == ["teacher", "student", "baseline"]
    assert panel.stage.currentText() == "student"
    assert labels(panel) == [
        "total", "hard", "soft", "validation", "hard, validation", "soft, validation", "teacher's validation",
    ]  # fmt: skip


def test_weighted_terms_sum_to_the_total(qtbot: QtBot, panel: LossesPanel, run: RunFolder) -> None:
    follow(qtbot, panel, run)
    panel.series.set_options(smoothing=0.0)
    total, hard, soft = (named(panel, label).line.yData for label in ("total", "hard", "soft"))
    assert np.allclose(total, hard + soft)


def test_unweighted_shows_each_loss_itself(qtbot: QtBot, panel: LossesPanel, run: RunFolder) -> None:
    worker = follow(qtbot, panel, run)
    choose(qtbot, panel, "weighted", "unweighted")
    panel.series.set_options(smoothing=0.0)
    assert np.allclose(named(panel, "soft").line.yData, worker.series("student", "train", "term.soft").values)
    assert "hard, validation" not in labels(panel)  # it is the validation loss once more
    assert "soft, validation" in labels(panel)


def test_gradient_shares_are_parts_of_a_whole(qtbot: QtBot, panel: LossesPanel, run: RunFolder, tmp_path: Path) -> None:
    follow(qtbot, panel, run)
    panel.series.set_options(logarithmic=True)
    choose(qtbot, panel, "weighted", "gradient shares")
    assert panel.note.isVisible(), "this run has none"
    choose(qtbot, panel, "weighted", "weighted")
    assert not panel.note.isVisible()
    assert panel.series.logarithmic
    with run.metrics_path.open("a") as file:
        for seq, (step, share) in enumerate(((19, 0.25), (39, 0.5)), 1000):
            values = {"term.hard": share, "term.soft": 1 - share}
            record = {"seq": seq, "step": step, "epoch": 1, "stage": "student", "time": 1e9, "split": "gradient"}
            file.write(json.dumps({**record, "values": values}) + "\n")
    follow(qtbot, panel, run)
    before = named(panel, "soft").colour(panel.theme.tokens)
    choose(qtbot, panel, "weighted", "gradient shares")
    assert labels(panel) == ["hard", "soft"]
    assert not panel.series.logarithmic
    assert named(panel, "soft").colour(panel.theme.tokens) == before
    rows = [row for row in panel.table()[1:] if row[3] == "term.soft"]
    assert [(row[4], row[6]) for row in rows] == [(19, 75.0), (39, 50.0)]


def test_validation_terms_are_weighted_as_in_training(qtbot: QtBot, panel: LossesPanel, run: RunFolder) -> None:
    worker = follow(qtbot, panel, run)
    plain = worker.series("student", "validation", "term.soft").values
    assert np.allclose(named(panel, "soft, validation").line.yData, 0.9 * plain)
    choose(qtbot, panel, "weighted", "unweighted")
    assert np.allclose(named(panel, "soft, validation").line.yData, plain)


def test_stages_can_be_chosen_and_stay_chosen(qtbot: QtBot, panel: LossesPanel, run: RunFolder) -> None:
    worker = follow(qtbot, panel, run)
    choose(qtbot, panel, "stage", "teacher")
    assert labels(panel)[:2] == ["total", "validation"]  # a single term is the total
    assert {curve.stage for curve in panel.series.curves} == {"teacher"}
    draw(panel)
    assert panel.stage.currentText() == "teacher"
    panel.set_worker(None)
    assert panel.stack.currentIndex() == 0
    panel.set_worker(worker)
    draw(panel)
    assert panel.stage.currentText() == "student"


def test_it_follows_a_run_from_stage_to_stage(qtbot: QtBot, panel: LossesPanel, tmp_path: Path) -> None:
    writer = RunWriter(folder(tmp_path), Story())
    writer.stage("teacher", 2)
    worker = follow(qtbot, panel, writer.run)
    assert panel.stage.currentText() == "teacher"
    writer.stage("student", 1)
    worker._follower.read_all()
    draw(panel)
    assert panel.stage.currentText() == "student"


def test_marks_of_what_happened(qtbot: QtBot, panel: LossesPanel, tmp_path: Path) -> None:
    writer = RunWriter(folder(tmp_path), Story(stages=("student",)))
    writer.stage("student", 2)
    writer.event("hold", "student", 20, 2)
    writer.now += 125
    writer.event("continue", "student", 20, 2)
    for step in range(20, 25):
        writer.step("student", step)
    writer.event("resume", "student", 19, 2)
    for step in range(20, 30):
        writer.step("student", step)
    writer.validate("student", 2)
    writer.event("early-stop", "student", 30, 3)
    follow(qtbot, panel, writer.run)
    assert marks(panel) == [("resumed", 19), ("hold 2 min 05 s", 20), ("best", 29), ("early stop", 30)]


def test_a_best_epoch_that_was_taken_back_is_no_mark(qtbot: QtBot, panel: LossesPanel, tmp_path: Path) -> None:
    writer = RunWriter(folder(tmp_path), Story(stages=("student",)))
    writer.stage("student", 2)
    writer.event("resume", "student", 14, 1)
    follow(qtbot, panel, writer.run)
    assert marks(panel) == [("resumed", 14)]


def test_terms_that_start_and_end_are_marked(qtbot: QtBot, panel: LossesPanel, tmp_path: Path) -> None:
    run = write_run(folder(tmp_path))
    text = run.experiment_path.read_text()
    text = text.replace("{term: hard, weight: 0.1}", "{term: hard, weight: 0.1, until_epoch: 2}")
    run.experiment_path.write_text(
        text.replace("{term: soft, weight: 0.9}", "{term: soft, weight: 0.9, from_epoch: 1}")
    )
    follow(qtbot, panel, run)
    assert ("soft starts", 9) in marks(panel)
    assert ("hard ends", 19) in marks(panel)


def test_lines_of_teacher_and_baseline(qtbot: QtBot, panel: LossesPanel, run: RunFolder) -> None:
    networks = {name: {"validation": {"nll": nll}} for name, nll in (("teacher", 0.11), ("baseline", 0.22))}
    card = {"networks": networks, "headline": {}, "reported_split": "test"}
    follow(qtbot, panel, run)
    # until the scorecard is there, the best epoch of a teacher that was trained in this run stands for it
    assert [(line.label, round(line.value, 6)) for line in panel.series.lines] == [("teacher's validation", 0.2)]
    run.scorecard_path.write_text(json.dumps(card))
    draw(panel)
    found = [(line.label, line.value) for line in panel.series.lines]
    assert found == [("teacher's validation", 0.11), ("baseline's validation", 0.22)]
    choose(qtbot, panel, "stage", "teacher")
    assert panel.series.lines == []
    choose(qtbot, panel, "stage", "baseline")
    assert [line.label for line in panel.series.lines] == ["teacher's validation"]


def test_hard_labels_alone(qtbot: QtBot, panel: LossesPanel, tmp_path: Path) -> None:
    run = write_run(folder(tmp_path), Story(stages=("student",), terms=("hard",), weights=(1.0,)))
    follow(qtbot, panel, run)
    assert labels(panel) == ["total", "validation"]
    choose(qtbot, panel, "weighted", "unweighted")
    assert labels(panel) == ["total", "hard", "validation"]


def test_an_interrupted_run_and_a_damaged_experiment(qtbot: QtBot, panel: LossesPanel, tmp_path: Path) -> None:
    writer = RunWriter(folder(tmp_path), Story(phase="training"))
    writer.stage("student", 1)
    writer.run.experiment_path.write_text("{")
    with writer.run.metrics_path.open("a") as file:
        file.write('{"seq": 99, "step": 10, "split": "tr')
    follow(qtbot, panel, writer.run)
    assert "soft" in labels(panel)
    assert panel.series.curves[0].data.count == 10


def test_a_compared_run_is_shown_beside(qtbot: QtBot, panel: LossesPanel, run: RunFolder, tmp_path: Path) -> None:
    other = read(qtbot, write_run(folder(tmp_path, 2), Story(epochs=3)))
    follow(qtbot, panel, run)
    before = labels(panel)
    panel.compare([other])
    draw(panel)
    assert labels(panel) == [*before[:6], "made/002", *before[6:]]
    assert panel.series.legend.hidden == {"hard", "soft", "hard, validation", "soft, validation"}
    shown = {curve.label for curve in panel.series.shown_curves()}
    assert shown == {"total", "validation", "made/002", "made/002, validation"}
    entry = next(entry for entry in panel.series.legend.entries if entry.entry.name == "made/002")
    qtbot.mouseClick(entry, LEFT)  # one entry hides all of a run's curves
    assert {curve.label for curve in panel.series.shown_curves()} == {"total", "validation"}
    panel.compare([])
    draw(panel)
    assert labels(panel) == before
    assert not panel.series.legend.hidden & set(before)


def test_the_shown_run_is_not_compared_with_itself(qtbot: QtBot, panel: LossesPanel, run: RunFolder) -> None:
    worker = follow(qtbot, panel, run)
    panel.compare([worker])
    draw(panel)
    assert "made/001" not in labels(panel)


def test_twenty_compared_runs(qtbot: QtBot, panel: LossesPanel, run: RunFolder, tmp_path: Path) -> None:
    story = Story(stages=("student",), epochs=1, per_epoch=4)
    workers = [read(qtbot, write_run(folder(tmp_path, number), story)) for number in range(2, 22)]
    follow(qtbot, panel, run)
    panel.compare(workers)
    draw(panel)
    looks = {(curve.colour(panel.theme.tokens), curve.dash) for curve in panel.series.curves if curve.worker}
    assert len(looks) == 20
    assert panel.series.chart.height() > 150


def test_a_run_keeps_its_style_whatever_comes_and_goes() -> None:
    runs = [RunFolder(Path(f"/runs/made/{number:03d}")) for number in range(MOST + 3)]
    styles = RunStyles()
    styles.keep(runs[:6])
    kept = {run: styles.of(run) for run in runs[:6]}
    styles.keep(runs[2:12])
    assert all(styles.of(run) == kept[run] for run in runs[2:6])
    styles.keep(runs[:MOST])
    assert len({styles.of(run) for run in runs[:MOST]}) == MOST
    styles.keep(runs)  # more than there are styles: shared, and no error
    fresh = RunStyles()
    fresh.keep([runs[4]])
    again = RunStyles()
    again.keep([runs[4]])
    assert fresh.of(runs[4]) == again.of(runs[4])


@pytest.mark.parametrize("kind", ["png", "svg", "csv"])
def test_it_is_saved(qtbot: QtBot, panel: LossesPanel, run: RunFolder, tmp_path: Path, kind: str) -> None:
    follow(qtbot, panel, run)
    path = tmp_path / f"losses.{kind}"
    panel.save(path, kind)
    assert path.stat().st_size > 1000
    if kind == "csv":
        rows = list(csv.reader(path.open()))
        assert rows[0][-1] == "value"
        assert len(rows) == 1 + 3 * 60 + 3 * 6


def test_both_themes(qtbot: QtBot, panel: LossesPanel, run: RunFolder) -> None:
    follow(qtbot, panel, run)
    for choice in ("light", "dark"):
        panel.theme.apply(choice)
        assert panel.series.curves[0].line.opts["pen"].color().name() == panel.theme.tokens.total


def test_twenty_runs_one_after_the_other_leave_nothing(qtbot: QtBot, panel: LossesPanel, run: RunFolder) -> None:
    for _ in range(20):
        follow(qtbot, panel, run)
    items = len(panel.series.item.items)
    follow(qtbot, panel, run)
    assert len(panel.series.item.items) == items
    assert len(panel.series.curves) == 6


def test_a_term_that_counts_alone_at_first_is_named(qtbot: QtBot, panel: LossesPanel, tmp_path: Path) -> None:
    story = Story(stages=("student",), terms=("hard",), weights=(1.0,))
    run = write_run(folder(tmp_path), story)
    text = run.experiment_path.read_text()
    text += "  - {term: soft, weight: 0.9, from_epoch: 5}\nteacher: {model: mlp, widths: [16]}\n"
    run.experiment_path.write_text(text)
    follow(qtbot, panel, run)
    assert labels(panel)[:2] == ["total", "hard"]
