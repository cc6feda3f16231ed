"""The main window: projects, tree, pages, palette, tour, trash, themes; by clicks and keys."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QTimer, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QApplication, QDialog, QMessageBox, QPushButton, QToolButton
from pytestqt.qtbot import QtBot

from kdstudio.gui.dialogs.new_project import NewProjectDialog
from kdstudio.gui.dialogs.palette import CommandPalette, match
from kdstudio.gui.main_window import MainWindow
from kdstudio.gui.settings import Settings
from kdstudio.gui.theme import Theme
from kdstudio.gui.welcome.page import WelcomePage
from kdstudio.gui.worker import TrainingWorker
from kdstudio.project.folder import Project, create_project
from kdstudio.project.runs.state import RunStatus
from tests.gui.synthetic import finished_run, interrupted_run

LEFT = Qt.MouseButton.LeftButton


def in_dialog(qtbot: QtBot, kind: type[QDialog], act: Callable[[QDialog], None]) -> list[str]:
    """Does something in the next modal dialog of a kind; returns a list that is filled when it was done."""
    done: list[str] = []
    timer = QTimer()
    timer.setInterval(30)

    def look() -> None:
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, kind) and dialog.isVisible():
            timer.stop()
            done.append(type(dialog).__name__)
            act(dialog)

    timer.timeout.connect(look)
    timer.start()
    done_timer = timer  # kept alive by the closure
    assert done_timer.isActive()
    return done


def test_without_a_project_the_welcome_page_teaches(
    qtbot: QtBot, make_window: Callable[..., MainWindow], tmp_path: Path
) -> None:
    window = make_window()
    assert window.body.currentWidget() is window.welcome
    assert not window.actions_by_name["run"].isEnabled()
    target = tmp_path / "mine"

    def fill(dialog: QDialog) -> None:
        assert isinstance(dialog, NewProjectDialog)
        dialog.folder.setText(str(tmp_path))
        dialog.name.clear()
        assert not dialog.make.isEnabled()
        qtbot.keyClicks(dialog.name, "mine")
        qtbot.mouseClick(dialog.make, LEFT)

    done = in_dialog(qtbot, NewProjectDialog, fill)
    qtbot.mouseClick(window.welcome.samples["digits"], LEFT)
    assert done
    assert (target / "project.yaml").exists()
    assert window.project is not None
    assert window.project.root == target.resolve()
    assert window.body.currentWidget() is window.splitter
    window.close_project()
    assert window.body.currentWidget() is window.welcome
    qtbot.mouseClick(window.welcome.recent[0], LEFT)
    assert window.project is not None


def test_a_dropped_folder_opens(qtbot: QtBot, make_window: Callable[..., MainWindow], digits: Project) -> None:
    window = make_window()

    def drop(path: Path) -> None:
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(str(path))])
        event = QDropEvent(QPointF(200, 200), Qt.DropAction.CopyAction, data, LEFT, Qt.KeyboardModifier.NoModifier)
        window.dropEvent(event)

    drop(digits.experiments_dir / "hints.yaml")
    qtbot.waitUntil(lambda: window.project is not None)
    window.close_project()
    drop(digits.root.parent)
    assert window.message.isVisible()
    assert window.project is None


def test_a_folder_that_is_no_project_is_told(make_window: Callable[..., MainWindow], tmp_path: Path) -> None:
    window = make_window()
    assert not window.open_project(tmp_path)
    assert "no KD Studio project" in window.message.what.text()


def test_the_tree_shows_runs_with_status_and_score(
    qtbot: QtBot, make_window: Callable[..., MainWindow], digits: Project
) -> None:
    finished = finished_run(digits)
    broken = interrupted_run(digits)
    window = make_window(digits)
    root = next(item for item in window.tree._roots() if item.text(0) == "soft-targets")
    texts = [(root.child(row).text(0), root.child(row).text(1)) for row in range(root.childCount())]
    assert texts == [("002", ""), ("001", "94.0")]
    rect = window.tree.visualItemRect(root.child(0))
    qtbot.mouseClick(window.tree.viewport(), LEFT, pos=rect.center())
    assert window.control.run == broken
    assert window.pages.currentWidget() is window.monitor
    qtbot.waitUntil(lambda: window.control.status is RunStatus.INTERRUPTED)
    qtbot.waitUntil(lambda: window.actions_by_name["resume"].isEnabled())
    assert "Interrupted at step 120" in window.strip.phase.text()
    window._run_chosen(finished)
    qtbot.waitUntil(lambda: window.control.status is RunStatus.FINISHED)
    assert window.export.stack.currentIndex() == 1


def test_a_deleted_run_comes_back_by_undo(
    qtbot: QtBot, make_window: Callable[..., MainWindow], digits: Project
) -> None:
    run = finished_run(digits)
    window = make_window(digits)
    window.tree.choose(run)
    window.actions_by_name["delete"].trigger()
    assert not run.path.exists()
    assert window.message.button.text() == "Undo"
    assert not window.control.summaries
    qtbot.mouseClick(window.message.button, LEFT)
    assert run.scorecard() is not None
    assert [summary.run for summary in window.control.summaries] == [run]


def test_experiments_are_made_copied_and_renamed(
    qtbot: QtBot, window: MainWindow, digits: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = iter(["copy-of-it", "better-name"])
    monkeypatch.setattr("kdstudio.gui.experiment_actions.ask_name", lambda *args: next(names))
    before = (digits.experiments_dir / "soft-targets.yaml").read_text(encoding="utf-8")
    window.actions_by_name["duplicate"].trigger()
    copy = digits.experiments_dir / "copy-of-it.yaml"
    assert copy.exists()
    assert window.setup_page.path == copy
    comments = [line for line in before.splitlines() if line.startswith("#")]
    assert all(line in copy.read_text(encoding="utf-8") for line in comments)
    window.actions_by_name["rename"].trigger()
    assert not copy.exists()
    assert digits.load("better-name").name == "better-name"


def test_the_palette_finds_and_does(qtbot: QtBot, window: MainWindow) -> None:
    def type_and_enter(dialog: QDialog) -> None:
        assert isinstance(dialog, CommandPalette)
        qtbot.keyClicks(dialog.line, "export")
        qtbot.keyClick(dialog.line, Qt.Key.Key_Return)

    done = in_dialog(qtbot, CommandPalette, type_and_enter)
    qtbot.keyClick(window, Qt.Key.Key_K, Qt.KeyboardModifier.ControlModifier)
    assert done
    assert window.pages.currentWidget() is window.export


def test_the_palette_finds_settings(qtbot: QtBot, window: MainWindow, digits: Project) -> None:
    window.open_experiment(digits.path_of("hints"))
    window.show_page("runs")

    def type_and_enter(dialog: QDialog) -> None:
        assert isinstance(dialog, CommandPalette)
        qtbot.keyClicks(dialog.line, "weight decay")
        found = [dialog.list.topLevelItem(row) for row in range(2)]
        assert [[item.text(column) for column in range(3)] for item in found if item is not None] == [
            ["Weight decay", "setting", "Teacher"],
            ["Weight decay", "setting", "Training"],
        ]
        qtbot.keyClick(dialog.line, Qt.Key.Key_Down)
        qtbot.keyClick(dialog.line, Qt.Key.Key_Return)

    in_dialog(qtbot, CommandPalette, type_and_enter)
    qtbot.keyClick(window, Qt.Key.Key_K, Qt.KeyboardModifier.ControlModifier)
    assert window.pages.currentWidget() is window.setup_page
    box = window.setup_page.context.boxes["train.weight_decay"]
    qtbot.waitUntil(box.isVisible)


def test_letters_match_in_order() -> None:
    assert match("", "anything") == 0
    assert match("run", "Run") == 0
    assert match("sft", "soft-targets") is not None
    assert match("xyz", "soft-targets") is None
    assert (match("hold", "Hold") or 0) < (match("hold", "threshold") or 0)


def test_the_tour_has_five_steps_and_obeys_keys(qtbot: QtBot, window: MainWindow) -> None:
    window.actions_by_name["tour"].trigger()
    tour = window.help.current_tour
    assert tour is not None
    titles = []
    for _ in range(5):
        titles.append(tour.title.text())
        inside = tour.rect().contains(tour.bubble.geometry())
        assert inside
        qtbot.keyClick(tour, Qt.Key.Key_Right)
    assert len(set(titles)) == 5
    assert window.help.current_tour is None
    assert window.settings["toured"]


@pytest.mark.parametrize("newcomer", [True, False])
def test_a_newcomer_is_offered_the_tour_first(qtbot: QtBot, window: MainWindow, theme: Theme, newcomer: bool) -> None:
    page = WelcomePage(theme, window.actions_by_name, newcomer)
    qtbot.addWidget(page)
    texts = [button.text() for button in page.findChildren(QPushButton)]
    tour, new = (texts.index(window.actions_by_name[name].text().replace("&", "")) for name in ("tour", "new"))
    assert (tour < new) is newcomer


def test_theme_and_text_size_are_remembered(qtbot: QtBot, window: MainWindow, settings: Settings) -> None:
    for name in ("dark", "light"):
        window.actions_by_name[f"theme-{name}"].trigger()
        assert window.theme.dark is (name == "dark")
        assert Settings(settings.path)["theme"] == name
    size = QApplication.font().pointSizeF()
    window.actions_by_name["text-larger"].trigger()
    assert QApplication.font().pointSizeF() == size + 1
    window.actions_by_name["text-normal"].trigger()
    assert QApplication.font().pointSizeF() == size


def test_a_core_for_the_window(
    qtbot: QtBot, window: MainWindow, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is started from the window leaves it a core, unless a person wants all of them."""
    commands: list[list[str]] = []
    monkeypatch.setattr("kdstudio.gui.worker.subprocess.Popen", lambda command, **_: commands.append(command))
    window.open_project(create_project(settings.path.parent / "cores", "digits").root)
    action = window.actions_by_name["spare-core"]
    for kept in (True, False):
        assert action.isChecked() is window.control.spare is kept
        assert Settings(settings.path)["spare_core"] is kept
        run = window.control.project.create_run(window.control.project.load("hard-labels"))
        worker = TrainingWorker(run, True, spare=window.control.spare)
        with pytest.raises(AttributeError):  # there is no process
            worker._launch()
        assert ("spare" in commands[-1]) is kept
        action.trigger()


