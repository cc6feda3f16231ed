"""Runs of more networks than two: their curves, the words for their stages, and every link on the scorecard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from kdstudio.gui.export.scorecard import ScorecardView, chain_rows, scorecard_rows
from kdstudio.gui.words import and_then, network_word
from tests.gui.metric_runs import RunWriter, Story
from tests.gui.panels import draw
from tests.gui.quality_kit import Shown

STAGES = ("teacher", "teacher-2", "assistant-1", "student")


def entry(accuracy: float, parameters: int) -> dict[str, Any]:
    found = {"accuracy": accuracy, "nll": 0.5, "ece": 0.1}
    return {"model": "mlp", "parameters": parameters, "validation": found, "test": found, "file_bytes": 1, "flops": 1}


@pytest.fixture
def card() -> dict[str, Any]:
    networks = {
        "student": entry(0.9, 10),
        "teacher": entry(0.97, 100),
        "teacher-2": entry(0.96, 90),
        "assistant-1": entry(0.95, 30),
    }
    chain = ["teacher", "assistant-1", "student"]
    return {"reported_split": "test", "networks": networks, "chain": chain, "headline": {"score": 0.9}}


def test_further_networks_have_curves_and_peers_too(quality: Shown, tmp_path: Path) -> None:
    writer = RunWriter(tmp_path / "runs" / "chain" / "001", Story(stages=STAGES))
    for stage in STAGES:
        writer.stage(stage)
    for epoch in range(writer.story.epochs):
        values = {"peer_1_accuracy": 0.5, "peer_2_accuracy": 0.6}
        writer.add(split="validation", stage="student", step=10 * epoch + 9, epoch=epoch, values=values)
    writer.write_state()
    quality.follow(writer.run)
    draw(quality.panel)
    names = [curve.label for curve in quality.panel.curves.shares.curves]
    assert names == ["teacher", "student", "teacher 2", "assistant 1", "peer 1", "peer 2"]


def test_the_scorecard_shows_the_chain(qtbot: QtBot, card: dict[str, Any]) -> None:
    assert scorecard_rows(card)[0][2:] == ["Teacher", "Teacher 2", "Assistant 1", "Student"]
    heads, *rows = chain_rows(card)
    assert heads[1:] == ["Teacher", "Assistant 1", "Student"]
    assert rows[1] == ["Accuracy on validation samples", "97.00 %", "95.00 %", "90.00 %"]
    view = ScorecardView()
    qtbot.addWidget(view)
    view.show_scorecard(card)
    texts = [label.text() for label in view.findChildren(QLabel)]
    assert texts.count("→") == 2
    card["chain"] = []
    assert chain_rows(card) == []
    assert chain_rows({key: value for key, value in card.items() if key != "chain"}) == []  # of an older version


def test_stages_in_words() -> None:
    assert network_word("teacher-2") == "teacher 2"
    assert network_word("assistant-1-factor-first") == "first stage of factor, assistant 1"
    assert network_word("soft-2") == "soft-2"
    assert and_then("2 min", "teacher", baseline=False, assistants=1) == "2 min, then the assistants and the student"
    assert and_then("2 min", "assistant-1", baseline=True, assistants=1) == "2 min, then the student and the baseline"
    assert and_then("2 min", "student", baseline=False, assistants=1) == "2 min"
