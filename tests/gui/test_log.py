"""The log panel: levels, finding, and many lines."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from kdstudio.gui.monitor.log import LINES, LogPanel
from kdstudio.gui.theme import Theme
from tests.gui.panels import LEFT, show

STAMP = "2026-01-01 00:00:00"
TEXT = f"""{STAMP} INFO run made/001 on CPU
{STAMP} WARNING data: 3 pictures are damaged
{STAMP} INFO teacher: epoch 1 of 2
{STAMP} ERROR something unexpected went wrong
Traceback (most recent call last):
  File "x.py", line 1
ValueError: teacher
{STAMP} INFO teacher: epoch 2 of 2
"""


@pytest.fixture
def panel(qtbot: QtBot, theme: Theme) -> LogPanel:
    found = LogPanel(theme)
    show(qtbot, found, (760, 260))
    return found


def lines(panel: LogPanel) -> list[str]:
    return panel.text.toPlainText().split("\n")


def level(panel: LogPanel, words: str) -> None:
    panel.level.setCurrentText(words)
    panel.level.activated.emit(panel.level.currentIndex())
    QApplication.processEvents()


def colours(panel: LogPanel) -> list[str]:
    return [laid.format.foreground().color().name() for laid in panel.text.extraSelections()]  # type: ignore[attr-defined]


def test_it_begins_empty(panel: LogPanel) -> None:
    assert panel.stack.currentIndex() == 0
    assert not panel.search.isVisible()
    panel.append(TEXT)
    assert panel.stack.currentIndex() == 1
    assert panel.search.isVisible()
    assert lines(panel) == TEXT.rstrip("\n").split("\n")


def test_levels(panel: LogPanel) -> None:
    panel.append(TEXT)
    level(panel, "Warnings")
    assert len(lines(panel)) == 5
    level(panel, "Errors")
    assert lines(panel) == TEXT.split("\n")[3:7]  # a traceback belongs to its error
    panel.append(f"{STAMP} INFO no\n{STAMP} CRITICAL yes\n")
    assert lines(panel)[-1] == f"{STAMP} CRITICAL yes"
    assert len(lines(panel)) == 5
    level(panel, "All levels")
    assert len(lines(panel)) == 10


def test_lines_are_coloured_by_level(panel: LogPanel) -> None:
    panel.append(TEXT)
    tokens = panel.theme.tokens
    assert colours(panel) == [tokens.warn, *[tokens.bad] * 4]
    panel.theme.apply("light")
    tokens = panel.theme.tokens
    assert colours(panel) == [tokens.warn, *[tokens.bad] * 4]


def test_finding_goes_from_place_to_place(qtbot: QtBot, panel: LogPanel) -> None:
    panel.append(TEXT)
    qtbot.keyClicks(panel.search, "TEACHER")
    assert panel.count.text() == "1 of 3"
    assert panel.text.textCursor().selectedText() == "teacher"
    assert panel.text.textCursor().blockNumber() == 2
    found = []
    for _ in range(3):
        qtbot.keyClick(panel.search, Qt.Key.Key_Return)
        found.append((panel.count.text(), panel.text.textCursor().blockNumber()))
    assert found == [("2 of 3", 6), ("3 of 3", 7), ("1 of 3", 2)]
    qtbot.keyClick(panel.search, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    assert panel.text.textCursor().blockNumber() == 7
    grounds = [laid.format.background().style() for laid in panel.text.extraSelections()]  # type: ignore[attr-defined]
    marked = [ground for ground in grounds if ground != Qt.BrushStyle.NoBrush]
    assert len(marked) == 3
    qtbot.keyClick(panel.search, Qt.Key.Key_Escape)
    assert panel.search.text() == ""
    assert panel.count.text() == ""


def test_what_is_not_there_is_told(qtbot: QtBot, panel: LogPanel) -> None:
    panel.append(TEXT)
    qtbot.keyClicks(panel.search, "nowhere")
    assert panel.count.text() == "not found"
    qtbot.keyClick(panel.search, Qt.Key.Key_Return)
    panel.append(f"{STAMP} INFO nowhere to go\n")
    assert panel.count.text() == "1 line"


def test_matches_alone(qtbot: QtBot, panel: LogPanel) -> None:
    panel.append(TEXT)
    assert not panel.only.isEnabled()
    qtbot.keyClicks(panel.search, "epoch")
    qtbot.mouseClick(panel.only, LEFT, pos=panel.only.rect().center())
    if not panel.only.isChecked():  # some styles take clicks on the box alone
        panel.only.setChecked(True)
    assert len(lines(panel)) == 2
    panel.append(f"{STAMP} INFO student: epoch 1 of 9\n{STAMP} INFO finished\n")
    assert len(lines(panel)) == 3
    panel.search.clear()
    assert len(lines(panel)) == 10


def test_the_end_stays_in_sight_until_one_scrolls_up(panel: LogPanel) -> None:
    bar = panel.text.verticalScrollBar()
    for number in range(100):
        panel.append(f"{STAMP} INFO line {number}\n")
    QApplication.processEvents()
    assert bar.value() == bar.maximum()
    bar.setValue(10)
    panel.append(f"{STAMP} INFO more\n")
    QApplication.processEvents()
    assert bar.value() == 10
    bar.setValue(bar.maximum())
    panel.append(f"{STAMP} INFO still more\n")
    QApplication.processEvents()
    assert bar.value() == bar.maximum()


def test_only_the_last_lines_are_kept(panel: LogPanel) -> None:
    panel.append("\n".join(f"{STAMP} {'WARNING' if n % 2 else 'INFO'} line {n}" for n in range(LINES + 500)))
    assert panel.text.blockCount() == LINES
    assert lines(panel)[0].endswith("line 500")
    assert len(panel._shown) == LINES
    level(panel, "Warnings")
    assert panel.text.blockCount() == LINES // 2
    panel.append(f"{STAMP} WARNING the last\n")
    assert lines(panel)[-1].endswith("the last")


def test_saved_as_it_is_shown(panel: LogPanel, tmp_path: Path) -> None:
    panel.append(TEXT)
    level(panel, "Errors")
    panel.save(tmp_path / "log.csv", "csv")
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 5
    panel.save(tmp_path / "log.png", "png")
    panel.save(tmp_path / "log.svg", "svg")
    assert (tmp_path / "log.svg").stat().st_size > 500


def test_another_run_begins_anew(panel: LogPanel) -> None:
    panel.append(TEXT)
    panel.set_worker(None)
    assert panel.stack.currentIndex() == 0
    panel.append(f"{STAMP} INFO other\n")
    assert lines(panel) == [f"{STAMP} INFO other"]
