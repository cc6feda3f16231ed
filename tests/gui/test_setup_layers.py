"""A student out of its teacher's layers, and one that begins from a run: what is shown, and what clicks change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from kdstudio.gui.setup.page import SetupPage
from kdstudio.gui.setup.pickers import CHOOSE_FOLDER, ModelEditor
from kdstudio.gui.theme import Theme
from kdstudio.project.folder import Project, create_project
from kdstudio.project.runs.folder import RunFolder, write_bytes
from kdstudio.project.runs.state import RunState, encode_state
from tests.gui.setup_kit import SetupKit

TASK = """\
data: {source: table, path: mails.csv, max_tokens: 16}
teacher: {model: "transformers:bert", args: {num_hidden_layers: 6}}
student: {model: from-teacher, layers: {count: 3}}
objective: [{term: hard, weight: 0.5}, {term: soft, weight: 0.5}]
"""
GENERAL = """\
data: {source: corpus, path: text.txt, task: masked-lm, tokenizer: "bpe:300", max_tokens: 16}
student: {model: "transformers:bert", args: {num_hidden_layers: 2}}
objective: [{term: hard}]
"""
FACTS = {"task": "classification", "vocabulary": 300, "max_tokens": 16, "pad": 1, "filler": 1}


@pytest.fixture
def texts(tmp_path: Path) -> Project:
    made = create_project(tmp_path / "texts", "empty")
    (made.experiments_dir / "task.yaml").write_text(TASK)
    (made.experiments_dir / "general.yaml").write_text(GENERAL)
    return made


@pytest.fixture
def page(qtbot: QtBot, theme: Theme, texts: Project) -> Iterator[SetupKit]:
    """The open experiment `task`; the engine has read the data."""
    kit = SetupKit(qtbot, SetupPage(theme), (1150, 700))
    kit.open(texts, "task")
    yield kit
    kit.close()


def know(kit: SetupKit, depth: int = 6, kept: list[int] | None = None) -> None:
    """The engine's answers about the networks."""
    empty = {"layers": [], "parts": [], "kind": "model", "num_classes": 2, "input_shape": [16]}
    facts = kit.page.facts
    for side, parameters, more in (
        ("teacher", 60_000_000, {"depth": depth}),
        ("student", 30_000_000, {"kept": kept or [0, 2, 5], "depth": 3}),
    ):
        from kdstudio.gui.setup.facts import Fact, FactState

        answer = {**empty, "model": side, "parameters": parameters, "flops": parameters * 10, **more}
        facts.parts[side] = Fact(FactState.KNOWN, answer)
        facts.changed.emit(side)


def test_layers_are_kept_and_dropped_by_clicks_and_keys(page: SetupKit) -> None:
    section = page.go("student")
    card = section.layers
    assert card.isVisible()
    assert not card.picture.isVisible()
    assert "appear here when the teacher can be built" in card.note.text()
    know(page)
    assert card.picture.isVisible()
    assert card.picture.kept == [0, 2, 5]
    assert card.sentence.text() == "3 of 6 layers: 60 M parameters become 30 M, 2.0× fewer; FLOPs 2.0× fewer."
    picture = card.picture
    page.qtbot.mouseClick(picture, Qt.MouseButton.LeftButton, pos=picture.teacher_box(1).center().toPoint())
    assert page.value("student.layers.keep") == [0, 1, 2, 5]
    assert card.sentence.text() == "4 of 6 layers"  # what the engine said was of other ones
    QTest.keyClick(picture, Qt.Key.Key_Right)
    QTest.keyClick(picture, Qt.Key.Key_Space)
    assert page.value("student.layers.keep") == [0, 1, 5]
    assert "0, 1, 5" in picture.accessibleDescription()
    page.page.undo_stack.undo()
    page.page.undo_stack.undo()
    assert page.value("student.layers.keep") is None
    assert picture.layer_at(QPointF(-5, -5)) is None


def test_the_last_layer_stays(page: SetupKit) -> None:
    card = page.go("student").layers
    know(page)
    page.page.document.edit("x", {"student.layers": {"keep": [4]}})
    picture = card.picture
    page.qtbot.mouseClick(picture, Qt.MouseButton.LeftButton, pos=picture.teacher_box(4).center().toPoint())
    assert page.value("student.layers.keep") == [4]


@pytest.mark.parametrize(
    ("rule", "kept"), [("spread", [0, 2, 5]), ("every-other", [0, 2, 4]), ("first", [0, 1, 2]), ("last", [3, 4, 5])]
)
def test_rules_are_buttons(page: SetupKit, rule: str, kept: list[int]) -> None:
    card = page.go("student").layers
    know(page)
    page.click(card.rules["first" if rule != "first" else "last"])
    page.click(card.rules[rule])
    assert card.picture.kept == kept
    assert page.value("student.layers.rule") == rule
    card.count.setValue(2)
    assert len(card.picture.kept) == 2


