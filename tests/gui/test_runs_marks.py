"""The Runs page: marks on runs, columns that a person chooses, and quality against cost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QDialog
from pytestqt.qtbot import QtBot

from kdstudio.cli import main
from kdstudio.gui.main_window import MainWindow
from kdstudio.gui.runs.marks_dialog import MarksDialog
from kdstudio.gui.runs.pareto import COSTS, frontier
from kdstudio.gui.runs.table import COLUMNS
from kdstudio.project.folder import Project
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.marks import FILE, Marks, read_marks, write_marks
from tests.gui.synthetic import finished_run

LEFT = Qt.MouseButton.LeftButton
TITLES = [column.title for column in COLUMNS]
MARKS = TITLES.index("Marks")


def texts(window: MainWindow, column: int) -> list[str]:
    proxy = window.runs.proxy
    return [proxy.index(row, column).data() for row in range(proxy.rowCount())]


def test_marks_are_kept_and_damaged_ones_are_none(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert read_marks(run) == Marks()
    write_marks(run, Marks(star=True, tags=["a"], note="so\nit is"))
    assert read_marks(run).text == "★ #a so it is"
    (tmp_path / FILE).write_text("{")
    assert read_marks(run) == Marks()
    write_marks(run, Marks())
    assert not (tmp_path / FILE).exists()


def test_the_command_marks(digits: Project, capsys: pytest.CaptureFixture[str]) -> None:
    run = finished_run(digits)
    path = str(run.path)
    assert main(["mark", path, "--star", "--tag", "#best, paper", "--note", "the one"]) == 0
    assert capsys.readouterr().out == f"{run.name}  ★ #best #paper the one\n"
    assert main(["mark", path, "--no-star", "--untag", "best"]) == 0
    assert read_marks(run) == Marks(tags=["paper"], note="the one")
    assert main(["mark", path, "--tag", "x" * 41]) == 2
    assert "longer than 40 letters" in capsys.readouterr().err
    assert main(["mark", path + "x"]) == 2


def test_a_person_marks_the_shown_run(
    qtbot: QtBot, make_window: Callable[..., MainWindow], digits: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, other = finished_run(digits), finished_run(digits)
    window = make_window(digits)
    window.show_page("runs")

    class Answered(MarksDialog):
        def exec(self) -> int:
            self.star.setChecked(True)
            self.tags.setText("#best")
            self.show()
            qtbot.mouseClick(self.keep, LEFT)
            return self.result()

    monkeypatch.setattr("kdstudio.gui.result_actions.MarksDialog", Answered)
    window.control.show(run)
    window.actions_by_name["marks"].trigger()
    assert read_marks(run) == Marks(star=True, tags=["best"])
    assert set(texts(window, MARKS)) == {"★ #best", "–"}
    qtbot.keyClicks(window.runs.search, "#best")
    assert texts(window, 0) == [run.name]
    assert other.path.exists()


def test_a_tag_that_is_none_is_told(qtbot: QtBot, make_window: Callable[..., MainWindow], digits: Project) -> None:
    dialog = MarksDialog(finished_run(digits))
    qtbot.addWidget(dialog)
    dialog.show()
    dialog.tags.setText("x" * 50)
    qtbot.mouseClick(dialog.keep, LEFT)
    assert "longer than 40 letters" in dialog.problem.text()
    assert dialog.result() != QDialog.DialogCode.Accepted


def test_columns_are_chosen_and_remembered(make_window: Callable[..., MainWindow], digits: Project) -> None:
    finished_run(digits)
    window = make_window(digits)
    window.resize(1800, 800)
    window.show_page("runs")
    header, agrees = window.runs.table.horizontalHeader(), TITLES.index("Agrees %")
    menu = window.runs.columns_menu()
    assert [action.text() for action in menu.actions()] == TITLES[1:]
    menu.actions()[agrees - 1].trigger()
    assert header.isSectionHidden(agrees)
    assert window.settings["hidden_columns"] == ["Agrees %"]
    menu = window.runs.columns_menu()
    assert not menu.actions()[agrees - 1].isChecked()
    menu.actions()[agrees - 1].trigger()
    assert not header.isSectionHidden(agrees)


@pytest.mark.parametrize(
    ("points", "less", "best"),
    [
        ([(1, 50), (2, 60), (3, 55), (4, 70)], False, [(1, 50), (2, 60), (4, 70)]),
        ([(1, 50), (1, 40), (2, 45), (3, 30)], True, [(1, 40), (3, 30)]),
        ([], False, []),
    ],
)
def test_the_frontier(points: Any, less: bool, best: Any) -> None:
    assert frontier(points, less) == best


def sized(run: RunFolder, parameters: int) -> RunFolder:
    card = json.loads(run.scorecard_path.read_text())
    card["networks"]["student"]["parameters"] = parameters
    run.scorecard_path.write_text(json.dumps(card))
    return run


def test_runs_are_plotted_by_quality_and_cost(
    qtbot: QtBot, make_window: Callable[..., MainWindow], digits: Project
) -> None:
    small, beaten, large = (
        sized(finished_run(digits, accuracy=accuracy), size)
        for accuracy, size in ((0.8, 1000), (0.7, 2000), (0.9, 4000))
    )
    window = make_window(digits)
    window.resize(1400, 900)
    window.show_page("runs")
    page = window.runs
    qtbot.mouseClick(page.costs, LEFT)
    view = page.pareto
    assert view is not None
    assert view.isVisible()
    assert view.points[beaten] == (2.0, pytest.approx(70))
    assert view.best == [view.points[small], view.points[large]]
    qtbot.waitUntil(lambda: view.chart.width() > 100, timeout=10_000)
    place = view.chart.place_of(*view.points[large])
    qtbot.mouseClick(view.chart.viewport(), LEFT, pos=QPoint(round(place.x()), round(place.y())))
    assert page.chosen_run() == large
    for key in COSTS:
        view.cost.setCurrentIndex(view.cost.findData(key))
        view.cost.activated.emit(0)
        assert len(view.points) == 3
    qtbot.mouseClick(page.costs, LEFT)
    assert not view.isVisible()
