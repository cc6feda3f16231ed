"""The Setup page in another language: every text that it shows is looked up in the catalogue, and stands in it."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from pydantic import BaseModel
from PySide6.QtCore import QCoreApplication, Qt, QTranslator
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QComboBox,
    QDialogButtonBox,
    QGroupBox,
    QLabel,
    QLineEdit,
    QListWidget,
    QMenu,
    QMessageBox,
    QPlainTextEdit,
    QPushButton,
    QTreeWidget,
    QWidget,
)

from kdstudio.gui.language import CONTEXT
from kdstudio.gui.setup.draft import Found
from kdstudio.gui.setup.fields import Fold
from kdstudio.gui.setup.joins import join
from kdstudio.gui.setup.labels import CHOICES, LABELS
from kdstudio.gui.setup.pair_dialog import PairDialog
from kdstudio.gui.setup.presets import PRESETS, apply_preset
from kdstudio.gui.setup.schema import FieldSchema, fields_of
from kdstudio.gui.setup.sections import SECTIONS
from kdstudio.gui.setup.words import TERMS, choice_text, empty_text, hint_of, label_inside, term_inside
from kdstudio.project.errors import KDStudioError
from kdstudio.project.folder import Project
from kdstudio.project.spec import Experiment, JoinRule
from tests.doc_scripts import load_script
from tests.gui.setup_kit import STUDENT, TEACHER, SetupKit, data_answer, know_all, know_berts, know_cnns

ROOT = Path(__file__).resolve().parents[2]
OPEN, SHUT = "⟦", "⟧"
#: What nobody translates: the spec's own words, names that this sample gives, and units.
NAMES = {
    *(word for tag in TERMS for word in tag.split("-")),
    *("adamw", "sgd", "cpu", "cuda", "mps", "auto"),
    *("mlp", "cnn", "resnet", "wrn", "timm", "torchvision", "transformers"),
    *("experiments", "targets", "labels", "hints", "hidden", "stage", "nowhere", "fc", "net", "yaml", "photos"),
    *("bert", "encoder", "layer", "classifier", "as", "run"),
    *("px", "s", "kB", "GB"),
    *("drop_rate", "depth"),  # the example of arguments, which are YAML
}


class Marker(QTranslator):
    """A language in which every text is the English one in brackets. It keeps what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def isEmpty(self) -> bool:
        return False

    def translate(self, context: str, source: str, disambiguation: Any = None, n: int = -1) -> Any:
        if context != CONTEXT:
            return None  # Qt's own texts; an empty one would stand on its buttons
        self.asked.add(source)
        return f"{OPEN}{source}{SHUT}"


@pytest.fixture(scope="module")
def catalogue() -> set[str]:
    """All texts that a translator gets to see."""
    return set(load_script("make_catalogue").texts_of())


@pytest.fixture
def foreign(qapp: object, catalogue: set[str], request: pytest.FixtureRequest) -> Iterator[SetupKit]:
    """The Setup page, made while another language is in force. What it looks up has to be in the catalogue."""
    marker = Marker()
    QCoreApplication.installTranslator(marker)
    try:
        yield request.getfixturevalue("setup")
    finally:
        QCoreApplication.removeTranslator(marker)
    missing = sorted(text for text in marker.asked - catalogue - NAMES if OPEN not in text)
    assert not missing, "looked up, but in no catalogue: tr and mark need their text as it stands"


def outside(text: str) -> str:
    """What of a text was not looked up."""
    depth, kept = 0, []
    for letter in re.sub(r"<[^>]*>|&\w+;", " ", text):
        depth += letter == OPEN
        if depth == 0:
            kept.append(letter)
        depth -= letter == SHUT
    return "".join(kept)


def untranslated(text: str) -> list[str]:
    """English words of a text that were not looked up."""
    return [word for word in re.findall(r"[A-Za-z_]{2,}", outside(text)) if word not in NAMES]


