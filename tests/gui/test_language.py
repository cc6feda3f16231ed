"""The window in another language: its texts are found, made into a catalogue, and all go through it."""

from __future__ import annotations

import ast
import functools
import html
import re
import shutil
import string
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest
from PySide6.QtCore import QCoreApplication, Qt, QTranslator
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QAbstractItemView,
    QAbstractSlider,
    QApplication,
    QCheckBox,
    QComboBox,
    QDockWidget,
    QLabel,
    QLineEdit,
    QMenu,
    QPushButton,
    QTabBar,
    QTableView,
    QToolButton,
    QWidget,
)
from pytestqt.qtbot import QtBot

from kdstudio.gui.language import CONTEXT, mark, tr, trn
from kdstudio.gui.main_window import MainWindow
from kdstudio.gui.monitor.base import Panel
from kdstudio.gui.words import status_words
from kdstudio.project.folder import Project
from kdstudio.project.runs.state import RunState, RunStatus
from tests.doc_scripts import load_script
from tests.gui.quality_kit import evaluated
from tests.gui.synthetic import finished_run

ROOT = Path(__file__).resolve().parents[2]
CALLS = ("tr", "trn", "mark")
#: What stays as it is: names of the product, of formats and measures; units; a key; dates.
NAMES = (
    r"KD Studio|torch\.export|\b(ONNX|safetensors|KL|CKA|ECE|GPU|CPU|ms|nats)\b"
    r"|\(Del\)|\d\d [A-Z][a-z]{2} \d\d:\d\d"
)


# -- a catalogue ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    """docs/make_catalogue.py."""
    return load_script("make_catalogue")


def _translate(top: ElementTree.Element, source: str, *forms: str) -> None:
    """Enters a translation, as Qt Linguist does; with several forms they are plurals."""
    message = next(found for found in top.iter("message") if found.findtext("source") == source)
    translation = message.find("translation")
    assert translation is not None
    del translation.attrib["type"]
    if len(forms) == 1:
        translation.text = forms[0]
        return
    assert message.get("numerus") == "yes"
    translation.clear()
    for form in forms:
        ElementTree.SubElement(translation, "numerusform").text = form


@pytest.fixture
def german(maker: ModuleType, tmp_path: Path) -> QTranslator:
    """A catalogue with a few texts, made, translated and compiled as docs/translating.md says."""
    tool = shutil.which("pyside6-lrelease", path=str(Path(sys.executable).parent))
    if tool is None:
        pytest.skip("pyside6-lrelease, which compiles catalogues, is not beside this Python")
    top = maker.catalogue("de", maker.texts_of())
    _translate(top, "&Save experiment", "Experiment &speichern")
    _translate(top, "Stopped at step {step}", "Bei Schritt {step} beendet")
    _translate(top, "about {count} minutes", "etwa {count} Minute", "etwa {count} Minuten")
    source = tmp_path / "kdstudio_de.ts"
    ElementTree.ElementTree(top).write(source, encoding="utf-8", xml_declaration=True)
    compiled = tmp_path / "kdstudio_de.qm"
    subprocess.run([tool, str(source), "-qm", str(compiled)], check=True, capture_output=True, timeout=120)
    translator = QTranslator()
    assert translator.load(str(compiled))
    return translator


def _minutes(count: int) -> str:
    return trn("about a minute", "about {count} minutes", count)


def test_a_catalogue_speaks_and_is_silent_again(qapp: QApplication, german: QTranslator) -> None:
    stopped = RunState(step=7)
    assert QCoreApplication.installTranslator(german)
    try:
        assert tr("&Save experiment") == "Experiment &speichern"
        assert status_words(RunStatus.STOPPED, stopped) == "Bei Schritt 7 beendet"
        assert (_minutes(1), _minutes(4)) == ("etwa 1 Minute", "etwa 4 Minuten")
        assert tr("Time left") == "Time left"  # not translated yet
    finally:
        QCoreApplication.removeTranslator(german)
    assert tr("&Save experiment") == "&Save experiment"
    assert status_words(RunStatus.STOPPED, stopped) == "Stopped at step 7"
    assert (_minutes(1), _minutes(4)) == ("about a minute", "about 4 minutes")


def test_a_renewed_catalogue_keeps_what_is_translated(maker: ModuleType) -> None:
    before = maker.catalogue("de", maker.texts_of())
    _translate(before, "about {count} minutes", "etwa {count} Minute", "etwa {count} Minuten")
    after = maker.catalogue("de", maker.texts_of(), before)
    message = next(found for found in after.iter("message") if found.findtext("source") == "about {count} minutes")
    assert [form.text for form in message.iter("numerusform")] == ["etwa {count} Minute", "etwa {count} Minuten"]
    unfinished = [found for found in after.iter("translation") if found.get("type") == "unfinished"]
    assert len(unfinished) == len(list(after.iter("message"))) - 1


