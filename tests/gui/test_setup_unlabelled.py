"""The section of samples without labels: its settings, and what the teacher says of them."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from tests.gui.setup_kit import LEFT, SetupKit, data_answer, know_all

CONFIDENCE = np.array([0.95, 0.9, 0.85, 0.8, 0.4, 0.35, 0.9, 0.7], np.float32)


def answer() -> dict[str, Any]:
    """Eight samples of two classes; the teacher is wrong about the fifth."""
    predicted, truth = np.array([0, 0, 0, 0, 0, 1, 1, 1], np.int32), np.array([0, 0, 0, 0, 1, 1, 1, 1], np.int32)
    arrays = {"confidence": CONFIDENCE, "predicted": predicted, "truth": truth}
    packed = {name: base64.b64encode(array.tobytes()).decode() for name, array in arrays.items()}
    samples = [{"label": "cat", "confidence": 0.35, "text": "hardly a cat"}]
    return {**packed, "classes": ["cat", "dog"], "least": samples, "most": []}


def tick(setup: SetupKit, section: Any) -> None:
    box = section.form.present
    setup.qtbot.mouseClick(box, LEFT, pos=QPoint(8, box.height() // 2))


def opened(setup: SetupKit) -> Any:
    know_all(setup)
    section = setup.go("without")
    tick(setup, section)
    assert setup.value("unlabelled") is not None
    setup.page.document.edit("x", {"data.labelled": 0.1})
    setup.settle()
    return section


def test_a_pool_is_added_and_taken_away(setup: SetupKit) -> None:
    section = opened(setup)
    assert setup.page.context.problems == {}
    assert setup.page.experiment.unlabelled.threshold == 0.3
    box = setup.field("unlabelled.threshold")
    setup.type_into(box.editor.line, "0.8")
    assert setup.value("unlabelled.threshold") == 0.8
    tick(setup, section)
    assert setup.value("unlabelled") is None


def test_an_empty_pool_is_told_at_once(setup: SetupKit) -> None:
    know_all(setup)
    section = setup.go("without")
    tick(setup, section)
    setup.settle()
    texts = [text for found in setup.page.context.problems.values() for text in found]
    assert any("the pool is empty" in text.lower() for text in texts)


def test_the_teacher_is_asked_and_the_threshold_moved(setup: SetupKit) -> None:
    section = opened(setup)
    setup.engine.answer("data", {**data_answer(), "unlabelled": 8})
    card = section.preview
    assert not card.histogram.isVisible()
    setup.click(card.ask)
    question = setup.engine.questions["pool"]
    assert question["ask"] == "pool"
    assert question["experiment"]["data"]["labelled"] == 0.1
    setup.engine.answer("pool", answer())
    assert card.histogram.isVisible()
    assert "Of 8 samples the teacher is at least 30 % sure of 8" in card.words.text()
    assert "right about 87.5 %" in card.words.text()
    middle = QPoint(card.histogram.width() // 2, 20)
    setup.qtbot.mousePress(card.histogram, LEFT, pos=middle)
    setup.qtbot.mouseMove(card.histogram, QPoint(round(0.6 * card.histogram.width()), 20))
    assert setup.value("unlabelled.threshold") == 0.3, "nothing is chosen before the button is released"
    setup.qtbot.mouseRelease(card.histogram, LEFT, pos=QPoint(round(0.6 * card.histogram.width()), 20))
    assert abs(setup.value("unlabelled.threshold") - 0.6) < 0.02
    assert "sure of 6" in card.words.text()
    card.histogram.setFocus()
    before = setup.value("unlabelled.threshold")
    QTest.keyClick(card.histogram, Qt.Key.Key_Right)
    assert abs(setup.value("unlabelled.threshold") - before - 0.01) < 1e-6
    assert "hardly a cat" in card.sides["least"].labels[0].text()


def test_an_answer_to_other_settings_is_not_shown(setup: SetupKit) -> None:
    section = opened(setup)
    setup.click(section.preview.ask)
    setup.engine.answer("pool", answer())
    assert section.preview.histogram.isVisible()
    setup.page.document.edit("x", {"data.labelled": 0.2})
    setup.settle()
    assert not section.preview.histogram.isVisible()


def test_an_untrained_teacher_is_told(setup: SetupKit) -> None:
    from kdstudio.project.errors import InputError

    section = opened(setup)
    setup.click(section.preview.ask)
    setup.engine.failed.emit("pool", InputError("the teacher is not trained yet", fix="train it first"))
    assert "the teacher is not trained yet" in section.preview.words.text()
    assert section.preview.ask.isEnabled()