def texts_of(widget: QWidget) -> Iterator[str]:
    """All that a widget says."""
    yield from (widget.toolTip(), widget.accessibleName(), widget.accessibleDescription(), widget.windowTitle())
    if isinstance(widget, (QLabel, QAbstractButton)):
        yield widget.text()
    if isinstance(widget, QGroupBox):
        yield widget.title()
    if isinstance(widget, (QLineEdit, QPlainTextEdit)):
        yield widget.placeholderText()
    if isinstance(widget, QAbstractSpinBox):
        yield widget.specialValueText()
    if isinstance(widget, QComboBox):
        yield from (widget.itemText(index) for index in range(widget.count()))
    if isinstance(widget, QListWidget):
        for row in range(widget.count()):
            item = widget.item(row)
            yield from (item.text(), item.toolTip(), str(item.data(Qt.ItemDataRole.AccessibleTextRole) or ""))
    if isinstance(widget, QTreeWidget):
        header = widget.headerItem()
        yield from (header.text(column) for column in range(widget.columnCount()))
    if isinstance(widget, QPushButton) and widget.menu() is not None:
        menu: QMenu = widget.menu()
        for action in menu.actions():
            yield from (action.text(), action.toolTip())


def assert_all_is_said(kit: SetupKit, section: str) -> None:
    """Nothing of a section, nor of what stands around it, is English without having been looked up."""
    kit.page.show_section(section)
    kit.settle()
    assert failures(kit.page) == []


def failures(top: QWidget) -> list[str]:
    """Texts on screen that were not looked up."""
    for fold in top.findChildren(Fold):
        fold.open()
    QCoreApplication.processEvents()
    found = []
    for widget in (top, *top.findChildren(QWidget)):
        own = not isinstance(widget.parent(), QDialogButtonBox)  # Qt has catalogues for its own buttons
        if own and widget.isVisible():
            found += [f"{type(widget).__name__}: {text!r}" for text in texts_of(widget) if untranslated(text)]
    return found


# -- the sections ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [spec.name for spec in SECTIONS])
def test_every_text_of_a_section_is_looked_up(foreign: SetupKit, name: str) -> None:
    assert_all_is_said(foreign, name)  # before the engine answers
    know_all(foreign)
    assert_all_is_said(foreign, name)


@pytest.mark.parametrize("source", CHOICES["source"])
def test_every_source_of_data_is_looked_up(foreign: SetupKit, source: str) -> None:
    shape = {"cifar10": (3, 32, 32), "cifar100": (4, 32, 32), "npz": (64,)}.get(source, (1, 28, 28))
    path = {"path": "photos"} if source in ("folder", "npz") else {}
    foreign.page.document.edit("Change", {"data": {"source": source, "batch_size": 64, **path}})
    foreign.settle()
    assert_all_is_said(foreign, "data")
    foreign.engine.answer("data", data_answer(shape))
    assert_all_is_said(foreign, "data")
    if source == "folder":
        for channels, grey in ((1, False), (3, False), (3, True)):
            stored = {"smallest": [28, 28], "largest": [30, 40], "grey": grey}
            foreign.page.context.facts.look_again("data")
            foreign.engine.answer("data", {**data_answer((channels, 32, 32)), "stored": stored})
            assert_all_is_said(foreign, "data")


@pytest.mark.parametrize("name", ["hints", "hard-labels"])
@pytest.mark.parametrize("section", ["teacher", "student", "objective"])
def test_hints_and_no_teacher(foreign: SetupKit, sample: Project, name: str, section: str) -> None:
    foreign.open(sample, name)
    assert_all_is_said(foreign, section)
    know_all(foreign)
    assert_all_is_said(foreign, section)


@pytest.mark.parametrize("tag", [tag for tag in TERMS if tag not in ("hard", "soft")])
def test_every_term_is_looked_up(foreign: SetupKit, tag: str) -> None:
    (know_berts if tag in ("attention-relation", "attention-score", "patient") else know_cnns)(foreign)
    section: Any = foreign.page.show_section("objective")
    section._add(tag)
    assert_all_is_said(foreign, "objective")
    if "pairs" in foreign.value("objective.2"):
        pairs = [{"teacher": "stage1", "student": "fc"}, {"teacher": "nowhere", "student": "fc"}]
        foreign.page.document.edit("Change", {"objective.2.pairs": pairs})
        foreign.settle()
        assert_all_is_said(foreign, "objective")


