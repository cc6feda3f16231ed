"""The Runs page: sorting, filtering, ticks that compare."""

from __future__ import annotations

import json
from collections.abc import Callable

from PySide6.QtCore import QPoint, Qt
from pytestqt.qtbot import QtBot

from kdstudio.gui.main_window import MainWindow
from kdstudio.gui.runs.table import COLUMNS, MOST_COMPARED
from kdstudio.project.folder import Project
from kdstudio.project.runs.summary import Catalogue
from tests.gui.synthetic import finished_run, interrupted_run

LEFT = Qt.MouseButton.LeftButton
STUDENT = [column.title for column in COLUMNS].index("Student %")


def texts(window: MainWindow, column: int) -> list[str]:
    proxy = window.runs.proxy
    return [proxy.index(row, column).data() for row in range(proxy.rowCount())]


def test_figures_sort_as_numbers_and_filter(
    qtbot: QtBot, make_window: Callable[..., MainWindow], digits: Project
) -> None:
    for accuracy in (0.9, 1.0, 0.95):
        finished_run(digits, accuracy=accuracy)
    interrupted_run(digits, "hints")
    window = make_window(digits)
    window.show_page("runs")
    page = window.runs
    page.table.sortByColumn(STUDENT, Qt.SortOrder.DescendingOrder)
    assert texts(window, STUDENT) == ["100.00", "95.00", "90.00", "–"]
    qtbot.keyClicks(page.search, "hints")
    assert texts(window, 0) == ["hints/001"]
    page.search.clear()
    assert len(texts(window, 0)) == 4


def test_ticks_compare_on_the_monitor_page(
    qtbot: QtBot, make_window: Callable[..., MainWindow], digits: Project
) -> None:
    runs = [finished_run(digits, accuracy=0.9 + number / 100) for number in range(3)]
    window = make_window(digits)
    window.show_page("runs")
    table, model = window.runs.table, window.runs.model
    for row in range(2):
        index = window.runs.proxy.index(row, 0)
        rect = table.visualRect(index)
        qtbot.mouseClick(table.viewport(), LEFT, pos=rect.topLeft() + QPoint(16, rect.height() // 2))
    assert len(model.compared) == 2
    compared = [worker.run_folder for worker in window.monitor.compared]
    assert compared == model.compared
    assert set(compared) < set(runs)
    qtbot.mouseClick(window.runs.untick, LEFT)
    assert window.monitor.compared == []


def test_at_most_twenty_are_compared(make_window: Callable[..., MainWindow], digits: Project) -> None:
    for _ in range(MOST_COMPARED + 2):
        finished_run(digits, steps=3)
    window = make_window(digits)
    model = window.runs.model
    for row in range(model.rowCount()):
        model.setData(model.index(row, 0), Qt.CheckState.Checked, Qt.ItemDataRole.CheckStateRole)
    assert len(model.compared) == MOST_COMPARED
    assert "20 is the most" in window.runs.note.text()
    model.clear_ticks()


def test_enter_shows_a_run(qtbot: QtBot, make_window: Callable[..., MainWindow], digits: Project) -> None:
    run = finished_run(digits)
    window = make_window(digits)
    window.show_page("runs")
    window.runs.table.setCurrentIndex(window.runs.proxy.index(0, 0))
    window.runs.table.setFocus()
    qtbot.keyClick(window.runs.table, Qt.Key.Key_Return)
    assert window.control.run == run
    assert window.pages.currentWidget() is window.monitor


def test_columns_give_way_to_names(qtbot: QtBot, make_window: Callable[..., MainWindow], digits: Project) -> None:
    run = finished_run(digits)
    interrupted_run(digits, "hints")  # "Interrupted at step ..." is wide
    window = make_window(digits)
    window.show_page("runs")
    table, seed = window.runs.table, [column.title for column in COLUMNS].index("Seed")
    for width, hidden in ((1900, False), (1280, True), (1900, False)):
        window.resize(width, 900)
        qtbot.waitUntil(lambda width=width: window.width() == width)
        qtbot.waitUntil(lambda hidden=hidden: table.isColumnHidden(seed) is hidden)
        assert table.columnWidth(0) > table.fontMetrics().horizontalAdvance(run.name)
        qtbot.waitUntil(lambda: not table.horizontalScrollBar().isVisible())


def test_language_models_have_their_perplexity(make_window: Callable[..., MainWindow], digits: Project) -> None:
    run = finished_run(digits)
    card = json.loads(run.scorecard_path.read_text())
    card["metric"] = "perplexity"
    for network in card["networks"].values():
        network["test"]["perplexity"] = 12.5
    run.scorecard_path.write_text(json.dumps(card))
    window = make_window(digits)
    window.show_page("runs")
    header, titles = window.runs.table.horizontalHeader(), [column.title for column in COLUMNS]
    assert texts(window, titles.index("Perplexity")) == ["12.50"]
    assert texts(window, STUDENT) == ["–"]
    assert header.isSectionHidden(STUDENT)
    assert not header.isSectionHidden(titles.index("Perplexity"))
    finished_run(digits)
    window.runs.show_runs(Catalogue().read(digits))
    assert not header.isSectionHidden(STUDENT)
    assert texts(window, titles.index("Perplexity")) == ["–", "12.50"]


def test_words_follow_the_score(make_window: Callable[..., MainWindow], digits: Project) -> None:
    """Of taggers it is F1; beside classifiers the column says both, and each cell its own."""
    run = finished_run(digits)
    card = json.loads(run.scorecard_path.read_text())
    card["metric"] = "f1"
    for network in card["networks"].values():
        network["test"]["f1"] = 0.75
    run.scorecard_path.write_text(json.dumps(card))
    window = make_window(digits)
    window.show_page("runs")
    model, tip = window.runs.model, Qt.ItemDataRole.ToolTipRole

    def heading(role: Qt.ItemDataRole = Qt.ItemDataRole.DisplayRole) -> str:
        return str(model.headerData(STUDENT, Qt.Orientation.Horizontal, role))

    assert texts(window, STUDENT) == ["75.00"]
    assert heading() == "Student F1"
    assert heading(tip) == "The student's F1 score on test samples, in per cent"
    assert "Student F1" in [action.text() for action in window.runs.columns_menu().actions()]
    finished_run(digits)
    window.runs.show_runs(Catalogue().read(digits))
    assert heading() == "Student %"
    assert "the F1 score of taggers" in heading(tip)
    tips = [str(model.index(row, STUDENT).data(tip)) for row in range(2)]
    assert [("F1" in text, "accuracy" in text) for text in tips] == [(False, True), (True, False)]
