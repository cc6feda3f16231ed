"""The Objective section: terms, the linked slider, the formula, epochs, layer pairs and the temperature."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDialogButtonBox, QMenu

from kdstudio.engine.objective import term_names
from kdstudio.engine.terms import HintRegressor
from kdstudio.gui.setup import formula
from kdstudio.gui.setup.balance import names_of
from kdstudio.gui.setup.distribution import percent
from kdstudio.gui.setup.joins import join, middle, suggested
from kdstudio.gui.setup.pair_dialog import PairDialog
from kdstudio.gui.setup.temperature import in_words
from kdstudio.gui.theme import DARK, Theme
from kdstudio.project.errors import ModelError
from kdstudio.project.folder import Project
from kdstudio.project.runs.snapshots import soften
from kdstudio.project.spec import HardTerm, HintTerm, LayerPair, SoftTerm
from tests.gui.setup_kit import LEFT, STUDENT, TEACHER, SetupKit, data_answer, know_all, model_answer

RESNETS = {
    "teacher": model_answer(
        9, 9, [("conv1", (16, 8, 8)), ("layer1", (16, 8, 8)), ("layer1.0", (16, 8, 8)), ("layer2", (32, 4, 4)),
               ("layer3", (64, 2, 2)), ("fc", (10,))]
    ),
    "student": model_answer(
        9, 9, [("conv1", (16, 8, 8)), ("layer1", (16, 8, 8)), ("layer2", (32, 4, 4)), ("layer3", (64, 2, 2)),
               ("fc", (10,))]
    ),
}  # fmt: skip


# -- terms -----------------------------------------------------------------------------------------------------


def choose(setup: SetupKit, menu: QMenu, start: str) -> None:
    """Clicks an entry of a menu."""
    action = next(action for action in menu.actions() if action.text().startswith(start))
    menu.popup(setup.page.mapToGlobal(QPoint(200, 50)))
    setup.qtbot.waitUntil(menu.isVisible, timeout=10_000)
    setup.qtbot.mouseClick(menu, LEFT, pos=menu.actionGeometry(action).center())


def tags(setup: SetupKit) -> list[str]:
    return [term["term"] for term in setup.value("objective")]


def test_terms_are_added_moved_and_removed(setup: SetupKit) -> None:
    know_all(setup)
    section = setup.go("objective")
    assert [card.heading.text() for card in section.cards] == ["Hard labels", "Soft targets"]
    assert not section.cards[0].up.isEnabled()
    assert not section.cards[1].down.isEnabled()
    choose(setup, section.add.menu(), "Hints")
    assert tags(setup) == ["hard", "soft", "hint"]
    assert setup.value("objective.2.pairs") == [{"teacher": "hidden1", "student": "hidden1"}]
    setup.qtbot.waitUntil(lambda: section.cards[2].isVisible(), timeout=10_000)
    choose(setup, section.add.menu(), "Soft targets")
    assert section.cards[3].heading.text() == "Soft targets (soft-2)"
    setup.click(section.cards[2].up)
    assert tags(setup) == ["hard", "hint", "soft", "soft"]
    assert section.cards[1].up.hasFocus(), "the moved card can be moved on"
    setup.click(section.cards[1].up)
    assert tags(setup) == ["hint", "hard", "soft", "soft"]
    assert section.cards[0].remove.hasFocus()
    setup.click(section.cards[3].remove)
    assert tags(setup) == ["hint", "hard", "soft"]
    words = [setup.page.undo_stack.text(index) for index in range(setup.page.undo_stack.count())]
    assert words == ["Add hints", "Add soft targets", "Move hints up", "Move hints up", "Remove soft targets"]
    for _ in words:
        setup.page.undo_stack.undo()
    assert tags(setup) == ["hard", "soft"]
    assert [card.heading.text() for card in section.cards] == ["Hard labels", "Soft targets"]
    assert set(setup.page.context.boxes) & {"objective.2.weight", "objective.3.weight"} == set()


def test_the_last_term_stays(setup: SetupKit) -> None:
    section = setup.go("objective")
    setup.click(section.cards[1].remove)
    assert not section.cards[0].remove.isEnabled()


def test_a_terms_settings(setup: SetupKit) -> None:
    setup.type_into(setup.field("objective.1.temperature").editor.line, "8")
    assert setup.value("objective.1.temperature") == 8
    setup.type_into(setup.field("objective.0.until_epoch").editor.spin.lineEdit(), "3")
    assert setup.value("objective.0.until_epoch") == 3
    section = setup.page.current_section()
    nested = next(part for part in section.cards[1].form.nested if part.path.endswith("schedule"))
    section.cards[1].form.fold.open()
    QTest.mouseClick(nested.present, LEFT, pos=QPoint(8, nested.present.height() // 2))
    assert setup.value("objective.1.schedule") == {"kind": "linear", "start": 1.0, "end": 0.0}
    setup.type_into(setup.field("objective.1.schedule.end").editor.line, "0.5")
    assert setup.value("objective.1.schedule.end") == 0.5
    QTest.mouseClick(nested.present, LEFT, pos=QPoint(8, nested.present.height() // 2))
    assert setup.value("objective.1.schedule") is None
    setup.page.document.edit("x", {"objective.0.from_epoch": 5})
    setup.settle()
    assert "not after from_epoch" in setup.field("objective.0.until_epoch").note.text()


# -- formula and slider ----------------------------------------------------------------------------------------


def test_the_slider_links_hard_and_soft(setup: SetupKit) -> None:
    balance = setup.go("objective").balance
    assert balance.slider.value() == 10
    before = setup.page.undo_stack.count()
    balance.slider.setFocus()
    for _ in range(5):
        QTest.keyClick(balance.slider, Qt.Key.Key_Right)
    assert (setup.value("objective.0.weight"), setup.value("objective.1.weight")) == (0.15, 0.85)
    assert setup.page.undo_stack.count() == before + 1, "one way of the slider is one step"
    assert setup.page.undo_stack.undoText() == "Change the balance a"
    assert "0.15" in balance.numbers.text()
    assert "0.85" in balance.numbers.text()
    assert setup.page.context.boxes["objective.0.weight"].editor.line.text() == "0.15"
    QTest.keyClick(balance.slider, Qt.Key.Key_Home)
    assert (setup.value("objective.0.weight"), setup.value("objective.1.weight")) == (0, 1)
    setup.page.undo_stack.undo()
    assert (setup.value("objective.0.weight"), setup.value("objective.1.weight")) == (0.1, 0.9)
    assert balance.slider.value() == 10


def test_weights_that_do_not_sum_to_one(setup: SetupKit) -> None:
    balance = setup.go("objective").balance
    setup.type_into(setup.page.context.boxes["objective.0.weight"].editor.line, "3")
    setup.type_into(setup.page.context.boxes["objective.1.weight"].editor.line, "1")
    assert balance.slider.value() == 75
    assert balance.note.isVisible()
    balance.slider.setFocus()
    QTest.keyClick(balance.slider, Qt.Key.Key_Left)
    assert (setup.value("objective.0.weight"), setup.value("objective.1.weight")) == (0.74, 0.26)
    assert not balance.note.isVisible()


def test_without_both_terms_there_is_no_slider(setup: SetupKit) -> None:
    section = setup.go("objective")
    setup.click(section.cards[1].remove)
    assert not section.balance.balance.isVisible()
    assert "<i>w</i><sub>1</sub>" in section.balance.letters.text()


def test_the_formula() -> None:
    terms = [{"term": "hard", "weight": 0.1}, {"term": "soft", "weight": 0.9, "temperature": 4.0}]
    letters, numbers = formula.general(terms, DARK), formula.numbers(terms, DARK)
    assert "<i>a</i>" in letters
    assert "1&thinsp;−&thinsp;<i>a</i>" in letters
    assert "<i>T</i><sup>2</sup>" in letters
    assert "4<sup>2</sup>" in numbers
    assert DARK.curve1 in numbers
    assert formula.plain(terms) == "L = 0.1 times hard + 0.9 times soft"
    assert formula.balance([{"term": "hard", "weight": "x"}, {"term": "soft", "weight": 1}]) is None
    assert formula.balance([{"term": "hard", "weight": 0}, {"term": "soft", "weight": 0}]) is None
    assert "?" in formula.numbers([{"term": "hard", "weight": "x"}], DARK)


def test_names_are_those_of_the_engine() -> None:
    pair = LayerPair(teacher="a", student="b")
    terms = [HardTerm(), SoftTerm(), HintTerm(pairs=[pair]), SoftTerm(), HardTerm(), SoftTerm()]
    assert names_of([term.model_dump() for term in terms]) == term_names(terms)


def test_the_timeline_says_when_terms_count(setup: SetupKit, sample: Project) -> None:
    setup.open(sample, "two-stage")
    timeline = setup.go("objective").balance.timeline
    text = timeline.accessibleDescription()
    assert text == "hint counts in epochs 0 to 2; hard counts in epochs 3 to 5; soft counts in epochs 3 to 5"
    before = timeline.grab().toImage()
    setup.page.document.edit("x", {"objective.0.until_epoch": 5})
    assert timeline.grab().toImage() != before
    setup.page.document.edit("x", {"objective.0.from_epoch": "soon"})
    assert "hint never counts" in timeline.accessibleDescription()


# -- pairs -----------------------------------------------------------------------------------------------------


def test_layers_are_joined_by_the_rules_of_the_engine() -> None:
    shapes: list[tuple[int, ...]] = [
        (8,),
        (16,),
        (4, 8),
        (4, 16),
        (5, 8),
        (8, 4, 4),
        (16, 4, 4),
        (16, 2, 8),
        (2, 2, 2, 2),
        (),
    ]
    for student, teacher in itertools.product(shapes, repeat=2):
        try:
            HintRegressor(student, teacher)
            possible = True
        except ModelError:
            possible = False
        assert join(student, teacher).possible is possible, (student, teacher)


def test_the_way_of_joining_is_said() -> None:
    assert join((16, 8, 8), (32, 8, 8)).text == "1 × 1 convolution, 16 to 32 channels"
    assert "averaged down from 8 × 8 to 4 × 4" in join((16, 8, 8), (32, 4, 4)).text
    assert "enlarged from 4 × 4 to 8 × 8" in join((16, 4, 4), (32, 8, 8)).text
    assert join((16,), (32,)).text == "a linear map, 16 to 32 numbers"
    assert "for each of 4 tokens" in join((4, 16), (4, 32)).text
    assert "a vector (8)" in join((8,), (8, 2, 2)).text


def test_suggested_pairs() -> None:
    pairs = suggested(RESNETS["teacher"]["layers"], RESNETS["student"]["layers"])
    assert pairs == [("layer1", "layer1"), ("layer2", "layer2"), ("layer3", "layer3")]
    assert middle(pairs) == ("layer2", "layer2")
    assert suggested(TEACHER["layers"], STUDENT["layers"]) == [("hidden1", "hidden1")]
    cnn = model_answer(9, 9, [("stage1", (8, 8, 8)), ("stage2", (8, 4, 4)), ("fc", (10,))])
    assert suggested(RESNETS["teacher"]["layers"], cnn["layers"]) == [("layer1.0", "stage1"), ("layer2", "stage2")]
    assert middle([]) is None


@pytest.fixture
def dialog(qtbot: Any, theme: Theme) -> Any:
    made = PairDialog(theme, RESNETS["teacher"], RESNETS["student"], [{"teacher": "layer1", "student": "layer1"}])
    made.show()
    qtbot.waitExposed(made)
    made.activateWindow()
    qtbot.waitUntil(made.isActiveWindow, timeout=20_000)
    yield made
    made.close()
    made.deleteLater()


def click_layer(qtbot: Any, dialog: PairDialog, side: str, name: str) -> None:
    tree = dialog.trees[side]
    item = tree._items[name]
    tree.scrollToItem(item)
    qtbot.mouseClick(tree.viewport(), LEFT, pos=tree.visualItemRect(item).center())


def test_pairs_are_picked_by_clicks(dialog: PairDialog, qtbot: Any) -> None:
    assert dialog.trees["teacher"].chosen() == "layer1"
    assert "there already" in dialog.verdict.text()
    assert not dialog.add.isEnabled()
    click_layer(qtbot, dialog, "teacher", "layer2")
    assert "averaged down" in dialog.verdict.text()
    click_layer(qtbot, dialog, "student", "fc")
    assert "cannot be joined" in dialog.verdict.text()
    assert not dialog.add.isEnabled()
    click_layer(qtbot, dialog, "student", "layer2")
    qtbot.mouseClick(dialog.add, LEFT)
    assert dialog.pairs()[1] == {"teacher": "layer2", "student": "layer2"}
    qtbot.mouseClick(dialog.suggest, LEFT)
    assert [pair["teacher"] for pair in dialog.pairs()] == ["layer1", "layer2", "layer3"]
    dialog.list.setCurrentRow(0)
    qtbot.mouseClick(dialog.remove, LEFT)
    assert [pair["teacher"] for pair in dialog.pairs()] == ["layer2", "layer3"]
    assert dialog.trees["teacher"]._items["layer1.0"].parent() is dialog.trees["teacher"]._items["layer1"]


def test_pairs_are_picked_by_keys(dialog: PairDialog, qtbot: Any) -> None:
    teacher, student = dialog.trees["teacher"], dialog.trees["student"]
    assert teacher.hasFocus()
    while teacher.chosen() != "layer3":
        QTest.keyClick(teacher, Qt.Key.Key_Down)
    QTest.keyClick(teacher, Qt.Key.Key_Tab)
    assert student.hasFocus()
    while student.chosen() != "layer3":
        QTest.keyClick(student, Qt.Key.Key_Down)
    QTest.keyClick(student, Qt.Key.Key_Return)
    assert dialog.pairs()[-1] == {"teacher": "layer3", "student": "layer3"}
    assert dialog.isVisible(), "Return in a tree adds, it does not close"
    dialog.list.setFocus()
    QTest.keyClick(dialog.list, Qt.Key.Key_Delete)
    assert len(dialog.pairs()) == 1
    QTest.keyClick(dialog, Qt.Key.Key_Escape)
    assert not dialog.isVisible()


def test_parts_inside_layers_can_be_shown(qtbot: Any, theme: Theme) -> None:
    report = model_answer(9, 9, [("layer1", (8, 4, 4)), ("fc", (10,))])
    names = [("layer1", (8, 4, 4)), ("layer1.conv", (8, 4, 4)), ("dropout", (8,)), ("fc", (10,))]
    report["parts"] = model_answer(9, 9, names)["layers"]
    pairs = [{"teacher": "layer1.conv", "student": "layer1"}, {"teacher": "gone", "student": "layer1"}]
    made = PairDialog(theme, report, report, pairs)
    made.show()
    teacher, student = made.trees["teacher"], made.trees["student"]
    hidden = [name for name, item in student._items.items() if item.isHidden()]
    assert hidden == ["layer1.conv", "dropout"]
    assert teacher.chosen() == "layer1.conv"
    assert not teacher._items["layer1.conv"].isHidden(), "what is in a pair is on screen"
    assert "there is no such layer" in made.list.item(1).text()
    qtbot.mouseClick(made.parts, LEFT, pos=QPoint(8, made.parts.height() // 2))
    assert not student._items["dropout"].isHidden()
    made.close()
    made.deleteLater()


def test_the_dialog_fits_a_small_screen(dialog: PairDialog, qtbot: Any) -> None:
    assert dialog.minimumSizeHint().height() <= 660
    assert dialog.minimumSizeHint().width() <= 1200
    assert dialog.sizeHint().height() <= 660
    buttons = dialog.findChild(QDialogButtonBox)
    dialog.resize(dialog.minimumSizeHint())
    qtbot.waitUntil(lambda: buttons.geometry().bottom() < dialog.height(), timeout=10_000)


def test_without_layers_the_dialog_says_why(qtbot: Any, theme: Theme) -> None:
    made = PairDialog(theme, None, None, [{"teacher": "a", "student": "b"}])
    assert "when both networks can be built" in made.verdict.text()
    assert not made.add.isEnabled()
    assert not made.suggest.isEnabled()
    assert made.pairs() == [{"teacher": "a", "student": "b"}], "nothing is lost"
    made.deleteLater()


def in_the_dialog(act: Callable[[PairDialog], None]) -> QTimer:
    """Does something in the pair dialog when it is open."""
    timer = QTimer()
    timer.setInterval(30)

    def look() -> None:
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, PairDialog) and dialog.isVisible():
            timer.stop()
            act(dialog)

    timer.timeout.connect(look)
    timer.start()
    return timer


def test_the_dialog_changes_the_objective(setup: SetupKit, sample: Project) -> None:
    setup.open(sample, "hints")
    know_all(setup)
    editor = setup.field("objective.2.pairs").editor
    assert "a linear map, 32 to 256 numbers" in editor.text.text()

    def act(dialog: PairDialog) -> None:
        click_layer(setup.qtbot, dialog, "teacher", "hidden2")
        setup.qtbot.mouseClick(dialog.add, LEFT)
        ok = dialog.findChild(QDialogButtonBox).button(QDialogButtonBox.StandardButton.Ok)
        setup.qtbot.mouseClick(ok, LEFT)

    timer = in_the_dialog(act)
    setup.click(editor.button)
    assert not timer.isActive()
    assert setup.value("objective.2.pairs.1") == {"teacher": "hidden2", "student": "hidden1"}
    assert setup.page.undo_stack.undoText() == "Change pairs"
    timer = in_the_dialog(lambda dialog: dialog.reject())
    setup.click(editor.button)
    assert setup.page.undo_stack.count() == 1


def test_pairs_that_cannot_be_are_marked_before_the_run(setup: SetupKit, sample: Project) -> None:
    setup.open(sample, "hints")
    know_all(setup)
    setup.page.document.edit("x", {"objective.2.pairs": []})
    setup.settle()
    assert "objective.2.pairs" in setup.page.context.problems
    for teacher, student, words in (
        ("hidden9", "hidden1", "no layer 'hidden9'"),
        ("hidden1", "conv", "no layer 'conv'"),
    ):
        setup.page.document.edit("x", {"objective.2.pairs": [{"teacher": teacher, "student": student}]})
        setup.settle()
        assert words in setup.page.context.problems["objective.2.pairs.0"][0]
    assert words in setup.field("objective.2.pairs").note.text()
    assert setup.page.experiment is not None, "the engine has the last word on layers"


# -- temperature -----------------------------------------------------------------------------------------------


def logits_answer(trained: bool = True) -> dict[str, Any]:
    if not trained:
        return {"trained": False}
    logits = np.full((4, 10), -2.0)
    logits[np.arange(4), [0, 1, 2, 9]] = 6.0
    logits[:, 4] = 3.0
    answer = {"trained": True, "classes": [str(n) for n in range(10)], "labels": [0, 1, 2, 3], "pictures": []}
    return {**answer, "logits": logits.tolist(), "validation_accuracy": 0.9}


def test_the_temperature_is_tried_before_any_training(setup: SetupKit) -> None:
    know_all(setup)
    card = setup.go("objective").temperature
    setup.settle()
    question = setup.engine.questions["logits"]
    assert (question["ask"], question["teacher"]["model"], question["data"]["source"]) == (
        "teacher-logits",
        "mlp",
        "digits",
    )
    setup.engine.answer("logits", logits_answer())
    assert card.content.isVisible()
    assert not card.empty.isVisible()
    assert card.samples.count() == 4
    assert card.slider.value() == 20
    logits = np.asarray(logits_answer()["logits"])
    assert percent(soften(logits[0], 2.0)[0]) in card.sentence.text()
    before = card.bars.grab().toImage()
    card.slider.setFocus()
    for _ in range(60):
        QTest.keyClick(card.slider, Qt.Key.Key_Right)
    assert card.bars.grab().toImage() != before
    assert percent(soften(logits[0], 8.0)[0]) in card.sentence.text()
    assert setup.value("objective.1.temperature") == 2, "trying changes nothing"
    section = setup.page.current_section()
    section.ensureWidgetVisible(card.take)
    assert card.take.text() == "Use T = 8"
    setup.click(card.take)
    assert setup.value("objective.1.temperature") == 8
    assert not card.take.isEnabled()
    setup.page.undo_stack.undo()
    assert card.slider.value() == 20, "the slider follows the objective"
    card.samples.setCurrentRow(3)
    assert "but it is 3" in card.sentence.text()


def test_without_a_trained_teacher_it_says_so(setup: SetupKit) -> None:
    know_all(setup)
    card = setup.go("objective").temperature
    setup.settle()
    setup.engine.answer("logits", logits_answer(trained=False))
    assert not card.content.isVisible()
    assert "not trained yet" in card.empty.text()
    setup.page.current_section().ensureWidgetVisible(card.train)
    with setup.qtbot.waitSignal(setup.page.train_teacher_requested, timeout=10_000):
        setup.click(card.train)
    setup.engine.questions.pop("logits")
    setup.page.hide()
    setup.page.show()
    assert "logits" in setup.engine.questions, "when the page is shown again it looks again"
    setup.engine.answer("logits", logits_answer())
    assert card.content.isVisible()


def test_without_a_teacher_there_is_nothing_to_show(setup: SetupKit, sample: Project) -> None:
    setup.open(sample, "hard-labels")
    setup.engine.answer("data", data_answer())
    setup.engine.questions.pop("logits", None)
    card = setup.go("objective").temperature
    setup.settle()
    assert card.empty.text().startswith("With a teacher")
    assert not card.train.isVisible()
    assert "logits" not in setup.engine.questions


def test_words_about_a_sample() -> None:
    classes = ["cat", "dog", "bus"]
    words = in_words(np.array([2.0, 1.0, -9.0]), classes, 0, 1.0)
    assert words == "73 % for cat, which is right; 27 % for dog. At T = 1 it is 73 % for cat."
    assert percent(1.0) == "100 %"
    assert percent(0.99999) == "> 99.9 %"
    assert percent(0.998) == "99.8 %"
    assert percent(0.0004) == "0.04 %"
    assert percent(1e-9) == "< 0.01 %"
