"""Edits of the Setup page: undo and redo, presets, saving, and YAML."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QGuiApplication, QKeySequence
from PySide6.QtTest import QTest

from kdstudio.gui.setup.document import Document, written
from kdstudio.gui.setup.presets import PRESETS
from kdstudio.gui.setup.schema import complete, lean
from kdstudio.project.errors import KDStudioError
from kdstudio.project.folder import Project
from kdstudio.project.spec import Experiment
from tests.gui.setup_kit import STUDENT, TEACHER, SetupKit, data_answer, know_all, know_cnns

# -- the document ----------------------------------------------------------------------------------------------


def test_written_leaves_the_data_alone() -> None:
    data = {"a": {"b": [1, {"c": 2}]}, "n": None}
    assert written(data, {"a.b.1.c": 3, "n.x": 4}) == {"a": {"b": [1, {"c": 3}]}, "n": {"x": 4}}
    assert data == {"a": {"b": [1, {"c": 2}]}, "n": None}
    assert written(data, {"": {"z": 1}}) == {"z": 1}


def test_consecutive_edits_of_one_field_are_one_step(qapp: object) -> None:
    document = Document()
    document.load({"a": 1, "b": 1})
    for number in (2, 3, 4):
        document.edit("Change a", {"a": number}, merge=True)
    document.edit("Change b", {"b": 2}, merge=True)
    document.edit("Change a", {"a": 5}, merge=True)
    document.seal()
    document.edit("Change a", {"a": 6}, merge=True)
    stack = document.undo_stack
    assert [stack.text(index) for index in range(stack.count())] == ["Change a", "Change b", "Change a", "Change a"]
    seen = []
    while stack.canUndo():
        stack.undo()
        seen.append((document.get("a"), document.get("b")))
    assert seen == [(5, 2), (4, 2), (4, 1), (1, 1)]
    while stack.canRedo():
        stack.redo()
    assert document.value == {"a": 6, "b": 2}


def test_an_edit_that_ends_where_it_began_is_no_step(qapp: object) -> None:
    document = Document()
    document.load({"a": 1})
    document.edit("Change a", {"a": 2}, merge=True)
    document.edit("Change a", {"a": 1}, merge=True)
    assert document.undo_stack.count() == 0
    document.edit("Change a", {"a": 1})
    assert document.undo_stack.count() == 0
    document.edit("Change a", {"a": True})
    assert document.undo_stack.count() == 1, "true is not 1"


def test_complete_and_lean_undo_each_other(sample: Project) -> None:
    for name in sample.experiment_names():
        full = sample.load(name).model_dump(mode="json")
        short = lean(Experiment, full)
        assert complete(Experiment, short) == full
        assert len(str(short)) < len(str(full))
    broken = {"student": 3, "objective": [{"term": "what"}, "x"], "data": {"source": "digits"}, "zz": 1}
    whole = complete(Experiment, broken)
    assert whole["zz"] == 1
    assert complete(Experiment, lean(Experiment, whole)) == whole


# -- undo ------------------------------------------------------------------------------------------------------


def test_typing_is_one_step_and_undo_shows_where_it_was(setup: SetupKit) -> None:
    stack = setup.page.undo_stack
    setup.type_into(setup.field("train.lr").editor.line, "0.0125")
    assert stack.count() == 1
    assert stack.undoText() == "Change learning rate"
    setup.type_into(setup.field("student.widths").editor.line, "48")
    assert stack.count() == 2
    setup.go("general")
    stack.undo()
    assert setup.value("student.widths") == [32]
    assert setup.page.current_section() is setup.page.section("student")
    stack.undo()
    assert setup.value("train.lr") == 0.003
    assert setup.page.current_section() is setup.page.section("training")
    box = setup.page.context.boxes["train.lr"]
    setup.qtbot.waitUntil(box.editor.line.hasFocus, timeout=10_000)
    assert box.editor.line.text() == "0.003"
    assert not setup.page.dirty
    stack.redo()
    assert setup.page.dirty
    assert box.editor.line.text() == "0.0125"


def test_coming_back_to_a_field_is_a_step_of_its_own(setup: SetupKit) -> None:
    line = setup.field("train.lr").editor.line
    setup.type_into(line, "0.5")
    setup.field("train.epochs")
    setup.qtbot.waitUntil(lambda: not line.hasFocus(), timeout=10_000)
    setup.type_into(line, "0.7")
    assert setup.page.undo_stack.count() == 2


def test_control_z_in_a_line_is_the_experiments_undo(setup: SetupKit) -> None:
    action = QAction("Undo", setup.window)
    action.setShortcut(QKeySequence("Ctrl+Z"))
    action.triggered.connect(setup.page.undo_stack.undo)
    setup.window.addAction(action)
    for path in ("train.lr", "train.epochs", "student.widths"):
        before = setup.value(path)
        editor = setup.field(path).editor
        line = getattr(editor, "line", None) or editor.spin.lineEdit()
        setup.type_into(line, "7")
        assert setup.value(path) != before
        QTest.keyClick(line, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
        assert setup.value(path) == before, path
        assert setup.page.undo_stack.index() == 0


def test_opening_another_experiment_forgets_the_steps(setup: SetupKit, sample: Project) -> None:
    setup.type_into(setup.field("train.lr").editor.line, "0.5")
    setup.open(sample, "hints")
    assert not setup.page.undo_stack.canUndo()
    assert not setup.page.dirty
    assert setup.page.experiment is not None
    assert setup.page.experiment.name == "hints"


def test_no_experiment(setup: SetupKit) -> None:
    setup.page.close_experiment()
    assert setup.page.whole.currentIndex() == 0
    assert setup.page.path is None
    assert not setup.page.check()
    assert not setup.page.save()


# -- presets ---------------------------------------------------------------------------------------------------


def changed_paths(before: Any, after: Any, path: str = "") -> set[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        return {
            found
            for key in {*before, *after}
            for found in changed_paths(before.get(key), after.get(key), f"{path}.{key}" if path else key)
        }
    return set() if before == after else {path}


def click_preset(setup: SetupKit, name: str) -> None:
    menu = setup.page.presets.menu()
    action = next(action for action in menu.actions() if action.text().startswith(f"{name}\t"))
    menu.popup(setup.page.presets.mapToGlobal(setup.page.presets.rect().bottomLeft()))
    setup.qtbot.waitUntil(menu.isVisible, timeout=10_000)
    setup.qtbot.mouseClick(menu, Qt.MouseButton.LeftButton, pos=menu.actionGeometry(action).center())


#: Presets with terms on maps, which perceptrons have none of.
ON_MAPS = ("Flow of the solution, two stages", "Factor transfer, two stages")


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_a_preset_makes_an_experiment_that_can_run_and_is_undone(setup: SetupKit, preset: Any) -> None:
    know_cnns(setup) if preset.name in ON_MAPS else know_all(setup)
    before = setup.page.document.value
    click_preset(setup, preset.name)
    setup.settle()
    assert setup.page.experiment is not None, setup.page.context.problems
    assert setup.page.undo_stack.undoText() == f"Preset: {preset.name}"
    changed = changed_paths(before, setup.page.document.value)
    assert changed
    allowed = {
        "Quick try": ("train.", "teacher.train.", "data.train_limit", "evaluate.latency", "baseline"),
        "CIFAR benchmark schedule": ("train.", "data."),
        "Hinton MNIST study": ("objective", "teacher.", "student.", "data."),
        "One assistant between": ("assistants",),
        "Born-again networks": ("objective", "assistants", "student.", "train.seed"),
    }.get(preset.name, ("objective",))
    assert all(path.startswith(allowed) for path in changed), changed
    setup.page.undo_stack.undo()
    assert setup.page.document.value == before


def test_presets_of_first_stages(setup: SetupKit) -> None:
    know_cnns(setup)
    epochs = setup.value("train.epochs")
    stages = [{"teacher": name, "student": name} for name in ("stage1", "stage2")]
    for name, tag, pairs, after in (
        ("Activation boundaries, two stages", "boundary", stages, ["hard", "soft"]),
        ("Flow of the solution, two stages", "flow", stages, ["hard"]),
    ):
        click_preset(setup, name)
        first, *rest = setup.value("objective")
        assert (first["term"], first["until_epoch"], first["pairs"]) == (tag, epochs // 4, pairs)
        assert [(term["term"], term["from_epoch"]) for term in rest] == [(word, epochs // 4) for word in after]
    click_preset(setup, "Factor transfer, two stages")
    hard, factor = setup.value("objective")
    assert (hard["weight"], factor["weight"], factor["paraphraser_epochs"]) == (1, 200, 30)


def test_presets_say_what_was_published(setup: SetupKit) -> None:
    know_all(setup)
    click_preset(setup, "CIFAR benchmark schedule")
    assert [setup.value(f"train.{name}") for name in ("epochs", "lr", "weight_decay", "gamma")] == [
        240,
        0.05,
        5e-4,
        0.1,
    ]
    assert setup.value("train.milestones") == [150, 180, 210]
    assert setup.value("data.batch_size") == 64
    click_preset(setup, "FitNets, two stages")
    hint, hard, soft = setup.value("objective")
    assert (hint["until_epoch"], hard["from_epoch"], soft["from_epoch"]) == (60, 60, 60)
    assert hint["pairs"] == [{"teacher": "hidden1", "student": "hidden1"}]
    click_preset(setup, "Hinton MNIST study")
    assert setup.value("teacher.widths") == [1200, 1200]
    assert setup.value("teacher.train.epochs") == 4, "how the teacher is trained stays"
    assert setup.value("objective.1.temperature") == 20


# -- saving ----------------------------------------------------------------------------------------------------


def test_saving_keeps_comments(setup: SetupKit, sample: Project) -> None:
    seen: list[bool] = []
    setup.page.changed.connect(seen.append)
    setup.type_into(setup.field("train.lr").editor.line, "0.01")
    assert setup.page.dirty
    assert setup.page.state.text() == "not saved"
    assert setup.page.save()
    assert not setup.page.dirty
    assert True in seen
    assert seen[-1] is False
    text = sample.path_of("soft-targets").read_text(encoding="utf-8")
    assert "# Hinton's soft targets" in text
    assert "lr: 0.01" in text
    assert sample.load("soft-targets").train.lr == 0.01
    setup.page.undo_stack.undo()
    assert setup.page.dirty, "the file says something else now"


def test_what_is_wrong_is_not_saved(setup: SetupKit, sample: Project) -> None:
    before = sample.path_of("soft-targets").read_text(encoding="utf-8")
    setup.type_into(setup.field("train.lr").editor.line, "-1")
    assert not setup.page.save()
    assert sample.path_of("soft-targets").read_text(encoding="utf-8") == before


def test_a_file_that_somebody_else_changed_is_not_replaced_silently(setup: SetupKit, sample: Project) -> None:
    path = sample.path_of("soft-targets")
    errors: list[KDStudioError] = []
    setup.page.failed.connect(errors.append)
    setup.type_into(setup.field("train.lr").editor.line, "0.01")
    path.write_text(path.read_text() + "notes: theirs\n")
    assert not setup.page.save()
    assert "changed outside" in errors[0].what
    assert "theirs" in path.read_text()
    assert setup.page.save(), "the second time it is meant"
    assert sample.load("soft-targets").train.lr == 0.01


def test_a_folder_that_cannot_be_written(setup: SetupKit, monkeypatch: pytest.MonkeyPatch) -> None:
    errors: list[KDStudioError] = []
    setup.page.failed.connect(errors.append)
    setup.type_into(setup.field("train.lr").editor.line, "0.01")

    def full(*_: Any) -> None:
        raise KDStudioError("the disk is full")

    monkeypatch.setattr(Project, "save", full)
    assert not setup.page.save()
    assert errors[0].what == "the disk is full"
    assert setup.page.dirty


# -- YAML ------------------------------------------------------------------------------------------------------


def test_yaml_shows_what_the_file_will_say(setup: SetupKit, sample: Project) -> None:
    section = setup.go("yaml")
    path = sample.path_of("soft-targets")
    assert section.editor.toPlainText() == path.read_text(encoding="utf-8")
    setup.page.document.edit("x", {"train.lr": 0.01})
    setup.settle()
    shown = section.editor.toPlainText()
    assert "lr: 0.01" in shown
    assert "# Hinton's soft targets" in shown
    setup.click(section.copy)
    assert QGuiApplication.clipboard().text() == shown
    assert setup.page.save()
    assert path.read_text(encoding="utf-8") == shown
    setup.page.document.edit("x", {"train.lr": "fast"})
    setup.settle()
    assert "lr: fast" in section.editor.toPlainText(), "also while it is wrong"


def replace_in_yaml(section: Any, old: str, new: str) -> None:
    cursor = section.editor.document().find(old)
    assert not cursor.isNull(), old
    section.editor.setTextCursor(cursor)
    section.editor.setFocus()
    QTest.keyClicks(section.editor, new)


def test_yaml_is_edited_and_applied(setup: SetupKit, sample: Project) -> None:
    section = setup.go("yaml")
    assert not section.apply.isEnabled()
    replace_in_yaml(section, "baseline: true  #", "baseline: false  # not now")
    assert section.apply.isEnabled()
    assert setup.page.dirty
    assert not setup.page.check(), "what was typed counts as not finished"
    assert setup.page.context.problems == {"yaml": ["What was typed is not applied yet."]}
    setup.click(section.apply)
    assert setup.value("baseline") is False
    assert setup.page.undo_stack.undoText() == "Edit the YAML"
    setup.settle()
    assert setup.page.context.problems == {}
    assert setup.page.save()
    assert "baseline: false  # not now" in sample.path_of("soft-targets").read_text()
    setup.page.undo_stack.undo()
    assert setup.value("baseline") is True


def test_a_comment_alone_is_a_change_too(setup: SetupKit, sample: Project) -> None:
    section = setup.go("yaml")
    replace_in_yaml(section, "# Hinton's", "# Geoffrey Hinton's")
    QTest.keyClick(section.editor, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert setup.page.undo_stack.count() == 0
    assert setup.page.dirty
    assert setup.page.save()
    assert sample.path_of("soft-targets").read_text().startswith("# Geoffrey Hinton's")
    assert not setup.page.dirty


def test_wrong_yaml_says_where(setup: SetupKit) -> None:
    section = setup.go("yaml")
    replace_in_yaml(section, "lr: 0.003", "lr: [")
    setup.click(section.apply)
    assert section.problem.isVisible()
    assert "line" in section.problem.text()
    assert setup.value("train.lr") == 0.003
    assert not setup.page.save()
    setup.click(section.back)
    assert not section.problem.isVisible()
    assert "lr: 0.003" in section.editor.toPlainText()
    assert not setup.page.dirty
    replace_in_yaml(section, "lr: 0.003", "lr: fast")
    setup.click(section.apply)
    setup.settle()
    assert "teacher.train.lr" in setup.page.context.problems, "a wrong field is taken over, and marked"


def test_saving_applies_what_was_typed(setup: SetupKit, sample: Project) -> None:
    replace_in_yaml(setup.go("yaml"), "batch_size: 64", "batch_size: 32")
    assert setup.page.save()
    assert sample.load("soft-targets").data.batch_size == 32


def test_answers_do_not_disturb_what_is_typed(setup: SetupKit) -> None:
    section = setup.go("yaml")
    replace_in_yaml(section, "batch_size: 64", "batch_size: 3")
    for channel, answer in (("data", data_answer()), ("student", STUDENT), ("teacher", TEACHER)):
        setup.engine.answer(channel, answer)
    assert "batch_size: 3," in section.editor.toPlainText()
