"""The soft-targets panel of language models: tokens to click, words at any temperature, KL per token."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from kdstudio.gui.monitor.soft_targets import SoftTargetsPanel
from kdstudio.gui.monitor.text_divergence import round_end
from kdstudio.gui.monitor.text_words import layer_tick, layer_word, plain, seen
from kdstudio.gui.theme import Theme
from tests.gui.moments import LEFT, LOW_PANEL, TALL_PANEL, Shown, click_tab, empty
from tests.gui.panels import draw
from tests.gui.snapshot_runs import Recipe
from tests.gui.text_runs import TextRecipe, make_text_run

ENTROPY, WORDS, DIVERGENCE, WORD_ENTROPY = 2, 3, 4, 5


@pytest.fixture
def shown(qtbot: QtBot, theme: Theme, tmp_path: Path) -> Shown:
    return Shown(qtbot, SoftTargetsPanel, theme, tmp_path, LOW_PANEL)


def open_text(shown: Shown, **fields: object) -> None:
    shown.runs += 1
    shown.open_run(make_text_run(shown.folder / f"text-{shown.runs}", TextRecipe(**fields)))  # type: ignore[arg-type]


def tabs(shown: Shown) -> list[int]:
    bar = shown.panel.switch.switch
    return [index for index in range(bar.count()) if bar.isTabVisible(index)]


def test_words_at_a_clicked_token_and_at_any_temperature(shown: Shown) -> None:
    open_text(shown)
    panel = shown.panel
    assert not empty(panel)
    assert tabs(shown) == [WORDS, DIVERGENCE, WORD_ENTROPY], "matrices of classes make no sense for a vocabulary"
    field = panel.words.tokens
    assert len(field.tokens) == 12
    place = field.place_of(7).center().toPoint()
    shown.qtbot.mouseClick(field, LEFT, pos=place)
    assert field.current == 7
    assert panel.state.chosen == (0, 7)
    data = panel.state.text
    assert data is not None
    words = data.words(0, data.place(7))
    assert words.teacher is not None
    assert words.teacher_rest is not None
    assert float(words.teacher.sum()) + words.teacher_rest == pytest.approx(1)
    np.testing.assert_allclose(words.teacher, words.student, rtol=0.02, err_msg="the student has become its teacher")
    assert words.names[words.there] == seen(field.tokens[7])
    rows = panel.words.bars.rows()
    assert any(row.label == words.there for row in rows), "the word that stands there is shown in any case"
    assert rows[-1].label == -1
    assert sum(row.student for row in rows) == pytest.approx(1, abs=1e-3)
    before = words.teacher[0]
    panel.temperature.set_value(20)
    assert data is not panel.state.text
    hot = panel.state.text.words(0, panel.state.text.place(7))
    assert hot.teacher[0] < before
    QTest.keyClick(field, Qt.Key.Key_Right)
    assert panel.state.chosen == (0, 8)
    QTest.keyClick(field, Qt.Key.Key_Home)
    assert panel.state.chosen == (0, 1), "nobody says the first token of a causal model's text"
    QTest.keyClick(field, Qt.Key.Key_Down)
    assert panel.state.chosen[1] > 1


def test_texts_and_moments(shown: Shown) -> None:
    open_text(shown)
    panel = shown.panel
    box = panel.words.texts
    assert box.count() == 3
    first = list(panel.words.tokens.tokens)
    box.setFocus()
    QTest.keyClick(box, Qt.Key.Key_Down)
    assert panel.state.chosen[0] == 1
    assert panel.words.tokens.tokens != first
    last = float(np.mean(panel.state.text.shade))
    figures = panel.figures.text()
    shown.go(0)
    assert float(np.mean(panel.state.text.shade)) > last + 0.1
    assert panel.figures.text() != figures


def test_masked_tokens_show_what_was_there(shown: Shown) -> None:
    open_text(shown, task="masked-lm")
    panel = shown.panel
    assert panel.state.chosen == (0, 4), "a hidden token is the first to look at"
    field = panel.words.tokens
    assert field.hidden == [index == 4 for index in range(12)]
    assert field.tokens[4] != "[MASK]"
    assert "[MASK]" in panel.words.caption.text()
    assert "[MASK]" in field.describe(4)
    QTest.keyClick(field, Qt.Key.Key_Home)
    assert panel.state.chosen == (0, 0)
    assert "not hidden" in panel.words.caption.text()


def test_kl_of_each_token_and_its_mean_over_time(shown: Shown) -> None:
    open_text(shown)
    click_tab(shown, DIVERGENCE)
    draw(shown.panel)
    view = shown.panel.divergence
    bars = view.bars
    np.testing.assert_allclose(bars.values[1:], shown.panel.state.text.shade[0])
    assert np.isnan(bars.values[0])
    area = bars.area()
    x = int(area.left() + area.width() * 5.5 / 12)
    shown.qtbot.mouseClick(bars, LEFT, pos=QPoint(x, 10))
    assert bars.current == 5
    assert shown.panel.state.chosen == (0, 5)
    QTest.keyClick(bars, Qt.Key.Key_Right)
    assert shown.panel.state.chosen == (0, 6)
    (line,) = view.plot.lines
    assert len(line.values) == 4
    assert list(line.values) == sorted(line.values, reverse=True)
    shown.go(1)
    assert view.plot.marker.value() == 25
    click_tab(shown, WORD_ENTROPY)
    draw(shown.panel)
    assert "teacher" in shown.panel.word_entropy.legend.text()


def test_without_a_teacher_the_surprise_of_the_student(shown: Shown) -> None:
    open_text(shown, teacher=False)
    panel = shown.panel
    assert not empty(panel)
    assert "surprise" in panel.words.legend.text()
    assert panel.words.bars.teacher is None
    assert panel.figures.text().startswith("No teacher")
    click_tab(shown, DIVERGENCE)
    draw(panel)
    assert np.isfinite(panel.divergence.plot.lines[0].values).all()


def test_what_is_said_while_there_is_nothing(shown: Shown) -> None:
    open_text(shown, snapshots=0)
    assert empty(shown.panel)
    assert "kept no words" in shown.panel.empty.words.text()
    open_text(shown, snapshots=0, phase="training")
    assert "as soon as the student trains" in shown.panel.empty.words.text()
    open_text(shown, broken=(4,))
    assert not empty(shown.panel)
    assert shown.panel.state.text.said.step == 50, "a damaged moment shows the one before"
    open_text(shown, snapshots=1, broken=(1,))
    assert empty(shown.panel)
    assert "cannot be read" in shown.panel.empty.words.text()


def test_runs_of_both_kinds_after_each_other(shown: Shown) -> None:
    shown.open(Recipe())
    assert tabs(shown) == [0, 1, ENTROPY]
    open_text(shown)
    assert tabs(shown) == [WORDS, DIVERGENCE, WORD_ENTROPY]
    assert shown.panel.state.data is None
    shown.open(Recipe())
    assert tabs(shown) == [0, 1, ENTROPY]
    assert shown.panel.sample.isVisible()
    shown.resize(*TALL_PANEL)
    assert tabs(shown) == [1, ENTROPY]
    open_text(shown)
    assert tabs(shown) == [DIVERGENCE, WORD_ENTROPY]
    assert shown.panel.words.isVisible()
    assert shown.panel.divergence.isVisible()


def test_saving_and_both_themes(shown: Shown, theme: Theme, tmp_path: Path) -> None:
    open_text(shown)
    panel = shown.panel
    pictures = []
    for name in ("light", "dark"):
        theme.apply(name)
        draw(panel)
        pictures.append(panel.words.tokens.grab().toImage())
    assert pictures[0] != pictures[1]
    for kind in ("png", "svg", "csv"):
        panel.save(tmp_path / f"panel.{kind}", kind)
        assert (tmp_path / f"panel.{kind}").stat().st_size > 500
    with (tmp_path / "panel.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    parts = {row["part"] for row in rows}
    assert parts == {"token", "word", "other words", "mean"}
    assert len([row for row in rows if row["part"] == "token"]) == 3 * 11
    place = [
        row for row in rows if row["text"] == "0" and row["token"] == "3" and row["part"] in ("word", "other words")
    ]
    assert sum(float(row["teacher"]) for row in place) == pytest.approx(1, abs=1e-3)


def test_words_for_people() -> None:
    assert seen(" the") == "·the"
    assert seen("\n") == "↵"
    assert seen("") == "∅"
    assert plain(" a\nb") == " a↵b"
    assert [layer_tick(name) for name in ("bert.encoder.layer.3", "transformer.h.0", "bert.embeddings")] == [
        "3",
        "0",
        "emb.",
    ]
    assert layer_word("model.layers.11") == "layer 11"
    assert layer_word("layer1.0.conv2") == "layer1.0.conv2"
    assert layer_tick("classifier") == "classifier"


@pytest.mark.parametrize(("value", "end"), [(0.003, 0.005), (0.1, 0.1), (0.11, 0.2), (6.0, 10.0), (0.0, 1.0)])
def test_round_ends(value: float, end: float) -> None:
    assert round_end(value)[0] == pytest.approx(end)