def test_fields_that_only_some_settings_have(foreign: SetupKit) -> None:
    know_all(foreign)
    changes: dict[str, Any] = {"student.model": "timm:resnet18", "student.widths": None}
    changes |= {"student.weights": "run:hints", "teacher.weights": "run:hints"}
    changes |= {"train.optimizer": "sgd", "train.schedule": "multistep", "train.milestones": [2, 4]}
    changes |= {"data.augment": ["crop", "jitter"]}
    foreign.page.document.edit("Change", changes)
    for section in ("student", "teacher", "training", "data"):
        assert_all_is_said(foreign, section)


@pytest.mark.parametrize("trained", [False, True])
def test_what_the_temperature_does(foreign: SetupKit, trained: bool) -> None:
    know_all(foreign)
    card = foreign.page.show_section("objective").temperature  # type: ignore[attr-defined]
    answer: dict[str, Any] = {"trained": trained}
    if trained:
        logits = [[2.0, 1.0, -9.0] + [-9.0] * 7, [-3.0, 4.0, 1.0] + [-9.0] * 7]
        answer |= {"logits": logits, "labels": [0, 2], "classes": [str(n) for n in range(10)], "pictures": []}
        answer["pool"] = base64.b64encode(np.asarray(logits, "<f4").tobytes()).decode()
    foreign.engine.answer("logits", answer)
    for row in range(card.samples.count()):
        card.samples.setCurrentRow(row)
        assert_all_is_said(foreign, "objective")
    card.report.share.setValue(45)
    assert_all_is_said(foreign, "objective")


def test_how_a_question_stands(foreign: SetupKit) -> None:
    know_all(foreign)
    foreign.page.facts.look_again("data")
    foreign.engine.progressed.emit("data", "", 0, 0)
    assert_all_is_said(foreign, "data")
    foreign.page.facts.cancel("data")
    assert_all_is_said(foreign, "data")
    foreign.page.document.edit("Change", {"data": {"source": "mnist", "download": True}})
    foreign.settle()
    foreign.engine.failed.emit("data", KDStudioError(f"{OPEN}the engine's words{SHUT}", kind="missing-data"))
    assert_all_is_said(foreign, "data")


def test_every_problem_that_the_page_finds_itself(foreign: SetupKit) -> None:
    know_all(foreign)
    pairs = [{"teacher": "hidden1", "student": "nowhere"}, {"teacher": "nowhere", "student": "hidden1"}]
    hint = {"term": "hint", "weight": 1.0, "pairs": pairs}
    foreign.page.document.edit("Change", {"objective": [*foreign.value("objective"), hint]})
    foreign.settle()
    foreign.page.recovery.offer(Found({}, 0.0))
    yaml: Any = foreign.page.show_section("yaml")
    yaml.editor.document().setModified(True)
    assert_all_is_said(foreign, "objective")
    assert OPEN in foreign.page.problem_bar.text.text()
    assert OPEN in foreign.page.recovery.text.text()
    assert untranslated(foreign.page.problem_bar.text.toolTip()) == []


# -- dialogs and the undo stack --------------------------------------------------------------------------------


def test_the_dialog_that_pairs_layers(foreign: SetupKit) -> None:
    know_all(foreign)
    pairs = [{"teacher": "hidden1", "student": "hidden1"}, {"teacher": "nowhere", "student": "fc"}]
    for teacher, chosen in ((TEACHER, pairs), (None, [])):
        dialog = PairDialog(foreign.page.context.theme, teacher, STUDENT, chosen, foreign.page)
        dialog.show()
        foreign.qtbot.waitExposed(dialog)
        dialog.list.setCurrentRow(0)
        assert failures(dialog) == []
        dialog.close()
        dialog.deleteLater()


