"""The alignment panel's views of single samples: attention over the pictures, and distances between the samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from kdstudio.gui.monitor.align_attention import heat, likeness, reduced
from kdstudio.gui.monitor.alignment import AlignmentPanel
from kdstudio.gui.theme import Theme
from tests.gui.moments import LOW_PANEL, TALL_PANEL, Shown, click_tab
from tests.gui.panels import draw
from tests.gui.snapshot_runs import Recipe

ATTENTION, RELATIONS = 2, 3


@pytest.fixture
def shown(qtbot: QtBot, theme: Theme, tmp_path: Path) -> Shown:
    return Shown(qtbot, AlignmentPanel, theme, tmp_path, LOW_PANEL)


def view(shown: Shown, index: int) -> Any:
    click_tab(shown, index)
    draw(shown.panel)
    return shown.panel.views[index]


def test_attention_of_a_sample_at_any_moment(shown: Shown) -> None:
    shown.open()
    found = view(shown, ATTENTION)
    assert found.content.isVisible()
    assert found.samples.count() == 16
    assert found.captions["teacher"].text() == "Teacher: layer3, 8 × 8"
    assert found.captions["student"].text() == "Student: layer2, 4 × 4"
    assert found.words.text() == "cosine of the two maps 1.00", "the student has become its teacher"
    shown.go(0)
    early = float(found.words.text().split()[-1])
    assert early < 0.99
    QTest.keyClick(found.samples, Qt.Key.Key_Down)
    assert found.samples.currentRow() == 1
    assert float(found.words.text().split()[-1]) != early
    found.pair.setFocus()
    QTest.keyClick(found.pair, Qt.Key.Key_Up)
    assert found.pair.pair() == ("layer1", "layer1")
    assert found.captions["teacher"].text() == "Teacher: layer1, 8 × 8"
    before = found.overlays["student"].grab().toImage()
    shown.go(7)
    assert found.overlays["student"].grab().toImage() != before


def test_relations_between_the_samples(shown: Shown) -> None:
    shown.open()
    found = view(shown, RELATIONS)
    teacher, student, difference = (found.shown[name] for name in ("teacher", "student", "difference"))
    assert teacher.shape == (16, 16)
    np.testing.assert_allclose(difference, student - teacher)
    np.testing.assert_allclose(teacher, student, atol=1e-3)
    labels = [sample.partition(" (")[0] for sample in found.samples]
    assert labels == sorted(labels, key=lambda name: int(name.split()[-1])), "samples of a class stand together"
    assert found.words.text() == "correlation of the distances 1.00"
    shown.go(0)
    assert np.abs(found.shown["difference"]).max() > 0.1
    words = found.describe(0, 3)
    assert found.samples[0] in words
    assert f"{found.shown['student'][0, 3]:.2f} mean distances" in words
    rows = [row for row in shown.panel.table()[1:] if str(row[0]).startswith("distance")]
    assert len(rows) == 16 * 15 // 2
    assert {len(row) for row in shown.panel.table()} == {8}


def test_runs_that_kept_nothing_say_so(shown: Shown) -> None:
    shown.open(Recipe(looks=False))
    for index in (ATTENTION, RELATIONS):
        found = view(shown, index)
        assert found.empty.isVisible()
        assert not found.pair.isVisible()
    shown.open()
    assert not view(shown, RELATIONS).empty.isVisible()
    shown.open(Recipe(pictures=False))
    assert view(shown, ATTENTION).empty.isVisible(), "there is no picture to lay a map over"


def test_a_damaged_moment_shows_the_one_before(shown: Shown) -> None:
    shown.open(Recipe(broken=(8,)))
    found = view(shown, RELATIONS)
    assert found.field.isVisible()


def test_both_themes_and_sizes(shown: Shown, theme: Theme) -> None:
    shown.open()
    for index in (ATTENTION, RELATIONS):
        found = view(shown, index)
        for name in ("light", "dark"):
            theme.apply(name)
            draw(shown.panel)
            assert found.isVisible()
    shown.resize(*TALL_PANEL)
    assert shown.panel.views[0].isVisible()


def test_the_cosine_has_a_plot_or_takes_that_of_cka(shown: Shown) -> None:
    shown.open()
    pairs = view(shown, 1)
    assert pairs.instead.isVisible()
    assert pairs.cka.isVisible()
    assert not pairs.cosine.isVisible()
    pairs.instead.click()
    assert pairs.cosine.isVisible()
    assert not pairs.cka.isVisible()
    rows = [row for row in shown.panel.table()[1:] if row[0] == "pair"]
    assert [row[7] for row in rows if row[3] == "layer1"] == pytest.approx([index / 7 for index in range(8)])
    assert {row[7] for row in rows if row[3] == "layer3"} == {None}
    shown.open(Recipe(looks=False))
    assert not pairs.instead.isVisible()


def test_maps_of_other_sizes_are_compared_as_the_loss_does() -> None:
    import torch
    from torch.nn import functional

    values = np.random.default_rng(0).random((7, 5))
    expected = functional.adaptive_avg_pool2d(torch.from_numpy(values)[None, None], (3, 2))[0, 0].numpy()
    np.testing.assert_allclose(reduced(values, 3, 2), expected)
    assert likeness(values, reduced(values, 3, 2)) == pytest.approx(1.0)
    assert np.isnan(likeness(np.zeros((2, 2)), np.ones((2, 2))))
    assert heat(np.zeros((2, 3))).size().width() == 3
