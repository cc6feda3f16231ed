"""Fields of the Setup page: every kind is edited as a person does it, and errors stand where they belong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractSpinBox, QCheckBox, QFileDialog, QStyle, QStyleOptionSpinBox, QWidget

from kdstudio.gui.setup.fields import Fold
from kdstudio.gui.setup.inputs import stepped
from kdstudio.gui.setup.schema import complete, fields_of, variants_of
from kdstudio.gui.setup.sections import SECTIONS
from kdstudio.project.folder import Project
from kdstudio.project.spec import Experiment, LayersSpec, PoolSpec
from kdstudio.project.spec.language import OnPolicySpec, WrittenSpec
from tests.gui.setup_kit import SetupKit

DOWN = Qt.Key.Key_Down


def click_arrow(kit: SetupKit, spin: QAbstractSpinBox, up: bool) -> None:
    """Clicks an arrow of a spin box."""
    option = QStyleOptionSpinBox()
    spin.initStyleOption(option)
    part = QStyle.SubControl.SC_SpinBoxUp if up else QStyle.SubControl.SC_SpinBoxDown
    area = spin.style().subControlRect(QStyle.ComplexControl.CC_SpinBox, option, part, spin)
    kit.qtbot.mouseClick(spin, Qt.MouseButton.LeftButton, pos=area.center())


def check_box(kit: SetupKit, box: QCheckBox) -> None:
    """Clicks a check box at its mark."""
    kit.qtbot.mouseClick(box, Qt.MouseButton.LeftButton, pos=QPoint(8, box.height() // 2))


def test_a_whole_number(setup: SetupKit) -> None:
    box = setup.field("train.epochs")
    click_arrow(setup, box.editor.spin, up=True)
    assert setup.value("train.epochs") == 7
    setup.type_into(box.editor.spin.lineEdit(), "40")
    assert setup.value("train.epochs") == 40
    assert setup.page.dirty


def test_a_number(setup: SetupKit) -> None:
    box = setup.field("train.lr")
    assert box.editor.line.text() == "0.003"
    click_arrow(setup, box.editor.spin, up=True)
    assert setup.value("train.lr") == 0.004
    setup.type_into(box.editor.line, "1e-3")
    assert setup.value("train.lr") == 0.001
    setup.type_into(box.editor.line, "much")
    setup.settle()
    assert setup.value("train.lr") == "much"
    assert "should be a number" in box.note.text().lower()
    assert box.note.objectName() == "error"
    assert setup.page.experiment is None


@pytest.mark.parametrize(
    ("number", "up", "down"),
    [(0.05, 0.06, 0.04), (9.0, 10.0, 8.0), (1.0, 2.0, 0.9), (0.1, 0.2, 0.09), (0.0, 0.1, 0.0), (1e-4, 2e-4, 9e-5)],
)
def test_arrows_move_the_first_digit(number: float, up: float, down: float) -> None:
    assert stepped(number, True) == pytest.approx(up)
    assert stepped(number, False) == pytest.approx(down)


def test_a_whole_number_that_may_be_left_out(setup: SetupKit) -> None:
    box = setup.field("train.early_stop")
    assert box.editor.spin.text() == "never"
    assert setup.value("train.early_stop") is None
    click_arrow(setup, box.editor.spin, up=True)
    assert setup.value("train.early_stop") == 1
    click_arrow(setup, box.editor.spin, up=False)
    assert setup.value("train.early_stop") is None


def test_a_number_that_may_be_left_out(setup: SetupKit) -> None:
    box = setup.field("train.clip_norm")
    assert box.editor.line.placeholderText() == "no clipping"
    setup.type_into(box.editor.line, "5")
    assert setup.value("train.clip_norm") == 5.0
    setup.type_into(box.editor.line, "")
    assert setup.value("train.clip_norm") is None


def test_yes_and_no(setup: SetupKit) -> None:
    box = setup.field("baseline")
    assert box.editor.box.isChecked()
    check_box(setup, box.editor.box)
    assert setup.value("baseline") is False


def test_a_choice(setup: SetupKit) -> None:
    box = setup.field("train.optimizer")
    assert box.editor.combo.currentText() == "AdamW"
    QTest.keyClick(box.editor.combo, Qt.Key.Key_Up)
    assert setup.value("train.optimizer") == "sgd"
    setup.settle()
    assert setup.field("train.momentum").isVisible(), "momentum matters with sgd"


def test_any_of_a_few(setup: SetupKit) -> None:
    box = setup.field("data.augment")
    check_box(setup, box.editor.boxes["jitter"])
    check_box(setup, box.editor.boxes["crop"])
    assert setup.value("data.augment") == ["crop", "jitter"]
    assert setup.field("data.jitter_pixels").isVisible()


def test_trackers(setup: SetupKit) -> None:
    section = setup.go("recording")
    project = section.boxes[1]
    assert not project.isVisible(), "it matters with a tracker"
    box = setup.field("trackers")
    check_box(setup, box.editor.boxes["mlflow"])
    assert setup.value("trackers") == ["mlflow"]
    setup.type_into(setup.field("tracking_project").editor.line, "small nets")
    setup.settle()
    assert setup.page.experiment is not None
    assert setup.page.experiment.tracking_project == "small nets"


def test_lists_of_numbers(setup: SetupKit) -> None:
    box = setup.field("student.widths")
    setup.type_into(box.editor.line, "64, 48")
    assert setup.value("student.widths") == [64, 48]
    setup.type_into(box.editor.line, "64, x")
    setup.settle()
    assert "whole number" in box.note.text()


def test_text_and_notes(setup: SetupKit) -> None:
    setup.type_into(setup.field("name").editor.line, "other")
    assert setup.page.title.text() == "other"
    setup.type_into(setup.field("notes").editor.text, "why not")
    assert setup.value("notes") == "why not"
    setup.type_into(setup.field("name").editor.line, "a b")
    setup.settle()
    assert "cannot name a folder" in setup.field("name").note.text()


def test_a_text_with_usual_values(setup: SetupKit) -> None:
    box = setup.field("train.device")
    QTest.keyClick(box.editor.combo, DOWN)
    assert setup.value("train.device") == "cpu"
    setup.type_into(box.editor.line, "cuda:3")
    assert setup.value("train.device") == "cuda:3"
    setup.type_into(box.editor.line, "gpu")
    setup.settle()
    assert box.note.objectName() == "error"


def test_further_arguments(setup: SetupKit) -> None:
    setup.type_into(setup.field("student.model").editor.line, "timm:resnet18")
    box = setup.field("student.args")
    setup.type_into(box.editor.line, "drop_rate: 0.1, depth: [1, 2]")
    assert setup.value("student.args") == {"drop_rate": 0.1, "depth": [1, 2]}


def test_the_source_of_the_data(setup: SetupKit, monkeypatch: pytest.MonkeyPatch, sample: Project) -> None:
    (sample.root / "pictures").mkdir()
    source = setup.field("data.source").editor.combo
    while source.currentData() != "folder":
        QTest.keyClick(source, DOWN)
    assert setup.value("data.source") == "folder"
    assert setup.value("data.batch_size") == 64, "what both sources have stays"
    assert "crop_padding" in setup.value("data")
    setup.settle()
    box = setup.field("data.path")
    assert box.note.text() == "Choose a folder: it has a sub-folder of images for each class."
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(sample.root / "pictures"))
    setup.click(box.editor.browse)
    assert setup.value("data.path") == "pictures", "relative to the project"
    setup.settle()
    assert setup.page.experiment is not None
    while source.currentData() != "npz":
        QTest.keyClick(source, DOWN)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("/elsewhere/a.npz", ""))
    setup.click(setup.field("data.path").editor.browse)
    assert setup.value("data.path") == "/elsewhere/a.npz"


def test_models_are_chosen_in_groups_or_typed(setup: SetupKit, sample: Project) -> None:
    (sample.root / "nets.py").write_text("def build(input_shape, num_classes): ...\ndef other(): ...\n")
    setup.page.close_experiment()
    setup.open(sample)
    box = setup.field("student.model")
    combo = box.editor.combo
    texts = [combo.itemText(index) for index in range(combo.count())]
    assert texts[:3] == ["Plain networks", "mlp", "cnn"]
    assert texts[-2:] == ["In this project", "nets.py:build"]
    assert not combo.model().flags(combo.model().index(0, 0)) & Qt.ItemFlag.ItemIsEnabled
    box.editor.line.setFocus()
    QTest.keyClick(combo, DOWN)
    assert setup.value("student.model") == "cnn", "a heading is passed over"
    setup.type_into(box.editor.line, "resnet21")
    setup.settle()
    assert "6 n + 2" in box.note.text()
    assert "names" not in setup.engine.questions
    setup.type_into(box.editor.line, "timm:res")
    assert setup.engine.questions["names"] == {"ask": "names"}
    setup.engine.answer("names", {"timm": ["resnet18", "vit_tiny"], "torchvision": ["vgg11"]})
    assert box.editor.completer.completionCount() == 1
    QTest.keyClicks(box.editor.line, "net18")
    assert setup.value("student.model") == "timm:resnet18"


def test_weights(setup: SetupKit, monkeypatch: pytest.MonkeyPatch, sample: Project) -> None:
    box = setup.field("teacher.weights")
    assert box.editor.kind.currentText() == "None: train it first"
    QTest.keyClick(box.editor.kind, DOWN)
    assert setup.value("teacher.weights") is None, "no file yet"
    assert box.editor.file.isVisible()
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(sample.root / "t.pt"), ""))
    setup.click(box.editor.file.browse)
    assert setup.value("teacher.weights") == "t.pt"
    QTest.keyClick(box.editor.kind, DOWN)
    assert box.editor.runs.currentText() == "no run is finished yet"
    setup.page.document.edit("elsewhere", {"teacher.weights": "run:hints"})
    assert box.editor.runs.currentText() == "hints"
    assert box.editor.value() == "run:hints"


def test_fields_that_have_no_effect_are_not_in_the_way(setup: SetupKit) -> None:
    setup.go("training")
    boxes = setup.page.context.boxes
    assert not boxes["train.milestones"].isVisible()
    assert not boxes["train.momentum"].isVisible()
    setup.page.document.edit("x", {"train.schedule": "multistep"})
    assert boxes["train.milestones"].isVisible()
    setup.page.document.edit("x", {"train.milestones": [2, 4]})
    setup.page.document.edit("x", {"train.schedule": "cosine"})
    assert boxes["train.milestones"].isVisible(), "what is not at its default is not hidden"


def test_the_fold_says_what_was_changed_and_opens_for_an_error(setup: SetupKit) -> None:
    section = setup.go("training")
    fold = section.findChild(Fold)
    assert "changed" not in fold.button.text()
    assert not fold.content.isVisible()
    setup.click(fold.button)
    assert fold.content.isVisible()
    setup.click(fold.button)
    setup.page.document.edit("x", {"train.seed": -1})
    setup.settle()
    assert fold.button.text().endswith("1 changed")
    assert setup.page.problem_bar.isVisible()
    assert setup.page.problem_bar.text.text().startswith("Train: Seed: ")
    setup.go("data")
    assert not fold.isVisible()
    setup.click(setup.page.problem_bar.button)
    setup.qtbot.waitUntil(lambda: setup.page.context.boxes["train.seed"].isVisible(), timeout=10_000)
    spin = setup.page.context.boxes["train.seed"].editor.spin
    setup.qtbot.waitUntil(spin.hasFocus, timeout=10_000)


def test_problems_of_a_group_stand_at_the_field_that_they_name(setup: SetupKit) -> None:
    setup.page.document.edit("x", {"train.schedule": "multistep", "student.model": "resnet8"})
    setup.settle()
    assert "needs 'milestones'" in setup.field("train.milestones").note.text()
    assert "for mlp and cnn" in setup.field("student.widths").note.text()
    setup.page.document.edit("x", {"teacher": None})
    setup.page.document.edit("x", {"student.widths": None, "train.schedule": "cosine"})
    setup.settle()
    assert set(setup.page.context.problems) == {"objective"}
    assert "need a teacher" in setup.go("objective").error.text()
    marks = [setup.page.sections.item(row).data(257) for row in range(setup.page.sections.count())]
    assert marks == [spec.name == "objective" for spec in SECTIONS]


def test_a_file_with_wrong_fields_is_opened_and_says_so(setup: SetupKit, sample: Project) -> None:
    path = sample.path_of("hints")
    path.write_text(path.read_text().replace("lr: 0.003", "lr: fast").replace("baseline: true", "basline: true"))
    setup.page.close_experiment()
    page = setup.open(sample, "hints")
    assert page.experiment is None
    assert "should be a number" in setup.field("train.lr").note.text().lower()
    assert "basline" in page.context.problems
    assert not page.dirty
    assert not page.save()
    setup.type_into(setup.field("train.lr").editor.line, "0.01")
    setup.type_into(setup.field("teacher.train.lr").editor.line, "0.01")
    setup.settle()
    assert list(page.context.problems) == ["basline"]
    assert "baseline" in page.problem_bar.text.text(), "it says what was meant"


def paths_of(model: type[BaseModel], path: str = "") -> Iterator[str]:
    """Every field of the spec that is a value, below lists as their first item."""
    for schema in fields_of(model):
        here = f"{path}.{schema.name}" if path else schema.name
        if schema.kind == "model":
            yield from paths_of(schema.models[0], here)
        elif schema.kind in ("variants", "models"):
            continue
        else:
            yield here


@pytest.mark.parametrize("tag", ["hard", "soft", "hint"])
def test_every_field_of_every_term_can_be_reached(setup: SetupKit, tag: str) -> None:
    models = next(schema.models for schema in fields_of(Experiment) if schema.name == "objective")
    _, table = variants_of(models)
    term = complete(table[tag], {"term": tag, "pairs": [{"teacher": "a", "student": "b"}], "schedule": {}})
    if tag != "hint":
        term.pop("pairs")
    setup.page.document.edit("x", {"objective": [term]})
    for path in paths_of(table[tag], "objective.0"):
        assert setup.field(path).isVisible(), path


@pytest.mark.parametrize("source", ["digits", "mnist", "folder", "npz"])
def test_every_field_of_every_source_can_be_reached(setup: SetupKit, source: str) -> None:
    section = setup.go("data")
    setup.page.document.edit("x", {"data": {"source": source, "augment": ["crop", "jitter"]}})
    for path in paths_of(section._table[source], "data"):
        assert setup.field(path).isVisible(), path


def test_every_field_of_the_experiment_can_be_reached(setup: SetupKit) -> None:
    always = {
        "teacher.model": "timm:x",
        "student.model": "timm:x",
        "train.schedule": "multistep",
        "train.devices": 2,
        "teacher.train.devices": 2,
        "evaluate.latency": True,
        "cache.vocabulary": "top-k",
        "trackers": ["tensorboard"],
    }
    setup.page.document.edit("x", always)
    hidden = {
        "widths",
        "dropout",
        "input_dropout",
        "momentum",
        "nesterov",
        "gamma",
        "milestones",
        "guided",
        "guided_drop",
        "layers",
        "finetune",
        "unlabelled",
        "written",
        "on_policy",
    }
    for path in paths_of(Experiment):
        if hidden & set(path.split(".")):
            continue
        assert setup.field(path).isVisible(), path


def test_what_only_texts_and_pools_have_can_be_reached(setup: SetupKit) -> None:
    wanted = {
        "teacher.model": "transformers:bert",
        "teacher.pretrained": True,
        "student": {"model": "from-teacher", "layers": {}},
        "unlabelled": {},
        "data.labelled": 0.1,
        "written": {},
        "on_policy": {},
    }
    setup.page.document.edit("x", wanted)
    for path in ("teacher.finetune", "teacher.args", "data.labelled"):
        assert setup.field(path).isVisible(), path
    models = {"student.layers": LayersSpec, "unlabelled": PoolSpec, "written": WrittenSpec, "on_policy": OnPolicySpec}
    for path, model in models.items():
        for name in model.model_fields:
            if name != "data":
                assert setup.field(f"{path}.{name}").isVisible(), name


@pytest.mark.parametrize("source", ["table", "corpus", "hub"])
def test_every_field_of_every_source_of_text_can_be_reached(setup: SetupKit, source: str) -> None:
    section = setup.go("data")
    task = {"task": "masked-lm"} if source != "table" else {}
    stream = {"streaming": True} if source == "hub" else {}
    setup.page.document.edit("x", {"data": {"source": source, **task, **stream}})
    for path in paths_of(section._table[source], "data"):
        if (source, path) != ("hub", "data.label"):  # a language model has none
            assert setup.field(path).isVisible(), path


def test_everything_has_a_name_for_a_screen_reader(setup: SetupKit) -> None:
    for spec in ("general", "data", "teacher", "student", "objective", "training", "recording", "yaml"):
        section = setup.go(spec)
        for widget in section.findChildren(QWidget):
            takes = widget.focusPolicy() & Qt.FocusPolicy.TabFocus and widget.isVisible()
            if takes and not widget.accessibleName() and not getattr(widget, "text", lambda: "")():
                parent = widget.parentWidget()
                assert parent is not None, widget
                assert parent.accessibleName(), f"{spec}: {widget} in {parent}"


def test_fields_take_as_many_columns_as_fit(setup: SetupKit) -> None:
    grid = setup.go("training").form.grid
    setup.window.resize(1050, 600)
    setup.qtbot.waitUntil(lambda: grid._shown[0] == 4, timeout=10_000)
    setup.window.resize(700, 600)
    setup.qtbot.waitUntil(lambda: grid._shown[0] == 2, timeout=10_000)
    section = setup.page.current_section()
    assert section.widget().width() <= section.viewport().width(), "nothing is cut off at the right"
    setup.window.resize(1650, 900)
    setup.qtbot.waitUntil(lambda: grid._shown[0] == 4, timeout=10_000)
    schedule = setup.page.current_section().schedule
    # the curve stands beside the form
    setup.qtbot.waitUntil(lambda: schedule.mapTo(setup.page, QPoint(0, 0)).x() > 800, timeout=10_000)


def test_long_messages_are_not_cut_off(setup: SetupKit) -> None:
    box = setup.field("train.lr")
    setup.qtbot.waitUntil(lambda: box.height() == box.sizeHint().height(), timeout=10_000)  # all is laid out
    low = box.height()
    setup.page.document.edit("x", {"train.lr": "as fast as this old computer can, and then a little faster"})
    setup.settle()
    setup.qtbot.waitUntil(lambda: box.height() > low, timeout=10_000)
    assert box.note.height() >= box.note.heightForWidth(box.note.width())
    setup.page.undo_stack.undo()
    setup.settle()
    setup.qtbot.waitUntil(lambda: box.height() == low, timeout=10_000)


def test_a_path_is_dropped(setup: SetupKit, tmp_path: Path) -> None:
    setup.page.document.edit("x", {"data": {"source": "npz", "path": ""}})
    line = setup.field("data.path").editor.line
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(tmp_path / "a.npz"))])
    line.dropEvent(
        QDropEvent(
            QPointF(5, 5),
            Qt.DropAction.CopyAction,
            mime,
            Qt.MouseButton.LeftButton,
            Qt.KeyboardModifier.NoModifier,
        )
    )
    assert setup.value("data.path") == str(tmp_path / "a.npz")


def test_what_happens_to_unreadable_files_of_a_folder(setup: SetupKit) -> None:
    setup.page.document.edit("Change", {"data": {"source": "folder", "path": "photos"}})
    setup.settle()
    box = setup.field("data.unreadable")
    assert box.schema.label == "Unreadable files"
    texts = [box.editor.combo.itemText(row) for row in range(box.editor.combo.count())]
    assert texts == ["Refuse the folder", "Leave them out"]
    box.editor.combo.setCurrentIndex(1)
    box.editor.combo.activated.emit(1)
    setup.settle()
    assert setup.value("data.unreadable") == "leave_out"


def test_the_shares_of_a_split(setup: SetupKit) -> None:
    box = setup.field("data.test_fraction")
    assert box.schema.label == "Test share"
    setup.type_into(box.editor.line, "0.3")
    assert setup.value("data.test_fraction") == 0.3
    setup.type_into(setup.field("data.validation_fraction").editor.line, "0.7")
    setup.settle()
    assert any("less than 1 together" in text for texts in setup.page.context.problems.values() for text in texts)
    setup.page.document.edit("Change", {"data": {"source": "mnist"}})
    setup.settle()
    assert "test_fraction" not in setup.value("data")
