"""Matrices as pictures: colours, scales, cells smaller than a pixel, numbers and names."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtGui import QColor, QFontMetricsF
from PySide6.QtWidgets import QApplication

from kdstudio.gui.monitor.maps import condensed
from kdstudio.gui.monitor.palettes import Scale, colours, diverging, fitted, number, round_number, shortened, viridis
from kdstudio.gui.theme import DARK, LIGHT, Tokens


def test_condensing_keeps_the_most_extreme_cell() -> None:
    values = np.zeros((1000, 1000))
    values[777, 333] = 1.0
    values[5, 5] = -2.0
    values[6, 6] = np.nan
    small = condensed(values, 100, 90)
    assert small.shape == (100, 90)
    assert small.max() == 1.0
    assert small.min() == -2.0
    assert condensed(values, 2000, 2000) is values


def test_colours_of_scales() -> None:
    values = np.array([[0.0, 0.5, 1.0, 7.0, np.nan]])
    drawn = colours(values, Scale(0.0, 1.0), viridis(), QColor("#010203"))
    assert drawn.shape == (1, 5, 3)
    assert drawn[0, 2].tolist() == drawn[0, 3].tolist() == viridis()[-1].tolist()
    assert drawn[0, 4].tolist() == [1, 2, 3]
    logs = Scale(1e-4, 1.0, logarithmic=True).place(np.array([0.0, 1e-4, 1e-2, 1.0]))
    np.testing.assert_allclose(logs, [0, 0, 0.5, 1])


@pytest.mark.parametrize("tokens", [DARK, LIGHT])
def test_differences_diverge_from_the_ground_to_the_colours_of_teacher_and_student(tokens: Tokens) -> None:
    table = diverging(tokens)
    assert QColor(*table[0].tolist()).name() == tokens.teacher
    assert QColor(*table[-1].tolist()).name() == tokens.student
    middle = QColor(*table[len(table) // 2].tolist())
    ground = QColor(tokens.raised)
    assert abs(middle.lightness() - ground.lightness()) <= 3


def test_numbers_in_few_characters() -> None:
    assert [number(value) for value in (0.0, 0.934, 0.0312, 3.21e-5, 12.3, float("nan"))] == [
        "0",
        "0.93",
        "0.031",
        "3.2e-5",
        "12",
        "–",
    ]
    assert [round_number(value) for value in (0.5, 10.0, 1e-5, 0.0)] == ["0.5", "10", "1e-5", "0"]


def test_names_are_shortened_all_or_none(qapp: QApplication) -> None:
    assert shortened("layer1.10.conv2") == "l1.10.conv2"
    metrics = QFontMetricsF(qapp.font())
    names = ["fc", "encoder.layer.0.attention"]
    assert fitted(names, metrics, 1000) == names
    room = metrics.horizontalAdvance("e.l.0.attention") + 1
    assert fitted(names, metrics, room) == ["fc", "e.l.0.attention"]
    assert fitted(["a plain name"], metrics, 30)[0].endswith("…")
