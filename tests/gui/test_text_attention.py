"""The alignment panel of text networks: layers by number, and attention between tokens; texts in the probe strip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from kdstudio.gui.monitor.alignment import AlignmentPanel
from kdstudio.gui.monitor.probe_strip import PAGE, THUMBNAIL
from kdstudio.gui.monitor.soft_targets import SoftTargetsPanel
from kdstudio.gui.theme import Theme
from tests.gui.moments import LOW_PANEL, TALL_PANEL, Shown, click_tab
from tests.gui.panels import draw
from tests.gui.snapshot_runs import Recipe
from tests.gui.text_runs import HEADS, TextRecipe, make_text_run

LAYERS, PAIRS, PICTURES, RELATIONS, ATTENTION = range(5)


@pytest.fixture
def shown(qtbot: QtBot, theme: Theme, tmp_path: Path) -> Shown:
    return Shown(qtbot, AlignmentPanel, theme, tmp_path, LOW_PANEL)


def open_text(shown: Shown, **fields: Any) -> None:
    shown.runs += 1
    shown.open_run(make_text_run(shown.folder / f"text-{shown.runs}", TextRecipe(**fields)))


def view(shown: Shown, index: int) -> Any:
    click_tab(shown, index)
    draw(shown.panel)
    return shown.panel.views[index]


def tabs(shown: Shown) -> list[int]:
    bar = shown.panel.switch.switch
    return [index for index in range(bar.count()) if bar.isTabVisible(index)]


def test_attention_between_tokens(shown: Shown) -> None:
    open_text(shown)
    assert tabs(shown) == [LAYERS, PAIRS, ATTENTION]
    found = view(shown, ATTENTION)
    assert found.field.isVisible()
    assert found.pair.currentText() == "layer 3 → layer 1"
    assert found.texts.count() == 2, "only the first texts are kept"
    assert found.head.count() == HEADS + 1
    assert found.words.text().endswith("in common 100 %"), "the student has become its teacher"
    teacher = found.field.maps["teacher"].matrix
    assert list(teacher.rows) == list(teacher.columns) == found.tokens
    assert np.isnan(teacher.values[0, 1]), "what is not written yet cannot be looked at"
    np.testing.assert_allclose(np.nansum(teacher.values, axis=1), 1, atol=5e-3)
    assert not found.field.maps["difference"].isVisible()
    mean = found.shown["teacher"].copy()
    found.head.setFocus()
    QTest.keyClick(found.head, Qt.Key.Key_Down)
    assert found.head.currentText() == "Head 0"
    assert np.abs(found.shown["teacher"] - mean).max() > 0.01
    shown.go(0)
    assert not found.words.text().endswith("in common 100 %")
    assert "teacher: " in found.describe(3, 1)
    found.texts.setFocus()
    QTest.keyClick(found.texts, Qt.Key.Key_Down)
    assert found.text == 1
    rows = [row for row in shown.panel.table()[1:] if str(row[0]).startswith("attention")]
    assert len(rows) == 12 * 12
    assert {len(row) for row in shown.panel.table()} == {8}


@pytest.mark.parametrize(("why", "words"), [("rotary", "rotary positions"), ("unknown", "not known here")])
def test_no_map_rather_than_a_wrong_one(shown: Shown, why: str, words: str) -> None:
    open_text(shown, why=why)
    found = view(shown, ATTENTION)
    assert found.empty.isVisible()
    assert words in found.empty.text()
    assert not found.field.isVisible()


def test_masked_models_see_both_sides(shown: Shown) -> None:
    open_text(shown, task="masked-lm")
    found = view(shown, ATTENTION)
    assert np.isfinite(found.field.maps["student"].matrix.values).all()
    assert found.tokens[4] == "[MASK]", "attention is over what the networks see"


def test_layers_are_named_by_number(shown: Shown) -> None:
    open_text(shown)
    layers = shown.panel.views[LAYERS]
    assert list(layers.map.matrix.rows) == ["emb.", "0", "1", "2", "3", "ln_f"]
    assert shown.panel.state.chosen == ("transformer.h.3", "transformer.h.1")
    assert "layer 3 → layer 1" in layers.heading.text()
    assert "transformer.h.2" in layers.map.describe(3, 1)
    shown.qtbot.mouseClick(layers.map, Qt.MouseButton.LeftButton, pos=layers.map.centre_of(1, 2))
    assert shown.panel.state.chosen == ("transformer.h.0", "transformer.h.1")
    pairs = view(shown, PAIRS)
    assert [line.name for line in pairs.cka.lines] == ["layer 3 → layer 1", "layer 0 → layer 1 (chosen)"]


def test_runs_of_all_kinds_after_each_other(shown: Shown, theme: Theme, tmp_path: Path) -> None:
    shown.open(Recipe())
    assert tabs(shown) == [LAYERS, PAIRS, PICTURES, RELATIONS]
    assert "conv1" in shown.panel.views[LAYERS].map.matrix.rows
    open_text(shown)
    view(shown, ATTENTION)
    for name in ("light", "dark"):
        theme.apply(name)
        draw(shown.panel)
        assert shown.panel.views[ATTENTION].isVisible()
    for kind in ("png", "svg", "csv"):
        shown.panel.save(tmp_path / f"panel.{kind}", kind)
        assert (tmp_path / f"panel.{kind}").stat().st_size > 500
    shown.open(Recipe(pictures=False, texts=True))
    assert tabs(shown) == [LAYERS, PAIRS, RELATIONS, ATTENTION]
    shown.open(Recipe())
    assert tabs(shown) == [LAYERS, PAIRS, PICTURES, RELATIONS]
    shown.resize(*TALL_PANEL)
    open_text(shown)
    assert tabs(shown) == [PAIRS, ATTENTION]


def test_texts_stand_where_pictures_did(qtbot: QtBot, theme: Theme, tmp_path: Path) -> None:
    shown = Shown(qtbot, SoftTargetsPanel, theme, tmp_path, LOW_PANEL)
    shown.open(Recipe())
    sample = shown.panel.sample
    assert not sample.text.isVisible()
    assert sample.samples.frame_width() == THUMBNAIL
    narrow = sample.samples.width()
    shown.open(Recipe(pictures=False, texts=True))
    assert sample.samples.frame_width() == PAGE
    assert sample.samples.texts[0].startswith("Text number")
    assert sample.text.isVisible()
    first = sample.text.text()
    assert first.startswith("Text number word0")
    QTest.keyClick(sample.samples, Qt.Key.Key_Down)
    assert sample.text.text() != first
    assert sample.samples.tell(1).startswith("Text number")
    assert sample.text.toolTip().startswith("Text number")
    drawn = sample.samples.grab().toImage()
    theme.apply("light")
    draw(shown.panel)
    assert sample.samples.grab().toImage() != drawn
    theme.apply("dark")
    if sample.samples.upright:
        assert sample.samples.width() > narrow
    shown.open(Recipe())
    assert sample.samples.frame_width() == THUMBNAIL
    assert not sample.text.isVisible()
