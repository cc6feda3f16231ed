"""Cards of language models on the Export page: drafts and what is written, by a process that the test stands in for."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from kdstudio.gui.export.draft_card import DraftCard
from kdstudio.gui.export.written_card import WrittenCard
from kdstudio.gui.main_window import MainWindow
from kdstudio.gui.theme import Theme
from kdstudio.project.folder import Project, create_project
from kdstudio.project.runs.folder import RunFolder, write_bytes
from kdstudio.project.runs.state import RunState, encode_state

LEFT = Qt.MouseButton.LeftButton
PATIENCE = 60_000
PYTHON = sys.executable
WRITES = """\
data: {source: corpus, path: text.txt, task: causal-lm, tokenizer: "bpe:300", max_tokens: 16}
teacher: {model: "transformers:gpt2"}
student: {model: from-teacher}
"""
MODE = {"drafted": 40, "accepted": 20, "acceptance": 0.5, "tokens_per_pass": 2.5, "gain": 0.75, "expected_gain": 1.25}
DRAFT = {
    "planned": 4,
    "texts": 8,
    "tokens": 12,
    "device": "CPU",
    "networks": {"student": {"sampled": MODE, "greedy": {**MODE, "gain": None}, "estimate": 0.625}},
}
SAID = {"greedy": "and so on", "sampled": "or not"}
WRITTEN = {
    "tokens": 12,
    "samples": [{"prompt": "It was", "networks": {"teacher": {**SAID, "greedy": "a fine day"}, "student": SAID}}],
}
#: Stands for `kdstudio draft` and `kdstudio write`.
FAKE = """#!{python}
import json, sys, time
from pathlib import Path
arguments = sys.argv[3:]
run = Path(arguments[1])
run.joinpath("asked.json").write_text(json.dumps(arguments))
if "{way}" == "waits":
    time.sleep(600)
if "{way}" == "fails":
    sys.exit("kdstudio: it is broken\\nWhat to do: mend it")
answer = json.loads({answer!r})
if arguments[0] == "draft":
    run.joinpath("draft.json").write_text(json.dumps(answer))
