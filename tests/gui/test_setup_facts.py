"""What the engine says on the Setup page: data, costs, errors at their fields, trust, downloads, progress."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QMessageBox
from pytestqt.qtbot import QtBot

from kdstudio.engine.data import Batches, Preprocess, load_data
from kdstudio.engine.networks import make_network
from kdstudio.engine.student_io import save_student
from kdstudio.engine.teacher_store import teacher_folder, teacher_key
from kdstudio.gui.setup.cost_view import sentence
from kdstudio.gui.setup.data_view import in_words
from kdstudio.gui.setup.facts import FactState, field_of_error
from kdstudio.gui.setup.page import SetupPage
from kdstudio.gui.theme import Theme
from kdstudio.project.errors import KDStudioError
from kdstudio.project.folder import Project
from kdstudio.project.schedules import batches_of
from kdstudio.project.spec import Digits
from tests.gui.setup_kit import PATIENCE, STUDENT, TEACHER, SetupKit, data_answer, know_all


def png() -> str:
    packed = io.BytesIO()
    Image.fromarray(np.full((8, 8), 200, np.uint8)).save(packed, "PNG")
    return base64.b64encode(packed.getvalue()).decode()


# -- questions -------------------------------------------------------------------------------------------------


def test_what_is_asked_and_when(setup: SetupKit) -> None:
    assert list(setup.engine.questions) == ["data"], "networks need the shape of the data"
    question = setup.engine.questions["data"]
    assert question["data"]["source"] == "digits"
    assert question["download"] is False
    setup.engine.answer("data", data_answer())
    assert set(setup.engine.questions) == {"data", "teacher", "student"}
    assert setup.engine.questions["student"]["input_shape"] == [1, 8, 8]
    assert setup.engine.questions["student"]["spec"]["widths"] == [32]


def test_what_changes_nothing_is_not_asked_again(setup: SetupKit) -> None:
    know_all(setup)
    setup.engine.questions.clear()
    setup.page.document.edit("x", {"train.lr": 0.5, "data.batch_size": 32, "objective.0.weight": 3})
    setup.settle()
    assert setup.engine.questions == {}
    setup.page.document.edit("x", {"student.widths": [48]})
    setup.settle()
    assert list(setup.engine.questions) == ["student"]
    assert setup.page.facts.student.state is FactState.ASKING
    assert setup.page.facts.student.known is None
    assert setup.page.facts.teacher.known == TEACHER


def test_wrong_settings_are_not_asked(setup: SetupKit) -> None:
    know_all(setup)
    setup.engine.questions.clear()
    setup.page.document.edit("x", {"student.model": "resnet21"})
    setup.settle()
    assert setup.engine.questions == {}
    assert setup.page.facts.student.state is FactState.NONE
    assert "when the settings are right" in setup.go("student").costs.statuses["student"].text.text()


def test_a_hidden_page_asks_nothing(qtbot: QtBot, setup: SetupKit, sample: Project) -> None:
    setup.engine.questions.clear()
    setup.page.hide()
    setup.open(sample, "hints")
    assert setup.engine.questions == {}
    setup.page.show()
    assert "data" in setup.engine.questions


# -- data ------------------------------------------------------------------------------------------------------


def test_the_data_in_words_and_pictures(setup: SetupKit) -> None:
    view = setup.go("data").view
    assert "Reading the data" in view.status.text.text()
    answer = data_answer()
    answer["examples"] = [{"label": 3, "index": 0, "png": png()}, {"label": 3, "index": 1, "png": png()}]
    answer["problems"] = ["Two pictures are the same."]
    setup.engine.answer("data", answer)
    assert not view.status.isVisible()
    assert view.words.text() == "720 grey pictures of 8 × 8 pixels in 10 classes; a network sees 1 × 8 × 8."
    assert view.problems.text() == "Two pictures are the same."
    assert "train&nbsp;300" in view.legend.text()
    assert view.table.row_height == 38
    assert "3: 30 train, 15 validation, 27 test" in view.table.accessibleDescription()
    picture = view.table.grab().toImage()
    assert picture.pixelColor(40, 3 * 38 + 19) != picture.pixelColor(40, 4 * 38 + 19), "class 3 has a picture there"


def test_features_have_no_pictures(setup: SetupKit) -> None:
    view = setup.go("data").view
    setup.engine.answer("data", data_answer((20,), 4))
    assert "720 rows of 20 numbers in 4 classes" in view.words.text()
    assert "no pictures" in view.words.text()
    assert view.table.row_height == 24
    assert not view.problems.isVisible()


def test_many_classes_scroll(setup: SetupKit) -> None:
    view = setup.go("data").view
    setup.engine.answer("data", data_answer((3, 32, 32), 100))
    assert "colour pictures" in in_words(data_answer((3, 32, 32), 100))
    lacking = {**data_answer(), "left_out": {"classes": ["3"], "samples": 30}}
    assert in_words(lacking).startswith("750 grey pictures")
    assert "The student's training samples lack class 3 (30 samples)" in in_words(lacking)
    stored = {"smallest": [28, 28], "largest": [28, 28], "grey": True}
    assert in_words({**data_answer((3, 32, 32)), "stored": stored}) == (
        "720 grey pictures in 10 classes, 28 × 28 pixels on disk. They are read in colour at 32 × 32 pixels; "
        "a network sees 3 × 32 × 32."
    )
    stored = {"smallest": [28, 28], "largest": [480, 640], "grey": False}
    assert in_words({**data_answer((1, 32, 32)), "stored": stored}) == (
        "720 pictures in 10 classes, 28 × 28 to 480 × 640 pixels on disk. They are read as grey at 32 × 32 pixels; "
        "a network sees 1 × 32 × 32."
    )
    assert view.area.height() < view.table.height()


def test_progress_can_be_cancelled_and_asked_again(setup: SetupKit) -> None:
    status = setup.go("data").view.status
    assert not status.cancel.isVisible()
    setup.engine.progressed.emit("data", "Reading images", 250, 1000)
    assert status.cancel.isVisible()
    assert status.text.text() == "Reading images, 25 %"
    assert (status.bar.value(), status.bar.maximum()) == (250, 1000)
    setup.click(status.cancel)
    assert setup.engine.cancelled[-1] == "data"
    assert status.text.text() == "This was given up."
    setup.engine.questions.clear()
    setup.click(status.again)
    assert "data" in setup.engine.questions
    assert setup.engine.fresh == 1


def test_reading_again(setup: SetupKit) -> None:
    know_all(setup)
    setup.engine.questions.clear()
    setup.click(setup.go("data").view.again)
    assert list(setup.engine.questions) == ["data"]
    assert setup.go("data").view.words.isVisible(), "the old answer stays until the new one is here"
    setup.engine.answer("data", data_answer())
    assert {"teacher", "student"} <= set(setup.engine.questions)


def test_nothing_is_downloaded_without_a_click(setup: SetupKit) -> None:
    setup.page.document.edit("x", {"data": {"source": "mnist", "download": True}})
    setup.settle()
    assert setup.engine.questions["data"]["download"] is False
    error = KDStudioError("mnist: no local copy was found, and data.download is off", "", "", kind="missing-data")
    setup.engine.failed.emit("data", error)
    status = setup.go("data").view.status
    assert status.download.isVisible()
    assert "not on this computer" in status.text.text()
    assert setup.page.context.problems == {}, "that is no mistake"
    setup.click(status.download)
    assert setup.engine.questions["data"]["download"] is True
    setup.engine.failed.emit("data", KDStudioError("mnist: the download failed", "", "", kind="offline"))
    assert not status.download.isVisible()
    assert "data.source" in setup.page.context.problems


# -- networks --------------------------------------------------------------------------------------------------


def test_costs_side_by_side(setup: SetupKit) -> None:
    know_all(setup)
    costs = setup.go("student").costs
    assert costs.sentence.text() == "The student is 35× smaller and needs 36× fewer FLOPs."
    assert costs.cells["Parameters", "teacher"].text() == "85,002"
    assert costs.cells["FLOPs per sample", "student"].text() == "4.74 k"
    assert costs.cells["File, about", "student"].text() == "9.64 kB"
    assert costs.cells["Parameters", "ratio"].text() == "35 ×"
    section = setup.go("teacher")
    assert section.costs.sentence.text() == costs.sentence.text()
    setup.click(section.remove)
    assert setup.value("teacher") is None
    assert section.empty.isVisible()
    assert not section.costs.isVisible()
    setup.click(section.add)
    assert setup.value("teacher.model") == "mlp", "a small picture gets a small network"
    words = [setup.page.undo_stack.text(index) for index in range(2)]
    assert words == ["Remove the teacher", "Add a teacher"]


def test_a_ratio_in_words() -> None:
    assert sentence(STUDENT, TEACHER, True) == "The student is 35× larger than its teacher."
    assert sentence(None, STUDENT, False) == "The student has 2.41 k parameters; there is no teacher."
    assert sentence(None, None, True) == ""


def test_a_teacher_with_weights_is_not_trained(setup: SetupKit) -> None:
    section = setup.go("teacher")
    assert section.training.isVisible()
    assert "the first run trains it" in section.trained_note.text()
    setup.page.document.edit("x", {"teacher.weights": "run:hints"})
    assert not section.training.isVisible()
    setup.page.document.edit("x", {"teacher.train.lr": -1})
    setup.settle()
    assert section.training.isVisible(), "an error in it has to be seen"


@pytest.mark.parametrize(
    ("part", "what", "fix", "path"),
    [
        ("data", "pets: the folder does not exist", "Check data.path; it is relative to the project.", "data.path"),
        ("data", "digits: data.train_limit is 3, and there are 10 classes", "", "data.train_limit"),
        ("data", "mnist: no local copy was found", "", "data.source"),
        ("student", "args.depth: resnet8 has no such argument", "remove it", "student.args"),
        ("student", "model: mlp takes images", "", "student.model"),
        ("teacher", "teacher.weights: there is no file 'x.pt'", "", "teacher.weights"),
        ("teacher", "something else", "", "teacher.model"),
    ],
)
def test_errors_of_the_engine_belong_to_fields(part: str, what: str, fix: str, path: str) -> None:
    value = {
        "data": {"source": "x", "path": "x", "train_limit": 3} if "mnist" not in what else {"source": "mnist"},
        "student": {"model": "x", "args": {}},
        "teacher": {"model": "x", "weights": "x.pt"},
    }[part]
    assert field_of_error(part, KDStudioError(what, "", fix), value) == path


def test_an_error_of_the_engine_is_shown_at_its_field(setup: SetupKit) -> None:
    setup.engine.answer("data", data_answer())
    error = KDStudioError("weights: t.pt does not fit the model", "another shape", "Take another file.", kind="weights")
    setup.engine.failed.emit("teacher", error)
    assert "does not fit" in setup.field("teacher.weights").note.text()
    assert setup.page.problem_bar.isVisible()
    assert setup.page.experiment is not None, "the engine's findings do not forbid a run"
    setup.page.document.edit("x", {"teacher.widths": [8]})
    setup.settle()
    assert setup.page.context.problems == {}, "it is asked anew"


def answer_box(button: str) -> tuple[QTimer, list[str]]:
    """Clicks a button of the next message box."""
    timer, texts = QTimer(), []
    timer.setInterval(30)

    def look() -> None:
        box = QApplication.activeModalWidget()
        if isinstance(box, QMessageBox) and box.isVisible():
            timer.stop()
            texts.append(box.informativeText())
            next(b for b in box.buttons() if button in b.text()).click()

    timer.timeout.connect(look)
    timer.start()
    return timer, texts


@pytest.mark.parametrize("button", ["Cancel", "Trust"])
def test_trust_is_asked_with_an_explanation(setup: SetupKit, sample: Project, button: str) -> None:
    setup.engine.answer("data", data_answer())
    error = KDStudioError("model: nets.py:build is a Python file", "", "", kind="untrusted")
    setup.engine.failed.emit("student", error)
    section = setup.go("student")
    trust = section.costs.statuses["student"].trust
    setup.engine.questions.clear()
    timer, texts = answer_box(button)
    section.ensureWidgetVisible(trust)
    setup.click(trust)
    assert not timer.isActive()
    assert "can do on this computer whatever you can do" in texts[0]
    assert sample.trusted is (button == "Trust")
    assert ("data" in setup.engine.questions) is (button == "Trust")


# -- training --------------------------------------------------------------------------------------------------


def test_steps_and_curve(setup: SetupKit) -> None:
    schedule = setup.go("training").schedule
    assert schedule.steps.text() == "Over 6 epochs."
    setup.engine.answer("data", data_answer())
    assert schedule.steps.text() == "5 steps in an epoch of 300 samples, 30 steps in 6 epochs."
    before = schedule.curve.grab().toImage()
    setup.page.document.edit("x", {"train.warmup_epochs": 3.0})
    assert schedule.curve.grab().toImage() != before
    setup.page.document.edit("x", {"train.lr": "x"})
    assert "when the settings" in schedule.steps.text()


@pytest.mark.parametrize(("samples", "size"), [(300, 64), (129, 64), (128, 64), (1, 64), (65, 64), (5, 1), (2, 1)])
def test_steps_are_those_of_the_engine(samples: int, size: int, tmp_path: Path) -> None:
    bundle = load_data(Digits(), tmp_path)
    split = bundle.train.select(np.arange(samples))
    assert batches_of(samples, size) == len(Batches(split, size, 0, "cpu", None))


# -- the real engine -------------------------------------------------------------------------------------------


@pytest.fixture
def live(qtbot: QtBot, theme: Theme) -> Iterator[Callable[..., SetupKit]]:
    """The page with the real engine."""
    made: list[SetupKit] = []

    def make(project: Project, name: str) -> SetupKit:
        kit = SetupKit(qtbot, SetupPage(theme))
        made.append(kit)
        kit.open(project, name)
        return kit

    yield make
    for kit in made:
        kit.close()


def wait_for(kit: SetupKit, *parts: str) -> None:
    done = (FactState.KNOWN, FactState.FAILED)
    kit.qtbot.waitUntil(lambda: all(kit.page.facts.parts[part].state in done for part in parts), timeout=PATIENCE)


@pytest.mark.engine
def test_the_engine_answers(live: Callable[..., SetupKit], sample: Project) -> None:
    kit = live(sample, "soft-targets")
    card = kit.go("objective").temperature
    wait_for(kit, "data", "teacher", "student", "logits")
    assert kit.page.facts.logits.answer == {"trained": False}
    assert card.train.isVisibleTo(card)
    assert kit.page.context.problems == {}
    assert "35× smaller" in kit.go("student").costs.sentence.text()
    view = kit.go("data").view
    assert len(view.table._pictures) == 10
    assert kit.page.client.process_id > 0
    kit.page.close_experiment()
    assert kit.page.client.process_id == 0


@pytest.mark.engine
def test_a_trained_teacher_is_found(live: Callable[..., SetupKit], sample: Project) -> None:
    _keep_a_teacher(sample)
    kit = live(sample, "soft-targets")
    card = kit.go("objective").temperature
    wait_for(kit, "logits")
    assert card.content.isVisibleTo(card)
    assert card.samples.count() == 24
    assert not card.samples.item(0).icon().isNull()


def _keep_a_teacher(project: Project) -> None:
    """Puts an untrained network where the engine keeps trained teachers: what is asked is whether it is found."""
    experiment = project.load("soft-targets")
    spec = experiment.teacher
    assert spec is not None
    bundle = load_data(experiment.data, project.root)
    model = make_network(spec, bundle, project.root, False, 0, False, "teacher")
    folder = teacher_folder(project.root, spec, teacher_key(spec, experiment.data, bundle, project.root))
    preprocess = Preprocess(bundle.mean, bundle.std, bundle.input_shape).to_dict()
    save_student(folder, model, spec, bundle.input_shape, bundle.classes, preprocess, {}, root=project.root)


@pytest.mark.engine
def test_features_and_a_file_of_the_users(live: Callable[..., SetupKit], sample: Project) -> None:
    random = np.random.default_rng(0)
    np.savez(sample.root / "a.npz", features=random.normal(size=(90, 6)), labels=np.arange(90) % 3)
    (sample.root / "nets.py").write_text(
        "from torch import nn\nprint('hello from the file')\n"
        "def build(input_shape, num_classes):\n    return nn.Sequential(nn.Linear(input_shape[0], num_classes))\n"
    )
    text = "data: {source: npz, path: a.npz}\nstudent: {model: 'nets.py:build'}\nobjective: [{term: hard}]\n"
    sample.path_of("mine").write_text(text)
    kit = live(sample, "mine")
    wait_for(kit, "data", "student")
    assert "rows of 6 numbers in 3 classes" in kit.go("data").view.words.text()
    assert kit.page.facts.student.error is not None
    assert kit.page.facts.student.error.kind == "untrusted"
    assert list(kit.page.context.problems) == ["student.model"]
    sample.trust()
    kit.page.facts.look_again("data")
    wait_for(kit, "data", "student")
    assert kit.page.facts.student.known is not None, kit.page.facts.student.error
    assert kit.page.facts.student.known["parameters"] == 21
    kit.page.document.edit("x", {"data.path": "gone.npz"})
    kit.qtbot.waitUntil(lambda: "data.path" in kit.page.context.problems, timeout=PATIENCE)
    assert "gone.npz" in kit.page.context.problems["data.path"][0]
