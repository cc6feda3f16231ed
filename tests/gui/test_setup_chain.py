"""The Assistants section: networks between teacher and student are added, moved and removed; what the chain costs."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel

from kdstudio.gui.setup.presets import PRESETS, apply_preset
from kdstudio.project.assistants import between
from tests.gui.setup_kit import STUDENT, TEACHER, SetupKit, data_answer, model_answer

MIDDLE = model_answer(9000, 18000, [("hidden1", (91,)), ("fc", (10,))])


def know(setup: SetupKit) -> None:
    setup.settle()
    if setup.page.facts.data.known is None:
        setup.engine.answer("data", data_answer())
    answers = {"teacher": TEACHER, "student": STUDENT, "assistants.0": MIDDLE, "assistants.1": MIDDLE}
    for part, answer in answers.items():
        if part in setup.page.facts.parts:
            setup.engine.answer(part, answer)
    setup.settle()


def test_an_assistant_is_proposed_between_the_two_and_its_cost_is_shown(setup: SetupKit) -> None:
    section = setup.go("assistants")
    setup.click(section.add)
    know(setup)
    assert setup.value("assistants.0.widths") == [91, 91]  # sqrt(256 * 32)
    assert setup.page.experiment is not None
    texts = [label.text() for label in section.costs.findChildren(QLabel)]
    for figure in ("85,002", "9,000", "2,410", "9.4 ×", "3.7 ×"):
        assert figure in texts, figure
    assert "9,000 parameters" in section.cards[0].cost.text()
    setup.page.undo_stack.undo()
    assert section.cards == []
    assert setup.value("assistants") == []


def test_assistants_are_moved_and_removed(setup: SetupKit) -> None:
    section = setup.go("assistants")
    for _ in range(2):
        setup.click(section.add)
    widths = [setup.value(f"assistants.{place}.widths") for place in range(2)]
    assert widths == [[91, 91], [54, 54]]
    setup.click(section.cards[1].up)
    assert [setup.value(f"assistants.{place}.widths") for place in range(2)] == widths[::-1]
    setup.click(section.cards[0].remove)
    assert setup.value("assistants.0.widths") == widths[0]
    know(setup)
    assert "assistants.1" not in setup.page.facts.parts


def test_who_teaches_matters_in_a_chain(setup: SetupKit) -> None:
    section = setup.go("assistants")
    assert not section.way.isVisible()
    setup.click(section.add)
    box = setup.field("guided")
    assert box.isVisible()
    assert not section.fields[1].isVisible(), "it matters where several teach"
    assert box.editor.combo.currentText() == "The one before it"
    QTest.keyClick(box.editor.combo, Qt.Key.Key_Down)
    assert setup.value("guided") == "dense"
    setup.settle()
    assert setup.page.experiment is not None
    assert setup.page.experiment.guided == "dense"
    setup.type_into(setup.field("guided_drop").editor.line, "0.25")
    setup.settle()
    assert setup.page.experiment.guided_drop == 0.25
    setup.click(section.cards[0].remove)
    assert section.way.isVisible(), "what is not at its default is not hidden"


def test_the_student_pairs_with_the_last_assistant(setup: SetupKit) -> None:
    setup.click(setup.go("assistants").add)
    know(setup)
    facts = setup.page.facts
    assert facts.guide is facts.parts["assistants.0"]
    assert facts.sides("objective.0") == (facts.parts["assistants.0"], facts.student)
    assert facts.sides("assistants.0.objective.1") == (facts.teacher, facts.parts["assistants.0"])
    pair = {"teacher": "hidden2", "student": "hidden1"}  # the teacher has it, and the assistant has not
    terms = [*setup.value("objective"), {"term": "hint", "pairs": [pair]}]
    setup.page.document.edit("Change", {"objective": terms})
    setup.settle()
    assert any("no layer 'hidden2'" in text for texts in setup.page.context.problems.values() for text in texts)


def test_without_a_teacher_there_is_nothing_to_stand_between(setup: SetupKit) -> None:
    setup.page.document.edit("Change", {"teacher": None, "objective": [{"term": "hard", "weight": 1.0}]})
    section = setup.go("assistants")
    assert not section.add.isEnabled()
    assert section.add.text() == "An assistant needs a teacher"


def test_born_again_networks_are_alike_and_start_otherwise(setup: SetupKit) -> None:
    apply_preset(setup.page.context, next(preset for preset in PRESETS if preset.name == "Born-again networks"))
    setup.settle()
    assert setup.page.experiment is not None
    widths = [setup.value(f"{place}.widths") for place in ("teacher", "assistants.0", "student")]
    assert widths == [[256, 256]] * 3
    assert setup.value("train.seed") == setup.value("teacher.train.seed") + 1


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ({"model": "resnet56"}, {"model": "resnet20"}, {"model": "resnet32"}),
        ({"model": "resnet14"}, {"model": "resnet8"}, {"model": "resnet8"}),
        (
            {"model": "mlp", "widths": [400, 100]},
            {"model": "mlp", "widths": [25]},
            {"model": "mlp", "widths": [100, 50]},
        ),
        ({"model": "wrn-40-2"}, {"model": "resnet8"}, {"model": "resnet8"}),
    ],
)
def test_the_proposal(before: dict[str, object], after: dict[str, object], found: dict[str, object]) -> None:
    assert between(before, after) == found