def test_the_question_whether_a_project_is_trusted(foreign: SetupKit, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def look(box: QMessageBox) -> int:
        yes = box.buttons()[0].text()
        said.extend((box.windowTitle(), box.text(), box.informativeText(), yes))
        return 0

    monkeypatch.setattr(QMessageBox, "exec", look)
    know_all(foreign)
    section: Any = foreign.page.show_section("student")
    foreign.engine.failed.emit("student", KDStudioError(f"{OPEN}the engine's words{SHUT}", kind="untrusted"))
    assert_all_is_said(foreign, "student")
    foreign.click(section.costs.statuses["student"].trust)
    assert len(said) == 4
    assert [text for text in said if untranslated(text) or OPEN not in text] == []


#: Student and teacher, each way of joining them, and two that cannot be.
MAPS = [
    ((8, 4, 4), (16, 4, 4)),
    ((8, 8, 8), (16, 4, 4)),
    ((8, 4, 4), (16, 8, 8)),
    ((8,), (16,)),
    ((4, 8), (4, 16)),
    ((4, 8), (16, 4, 4)),
    ((8,), (16, 1, 1, 1)),
]


def test_how_layers_are_joined(foreign: SetupKit) -> None:
    for rule in get_args(JoinRule):
        for student, teacher in MAPS:
            assert untranslated(join(student, teacher, rule).text) == []


def test_every_step_of_the_undo_stack(foreign: SetupKit) -> None:
    know_all(foreign)
    page, stack = foreign.page, foreign.page.undo_stack
    for preset in PRESETS:
        apply_preset(page.context, preset)
    for path in ("train.lr", "data.source", "train.nesterov", "objective.0.weight"):
        box = page.field(path)
        box.editor.set_value({"train.lr": 0.5, "data.source": "mnist"}.get(path, 0.25))
        box.editor.edited.emit()
    section: Any = page.show_section("objective")
    section._add("hint")
    section._move(0, 1)
    section._move(1, -1)
    section._remove(0)
    section.balance._moved(30)
    section.temperature.slider.setValue(35)
    section.temperature.take.click()
    teacher: Any = page.show_section("teacher")
    teacher.remove.click()
    teacher.add.click()
    page.draft.apply_yaml(f"{page.draft.yaml_text(page.experiment)}notes: more")
    steps = [stack.text(index) for index in range(stack.count())]
    assert len(steps) > len(PRESETS) + 8
    assert [step for step in steps if untranslated(step) or OPEN not in step] == []


# -- the spec --------------------------------------------------------------------------------------------------


def all_fields() -> dict[tuple[type[BaseModel], str], FieldSchema]:
    """Every field of every model of an experiment."""
    found: dict[tuple[type[BaseModel], str], FieldSchema] = {}
    wanted: list[type[BaseModel]] = [Experiment]
    while wanted:
        model = wanted.pop()
        for schema in fields_of(model):
            if (model, schema.name) not in found:
                found[model, schema.name] = schema
                wanted += schema.models
    return found


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_every_field_has_words_that_a_translator_sees(foreign: SetupKit, optimizer: str) -> None:
    for schema in all_fields().values():
        assert schema.name in LABELS
        values = {"optimizer": optimizer, "model": "cnn" if optimizer == "sgd" else "mlp"}
        hint = hint_of(schema.description, values)
        shown = [schema.label, schema.inner_label, schema.words, schema.tip, empty_text(schema.description), hint]
        shown += [choice_text(schema.name, choice) for choice in schema.choices]
        assert [text for text in shown if untranslated(text)] == []


def test_english_labels_are_small_inside_a_sentence_and_others_as_they_are(setup: SetupKit) -> None:
    assert label_inside("lr") == "learning rate"
    assert term_inside("soft") == "soft targets"
    marker = Marker()
    QCoreApplication.installTranslator(marker)
    try:
        assert label_inside("lr") == f"{OPEN}Learning rate{SHUT}"
        assert term_inside("soft") == f"{OPEN}Soft targets{SHUT}"
    finally:
        QCoreApplication.removeTranslator(marker)
