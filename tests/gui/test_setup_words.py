"""What the Setup page says of fields: ranges, what is to be chosen, sentences that end once."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog, QLabel, QStyle, QStyleOptionComboBox

from kdstudio.gui.setup.fields import COLUMN
from kdstudio.gui.setup.problems import placed
from kdstudio.gui.setup.words import choice_text, is_relevant
from kdstudio.gui.theme import Theme
from kdstudio.project.errors import Problem
from tests.gui.setup_kit import SetupKit


@pytest.mark.parametrize(
    ("path", "typed", "range_"),
    [
        ("train.epochs", "0", "greater than or equal to 1"),
        ("train.epochs", "-3", "greater than or equal to 1"),
        ("data.batch_size", "70000", "less than or equal to 65536"),
        ("train.early_stop", "0", "greater than or equal to 1"),
    ],
)
def test_a_number_beyond_its_range_stays_and_says_the_range(
    setup: SetupKit, path: str, typed: str, range_: str
) -> None:
    box = setup.field(path)
    setup.type_into(box.editor.spin.lineEdit(), typed)
    setup.field("notes")
    setup.settle()
    assert setup.value(path) == int(typed)
    assert setup.field(path).editor.spin.text() == typed
    assert range_ in box.note.text()
    assert box.note.objectName() == "error"


def test_what_devices_share_matters_where_there_are_several() -> None:
    assert not is_relevant("sharing", {"devices": 1})
    assert not is_relevant("sharing", {})
    assert is_relevant("sharing", {"devices": 2})
    assert choice_text("sharing", "fsdp") == "Batch and weights (FSDP)"


def test_the_arrows_keep_to_the_range(setup: SetupKit) -> None:
    spin = setup.field("train.epochs").editor.spin
    setup.type_into(spin.lineEdit(), "2")
    for expected in (1, 1):
        QTest.keyClick(spin, Qt.Key.Key_Down)
        assert setup.value("train.epochs") == expected
    setup.type_into(spin.lineEdit(), "-9")
    QTest.keyClick(spin, Qt.Key.Key_Up)
    assert setup.value("train.epochs") == 1


def test_the_dialog_says_what_is_chosen(setup: SetupKit, monkeypatch: pytest.MonkeyPatch) -> None:
    titles: list[str] = []
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *found: titles.append(found[1]) or "")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *found: (titles.append(found[1]) or "", ""))
    for source, said in (("folder", "Choose a folder"), ("npz", "Choose a file")):
        setup.page.document.edit("Change", {"data": {"source": source}})
        setup.settle()
        box = setup.field("data.path")
        assert box.note.text().startswith(said)
        setup.click(box.editor.browse)
    assert titles == ["Choose the folder of images", "Choose a NumPy file"]


def test_sentences_end_once_and_lists_have_no_brackets(setup: SetupKit) -> None:
    setup.type_into(setup.field("student.model").editor.line, "resnet9x")
    setup.settle()
    note = setup.page.context.boxes["student.model"].note.text()
    assert "Did you mean 'resnet" in note
    assert "?." not in note
    problem = Problem("student.widths", "widths are wrong", "for example [64, 64]")
    assert placed([problem])["student.widths"] == ["Widths are wrong. For example 64, 64."]
    assert "[" not in setup.field("teacher.widths").note.text()


@pytest.mark.parametrize("size", [0, 3])
def test_choices_are_not_cut(setup: SetupKit, theme: Theme, size: int) -> None:
    theme.scale(size)
    choices = {"train.optimizer": "sgd", "train.schedule": "multistep"}
    setup.page.document.edit("Change", dict(choices))
    setup.settle()
    for path in choices:
        box = setup.field(path)
        combo = box.editor.combo
        for width in (box.width(), COLUMN * combo.fontMetrics().horizontalAdvance("0")):
            combo.resize(width, combo.height())
            option = QStyleOptionComboBox()
            combo.initStyleOption(option)
            part = QStyle.SubControl.SC_ComboBoxEditField
            room = combo.style().subControlRect(QStyle.ComplexControl.CC_ComboBox, option, part, combo).width()
            assert combo.fontMetrics().horizontalAdvance(combo.currentText()) <= room


def test_the_baseline_stands_where_training_does(setup: SetupKit) -> None:
    section = setup.go("training")
    box = setup.page.context.boxes["baseline"]
    setup.qtbot.waitUntil(box.isVisible, timeout=10_000)
    assert section.isAncestorOf(box)
    said = [label.text() for label in box.window().findChildren(QLabel) if label.isVisible()]
    assert any("whether distilling helped" in text for text in said)
    QTest.keyClick(box.editor.box, Qt.Key.Key_Space)
    assert setup.value("baseline") is False