@pytest.mark.parametrize("status", list(RunStatus))
@pytest.mark.parametrize(
    "stage",
    [
        "",
        "teacher",
        "student",
        "baseline",
        "another",
        "factor-first",
        "teacher-2",
        "assistant-1",
        "assistant-2-factor-first",
    ],
)
def test_the_window_and_the_command_line_call_a_status_the_same(status: RunStatus, stage: str) -> None:
    state = RunState(stage=stage, step=12)
    assert status_words(status, state) == status.text(state)


# -- the code ------------------------------------------------------------------------------------------------


def _calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call of `tr`, `trn` and `mark` in the window's code, with where it is."""
    for path in sorted((ROOT / "kdstudio/gui").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _places(text: str) -> set[str]:
    """The named places of a text, those within a format too."""
    found = set()
    for _, name, form, _ in string.Formatter().parse(text):
        if name:
            found.add(name)
        found |= _places(form) if form else set()
    return found


def test_texts_stand_in_the_code_as_they_are() -> None:
    """Else the catalogue would not have them: no f-strings, nothing put together."""
    wrong = []
    for where, call in _calls():
        kind = call.func.id  # type: ignore[attr-defined]
        if kind == "trn":
            right = len(call.args) == 3 and all(_is_text(argument) for argument in call.args[:2])
        elif kind == "mark":
            right = len(call.args) == 1 and _is_text(call.args[0])
        else:
            named = (ast.Name, ast.Attribute, ast.Subscript)
            right = len(call.args) == 1 and (_is_text(call.args[0]) or isinstance(call.args[0], named))
        if not right:
            wrong.append(f"{where}: {ast.unparse(call)}")
    assert wrong == []


def test_every_place_has_its_part() -> None:
    wrong = []
    for where, call in _calls():
        kind = call.func.id  # type: ignore[attr-defined]
        texts = [argument.value for argument in call.args[:2] if isinstance(argument, ast.Constant)]
        parts = {keyword.arg for keyword in call.keywords}
        if kind == "mark" or None in parts or not texts or (kind == "tr" and not parts):
            continue
        wanted = set().union(*(_places(str(text)) for text in texts))
        if wanted - {"count"} != parts - {"count"} or (kind == "tr" and wanted != parts):
            wrong.append(f"{where}: places {sorted(wanted)}, parts {sorted(map(str, parts))}")
    assert wrong == []


def test_no_text_is_marked_that_nobody_can_find(maker: ModuleType) -> None:
    texts = maker.texts_of()
    assert all(text.strip() for text in texts)
    assert mark("as it is") == "as it is"
    for text in ("&File", "Where the run stands", "Handwritten digits", "about {count} minutes"):
        assert text in texts


# -- the window ----------------------------------------------------------------------------------------------


class Pseudo(QTranslator):
    """A language in which every text of the window stands in ⟦ ⟧."""

    def translate(  # type: ignore[override]  # None, unlike "", leaves Qt's own words alone
        self, context: str, source: str, disambiguation: str = "", n: int = -1
    ) -> str | None:
        return f"⟦{source}⟧" if context == CONTEXT else None

    def isEmpty(self) -> bool:
        return False


@pytest.fixture
def pseudo(qapp: QApplication) -> Iterator[None]:
    translator = Pseudo()
    assert QCoreApplication.installTranslator(translator)
    yield
    QCoreApplication.removeTranslator(translator)


def left_over(text: str) -> str:
    """What of a text did not go through `tr`: without markup, names of formats and figures."""
    text = html.unescape(re.sub(r"<[^>]*>", "", text)) if "<" in text else text
    before = ""
    while before != text:
        before, text = text, re.sub(r"⟦[^⟦⟧]*⟧", " ", text, flags=re.DOTALL)
    return re.sub(NAMES, " ", text)


def is_english(text: str) -> bool:
    """Whether a word of a text did not go through `tr`. Names of things in these tests have figures or dashes."""
    return re.search(r"(?<![\w./+-])[A-Za-z][a-z']+(?![\w/+-])", left_over(text)) is not None


def of_widget(widget: QWidget) -> Iterator[tuple[str, str]]:
    """(what it is, text) of everything that a widget says."""
    yield "tool tip", widget.toolTip()
    yield "accessible name", widget.accessibleName()
    yield "accessible description", widget.accessibleDescription()
    if isinstance(widget, (QLabel, QPushButton, QToolButton, QCheckBox)):
        yield "text", widget.text()
    if isinstance(widget, QLineEdit):
        yield "placeholder", widget.placeholderText()
    if isinstance(widget, QDockWidget):
        yield "title", widget.windowTitle()
    if isinstance(widget, QTabBar):
        for index in range(widget.count()):
            yield "tab", widget.tabText(index)
            yield "tab's tool tip", widget.tabToolTip(index)
    if isinstance(widget, QComboBox):
        for index in range(widget.count()):
            yield "choice", widget.itemText(index)
            yield "choice's tool tip", str(widget.itemData(index, Qt.ItemDataRole.ToolTipRole) or "")
    if isinstance(widget, QTableView):
        model = widget.model()
        for column in range(model.columnCount()):
            for role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
                yield "column", str(model.headerData(column, Qt.Orientation.Horizontal, role) or "")
            for row in range(model.rowCount()):
                yield "cell", str(model.index(row, column).data() or "")


def of_actions(actions: list[QAction]) -> Iterator[tuple[str, str]]:
    """The same of menus, their own menus within."""
    for action in actions:
        yield "menu", action.text()
        yield "menu's tool tip", action.toolTip()
        yield "menu's status tip", action.statusTip()
        menu = action.menu()
        if isinstance(menu, QMenu):
            yield from of_actions(menu.actions())


def spoken(page: QWidget, marked: list[str]) -> list[str]:
    """English of the visible widgets of a page; names and data are single words in these tests.

    Args:
        marked: Takes the texts that went through `tr`.
    """
    found = []
    for widget in (page, *page.findChildren(QWidget)):
        within = isinstance(widget.parentWidget(), (QAbstractItemView, QAbstractSlider))
        if widget.isVisible() and not within:
            for kind, text in of_widget(widget):
                if is_english(text):
                    found.append(f"{type(widget).__name__} {widget.objectName()}, {kind}: {text}")
                elif "⟦" in text:
                    marked.append(text)
    return found


def _finished(project: Project) -> None:
    run = finished_run(project)
    card = run.scorecard_path.read_text(encoding="utf-8")
    evaluated(run)  # for its samples
    run.scorecard_path.write_text(card, encoding="utf-8")


def test_every_text_of_the_window_goes_through_the_catalogue(
    qtbot: QtBot, pseudo: None, make_window: Callable[..., MainWindow], digits: Project
) -> None:
    _finished(digits)
    window = make_window(size=(1600, 1000))
    marked: list[str] = []
    found = spoken(window.welcome, marked)
    assert window.open_project(digits.root)
    window.control.show(window.control.summaries[0].run)
    found += [f"{kind}: {text}" for kind, text in of_actions(window.menuBar().actions()) if is_english(text)]
    for name, page in (("runs", window.runs), ("export", window.export)):
        window.show_page(name)
        qtbot.waitUntil(page.isVisible)
        found += spoken(page, marked)
    window.show_page("monitor")
    monitor = window.monitor
    for panel in monitor.panels:
        monitor.docks[panel.name].raise_()
        qtbot.waitUntil(functools.partial(_drawn, panel), timeout=20_000)
        assert _shown(panel) == 1, panel.name
        views = getattr(panel, "switch", None)
        for index in range(len(views.views) if views is not None else 1):
            if views is not None:
                views.choose(index)
            QApplication.processEvents()
            found += spoken(panel, marked) + spoken(panel.head_widget, marked)
    found += spoken(monitor, marked)
    found += spoken(window.statusBar(), marked)
    assert found == []
    assert {"⟦Start with a sample⟧", "⟦Ship the student⟧", "⟦Keeps %⟧", "⟦Soft targets⟧"} <= set(marked)


def _drawn(panel: Panel) -> bool:
    return panel.isVisible() and not panel.stale


def _shown(panel: Panel) -> int:
    """Which of a panel's two sides is seen: 1 is that with data."""
    return panel.stack.currentIndex()


def test_what_is_english_is_found() -> None:
    """So that the test above does not pass for the wrong reason."""
    assert is_english("Save this panel")
    assert is_english("Speed")
    assert is_english("⟦Smaller⟧ by a lot")
    assert is_english("<b>Only</b> the classes")
    assert not is_english("⟦Save {panel}⟧")
    assert not is_english("⟦Save ⟦Losses⟧⟧ (Ctrl+S)")
    assert not is_english("soft-targets/001: ⟦Finished⟧")
    assert not is_english("torch.export")
    assert not is_english("12.5 MB")
