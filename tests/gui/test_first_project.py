"""First steps of a newcomer: a project by keys, an empty one, one of a person's own images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDialog, QPushButton
from pytestqt.qtbot import QtBot

from kdstudio.gui.dialogs.glossary import GlossaryDialog
from kdstudio.gui.dialogs.new_project import NewProjectDialog
from kdstudio.gui.main_window import MainWindow
from kdstudio.gui.theme import Theme
from kdstudio.project.folder import Project, create_project
from kdstudio.project.spec import ImageFolder

LEFT = Qt.MouseButton.LeftButton


def shown(qtbot: QtBot, dialog: QDialog) -> None:
    qtbot.addWidget(dialog)
    dialog.show()
    dialog.activateWindow()
    qtbot.waitUntil(dialog.isActiveWindow, timeout=20_000)


def test_enter_makes_the_project(qtbot: QtBot, theme: Theme, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr("kdstudio.gui.dialogs.new_project.QFileDialog.getExistingDirectory", asked.append)
    dialog = NewProjectDialog(template="empty")
    shown(qtbot, dialog)
    dialog.folder.setText(str(tmp_path))
    dialog.name.setFocus()
    dialog.name.selectAll()
    QTest.keyClicks(dialog.name, "mine")
    QTest.keyClick(dialog.name, Qt.Key.Key_Return)
    assert not asked
    assert dialog.project is not None
    assert (tmp_path / "mine" / "project.yaml").exists()


@pytest.mark.parametrize("name", ["a/b", "a\\b", "..", ".hidden", "c:d"])
def test_a_name_that_is_no_folders_is_refused_at_the_field(
    qtbot: QtBot, theme: Theme, tmp_path: Path, name: str
) -> None:
    dialog = NewProjectDialog(template="empty")
    shown(qtbot, dialog)
    dialog.folder.setText(str(tmp_path))
    dialog.name.selectAll()
    QTest.keyClicks(dialog.name, name)
    assert not dialog.make.isEnabled()
    assert "name" in dialog.problem.text()
    QTest.keyClick(dialog.name, Qt.Key.Key_Return)
    assert dialog.project is None
    assert not list(tmp_path.iterdir())


def test_enter_in_the_glossary_does_not_close_it(qtbot: QtBot, theme: Theme) -> None:
    dialog = GlossaryDialog()
    shown(qtbot, dialog)
    QTest.keyClicks(dialog.line, "hint")
    QTest.keyClick(dialog.line, Qt.Key.Key_Return)
    QApplication.processEvents()
    assert dialog.isVisible()


# -- an empty project ------------------------------------------------------------------------------------------------


def test_an_empty_project_offers_an_experiment(
    qtbot: QtBot, make_window: Callable[..., MainWindow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdstudio.gui.experiment_actions.ask_name", lambda *_: "mine")
    window = make_window(create_project(tmp_path / "empty", "empty"))
    empty = window.setup_page.empty
    assert "no experiment yet" in empty.heading.text()
    qtbot.waitUntil(empty.button.isVisible, timeout=10_000)
    assert empty.button.text() == "New experiment"
    qtbot.mouseClick(empty.button, LEFT)
    assert window.setup_page.path is not None
    assert window.setup_page.path.stem == "mine"
    assert window.setup_page.check()
    assert window.setup_page.document.get("baseline") is True
    window.setup_page.close_experiment()
    window.refresh()
    assert not empty.button.isVisible()
    assert "at the left" in empty.words.text()


# -- own images ------------------------------------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of images of two classes."""
    folder = tmp_path / "pets"
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for number in range(3):
            QImage(8, 8, QImage.Format.Format_RGB32).save(str(folder / name / f"{number}.png"))
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where new projects go."""
    monkeypatch.setattr("kdstudio.gui.project_actions.projects_home", lambda: tmp_path / "projects")
    return tmp_path / "projects"


def check_image_project(window: MainWindow, root: Path, pictures: Path) -> None:
    assert window.project is not None
    assert window.project.root == root.resolve()
    page = window.setup_page
    assert page.check()
    experiment = page.experiment
    assert experiment is not None
    assert isinstance(experiment.data, ImageFolder)
    assert Path(experiment.data.path) == pictures.resolve()
    assert experiment.baseline
    assert [term.term for term in experiment.objective] == ["hard", "soft"]
    assert page.current_section() is page.section("data")
    assert str(root.resolve()) in window.message.what.text()


def test_a_folder_of_images_becomes_a_project(
    qtbot: QtBot,
    make_window: Callable[..., MainWindow],
    pictures: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen = iter([str(pictures.parent), str(pictures), ""])
    monkeypatch.setattr("kdstudio.gui.project_actions.QFileDialog.getExistingDirectory", lambda *_: next(chosen))
    window = make_window()
    button = next(b for b in window.welcome.findChildren(QPushButton) if b.text() == "Your images...")
    qtbot.mouseClick(button, LEFT)
    assert window.project is None
    assert "no sub-folders with images" in window.message.what.text()
    qtbot.mouseClick(button, LEFT)
    check_image_project(window, home / "pets", pictures)
    window.actions_by_name["images"].trigger()
    assert window.project is not None, "it was cancelled"


def drop(window: MainWindow, path: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    window.dropEvent(
        QDropEvent(QPointF(200, 200), Qt.DropAction.CopyAction, data, LEFT, Qt.KeyboardModifier.NoModifier)
    )


def test_a_dropped_folder_of_images_is_offered_as_a_project(
    qtbot: QtBot, make_window: Callable[..., MainWindow], pictures: Path, home: Path
) -> None:
    window = make_window()
    drop(window, pictures)
    assert window.message.button.text() == "Learn from these images"
    qtbot.mouseClick(window.message.button, LEFT)
    check_image_project(window, home / "pets", pictures)
    drop(window, pictures)
    qtbot.mouseClick(window.message.button, LEFT)
    check_image_project(window, home / "pets-2", pictures)


def test_a_folder_that_is_no_project_becomes_one(
    qtbot: QtBot, make_window: Callable[..., MainWindow], tmp_path: Path
) -> None:
    folder = tmp_path / "things"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    window = make_window()
    assert not window.open_project(folder)
    assert "kdstudio new" not in window.message.fix.text()
    assert window.message.button.text() == "Make a project here"
    qtbot.mouseClick(window.message.button, LEFT)
    assert window.project is not None
    assert window.project.root == folder.resolve()
    assert (folder / "notes.txt").read_text(encoding="utf-8") == "mine"


# -- not complete ----------------------------------------------------------------------------------------------------


def test_what_was_not_complete_is_forgotten_when_it_is(qtbot: QtBot, window: MainWindow, digits: Project) -> None:
    page = window.setup_page
    for mend in (True, False):
        page.document.edit("Change", {"train.lr": "fast"})
        window.start()
        assert window.message.isVisible()
        assert "not complete" in window.message.what.text()
        if mend:
            page.undo_stack.undo()
        else:
            page.close_experiment()
            window.open_experiment(digits.path_of("hard-labels"))
        qtbot.waitUntil(lambda: not window.message.isVisible(), timeout=10_000)