print(json.dumps(answer))
"""


def texts(label: DraftCard | WrittenCard) -> list[str]:
    return [each.text() for each in label.rows.findChildren(QLabel) if not each.isHidden()]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = create_project(tmp_path / "texts", "empty")
    (made.experiments_dir / "writes.yaml").write_text(WRITES)
    return made


@pytest.fixture
def run(project: Project) -> RunFolder:
    made = project.create_run(project.load("writes"))
    write_bytes(made.state_path, encode_state(RunState(phase="finished", best=12.0, best_metric="perplexity")))
    return made


def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Any, way: str = "") -> None:
    program = tmp_path / "kdstudio-stand-in"
    program.write_text(FAKE.format(python=PYTHON, way=way, answer=json.dumps(answer)))
    program.chmod(0o755)
    monkeypatch.setattr("kdstudio.gui.export.command_card.sys.executable", str(program))


def card_of(qtbot: QtBot, card: Any, run: RunFolder) -> Any:
    qtbot.addWidget(card)
    card.show_run(run)
    card.show()
    qtbot.waitExposed(card)
    return card


def test_a_draft_is_measured_and_shown(
    qtbot: QtBot, theme: Theme, run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, monkeypatch, DRAFT)
    card = card_of(qtbot, DraftCard(), run)
    assert card.note.text() == "Not measured yet."
    card.planned.setValue(4)
    qtbot.mouseClick(card.button, LEFT)
    assert card.busy
    assert card.button.text() == "Stop"
    qtbot.waitUntil(lambda: not card.busy, timeout=PATIENCE)
    asked = json.loads((run.path / "asked.json").read_text())
    assert asked == ["draft", str(run.path), "--tokens", "4", "--texts", "8", "--json"]
    qtbot.waitUntil(lambda: "Student, drawn" in texts(card), timeout=PATIENCE)  # Qt shows new labels a turn later
    shown = texts(card)
    assert {"50.0 %", "62.5 %", "2.50", "0.75 ×", "1.25 ×"} <= set(shown)
    assert card.note.text() == "8 texts of 12 tokens on CPU, 4 tokens ahead."


def test_other_students_stand_below(qtbot: QtBot, theme: Theme, run: RunFolder, project: Project) -> None:
    other, unlike = (project.create_run(project.load("writes")) for _ in range(2))
    for each, report in ((run, DRAFT), (other, DRAFT), (unlike, {**DRAFT, "planned": 8})):
        each.draft_path.write_text(json.dumps(report))
    shown = texts(card_of(qtbot, DraftCard(), run))
    assert f"{other.name} · Student, drawn" in shown
    assert not [text for text in shown if unlike.name in text]


def test_what_fails_is_told_and_what_goes_on_is_stopped(
    qtbot: QtBot, theme: Theme, run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, monkeypatch, {}, "fails")
    card = card_of(qtbot, DraftCard(), run)
    qtbot.mouseClick(card.button, LEFT)
    qtbot.waitUntil(lambda: card.problem.isVisible(), timeout=PATIENCE)
    assert card.problem.text() == "it is broken\nWhat to do: mend it"
    stand_in(tmp_path, monkeypatch, {}, "waits")
    (run.path / "asked.json").unlink()
    qtbot.mouseClick(card.button, LEFT)
    assert not card.problem.isVisible()
    qtbot.waitUntil((run.path / "asked.json").exists, timeout=PATIENCE)
    qtbot.mouseClick(card.button, LEFT)
    qtbot.waitUntil(lambda: not card.busy, timeout=PATIENCE)
    assert not card.problem.isVisible()
    qtbot.mouseClick(card.button, LEFT)
    card.shut_down()
    assert not card.busy


def test_the_networks_write_side_by_side(
    qtbot: QtBot, theme: Theme, run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.written_path.write_text(json.dumps(WRITTEN))
    made = {"tokens": 3, "samples": [{"prompt": "Once", "networks": {"teacher": SAID, "student": SAID}}]}
    stand_in(tmp_path, monkeypatch, made)
    card = card_of(qtbot, WrittenCard(theme), run)
    assert not card.button.isEnabled()
    assert "“It was”" in texts(card)
    assert texts(card).count("or not") == 2
    card.mode.setCurrentIndex(card.mode.findData("greedy"))
    card.mode.activated.emit(card.mode.currentIndex())
    qtbot.waitUntil(lambda: "a fine day" in texts(card), timeout=PATIENCE)
    qtbot.keyClicks(card.prompt, "-- Once")
    card.temperature.setValue(0.5)
    qtbot.mouseClick(card.button, LEFT)
    qtbot.waitUntil(lambda: "“Once”" in texts(card), timeout=PATIENCE)
    asked = json.loads((run.path / "asked.json").read_text())
    assert asked[2:] == ["--prompt=-- Once", "--tokens", "48", "--temperature", "0.5", "--json"]


def scorecard(run: RunFolder, **networks: Any) -> None:
    student = {"test": {"perplexity": 20.0, "accuracy": 0.3}, "parameters": 10, "model": "gpt2"}
    card = {"networks": {"student": student, **networks}, "headline": {"score": 20.0}, "reported_split": "test"}
    run.scorecard_path.write_text(json.dumps({**card, "metric": "perplexity"}))


def test_the_page_has_the_cards_for_such_runs(
    make_window: Callable[..., MainWindow], project: Project, run: RunFolder
) -> None:
    scorecard(run, teacher={"test": {"perplexity": 15.0, "accuracy": 0.4}, "parameters": 20, "model": "gpt2"})
    window = make_window(project)
    window.export.show_run(run)
    window.show_page("export")
    assert window.export.draft.isVisible()
    assert window.export.written.isVisible()
    assert not window.export.bias.isVisible()
    scorecard(run)
    window.export.show_run(run)
    assert not window.export.draft.isVisible()
    assert window.export.written.isVisible()


def test_pictures_have_no_such_cards(make_window: Callable[..., MainWindow], digits: Project) -> None:
    from tests.gui.synthetic import finished_run

    run = finished_run(digits)
    window = make_window(digits)
    window.export.show_run(run)
    window.show_page("export")
    assert not window.export.draft.isVisible()
    assert not window.export.written.isVisible()
    assert window.export.bias.isVisible()
