"""The soft-targets panel, class by class: dark knowledge and entropies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from kdstudio.gui.monitor.soft_targets import SoftTargetsPanel
from kdstudio.gui.theme import Theme
from kdstudio.project.runs.snapshots import class_matrix, entropy
from tests.gui.moments import LEFT, LOW_PANEL, Shown, click_tab
from tests.gui.snapshot_runs import Recipe


@pytest.fixture
def shown(qtbot: QtBot, theme: Theme, tmp_path: Path) -> Shown:
    return Shown(qtbot, SoftTargetsPanel, theme, tmp_path, LOW_PANEL)


# -- dark knowledge ---------------------------------------------------------------------------------------------


def test_dark_knowledge_without_the_diagonal(shown: Shown) -> None:
    shown.open()
    click_tab(shown, 1)
    dark, probes = shown.panel.dark, shown.moment.probes
    assert dark.isVisible()
    assert not shown.panel.sample.isVisible()
    drawn = dark.maps["teacher"].matrix
    expected = class_matrix(probes.pool_teacher_logits, probes.pool_labels, 4.0, 10)
    np.fill_diagonal(expected, np.nan)
    np.testing.assert_allclose(drawn.values, expected, atol=1e-6)
    assert drawn.scale == dark.maps["student"].matrix.scale
    assert drawn.scale.high == pytest.approx(np.nanmax(expected))
    difference = dark.maps["difference"].matrix
    assert difference.scale.low == -difference.scale.high
    assert float(difference.scale.place(np.array(0.0))) == 0.5


def test_cells_that_count(shown: Shown) -> None:
    shown.open()
    click_tab(shown, 1)
    dark = shown.panel.dark
    dark.cells.setFocus()
    shown.qtbot.keyClick(dark.cells, Qt.Key.Key_Down)
    shares = dark.maps["teacher"].matrix.values
    assert np.isnan(np.diagonal(shares)).all()
    np.testing.assert_allclose(np.nansum(shares, axis=1), 1.0, atol=1e-6)
    shown.qtbot.keyClick(dark.cells, Qt.Key.Key_Down)
    whole = dark.maps["teacher"].matrix.values
    np.testing.assert_allclose(whole.sum(axis=1), 1.0, atol=1e-6)
    assert np.isfinite(np.diagonal(whole)).all()


def test_one_map_takes_the_whole_room(shown: Shown) -> None:
    shown.open()
    click_tab(shown, 1)
    dark = shown.panel.dark
    narrow = dark.maps["student"].width()
    dark.which.setFocus()
    shown.qtbot.keyClick(dark.which, Qt.Key.Key_Down)
    shown.qtbot.keyClick(dark.which, Qt.Key.Key_Down)
    QApplication.processEvents()
    assert dark.maps["student"].isVisible()
    assert not dark.maps["teacher"].isVisible()
    assert dark.maps["student"].width() > 2 * narrow
    assert not dark.field.difference_bar.isVisible()


def test_hovering_marks_the_cell_in_all_maps_and_tells_its_values(shown: Shown) -> None:
    shown.open(Recipe(names=tuple(f"kind {letter}" for letter in "abcdefghij")))
    click_tab(shown, 1)
    maps = shown.panel.dark.maps
    QTest.mouseMove(maps["teacher"], maps["teacher"].centre_of(2, 5))
    shown.qtbot.waitUntil(lambda: maps["teacher"].cursor_cell == (2, 5), timeout=20_000)
    assert maps["student"].cursor_cell == maps["difference"].cursor_cell == (2, 5)
    words = shown.panel.dark.describe(2, 5)
    assert words.startswith("Label kind c, given to kind f")
    for part in ("teacher: ", "student: ", "student − teacher: "):
        assert part in words
    assert maps["student"].accessibleDescription() == words


def test_maps_move_by_keys(shown: Shown) -> None:
    shown.open()
    click_tab(shown, 1)
    maps = shown.panel.dark.maps
    maps["student"].setFocus()
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Down, Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_Up):
        shown.qtbot.keyClick(maps["student"], key)
    assert maps["student"].cursor_cell == (0, 1)
    assert maps["teacher"].cursor_cell == (0, 1)


def test_a_logarithmic_difference_is_a_ratio(shown: Shown) -> None:
    shown.open()
    shown.go(2)
    click_tab(shown, 1)
    shown.panel.logarithmic.click()
    dark = shown.panel.dark
    ratio = dark.maps["student"].matrix.values / dark.maps["teacher"].matrix.values
    np.testing.assert_allclose(dark.maps["difference"].matrix.values, np.log10(ratio), atol=1e-5)
    assert dark.field.titles["difference"].text() == "Student ÷ teacher"
    assert "student ÷ teacher" in dark.describe(0, 1)


def test_of_many_classes_the_most_alike_are_shown(shown: Shown) -> None:
    shown.open(Recipe(classes=100, pool=400))
    click_tab(shown, 1)
    dark, probes = shown.panel.dark, shown.moment.probes
    drawn = dark.maps["teacher"].matrix
    assert drawn.values.shape == (10, 10)
    whole = class_matrix(probes.pool_teacher_logits, probes.pool_labels, 4.0, 100)
    np.fill_diagonal(whole, 0)
    first = np.unravel_index(np.triu(whole + whole.T).argmax(), whole.shape)
    assert {f"class {index}" for index in first} <= set(drawn.rows)
    shown.qtbot.mouseClick(dark.few, LEFT, pos=QPoint(8, dark.few.height() // 2))
    assert dark.maps["teacher"].matrix.values.shape == (100, 100)
    assert not shown.panel.grab().toImage().isNull()


# -- entropies ------------------------------------------------------------------------------------------------------


def test_entropies_are_counted(shown: Shown) -> None:
    shown.open()
    shown.go(0)
    click_tab(shown, 2)
    view = shown.panel.entropy
    assert view.isVisible()
    edges, counts = view.curves["student"].getData()
    assert counts.sum() == 200
    expected = np.histogram(entropy(shown.moment.snapshot.pool_student_logits, 4.0), edges)[0]
    assert np.abs(counts - expected).sum() <= 2  # a sample on an edge may round to either side
    assert "teacher, mean" in view.legend.text()
