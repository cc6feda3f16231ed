"""How long texts are, and how many of them are cut."""

from __future__ import annotations

from typing import Any

from pytestqt.qtbot import QtBot

from kdstudio.gui.setup.text_view import TokenHistogram
from kdstudio.gui.theme import Theme

TOKENS: dict[str, Any] = {
    "counts": [2, 3, 1, 4],
    "edges": [0.0, 16.0, 32.0, 48.0, 64.0],
    "shortest": 3,
    "longest": 900,
    "median": 40.0,
    "cut": 0.125,
    "beyond": 2,
}


def shown(qtbot: QtBot, theme: Theme, tokens: dict[str, Any], most: int | None) -> TokenHistogram:
    histogram = TokenHistogram(theme)
    qtbot.addWidget(histogram)
    histogram.resize(400, 76)
    histogram.show_tokens(tokens, most)
    histogram.show()
    qtbot.waitExposed(histogram)
    return histogram


def test_the_share_that_is_cut_is_said(qtbot: QtBot, theme: Theme) -> None:
    histogram = shown(qtbot, theme, TOKENS, 32)
    assert histogram.cut_words() == "12.5 % cut at 32"
    assert "12.5 % cut at 32" in histogram.accessibleDescription()
    assert histogram.words_at(0) == "0 to 16 tokens: 2 samples"
    assert histogram.words_at(3) == "48 tokens or more: 4 samples"
    colours = {histogram.grab().toImage().pixelColor(x, 50).name() for x in (50, 350)}
    assert len(colours) == 2, "bars beyond the line have another colour"


def test_blocks_of_a_corpus_are_not_cut(qtbot: QtBot, theme: Theme) -> None:
    histogram = shown(qtbot, theme, {**TOKENS, "beyond": 0}, None)
    assert "cut" not in histogram.accessibleDescription()
    assert histogram.words_at(3) == "48 to 64 tokens: 4 samples"