def test_pages_by_keys_and_tabs(qtbot: QtBot, window: MainWindow) -> None:
    for number, page in enumerate((window.setup_page, window.monitor, window.runs, window.export), 1):
        qtbot.keyClick(window, getattr(Qt.Key, f"Key_{number}"), Qt.KeyboardModifier.ControlModifier)
        assert window.pages.currentWidget() is page


def test_every_control_has_a_name_for_screen_readers(
    make_window: Callable[..., MainWindow], digits: Project, qtbot: QtBot
) -> None:
    finished_run(digits)
    window = make_window(digits)
    nameless = []
    for button in window.findChildren(QToolButton) + window.findChildren(QPushButton):
        action = button.defaultAction() if isinstance(button, QToolButton) else None
        named = button.text() or button.accessibleName() or action is not None
        if button.isVisibleTo(window) and not named and not button.objectName().startswith("qt_"):
            nameless.append(button)
    assert not nameless, [(button, button.parent()) for button in nameless]


def test_unsaved_changes_are_asked_about(qtbot: QtBot, window: MainWindow, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[str] = []

    def cancel(*args: object) -> QMessageBox.StandardButton:
        answers.append("asked")
        return QMessageBox.StandardButton.Cancel

    monkeypatch.setattr(QMessageBox, "question", cancel)
    monkeypatch.setattr(type(window.setup_page), "dirty", property(lambda page: True))
    assert not window.close()
    assert answers == ["asked"]
    assert window.isVisible()


@pytest.mark.timeout(300)
def test_many_windows_leave_nothing(qtbot: QtBot, settings: Settings, theme: Theme, digits: Project) -> None:
    finished_run(digits)
    process = psutil.Process()

    def cycle() -> None:
        window = MainWindow(settings, theme)
        window.show()
        qtbot.waitExposed(window)
        assert window.open_project(digits.root)
        window.show_run(window.control.summaries[0].run)
        window.show_page("monitor")
        qtbot.wait(30)
        window.close()
        window.deleteLater()
        QApplication.processEvents()

    for _ in range(2):  # what is loaded once
        cycle()
    handles, threads, children = process.num_fds(), process.num_threads(), set(process.children())
    for _ in range(5):
        cycle()
    assert process.num_fds() <= handles + 2
    assert process.num_threads() <= threads + 1
    assert set(process.children()) <= children  # those of earlier tests may wait to be reaped


def test_the_window_is_usable_at_1280_by_720(
    qtbot: QtBot, make_window: Callable[..., MainWindow], digits: Project
) -> None:
    window = make_window(digits)
    hint = window.minimumSizeHint()
    assert hint.width() <= 1280
    assert hint.height() <= 720
    corner = window.centralWidget().mapTo(window, QPoint(0, 0))
    assert corner.x() == 0
