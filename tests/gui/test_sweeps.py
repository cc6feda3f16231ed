"""Sweeps in the window: fields are chosen by clicks, a real sweep runs and is followed, its best values are used."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QContextMenuEvent
from PySide6.QtWidgets import QApplication, QFileDialog, QMenu
from pytestqt.qtbot import QtBot

from kdstudio.gui.main_window import MainWindow
from kdstudio.gui.sweeps.dialog import SweepDialog
from kdstudio.gui.sweeps.suggestions import field_title, partners_of, sweepable, usual_values
from kdstudio.project.folder import Project
from kdstudio.project.runs.folder import write_bytes
from kdstudio.project.runs.state import RunState, encode_state
from kdstudio.project.spec import validate
from kdstudio.project.spec.sweep import SweepSpec
from kdstudio.project.sweeps.folder import Sweep, sweep_names
from kdstudio.project.sweeps.trials import Outcome, make_run, read_trials

LEFT = Qt.MouseButton.LeftButton
PATIENCE = 180_000
T, W, H = "objective.1.temperature", "objective.1.weight", "objective.0.weight"


@pytest.fixture
def window(
    make_window: Callable[..., MainWindow], digits: Project, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MainWindow]:
    monkeypatch.setitem(os.environ, "OMP_NUM_THREADS", "1")
    made = make_window(digits)
    made.open_experiment(digits.path_of("soft-targets"))
    yield made
    made.sweeps.close()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


def opened(qtbot: QtBot, window: MainWindow) -> SweepDialog:
    """The dialog, by the button of the Runs page."""
    window.show_page("runs")
    window.runs.sweeps.clicked.emit()
    dialog = window.sweeps.dialog
    assert dialog is not None
    qtbot.waitExposed(dialog)
    return dialog


def swept(project: Project, *scores: float, name: str = "earlier") -> Sweep:
    """A sweep with finished trials, as its processes leave it."""
    values = [1, 2, 4, 8][: len(scores)]
    said: dict[str, Any] = {"experiment": "soft-targets", "fields": [{"path": T, "values": values}]}
    sweep = Sweep.create(project, name, validate(SweepSpec, said), project.load("soft-targets"))
    for number, (value, score) in enumerate(zip(values, scores)):
        run = make_run(sweep, number, {T: value}, 0).run
        write_bytes(run.state_path, encode_state(RunState(phase="finished", best=score)))
    return sweep


def test_fields_have_names_and_usual_values(digits: Project) -> None:
    experiment = digits.load("soft-targets")
    paths = sweepable(experiment)
    assert {T, W, "train.lr", "train.epochs", "student.widths"} <= set(paths)
    assert not {"train.seed", "name", "train.device", "objective.0.term"} & set(paths)
    assert field_title(experiment, T) == "Soft targets: temperature"
    assert field_title(experiment, "train.lr") == "Learning rate"
    assert partners_of(experiment, W) == [H]
    assert usual_values(experiment, "train.lr") == ("0.001..0.1", True)
    assert usual_values(experiment, "student.widths") == ("[[16], [32], [64]]", False)


def test_a_field_is_chosen_by_a_click_on_the_setup_page(
    qtbot: QtBot, window: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    window.show_page("setup")
    window.setup_page.show_field(T)
    box = window.setup_page.context.boxes[T]
    qtbot.waitUntil(box.isVisible)
    offered: list[str] = []

    class Chosen(QMenu):
        def exec(self, *_: object) -> None:  # type: ignore[override]
            offered.extend(action.text() for action in self.actions())
            self.actions()[0].trigger()

    monkeypatch.setattr("kdstudio.gui.setup.fields.QMenu", Chosen)
    place = box.label.rect().center()
    event = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, place, box.label.mapToGlobal(place))
    QApplication.sendEvent(box.label, event)
    assert offered == ["Vary temperature in a sweep..."]
    dialog = window.sweeps.dialog
    assert dialog is not None
    assert [row.path for row in dialog.editor.rows] == [T]
    assert dialog.editor.rows[0].line.text() == "1, 2, 4, 8, 16"
    assert dialog.editor.amount.text() == "5 trials: 5 runs of 6 epochs"
    assert dialog.start.isEnabled()


def test_wrong_values_are_told_where_they_stand(qtbot: QtBot, window: MainWindow) -> None:
    dialog = opened(qtbot, window)
    assert not dialog.start.isEnabled()
    assert dialog.editor.empty.isVisible()
    dialog.editor.add_field("train.lr")
    row = dialog.editor.rows[0]
    assert row.log.isChecked()
    row.line.clear()
    qtbot.keyClicks(row.line, "2..1")
    assert "low (2) is not below high (1)" in row.error.text()
    assert row.error.isVisible()
    assert not dialog.start.isEnabled()
    row.line.clear()
    qtbot.keyClicks(row.line, "-1, 0.1")
    assert dialog.start.isEnabled()  # each value is a number
    qtbot.mouseClick(dialog.start, LEFT)
    assert "fields.0" in dialog.error.text()  # and one of them is none for this field
    assert sweep_names(window.project) == []  # type: ignore[arg-type]
    qtbot.mouseClick(row.remove, LEFT)
    assert not dialog.editor.rows


def test_the_rest_to_one_goes_to_the_other_weight(qtbot: QtBot, window: MainWindow) -> None:
    dialog = opened(qtbot, window)
    dialog.editor.add_field(W)
    row = dialog.editor.rows[0]
    assert row.rest.currentText() == "Hard labels: weight gets the rest to 1"
    spec = dialog.editor.read()
    assert spec is not None
    assert spec.fields[0].changes(0.3) == {W: 0.3, H: 0.7}
    row.rest.setCurrentIndex(0)
    row.rest.activated.emit(0)
    spec = dialog.editor.read()
    assert spec is not None
    assert spec.fields[0].rest is None


def test_a_real_sweep_runs_is_followed_and_used(qtbot: QtBot, window: MainWindow, digits: Project) -> None:
    dialog = opened(qtbot, window)
    dialog.editor.add_field(T)
    row = dialog.editor.rows[0]
    row.line.selectAll()
    qtbot.keyClicks(row.line, "1, 5")
    qtbot.mouseClick(dialog.start, LEFT)
    assert dialog.error.isHidden()
    assert dialog.following.going
    assert dialog.which.currentText() == "soft-targets-sweep"
    assert not dialog.start.isEnabled()
    assert not row.line.isEnabled() or row not in dialog.editor.rows
    qtbot.waitUntil(lambda: dialog.state.text() == "Finished: 2 trials", timeout=PATIENCE)
    trials = read_trials(Sweep.open(digits, "soft-targets-sweep"))
    assert [trial.outcome for trial in trials.trials] == [Outcome.FINISHED] * 2
    assert dialog.stack.currentIndex() == 1
    best = trials.best
    assert best is not None
    assert dialog.chosen == best.number
    assert "On test samples it has" in dialog.sentence.text()
    assert not dialog.start.isEnabled()
    # the other one is chosen in the table, and its values are used
    other = 1 - best.number
    rows = [trial.number for trial in dialog.model.rows]
    index = dialog.table.model().index(rows.index(other), 0)
    qtbot.mouseClick(dialog.table.viewport(), LEFT, pos=dialog.table.visualRect(index).center())
    assert dialog.chosen == other
    document = window.setup_page.context.document
    before = document.get(T)
    qtbot.mouseClick(dialog.use, LEFT)
    assert document.get(T) == trials.trials[other].values[T]
    document.undo_stack.undo()
    assert document.get(T) == before
    qtbot.mouseClick(dialog.show_run, LEFT)
    assert window.control.run == trials.trials[other].runs[0].run


def test_one_that_goes_is_stopped_and_goes_on(qtbot: QtBot, window: MainWindow, digits: Project) -> None:
    document = window.setup_page.context.document
    document.edit("Change epochs", {"train.epochs": 4000})
    dialog = opened(qtbot, window)
    dialog.editor.add_field(T)
    qtbot.mouseClick(dialog.start, LEFT)
    qtbot.waitUntil(lambda: dialog.state.text() == "0 of 5 trials are over", timeout=PATIENCE)
    qtbot.mouseClick(dialog.stop, LEFT)
    qtbot.waitUntil(lambda: dialog.state.text().startswith("Stopped at 0 of 5 trials"), timeout=PATIENCE)
    assert dialog.start.isEnabled()
    assert dialog.start.text() == "&Go on"
    assert [run.status().value for run in digits.runs("soft-targets-sweep")] == ["parked"]
    children = psutil.Process().children(recursive=True)
    assert not [child for child in children if "sweep" in child.cmdline()]


def test_an_earlier_sweep_is_shown_and_frozen(qtbot: QtBot, window: MainWindow, digits: Project) -> None:
    swept(digits, 0.8, 0.9, 0.85)
    dialog = opened(qtbot, window)
    assert dialog.which.currentText() == "earlier"
    assert dialog.state.text() == "Finished: 3 trials"
    assert not dialog.editor.rows[0].line.isEnabled()
    assert not dialog.editor.add.isEnabled()
    assert [trial.number for trial in dialog.model.rows] == [1, 2, 0]
    assert dialog.table.model().index(0, 2).data() == "90.00"
    # a further seed makes work again
    dialog.editor.seeds.setValue(2)
    assert dialog.start.isEnabled()
    dialog.editor.seeds.setValue(1)
    assert not dialog.start.isEnabled()
    # a new one begins empty, under a name of its own
    dialog.which.setCurrentIndex(0)
    dialog.which.activated.emit(0)
    assert dialog.editor.rows == []
    assert dialog.editor.name.text() == "soft-targets-sweep"
    assert dialog.state.text() == "A new sweep"


def test_plots_choose_trials_by_clicks_and_keys(qtbot: QtBot, window: MainWindow, digits: Project) -> None:
    swept(digits, 0.8, 0.9, 0.85)
    dialog = opened(qtbot, window)
    view = dialog.parallel
    assert [axis.title for axis in view.axes] == ["Soft targets: temperature", "Validation accuracy %"]
    assert [text for _, text in view.axes[0].ticks] == ["1", "2", "4"]
    line = view._line(0)
    place = QPointF((line[0].x() * 3 + line[1].x()) / 4, (line[0].y() * 3 + line[1].y()) / 4)
    assert view.trial_at(place) == 0
    qtbot.mouseClick(view, LEFT, pos=place.toPoint())
    assert dialog.chosen == 0
    assert view.trial_at(QPointF(-50, -50)) is None
    view.setFocus()
    qtbot.keyClick(view, Qt.Key.Key_Up)
    assert dialog.chosen == 2
    qtbot.keyClick(view, Qt.Key.Key_Up)
    assert dialog.chosen == 1
    chart = dialog.best
    chart.setFocus()
    qtbot.keyClick(chart, Qt.Key.Key_Left)
    assert dialog.chosen == 0
    x, y = chart._stairs.getData()
    assert list(x) == [0, 1, 2, 2][: len(x)] or list(x) == [0, 1, 2, 3]
    assert list(y)[:3] == pytest.approx([80, 90, 90])
    spot = chart.place_of(2, 85)
    qtbot.mouseClick(chart.viewport(), LEFT, pos=QPoint(round(spot.x()), round(spot.y())))
    assert dialog.chosen == 2


def test_tables_are_saved(
    qtbot: QtBot, window: MainWindow, digits: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept(digits, 0.8, 0.9)
    dialog = opened(qtbot, window)
    for button, name, start in (
        (dialog.csv, "t.csv", f"trial,status,{T}"),
        (dialog.markdown, "t.md", f"| trial | status | {T}"),
    ):
        target = tmp_path / name
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, target=target, **__: (str(target), ""))
        qtbot.mouseClick(button, LEFT)
        assert target.read_text().startswith(start)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, **__: (str(tmp_path / "t.md" / "t.csv"), ""))
    qtbot.mouseClick(dialog.csv, LEFT)
    assert dialog.error.isVisible()


def test_a_damaged_sweep_is_told(qtbot: QtBot, window: MainWindow, digits: Project) -> None:
    sweep = swept(digits, 0.8)
    (sweep.path / "sweep.yaml").write_text("fields: 3")
    dialog = opened(qtbot, window)
    dialog.which.setCurrentIndex(1)
    dialog.which.activated.emit(1)
    assert "sweeps/earlier/sweep.yaml" in dialog.error.text()
    assert dialog.error.isVisible()