def test_more_than_every_other_becomes_spread_and_too_many_are_told(page: SetupKit) -> None:
    card = page.go("student").layers
    know(page)
    page.click(card.rules["every-other"])
    card.count.setValue(5)
    assert page.value("student.layers.rule") == "spread"
    page.page.document.edit("x", {"student.layers": {"keep": [0, 9]}})
    assert "there is no layer 9" in card.note.text()
    know(page, depth=0)
    assert "no model of the transformers library" in card.note.text()


def test_the_card_is_for_such_students_alone(page: SetupKit) -> None:
    card = page.go("student").layers
    page.page.document.edit("x", {"student": {"model": "transformers:bert"}})
    assert not card.isVisible()


def test_deep_networks_are_drawn_in_rows(page: SetupKit) -> None:
    card = page.go("student").layers
    know(page, depth=48, kept=list(range(0, 48, 2)))
    page.page.document.edit("x", {"student.layers": {"rule": "every-other", "count": 24}})
    picture = card.picture
    assert picture.teacher_box(24).top() > picture.teacher_box(23).bottom()
    assert len(picture.student_boxes()) == 24
    assert picture.teacher_box(23).right() <= picture.width()


# -- models for texts ----------------------------------------------------------------------------------------


def finished(project: Project, name: str, best: float, metric: str) -> RunFolder:
    run = project.create_run(project.load(name))
    write_bytes(run.state_path, encode_state(RunState(phase="finished", best=best, best_metric=metric)))
    run.student_dir.mkdir()
    (run.student_dir / "model.safetensors").write_bytes(b"")
    return run


def words(kit: SetupKit, side: str) -> list[str]:
    combo = kit.field(f"{side}.model").editor.combo
    return [combo.itemText(index) for index in range(combo.count())]


def test_models_for_texts_lead(page: SetupKit, monkeypatch: pytest.MonkeyPatch, texts: Project) -> None:
    page.go("student")
    offered = words(page, "student")
    assert {"from-teacher", "as-run", "transformers:gpt2", "transformers:llama"} <= set(offered)
    assert "resnet20" not in offered
    assert "from-teacher" not in words(page, "teacher")
    folder = texts.root / "models" / "mine"
    folder.mkdir(parents=True)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    editor: Any = page.field("student.model").editor
    assert isinstance(editor, ModelEditor)
    editor.combo.setEditText(CHOOSE_FOLDER)
    editor.combo.activated.emit(editor.combo.findText(CHOOSE_FOLDER))
    assert page.value("student.model") == "transformers:models/mine"
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "")
    editor.combo.setEditText(CHOOSE_FOLDER)
    editor.combo.activated.emit(0)
    assert page.value("student.model") == "transformers:models/mine"
    assert editor.combo.currentText() == "transformers:models/mine"


def test_a_student_begins_from_a_run(page: SetupKit, texts: Project, qtbot: QtBot) -> None:
    run = finished(texts, "general", 12.34, "perplexity")
    section = page.go("student")
    assert not section.lineage.isVisible()
    editor: Any = page.field("student.model").editor
    page.type_into(editor.line, "as-run")
    assert page.value("student.weights") == "run:general"
    assert page.value("student.layers") is None
    page.settle()
    assert page.page.context.problems == {}
    card = section.lineage
    assert card.isVisible()
    assert [step.run for step in card.steps] == [run]
    with qtbot.waitSignal(page.page.context.run_wanted) as wanted:
        page.click(card.buttons[0])
    assert wanted.args == [run]


def test_a_run_that_is_missing_is_said(page: SetupKit) -> None:
    section = page.go("student")
    page.page.document.edit("x", {"student": {"model": "as-run", "weights": "run:nowhere"}})
    assert section.lineage.isVisible()
    assert section.lineage.steps[0].run is None
    assert not section.lineage.buttons


def test_texts_get_the_tokenizer_of_a_network(page: SetupKit) -> None:
    page.page.document.edit("x", {"teacher.model": "transformers:minilm", "teacher.args": {}})
    page.settle()
    assert page.engine.questions["data"]["data"]["tokenizer"] == "minilm"
    page.page.document.edit("x", {"teacher.weights": "run:general", "teacher.model": "as-run"})
    page.settle()
    assert page.engine.questions["data"]["data"]["tokenizer"] == "run:general"
