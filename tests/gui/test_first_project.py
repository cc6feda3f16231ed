"""First steps of a newcomer: a project by keys, an empty one, one of a person's own images."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDialog
from pytestqt.qtbot import QtBot

from kdstudio.gui.dialogs.glossary import GlossaryDialog
from kdstudio.gui.dialogs.new_project import NewProjectDialog
from kdstudio.gui.theme import Theme

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
