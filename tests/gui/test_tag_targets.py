"""The soft-targets panel of taggers: words to click, all their tags at any temperature, KL per word."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from kdstudio.gui.monitor.alignment import AlignmentPanel
from kdstudio.gui.monitor.soft_targets import SoftTargetsPanel
from kdstudio.gui.theme import Theme
from tests.gui.moments import LEFT, TALL_PANEL, Shown, click_tab, empty
from tests.gui.panels import draw
from tests.gui.tag_runs import TAGS, TagRecipe, make_tag_run
from tests.gui.text_runs import TextRecipe, make_text_run

WORDS, DIVERGENCE, WORD_ENTROPY = 3, 4, 5


@pytest.fixture
def shown(qtbot: QtBot, theme: Theme, tmp_path: Path) -> Shown:
    return Shown(qtbot, SoftTargetsPanel, theme, tmp_path, (490, 440))


def open_tags(shown: Shown, **fields: object) -> None:
    shown.runs += 1
    shown.open_run(make_tag_run(shown.folder / f"tags-{shown.runs}", TagRecipe(**fields)))  # type: ignore[arg-type]


def test_all_tags_of_a_word_at_any_temperature(shown: Shown) -> None:
    open_tags(shown)
    panel = shown.panel
    assert not empty(panel)
    assert panel.switch.switch.tabText(DIVERGENCE) == "KL per word"
    field = panel.words.tokens
    assert [token.strip() for token in field.tokens] == ["Ann", "went", "to", "New", "York", "."]
    assert panel.state.chosen == (0, 0), "the first word that has not the usual tag"
    data = panel.state.text
    shown.qtbot.mouseClick(field, LEFT, pos=field.place_of(3).center().toPoint())
    assert panel.state.chosen == (0, 3)
    words = data.words(0, data.place(3))
    assert words.names == list(TAGS)
    assert (words.there, words.others) == (1, 0)
    exact = np.exp(2) / (np.exp(2) + 3)  # logits 4 and 0 at T = 2, where the panel begins
    assert words.teacher[1] == pytest.approx(exact, abs=1e-3)
    np.testing.assert_allclose(words.teacher, words.student, atol=1e-3)
    assert len(panel.words.bars.rows()) == len(TAGS)
    panel.temperature.set_value(4)
    hot = panel.state.text.words(0, 3)
    assert hot.teacher[1] == pytest.approx(np.e / (np.e + 3), abs=1e-3)
    assert "Same tag 100.0 %" in panel.figures.text()
    assert "exact at any temperature" in panel.figures.toolTip()
    QTest.keyClick(field, Qt.Key.Key_Right)
    assert "York" in panel.words.caption.text()
    assert "I-LOC" in field.describe(4)


def test_pieces_stand_together_and_wrong_words_are_dashed(shown: Shown) -> None:
    open_tags(shown)
    shown.go(0)
    panel = shown.panel
    assert panel.words.tokens.hidden == [True, *[False] * 5]
    assert "the student is wrong" in panel.words.legend.text()
    panel.state.choose(0, 0)
    draw(panel)
    assert "the student says B-LOC" in panel.words.caption.text()
    panel.state.choose(1, 9)
    draw(panel)
    assert [token.strip() for token in panel.words.tokens.tokens] == ["Ann", "went", "to", "Harlem"]
    assert panel.state.chosen == (1, 3), "the sentence has no more words"
    data = panel.state.text
    assert data.mean() == pytest.approx(shown.moment.infos[0].spoken["kl"], abs=1e-3)
    assert data.agreement == pytest.approx(8 / 10)
    assert len(data.student_entropy) == 10


def test_kl_per_word_and_entropies(shown: Shown) -> None:
    open_tags(shown)
    shown.go(0)
    click_tab(shown, DIVERGENCE)
    draw(shown.panel)
    view = shown.panel.divergence
    assert view.bars.names == ["Ann", "went", "to", "New", "York", "."]
    assert int(np.argmax(view.bars.values)) == 0
    (line,) = view.plot.lines
    assert list(line.values) == sorted(line.values, reverse=True)
    click_tab(shown, WORD_ENTROPY)
    draw(shown.panel)
    assert f"at most {np.log(len(TAGS)):.2f}" in shown.panel.word_entropy.legend.text()
    shown.resize(*TALL_PANEL)
    assert shown.panel.words.isVisible()


def test_without_a_teacher_and_before_there_is_anything(shown: Shown) -> None:
    open_tags(shown, teacher=False)
    panel = shown.panel
    assert panel.figures.text().startswith("No teacher")
    assert panel.words.bars.teacher is None
    assert "surprise" in panel.words.legend.text()
    open_tags(shown, snapshots=0, phase="training")
    assert empty(panel)
    assert "as soon as the student trains" in panel.empty.words.text()
    open_tags(shown, snapshots=0)
    assert "kept no snapshots" in panel.empty.words.text()


def test_a_language_model_after_a_tagger(shown: Shown) -> None:
    open_tags(shown)
    shown.open_run(make_text_run(shown.folder / "text", TextRecipe()))
    bar = shown.panel.switch.switch
    assert bar.tabText(DIVERGENCE) == "KL per token"
    assert "Same word" in shown.panel.figures.text()


def test_saving(shown: Shown, tmp_path: Path) -> None:
    open_tags(shown)
    shown.panel.save(tmp_path / "panel.csv", "csv")
    with (tmp_path / "panel.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["part"] for row in rows} == {"token", "word", "mean"}
    assert len([row for row in rows if row["part"] == "token"]) == 10
    place = [row for row in rows if row["part"] == "word" and (row["text"], row["token"]) == ("1", "3")]
    assert [row["word"] for row in place] == list(TAGS)
    assert sum(float(row["student"]) for row in place) == pytest.approx(1, abs=1e-3)


def test_alignment_says_of_earlier_runs_that_there_is_none(qtbot: QtBot, theme: Theme, tmp_path: Path) -> None:
    panel = Shown(qtbot, AlignmentPanel, theme, tmp_path, (490, 440))
    open_tags(panel, snapshots=0)
    assert empty(panel.panel)
    assert "kept no snapshots" in panel.panel.empty.words.text()
