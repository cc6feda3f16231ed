"""The Objective section: terms, the linked slider, the formula, epochs and the temperature."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel, QMenu

from kdstudio.gui.setup import formula
from kdstudio.gui.setup.balance import names_of
from kdstudio.gui.setup.distribution import percent
from kdstudio.gui.setup.schema import fields_of
from kdstudio.gui.setup.temperature import in_words
from kdstudio.gui.setup.words import TERMS
from kdstudio.gui.theme import DARK, Theme
from kdstudio.project.folder import Project
from kdstudio.project.runs.snapshots import soften
from kdstudio.project.spec import HardTerm, HintTerm, LayerPair, SoftTerm, Term
from kdstudio.project.spec.objective import term_names
from kdstudio.project.spec.walk import models_in, tags_of
from kdstudio.project.temperature_report import second_share
from tests.gui.setup_kit import LEFT, SetupKit, data_answer, know_all, know_berts, know_cnns

# -- terms -----------------------------------------------------------------------------------------------------


def choose(setup: SetupKit, menu: QMenu, start: str) -> None:
    """Clicks an entry of a menu, or of one below it."""
    menu.popup(setup.page.mapToGlobal(QPoint(200, 50)))
    setup.qtbot.waitUntil(menu.isVisible, timeout=10_000)
    for action in menu.actions():
        below = action.menu()
        inner = below.actions() if isinstance(below, QMenu) else []
        found = next((one for one in inner if one.text().startswith(start)), None)
        if found is not None:
            setup.qtbot.mouseClick(menu, LEFT, pos=menu.actionGeometry(action).center())
            setup.qtbot.waitUntil(below.isVisible, timeout=10_000)
            setup.qtbot.mouseClick(below, LEFT, pos=below.actionGeometry(found).center())
            return
    action = next(action for action in menu.actions() if action.text().startswith(start))
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


TAGS = {tag: model for model in models_in(Term) for tag in tags_of(model)}


def test_every_term_has_its_words() -> None:
    assert set(TERMS) == set(TAGS)
    titles = [title for title, _ in TERMS.values()]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("tag", TAGS)
def test_every_term_is_added_and_edited(setup: SetupKit, tag: str) -> None:
    (know_berts if TAGS[tag].__module__.endswith("text_terms") else know_cnns)(setup)
    section = setup.go("objective")
    choose(setup, section.add.menu(), TERMS[tag][0])
    assert tags(setup) == ["hard", "soft", tag]
    setup.settle()
    assert setup.page.context.problems == {}, "a new term is ready to run"
    assert type(setup.page.experiment.objective[2]) is TAGS[tag]
    assert section.cards[2].heading.text().startswith(TERMS[tag][0])
    assert TERMS[tag][1] in [label.text() for label in section.cards[2].findChildren(QLabel)]
    for schema in fields_of(TAGS[tag], ("term",)):
        if schema.kind != "float":
            continue
        box = setup.field(f"objective.2.{schema.name}")
        assert box.label.text() == schema.label
        typed = "0.1" if schema.high == 1 else "1.5"
        setup.type_into(box.editor.line, typed)
        assert setup.value(f"objective.2.{schema.name}") == float(typed)
    setup.settle()
    assert setup.page.context.problems == {}


def test_terms_on_texts_are_offered_for_texts_alone(setup: SetupKit) -> None:
    know_cnns(setup)
    section = setup.go("objective")

    def offered() -> bool:
        titles = [action.text() for action in section.add.menu().actions() if action.isVisible()]
        return any(title == "Layers of text networks" for title in titles)

    assert not offered()
    know_berts(setup)
    assert offered()
    choose(setup, section.add.menu(), TERMS["patient"][0])
    layers = [(pair["teacher"][-1], pair["student"][-1]) for pair in setup.value("objective.2.pairs")]
    assert layers == [("1", "0"), ("3", "1")]


def test_what_a_new_term_is_paired_with(setup: SetupKit) -> None:
    """The middle for a hint, every stage for terms on maps, the last for the others."""
    know_cnns(setup)
    section = setup.go("objective")
    stages = [{"teacher": name, "student": name} for name in ("stage1", "stage2")]
    for place, (tag, pairs) in enumerate(
        [("hint", stages[:1]), ("attention", stages), ("flow", stages), ("cosine", stages[1:]), ("angle", stages[1:])],
        start=2,
    ):
        section._add(tag)
        assert setup.value(f"objective.{place}.pairs") == pairs


def test_two_classes_leave_nothing_beside_the_target(setup: SetupKit) -> None:
    setup.engine.answer("data", data_answer(classes=2))
    section = setup.go("objective")
    section._add("decoupled")
    setup.settle()
    assert "nothing is left beside the target" in setup.field("objective.2.beta").note.text()
    setup.type_into(setup.field("objective.2.beta").editor.line, "0")
    setup.settle()
    assert "objective.2.beta" not in setup.page.context.problems


def test_the_formula_has_the_squared_temperature_where_the_loss_has_it() -> None:
    terms = [{"term": tag, "weight": 1.0, "temperature": 4.0} for tag in ("soft", "jsd", "decoupled", "logits")]
    assert formula.numbers(terms, DARK).count("4<sup>2</sup>") == 2


def test_the_theme_changes_after_terms_went(setup: SetupKit, theme: Theme) -> None:
    know_all(setup)
    section = setup.go("objective")
    choose(setup, section.add.menu(), "Hints")
    setup.click(section.cards[2].remove)
    before = section.balance.letters.text()
    for name in ("light", "dark", "light"):
        theme.apply(name)
        QApplication.processEvents()
    assert section.balance.letters.text() != before, "terms have other colours on a light ground"


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


def test_the_slider_is_dragged(setup: SetupKit) -> None:
    slider = setup.go("objective").balance.slider
    middle_line = slider.height() // 2
    start = QPoint(round(slider.width() * 0.1) + 3, middle_line)
    QTest.mousePress(slider, LEFT, pos=start)
    for share in (0.3, 0.5, 0.7):
        QTest.mouseMove(slider, QPoint(round(slider.width() * share), middle_line))
    QTest.mouseRelease(slider, LEFT, pos=QPoint(round(slider.width() * 0.7), middle_line))
    assert setup.value("objective.0.weight") == pytest.approx(0.7, abs=0.08)
    assert setup.value("objective.0.weight") + setup.value("objective.1.weight") == pytest.approx(1)
    assert setup.page.undo_stack.count() == 1
    QTest.keyClick(slider, Qt.Key.Key_Right)
    assert setup.page.undo_stack.count() == 2, "a drag is a step of its own"


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


# -- temperature -----------------------------------------------------------------------------------------------


def logits_answer(trained: bool = True) -> dict[str, Any]:
    if not trained:
        return {"trained": False}
    logits = np.full((4, 10), -2.0)
    logits[np.arange(4), [0, 1, 2, 9]] = 6.0
    logits[:, 4] = 3.0
    answer = {"trained": True, "classes": [str(n) for n in range(10)], "labels": [0, 1, 2, 3], "pictures": []}
    pool = base64.b64encode(np.tile(logits, (30, 1)).astype("<f4").tobytes()).decode()
    return {**answer, "logits": logits.tolist(), "pool": pool, "validation_accuracy": 0.9}


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


def test_the_temperature_for_a_share_of_the_second_class(setup: SetupKit) -> None:
    know_all(setup)
    card = setup.go("objective").temperature
    setup.settle()
    setup.engine.answer("logits", logits_answer())
    report, pool = card.report, np.asarray(logits_answer()["logits"])
    assert report.report.samples == 120
    advised = report.report.advised
    assert second_share(pool, advised) >= 0.1 > second_share(pool, advised - 0.1)
    assert report.sentence.text() == f"At T = {advised:g} the second class has 10 % on average (120 samples)."
    assert f"At T = 2 it has {100 * second_share(pool, 2.0):.1f} %" in report.now.text()
    before = report.curve.grab().toImage()
    setup.page.current_section().ensureWidgetVisible(report.take)
    setup.type_into(report.share.lineEdit(), "5")
    lower = report.report.advised
    assert lower < advised
    assert report.take.text() == f"Use T = {lower:g}"
    assert report.curve.grab().toImage() != before
    setup.click(report.take)
    assert setup.value("objective.1.temperature") == lower
    assert not report.take.isEnabled()
    assert card.slider.value() == round(10 * lower)
    report.share.setValue(45)
    assert report.sentence.text().startswith("At no T from 0.5 to 20")
    assert not report.take.isVisible()


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
