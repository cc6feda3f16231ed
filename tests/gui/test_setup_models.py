"""Another model is chosen on the Setup page: what it does not have goes with it."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from kdstudio.project.folder import Project
from tests.gui.setup_kit import SetupKit


def choose_model(setup: SetupKit, side: str, word: str) -> None:
    """Chooses a model from the list by the keyboard."""
    combo = setup.field(f"{side}.model").editor.combo
    combo.showPopup()
    view = combo.view()
    setup.qtbot.waitUntil(view.isVisible, timeout=10_000)
    index = combo.model().index(combo.findText(word), 0)
    view.scrollTo(index)
    view.setCurrentIndex(index)
    QTest.keyClick(view, Qt.Key.Key_Return)
    setup.qtbot.waitUntil(lambda: setup.value(f"{side}.model") == word, timeout=10_000)


def test_a_model_without_widths_drops_them_in_the_same_step(setup: SetupKit, sample: Project) -> None:
    before = setup.page.document.value
    choose_model(setup, "teacher", "resnet20")
    setup.settle()
    assert setup.page.context.problems == {}
    assert (setup.value("teacher.widths"), setup.value("teacher.dropout")) == (None, 0.0)
    assert setup.page.undo_stack.count() == 1
    teacher = setup.page.draft.yaml_text(setup.page.experiment).partition("student:")[0]
    assert "widths" not in teacher
    setup.page.undo_stack.undo()
    assert setup.page.document.value == before
    setup.page.undo_stack.redo()
    assert setup.page.save()
    assert "null" not in sample.path_of("soft-targets").read_text(encoding="utf-8")


@pytest.mark.parametrize(("side", "widths"), [("teacher", [32, 64]), ("student", [16, 32])])
def test_a_cnn_in_place_of_an_mlp_has_widths_of_its_own(setup: SetupKit, side: str, widths: list[int]) -> None:
    before = setup.value(f"{side}.widths")
    choose_model(setup, side, "cnn")
    assert setup.value(f"{side}.widths") == widths
    setup.page.undo_stack.undo()
    assert setup.value(f"{side}.widths") == before


def test_a_typed_model_is_one_step_and_the_same_one_changes_nothing(setup: SetupKit) -> None:
    line = setup.field("student.model").editor.line
    setup.type_into(line, "resnet8")
    assert setup.value("student.widths") is None
    assert setup.page.undo_stack.count() == 1
    setup.page.undo_stack.undo()
    assert setup.value("student.widths") == [32]
    setup.type_into(line, "mlp")
    assert setup.value("student.widths") == [32]


def test_a_further_teacher_is_added_and_removed(setup: SetupKit, sample: Project) -> None:
    section = setup.go("teacher")
    setup.click(section.others.add_button)
    setup.settle()
    further = setup.page.experiment.teachers
    assert [(one.model, one.widths, one.train.seed) for one in further] == [("mlp", setup.value("teacher.widths"), 1)]
    assert setup.page.context.problems == {}
    assert setup.field("teachers.0.model").isVisible()
    setup.page.undo_stack.undo()
    setup.settle()
    assert setup.page.experiment.teachers == []
    assert section.others.items == []
