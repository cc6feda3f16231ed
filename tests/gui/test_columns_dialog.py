"""The columns of a table are chosen by clicks; a file of texts becomes a project."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QTimer, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QApplication, QDialog, QFileDialog, QMenu
from pytestqt.qtbot import QtBot

from kdstudio.gui.dialogs.own_text import TextDialog
from kdstudio.gui.main_window import MainWindow
from kdstudio.gui.setup.columns_dialog import COLUMNS, ColumnsDialog
from kdstudio.gui.theme import Theme
from kdstudio.project.folder import create_project
from kdstudio.project.table_head import Columns
from tests.engine.text_kit import write_tagged

LEFT = Qt.MouseButton.LeftButton
REVIEWS = "id,Review,stars,Sentiment\n1,a fine day,5,pos\n2,a dull day,1,neg\n3,so kind,4,pos\n4,,3,pos\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.csv"
    path.write_text(REVIEWS)
    return path


def opened(qtbot: QtBot, theme: Theme, path: Path, **more: Any) -> ColumnsDialog:
    dialog = ColumnsDialog(theme, path, **more)
    qtbot.addWidget(dialog)
    dialog.show()
    qtbot.waitExposed(dialog)
    return dialog


def heads(dialog: ColumnsDialog) -> list[str]:
    found = [dialog.table.horizontalHeaderItem(column) for column in range(dialog.table.columnCount())]
    return [item.text() for item in found if item is not None]


def test_columns_are_guessed_and_said(qtbot: QtBot, theme: Theme, table: Path) -> None:
    dialog = opened(qtbot, theme, table)
    assert dialog.columns == Columns("Review", None, "Sentiment")
    assert heads(dialog) == ["id", "Review  ·  Text", "stars", "Sentiment  ·  Label"]
    assert dialog.sentence.text() == "In 4 rows: 2 classes: pos 3, neg 1; 1 row has no text."
    assert dialog.gaps
    assert dialog.take.isEnabled()
    qtbot.mouseClick(dialog.take, LEFT)
    assert dialog.result() == QDialog.DialogCode.Accepted


def test_a_click_on_a_column_gives_it_a_role(qtbot: QtBot, theme: Theme, table: Path) -> None:
    dialog = opened(qtbot, theme, table)
    menu = dialog.menu_of(2)
    assert [action.text() for action in menu.actions()] == ["Text", "Second text", "Label"]
    menu.actions()[2].trigger()
    assert dialog.columns.label == "stars"
    assert dialog.boxes["label"].currentText() == "stars"
    menu = dialog.menu_of(1)
    assert menu.actions()[0].isChecked()
    menu.actions()[0].trigger()  # a second click takes it away
    assert dialog.columns.text is None
    assert "no column is chosen for the text" in dialog.problem.text()
    assert not dialog.take.isEnabled()
    box = dialog.boxes["text"]
    box.setCurrentIndex(box.findData("Review"))
    box.activated.emit(box.currentIndex())
    assert dialog.columns == Columns("Review", None, "stars")
    dialog.give("second", "Review")  # what has another role loses the first
    assert dialog.columns == Columns(None, "Review", "stars")


def test_a_real_click_on_a_header_opens_its_menu(qtbot: QtBot, theme: Theme, table: Path) -> None:
    dialog = opened(qtbot, theme, table)
    header = dialog.table.horizontalHeader()

    def choose() -> None:
        menu = QApplication.activePopupWidget()
        assert isinstance(menu, QMenu)
        qtbot.mouseClick(menu, LEFT, pos=menu.actionGeometry(menu.actions()[2]).center())

    QTimer.singleShot(0, choose)
    place = QPoint(header.sectionViewportPosition(2) + 20, header.height() // 2)
    qtbot.mouseClick(header.viewport(), LEFT, pos=place)
    assert dialog.columns.label == "stars"
    assert heads(dialog)[2] == "stars  ·  Label"


def test_a_very_wide_table_is_shown_in_part(qtbot: QtBot, theme: Theme, tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    names = [f"c{number}" for number in range(500)] + ["text", "label"]
    rows = [",".join(["1"] * 500 + [text, label]) for text, label in (("a day", "x"), ("a night", "y"))]
    path.write_text("\n".join([",".join(names), *rows]))
    dialog = opened(qtbot, theme, path)
    assert dialog.columns == Columns("text", None, "label")
    assert dialog.table.columnCount() == COLUMNS
    assert dialog.boxes["text"].currentText() == "text"
    assert dialog.take.isEnabled()


def test_another_encoding_reads_it_again(qtbot: QtBot, theme: Theme, tmp_path: Path) -> None:
    path = tmp_path / "old.csv"
    path.write_bytes("text,label\nna\u00efve,x\nplain,y\n".encode("cp1252"))
    dialog = opened(qtbot, theme, path)
    assert "old.csv, line 2, is not utf-8" in dialog.problem.text()
    assert not dialog.take.isEnabled()
    dialog.encoding.setCurrentText("cp1252")
    assert dialog.take.isEnabled()
    assert dialog.table.item(0, 0).text() == "na\u00efve"  # type: ignore[union-attr]
    dialog.encoding.setCurrentText("nonsense")
    assert "there is no encoding 'nonsense'" in dialog.problem.text()


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\0", b"", b"text,label\n", b'text,label\n"never closed,x\n'])
def test_what_is_no_table_is_told_in_the_dialog(qtbot: QtBot, theme: Theme, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    dialog = opened(qtbot, theme, path)
    assert "bad.csv" in dialog.problem.text()
    assert not dialog.take.isEnabled()


def test_a_line_of_two_million_letters_is_shown_short(qtbot: QtBot, theme: Theme, tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text(f"text,label\n{'word ' * 400_000},x\nshort,y\n")
    dialog = opened(qtbot, theme, path)
    assert len(dialog.table.item(0, 0).text()) < 200  # type: ignore[union-attr]
    assert dialog.take.isEnabled()


def accept(monkeypatch: pytest.MonkeyPatch, where: str, change: Callable[[ColumnsDialog], None] | None = None) -> None:
    """The dialog is answered at once, where it would wait for a person."""

    class Answered(ColumnsDialog):
        def exec(self) -> int:
            if change is not None:
                change(self)
            self.accept()
            return self.result()

    monkeypatch.setattr(where, Answered)


def test_the_setup_page_takes_the_columns_as_one_step(
    qtbot: QtBot, make_window: Callable[..., MainWindow], tmp_path: Path, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = create_project(tmp_path / "texts", "empty")
    (project.experiments_dir / "mine.yaml").write_text(
        f"data: {{source: table, path: {table}, tokenizer: 'bpe:300'}}\n"
        "student: {model: 'transformers:bert'}\nobjective: [{term: hard}]\n"
    )
    window = make_window(project)
    page = window.setup_page
    page.show_section("data")
    section = page.current_section()
    accept(monkeypatch, "kdstudio.gui.setup.data_section.ColumnsDialog", lambda d: d.give("label", "stars"))
    assert section.pick.isVisible()
    qtbot.mouseClick(section.pick, LEFT)
    assert page.document.get("data.text") == "Review"
    assert page.document.get("data.label") == "stars"
    assert page.document.get("data.bad_rows") == "leave_out"
    assert page.undo_stack.count() == 1
    page.document.edit("x", {"data": {"source": "digits"}})
    assert not section.pick.isVisible()
    page.undo_stack.setClean()


def drop(window: MainWindow, path: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    event = QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, data, LEFT, Qt.KeyboardModifier.NoModifier)
    window.dropEvent(event)


@pytest.mark.parametrize("name", ["reviews.csv", "story.txt", "story.txt.gz"])
def test_a_dropped_file_of_texts_becomes_a_project(
    qtbot: QtBot, make_window: Callable[..., MainWindow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("kdstudio.gui.project_actions.projects_home", lambda: tmp_path / "home")
    accept(monkeypatch, "kdstudio.gui.project_actions.ColumnsDialog")
    file = tmp_path / name
    text = REVIEWS if name.endswith("csv") else "A cat sees a dog.\n" * 50
    file.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())

    def hidden(dialog: TextDialog) -> int:
        qtbot.addWidget(dialog)
        dialog.show()
        qtbot.mouseClick(dialog.choices["masked-lm"], LEFT, pos=QPoint(10, 8))
        qtbot.mouseClick(dialog.make, LEFT)
        return dialog.result()

    monkeypatch.setattr(TextDialog, "exec", hidden)
    window = make_window()
    drop(window, file)
    assert window.message.button.text() == "Learn from these texts"
    qtbot.mouseClick(window.message.button, LEFT)
    assert window.project is not None
    assert window.project.root == tmp_path / "home" / name.split(".")[0]
    experiment = window.setup_page.experiment
    assert experiment is not None
    assert experiment.data.source == ("table" if name.endswith("csv") else "corpus")
    assert name.endswith("csv") or experiment.data.task == "masked-lm"  # type: ignore[union-attr]
    assert window.setup_page.context.problems == {}


@pytest.mark.parametrize("name", ["names.conll", "names.jsonl"])
def test_a_dropped_file_of_tagged_words_becomes_a_project(
    qtbot: QtBot, make_window: Callable[..., MainWindow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("kdstudio.gui.project_actions.projects_home", lambda: tmp_path / "home")
    window = make_window()
    drop(window, write_tagged(tmp_path / name))
    assert window.message.button.text() == "Learn from these texts"
    qtbot.mouseClick(window.message.button, LEFT)
    assert window.project is not None
    experiment = window.setup_page.experiment
    assert experiment is not None
    assert experiment.data.source == "tagged"
    assert "the tag of each word" in window.message.why.text()
    window.close_project()
    bad = tmp_path / "bad.conll"
    bad.write_text("Ann O\nwent\n", encoding="utf-8")
    window.projects.from_texts(bad)
    assert window.project is None
    assert "the word 'went' has no tag" in window.message.what.text()


def test_a_file_that_is_none_is_told(
    qtbot: QtBot, make_window: Callable[..., MainWindow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdstudio.gui.project_actions.projects_home", lambda: tmp_path / "home")
    file = tmp_path / "bad.txt"
    file.write_bytes(b"a\0b")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(file), ""))
    told: list[str] = []

    def given_up(dialog: TextDialog) -> int:
        told.append(dialog.problem.text())
        assert not dialog.make.isEnabled()
        return QDialog.DialogCode.Rejected

    monkeypatch.setattr(TextDialog, "exec", given_up)
    window = make_window()
    window.actions_by_name["texts"].trigger()
    assert window.project is None
    assert not (tmp_path / "home").exists()
    assert "bad.txt is no text file" in told[0]


def test_the_encoding_of_a_text_is_chosen_and_a_long_line_is_shown_short(qtbot: QtBot, tmp_path: Path) -> None:
    file = tmp_path / "old.txt"
    file.write_bytes(("caf\u00e9 " * 300_000).encode("cp1252"))
    dialog = TextDialog(file)
    qtbot.addWidget(dialog)
    dialog.show()
    assert "old.txt, line 1, is not utf-8" in dialog.problem.text()
    assert not dialog.make.isEnabled()
    dialog.encoding.setCurrentText("cp1252")
    assert dialog.make.isEnabled()
    assert dialog.text.toPlainText().startswith("caf\u00e9")
    assert len(dialog.text.toPlainText()) < 2000
    assert (dialog.task, dialog.coding) == ("causal-lm", "cp1252")
