"""The alignment panel: the map of layers, pairs over time, hint pairs, and runs that have none."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QToolBar
from pytestqt.qtbot import QtBot

from kdstudio.gui.main_window import MainWindow
from kdstudio.gui.monitor import align_state
from kdstudio.gui.monitor.alignment import VIEWS, AlignmentPanel
from kdstudio.gui.theme import DARK, Theme
from kdstudio.project.folder import Project
from kdstudio.project.runs.snapshots import read_cka
from tests.gui.moments import LEFT, LOW_PANEL, TALL_PANEL, Shown, click_tab, empty
from tests.gui.panels import draw
from tests.gui.snapshot_runs import Recipe

PATIENCE = 180_000  # milliseconds; the engine's process imports torch on a machine that may be busy


@pytest.fixture
def shown(qtbot: QtBot, theme: Theme, tmp_path: Path) -> Shown:
    return Shown(qtbot, AlignmentPanel, theme, tmp_path, LOW_PANEL)


def layers(shown: Shown):  # type: ignore[no-untyped-def]
    return shown.panel.views[0]


def pairs(shown: Shown):  # type: ignore[no-untyped-def]
    return shown.panel.views[1]


def click_cell(shown: Shown, row: int, column: int) -> None:
    shown.qtbot.mouseClick(layers(shown).map, LEFT, pos=layers(shown).map.centre_of(row, column))


# -- the map --------------------------------------------------------------------------------------------------------


def test_the_map_is_that_of_the_shown_moment(shown: Shown) -> None:
    run = shown.open()
    assert not empty(shown.panel)
    for index in (7, 0, 3):
        shown.go(index)
        matrix = layers(shown).map.matrix
        np.testing.assert_array_equal(matrix.values, read_cka(shown.moment.infos[index]))
    assert matrix.rows == ["conv1", "layer1", "layer2", "layer3", "fc"]
    assert matrix.columns == ["conv1", "layer1", "layer2", "fc"]
    assert (matrix.scale.low, matrix.scale.high) == (0.0, 1.0)
    assert run.snapshots_dir.exists()


def test_hint_pairs_and_best_matches_are_marked(shown: Shown) -> None:
    shown.open()
    drawn = layers(shown).map
    assert drawn.rings == [(1, 1), (3, 2)]
    assert drawn.dots == [(row, int(column)) for row, column in enumerate(drawn.matrix.values.argmax(axis=1))]
    assert "pair" in layers(shown).legend.text()
    assert drawn.chosen == (1, 1)  # the first pair


def test_a_click_on_a_cell_shows_its_pair_over_time(shown: Shown) -> None:
    shown.open()
    click_cell(shown, 4, 2)
    view = layers(shown)
    assert shown.panel.state.chosen == ("fc", "layer2")
    assert view.map.chosen == (4, 2)
    (line,) = view.plot.lines
    assert line.steps.tolist() == [info.step for info in shown.moment.infos]
    expected = [float(read_cka(info)[4, 2]) for info in shown.moment.infos]
    assert line.values.tolist() == pytest.approx(expected)
    assert f"<b>{expected[-1]:.3f}</b>" in view.heading.text()
    assert "fc → layer2" in view.heading.text()
    shown.go(0)
    assert view.plot.marker.value() == 0
    assert f"<b>{expected[0]:.3f}</b>" in view.heading.text()


def test_a_cell_is_chosen_by_keys(shown: Shown) -> None:
    shown.open()
    drawn = layers(shown).map
    drawn.setFocus()
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Down, Qt.Key.Key_Return):
        shown.qtbot.keyClick(drawn, key)
    assert shown.panel.state.chosen == ("layer1", "layer1")
    shown.qtbot.keyClick(drawn, Qt.Key.Key_Left)
    shown.qtbot.keyClick(drawn, Qt.Key.Key_Left)  # at the edge it stays
    assert drawn.cursor_cell == (1, 0)
    shown.qtbot.keyClick(drawn, Qt.Key.Key_Enter)
    assert shown.panel.state.chosen == ("layer1", "conv1")


def test_hovering_tells_row_column_and_value(shown: Shown) -> None:
    shown.open()
    drawn = layers(shown).map
    QTest.mouseMove(drawn, drawn.centre_of(1, 1))
    shown.qtbot.waitUntil(lambda: drawn.cursor_cell == (1, 1), timeout=20_000)
    words = drawn.accessibleDescription()
    assert words.startswith("teacher's layer1, student's layer1: CKA 0.")
    assert "a pair of the objective" in words
    assert "pair of the objective" not in drawn.describe(0, 0)


def test_best_matches_are_listed_and_can_be_chosen(shown: Shown) -> None:
    shown.open()
    matches = layers(shown).matches
    assert matches.count() == 5
    value = float(layers(shown).map.matrix.values[3].max())
    assert matches.item(3).text() == f"{value:.2f}  layer3 → layer2"
    shown.qtbot.mouseClick(matches.viewport(), LEFT, pos=matches.visualItemRect(matches.item(2)).center())
    assert shown.panel.state.chosen == ("layer2", "layer1")
    matches.setFocus()
    matches.setCurrentRow(0)
    shown.qtbot.keyClick(matches, Qt.Key.Key_Return)
    assert shown.panel.state.chosen == ("conv1", "conv1")


def test_a_click_into_a_plot_goes_to_that_moment(shown: Shown) -> None:
    shown.open()
    plot = layers(shown).plot
    place = plot.mapFromScene(plot.getPlotItem().getViewBox().mapViewToScene(QPointF(310, 0.5)))
    shown.qtbot.mouseClick(plot.viewport(), LEFT, pos=place)
    shown.qtbot.waitUntil(lambda: shown.moment.info.step == 300, timeout=20_000)
    assert not shown.moment.following


def test_maps_are_read_little_by_little(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(align_state, "READING", 0.0)
    shown.open(Recipe(snapshots=30))
    panel = shown.panel
    assert panel.stale  # there is more to read
    assert 0 < len(layers(shown).plot.lines[0].steps) < 30
    for _ in range(40):
        panel.redraw_if_stale()
    assert not panel.stale
    assert len(layers(shown).plot.lines[0].steps) == 30


# -- hint pairs -----------------------------------------------------------------------------------------------------


def test_cka_and_error_of_each_hint_pair_over_time(shown: Shown) -> None:
    shown.open()
    click_tab(shown, 1)
    view = pairs(shown)
    assert view.isVisible()
    assert [line.name for line in view.cka.lines] == ["layer1 → layer1", "layer3 → layer2"]
    assert [line.name for line in view.error.lines] == ["layer1 → layer1", "layer3 → layer2"]
    for line in view.cka.lines:
        assert line.values.tolist() == pytest.approx([info.pair_cka[line.name] for info in shown.moment.infos])
    for line in view.error.lines:
        assert line.values.tolist() == pytest.approx([info.pair_error[line.name] for info in shown.moment.infos])
    assert len({(line.colour(DARK), line.style) for line in view.cka.lines}) == 2
    assert not view.note.isVisible()
    assert "layer3" in view.legend.text()


def test_a_chosen_pair_joins_the_hint_pairs(shown: Shown) -> None:
    shown.open()
    click_cell(shown, 0, 0)
    click_tab(shown, 1)
    assert [line.name for line in pairs(shown).cka.lines][-1] == "conv1 → conv1 (chosen)"


def test_a_logarithmic_error(shown: Shown) -> None:
    shown.open()
    click_tab(shown, 1)
    view = pairs(shown)
    plain = view.error._curves[0].getData()[1].copy()
    shown.qtbot.mouseClick(view.logarithmic, LEFT, pos=view.logarithmic.rect().center())
    if not view.logarithmic.isChecked():
        view.logarithmic.click()
    np.testing.assert_allclose(view.error._curves[0].getData()[1], np.log10(plain))


def test_without_hint_pairs_there_is_still_the_map(shown: Shown) -> None:
    shown.open(Recipe(pairs=()))
    assert not empty(shown.panel)
    assert layers(shown).map.rings == []
    assert layers(shown).matches.count() == 5
    matches = layers(shown).state.best_matches()
    best = max(matches, key=lambda match: match[2])
    assert shown.panel.state.chosen == best[:2]
    click_tab(shown, 1)
    assert pairs(shown).note.isVisible()
    assert "no layer pairs" in pairs(shown).note.text()
    assert [line.name for line in pairs(shown).cka.lines] == [f"{best[0]} → {best[1]} (chosen)"]
    assert not pairs(shown).error.isVisible()


# -- runs that lack something -----------------------------------------------------------------------------------


def test_a_run_without_a_teacher_says_why_there_is_nothing(shown: Shown) -> None:
    shown.open(Recipe(teacher=False))
    assert empty(shown.panel)
    assert "no teacher" in shown.panel.empty.words.text()
    shown.open()
    assert not empty(shown.panel)
    shown.moment.set_run(None)
    shown.panel.set_worker(None)
    assert empty(shown.panel)
    assert "appears here" in shown.panel.empty.words.text()


def test_a_run_without_alignment_says_why(shown: Shown) -> None:
    shown.open(Recipe(aligned=False))
    assert empty(shown.panel)
    assert "at least four validation samples" in shown.panel.empty.words.text()


def test_damaged_maps_are_left_out(shown: Shown) -> None:
    run = shown.open(Recipe(snapshots=5))
    for broken in (2, 5):
        path = run.snapshots_dir / f"{broken:06d}.safetensors"
        length = int.from_bytes(path.read_bytes()[:8], "little")
        path.write_bytes(path.read_bytes()[: 8 + length + 20])
    shown.open_run(run)
    assert not empty(shown.panel)
    assert layers(shown).plot.lines[0].steps.tolist() == [0, 200, 300]
    np.testing.assert_array_equal(layers(shown).map.matrix.values, read_cka(shown.moment.infos[3]))
    click_tab(shown, 1)
    assert pairs(shown).cka.lines[0].steps.tolist() == [0, 100, 200, 300, 400]  # the headers are whole


def test_one_snapshot_is_a_dot(shown: Shown) -> None:
    shown.open(Recipe(snapshots=1))
    assert layers(shown).plot._curves[0].opts["symbol"] == "o"
    shown.open(Recipe(snapshots=30))
    assert layers(shown).plot._curves[0].opts["symbol"] is None


# -- room, colours, files -----------------------------------------------------------------------------------------


def test_a_tall_panel_shows_the_map_above_the_pairs(shown: Shown) -> None:
    shown.open()
    shown.resize(*TALL_PANEL)
    shown.qtbot.waitUntil(lambda: shown.panel.switch.tall, timeout=20_000)
    assert layers(shown).isVisible()
    assert pairs(shown).isVisible()
    assert layers(shown).height() > 200
    assert pairs(shown).height() > 150
    shown.resize(*LOW_PANEL)
    shown.qtbot.waitUntil(lambda: not shown.panel.switch.tall, timeout=20_000)
    assert pairs(shown).isVisible()
    assert not layers(shown).isVisible()


def test_long_layer_names_leave_room_for_the_map(shown: Shown) -> None:
    teacher = tuple(f"encoder.layer.{index}.attention.output" for index in range(16))
    student = tuple(f"blocks.{index}.attention.output" for index in range(16))
    shown.open(Recipe(teacher_layers=teacher, student_layers=student, pairs=((teacher[3], student[3]),)))
    drawn = layers(shown).map
    assert drawn.area().width() > 0.5 * drawn.width()
    assert drawn.area().height() > 0.5 * drawn.height()
    assert shown.host.minimumSizeHint().width() <= LOW_PANEL[0]
    assert drawn.rings == [(3, 3)]


def test_a_theme_switch_recolours_what_is_drawn(shown: Shown, theme: Theme) -> None:
    shown.open()
    for index in range(len(VIEWS)):
        click_tab(shown, index)
        theme.apply("dark")
        QApplication.processEvents()
        dark = shown.panel.grab().toImage()
        theme.apply("light")
        QApplication.processEvents()
        light = shown.panel.grab().toImage()
        assert light.pixelColor(2, light.height() // 2) == QColor(theme.tokens.panel)
        assert dark.pixelColor(2, dark.height() // 2) == QColor(DARK.panel)
    theme.apply("dark")


def test_it_is_saved_as_pictures_and_as_a_table(shown: Shown, tmp_path: Path) -> None:
    shown.open()
    click_cell(shown, 0, 0)
    shown.go(3)
    for kind in ("png", "svg"):
        shown.panel.save(tmp_path / f"map.{kind}", kind)
        assert (tmp_path / f"map.{kind}").stat().st_size > 1000
    shown.panel.save(tmp_path / "table.csv", "csv")
    with (tmp_path / "table.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    parts = [row["part"] for row in rows]
    assert (parts.count("pair"), parts.count("chosen pair"), parts.count("map")) == (16, 8, 20)
    first = rows[0]
    assert (first["teacher layer"], first["student layer"], first["step"]) == ("layer1", "layer1", "0")
    assert float(first["cka"]) == pytest.approx(shown.moment.infos[0].pair_cka["layer1 → layer1"])
    cell = next(row for row in rows if row["part"] == "map" and row["teacher layer"] == row["student layer"] == "fc")
    assert float(cell["cka"]) == pytest.approx(float(read_cka(shown.moment.infos[3])[4, 3]))
    assert cell["step"] == "300"


def test_it_draws_nothing_twice_while_hidden(shown: Shown) -> None:
    shown.open()
    shown.host.hide()
    shown.moment.go(1)
    shown.panel.redraw_if_stale()
    assert shown.panel.stale
    shown.host.show()
    draw(shown.panel)
    assert not shown.panel.stale


# -- a real run ---------------------------------------------------------------------------------------------------


def test_a_real_run_is_followed_through_a_theme_switch(qtbot: QtBot, window: MainWindow, digits: Project) -> None:
    """Both panels at the moment of a run that goes on, in one theme and then in the other."""
    path = digits.path_of("hints")
    text = re.sub(r"model: cnn\s+widths: \[.*?\]", "model: mlp\n  widths: [48, 32]", path.read_text(encoding="utf-8"))
    text = text.replace("teacher: dropout", "teacher: hidden1").replace("epochs: 6", "epochs: 4000")
    path.write_text(text, encoding="utf-8")
    window.setup_page.close_experiment()
    window._experiment_chosen(path)
    bar = window.findChild(QToolBar, "toolbar")
    qtbot.mouseClick(bar.widgetForAction(window.actions_by_name["run"]), LEFT)
    monitor = window.monitor
    soft, alignment, moment = monitor.soft_targets, monitor.alignment, monitor.moment
    qtbot.waitUntil(lambda: len(moment.infos) >= 2 and soft.state.data is not None, timeout=PATIENCE)
    assert soft.temperature.value == soft.temperature.objective[0]
    window.set_theme("light" if window.theme.dark else "dark")
    monitor.docks["alignment"].raise_()
    drawn = alignment.views[0].map
    qtbot.waitUntil(lambda: drawn.isVisible() and drawn.matrix is not None, timeout=PATIENCE)
    assert drawn.rings == [(drawn.matrix.rows.index("hidden1"), drawn.matrix.columns.index("hidden1"))]
    qtbot.mouseClick(drawn, LEFT, pos=drawn.centre_of(0, 1))
    assert alignment.state.chosen == (drawn.matrix.rows[0], drawn.matrix.columns[1])
    seen = len(moment.infos)
    qtbot.waitUntil(lambda: len(moment.infos) > seen, timeout=PATIENCE)
    qtbot.waitUntil(lambda: len(alignment.views[0].plot.lines[0].steps) > seen, timeout=PATIENCE)
    assert window.worker.isRunning()
    assert alignment.grab().toImage().pixelColor(2, alignment.height() // 2) == QColor(window.theme.tokens.panel)
