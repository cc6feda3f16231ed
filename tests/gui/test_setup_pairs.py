"""Layer pairs: which can be joined, suggestions, and the picker by clicks and keys."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from PySide6.QtCore import QPoint, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDialogButtonBox

from kdstudio.engine.terms import HintRegressor
from kdstudio.gui.setup.joins import join
from kdstudio.gui.setup.pair_dialog import PairDialog
from kdstudio.gui.theme import Theme
from kdstudio.project.errors import ModelError
from kdstudio.project.folder import Project
from kdstudio.project.pairing import (
    Likeness,
    at_resolutions,
    by_likeness,
    first_pairs,
    middle,
    suggested,
    suggestions,
)
from kdstudio.project.spec import JoinRule
from tests.gui.setup_kit import LEFT, STUDENT, TEACHER, SetupKit, know_all, model_answer

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


def test_each_rule_is_said() -> None:
    small, large = (16, 4, 4), (32, 8, 8)
    said: list[tuple[JoinRule, tuple[int, ...], tuple[int, ...], str]] = [
        ("maps", small, large, "the larger map is averaged down to 4 × 4; channels need not agree"),
        ("maps", small, (8, 4, 4), "maps of 4 × 4 on both sides; channels need not agree"),
        ("channels", small, (16, 8, 8), "16 channels on both sides; the sizes need not agree"),
        ("map-regressor", small, large, "1 × 1 convolution, 16 to 32 channels; the student's map is enlarged"),
        ("equal", (8,), (8,), "number by number, 8"),
        ("width", (16,), (4, 2, 2), "number by number, 16"),
        ("any", (16,), large, "by relations between samples; the sizes need not agree"),
        ("prediction", small, (32, 4, 4), "three 1 × 1 convolutions, 16 to 32 channels, and a variance for each"),
        ("prediction", (16,), (32,), "a linear map, 16 to 32 numbers, and a variance for each"),
        ("connector", (16,), (32,), "a linear map, 16 to 32 numbers"),
        ("map-connector", small, large, "1 × 1 convolution and batch normalisation, 16 to 32 channels; the student's"),
        ("fusion", small, large, "16 channels, fused with those of later layers, then a 3 × 3 convolution to"),
        ("factors", small, large, "factors of the teacher's 32 channels, and a translator of the student's 16"),
        ("embedding", (16,), large, "a linear map on each side, from 16 and 2048 numbers, to one width"),
    ]
    for rule, student, teacher, words in said:
        found = join(student, teacher, rule)
        assert found.possible
        assert found.text.startswith(words)
    refused: list[tuple[JoinRule, tuple[int, ...], tuple[int, ...], str]] = [
        ("maps", (8,), large, "takes maps"),
        ("map-regressor", (8,), (8,), "takes maps"),
        ("channels", small, large, "maps with as many channels"),
        ("equal", (16,), (4, 2, 2), "no regressor and takes layers of the same shape"),
        ("width", (16,), (8,), "no regressor and takes layers of the same width"),
        ("any", (), (8,), "more than one number"),
    ]
    for rule, student, teacher, words in refused:
        found = join(student, teacher, rule)
        assert not found.possible
        assert words in found.text


def test_suggestions_follow_the_rule() -> None:
    teacher, student = RESNETS["teacher"], RESNETS["student"]
    wide = model_answer(9, 9, [("layer1", (16, 8, 8)), ("layer2", (48, 4, 4)), ("fc", (10,))])
    assert suggestions(teacher, wide, "maps") == [("layer1", "layer1"), ("layer2", "layer2")]
    assert suggestions(teacher, wide, "channels") == [("layer1", "layer1")]
    assert suggestions(TEACHER, STUDENT, "channels") == []
    assert suggestions(TEACHER, STUDENT, "width") == [("fc", "fc")], "the outputs, where nothing else agrees"
    assert first_pairs(teacher, student, "regressor") == [("layer2", "layer2")]
    assert len(first_pairs(teacher, student, "maps")) == 3
    assert first_pairs(teacher, student, "any") == [("layer3", "layer3")]
    assert first_pairs(TEACHER, STUDENT, "maps") == []


def test_the_dialog_knows_the_term(qtbot: Any, theme: Theme) -> None:
    pairs = [{"teacher": "layer1", "student": "layer2"}]
    made = PairDialog(theme, RESNETS["teacher"], RESNETS["student"], pairs, rule="channels")
    assert "as many channels on both sides" in made.verdict.text()
    assert "cannot be joined" in made.list.item(0).text()
    made.trees["student"].choose("layer1")
    assert "16 channels on both sides" in made.verdict.text()
    assert made.add.isEnabled()
    made.deleteLater()


def test_suggested_pairs() -> None:
    pairs = suggested(RESNETS["teacher"]["layers"], RESNETS["student"]["layers"])
    assert pairs == [("layer1", "layer1"), ("layer2", "layer2"), ("layer3", "layer3")]
    assert middle(pairs) == ("layer2", "layer2")
    assert suggested(TEACHER["layers"], STUDENT["layers"]) == [("hidden1", "hidden1")]
    cnn = model_answer(9, 9, [("stage1", (8, 8, 8)), ("stage2", (8, 4, 4)), ("fc", (10,))])
    assert suggested(RESNETS["teacher"]["layers"], cnn["layers"]) == [("layer1.0", "stage1"), ("layer2", "stage2")]
    assert middle([]) is None
    assert suggestions(RESNETS["teacher"], STUDENT) == []
    parts = model_answer(9, 9, [("stage1", (8, 8, 8)), ("pool", (8, 1, 1)), ("dropout", (8,)), ("fc", (10,))])["layers"]
    assert suggestions({**cnn, "parts": parts}, STUDENT) == [("dropout", "hidden1")]


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


@pytest.mark.parametrize(
    ("tag", "words"),
    [("attention", "takes maps"), ("cosine", "of the same shape"), ("congruence", "of the same width"), ("angle", "")],
)
def test_pairs_are_checked_by_the_rule_of_their_term(setup: SetupKit, tag: str, words: str) -> None:
    know_all(setup)
    pairs = [{"teacher": "hidden1", "student": "hidden1"}]
    term = {"term": tag, "weight": 1.0, "pairs": pairs}
    setup.page.document.edit("x", {"objective": [*setup.value("objective"), term]})
    setup.settle()
    problems = setup.page.context.problems.get("objective.2.pairs.0", [""])
    assert words in problems[0]
    assert bool(problems[0]) is bool(words)
    text = setup.field("objective.2.pairs").editor.text.text()
    assert (words or "by relations between samples") in text


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


CKA = Likeness(
    ["conv1", "layer1", "layer1.0", "layer2", "layer3", "fc"],
    ["conv1", "layer1", "layer2", "layer3", "fc"],
    [
        [0.99, 0.2, 0.1, 0.1, 0.1],
        [0.3, 0.7, 0.8, 0.1, 0.1],
        [0.3, 0.9, 0.2, 0.1, 0.1],
        [0.1, 0.2, 0.4, 0.6, 0.1],
        [0.1, 0.1, 0.5, 0.3, 0.1],
        [0.1, 0.1, 0.1, 0.1, 1.0],
    ],
    "hints/002",
)


def test_the_most_alike_are_one_a_stage_and_do_not_cross() -> None:
    shapes = [{layer["name"]: tuple(layer["output_shape"]) for layer in RESNETS[side]["layers"]} for side in RESNETS]
    found = by_likeness(CKA, *shapes)
    assert found == [("conv1", "conv1", 0.99), ("layer1.0", "layer1", 0.9), ("layer2", "layer3", 0.6)]
    vectors = by_likeness(Likeness(["a", "b"], ["c", "d"], [[float("nan"), 1], [1, 1]]), {"a": (3,)}, {"c": (4,)})
    assert vectors == [], "a layer that says nothing has no likeness, and the last ones are the classifiers"


def test_maps_of_one_size_go_together_whatever_they_are_called() -> None:
    other = model_answer(9, 9, [("stem", (8, 8, 8)), ("a", (8, 4, 4)), ("b", (8, 2, 2)), ("out", (10,))])
    found = at_resolutions(RESNETS["teacher"]["layers"], other["layers"], "maps")
    assert found == [("layer1.0", "stem"), ("layer2", "a"), ("layer3", "b")]
    assert at_resolutions(RESNETS["teacher"]["layers"], other["layers"], "channels") == []


def test_other_ways_to_suggest(qtbot: Any, theme: Theme) -> None:
    made = PairDialog(theme, RESNETS["teacher"], RESNETS["student"], [], likeness=CKA)
    qtbot.addWidget(made)
    made.show()
    qtbot.waitExposed(made)
    assert made.by_run.text() == "By likeness in hints/002"
    made.by_size.trigger()
    assert [pair["student"] for pair in made.pairs()] == ["layer1", "layer2", "layer3"]
    made.by_run.trigger()
    assert made.pairs()[3] == {"teacher": "conv1", "student": "conv1"}
    assert "(CKA 0.99)" in made.list.item(3).text()
    with qtbot.waitSignal(made.likeness_wanted):
        made.by_start.trigger()
    assert made.verdict.text() == "Measuring how alike the layers are..."
    made.show_failure("the teacher is not trained yet")
    assert made.verdict.text() == "the teacher is not trained yet"
    assert made.by_start.isEnabled()
    made.show_likeness(Likeness(["layer3", "fc"], ["layer1", "fc"], [[0.4, 0.1], [0.1, 1.0]]))
    assert made.pairs()[-1] == {"teacher": "layer3", "student": "layer1"}


def test_the_editor_asks_the_engine(setup: SetupKit, sample: Project) -> None:
    setup.open(sample, "hints")
    know_all(setup)
    section = setup.go("objective")
    box = setup.field("objective.2.pairs")
    before = setup.value("objective.2.pairs")

    def act(dialog: PairDialog) -> None:
        assert not dialog.by_run.isVisible(), "there is no run yet"
        dialog.by_start.trigger()
        assert setup.engine.questions["likeness"]["experiment"]["name"] == "hints"
        setup.engine.answer("likeness", {"teacher": ["a", "b"], "student": ["c", "d"], "table": [[0.5, 0.1], [0.1, 1]]})
        assert dialog.verdict.text() == "No layers were found that way which this term can pair."
        dialog.reject()

    timer = in_the_dialog(act)
    setup.click(box.editor.button)
    timer.stop()
    assert "likeness" in setup.engine.cancelled
    assert setup.value("objective.2.pairs") == before
    assert section is setup.page.current_section()
