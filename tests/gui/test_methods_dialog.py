"""Comparing methods in the window: what is ticked, what is started, how it is followed, and what the table shows."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QPoint, Qt
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from kdstudio.gui.main_window import MainWindow
from kdstudio.gui.runs.method_table import AGAINST, COLUMNS, VERDICT
from kdstudio.gui.runs.method_words import FAMILIES, TITLES
from kdstudio.gui.runs.methods_dialog import CHANNEL, MethodsDialog
from kdstudio.project.comparison import FILE, Comparison, folder_of
from kdstudio.project.folder import Project
from kdstudio.project.method_bench import Figures, rows_of
from kdstudio.project.method_tables import as_csv, as_json
from kdstudio.project.methods import ALL, METHODS
from kdstudio.project.runs.state import process_start
from tests.gui.setup_kit import SilentEngine

LEFT = Qt.MouseButton.LeftButton
PATIENCE = 120_000
SOFT = [0.90, 0.91, 0.92]


@pytest.fixture
def open_dialog(
    qtbot: QtBot, make_window: Callable[..., MainWindow], digits: Project
) -> Iterator[Callable[[], MethodsDialog]]:
    """Opens the dialog by the button of the Runs page, without an engine: the test gives its answers."""
    window = make_window(digits)
    window.open_experiment(digits.path_of("soft-targets"))

    def press() -> MethodsDialog:
        window.actions_by_name["methods"].trigger()
        dialog = window.methods.dialog
        assert dialog is not None
        qtbot.waitExposed(dialog)
        return dialog

    yield press
    window.methods.close()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


def table(folder: Path, **scores: list[float]) -> None:
    """Tables as a comparison leaves them."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = [
        Figures(name.replace("_", "-"), list(range(len(each))), each, list(each)) for name, each in scores.items()
    ]
    rows = rows_of([*figures, Figures("flow", why_not="no layers of the two networks fit it", fits=False)])
    (folder / "methods.json").write_text(as_json(rows, "a to b"))
    (folder / "methods.csv").write_text(as_csv(rows))


def tell(folder: Path, pid: int = 0, **fields: Any) -> None:
    """Where a comparison stands, as its process writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    state = Comparison(pid=pid, process_start=process_start(pid), host=socket.gethostname(), **fields)
    (folder / FILE).write_bytes(msgspec.json.encode(state))


def cell(dialog: MethodsDialog, row: int, column: int) -> str:
    return str(dialog.table.model().index(row, column).data())


def test_every_method_has_words() -> None:
    assert {method.name: method.title for method in METHODS} == TITLES
    assert {method.family for method in METHODS} == set(FAMILIES)


def test_methods_are_ticked_and_counted(qtbot: QtBot, open_dialog: Callable[[], MethodsDialog]) -> None:
    dialog = open_dialog()
    assert "teaches mlp 32 on digits" in dialog._pair_words()
    assert dialog.stack.currentIndex() == 0
    engine = dialog._client
    assert isinstance(engine, SilentEngine)
    assert engine.questions[CHANNEL]["epochs"] == dialog.epochs.value() == 6
    engine.answer(CHANNEL, {"unfit": ["flow", "attention"]})
    assert dialog.picker.greyed.isVisible()
    assert set(dialog.picker.chosen()) == set(ALL) - {"flow", "attention"}
    assert not dialog.picker.items["flow"].flags() & Qt.ItemFlag.ItemIsEnabled
    assert "shapes" in dialog.picker.items["flow"].toolTip(0)
    qtbot.mouseClick(dialog.picker.none, LEFT)
    assert dialog.picker.chosen() == ["hard", "soft"]
    tree, item = dialog.picker.tree, dialog.picker.items["logits"]
    tree.scrollToItem(item)
    place = tree.visualItemRect(item)
    qtbot.mouseClick(tree.viewport(), LEFT, pos=place.topLeft() + QPoint(8, place.height() // 2))
    assert dialog.picker.chosen() == ["hard", "soft", "logits"]
    dialog.seeds.setValue(4)
    assert dialog.amount.text() == "3 methods: 12 runs of 6 epochs"
    dialog.epochs.setValue(2)
    assert engine.questions[CHANNEL]["epochs"] == 2
    engine.answer(CHANNEL, {"unfit": ["hint-two-stage"]})
    assert dialog.picker.chosen() == ["hard", "soft", "logits", "attention", "flow"]
    qtbot.mouseClick(dialog.picker.all, LEFT)
    assert set(dialog.picker.chosen()) == set(ALL) - {"hint-two-stage"}


def test_the_table_and_its_verdicts(
    qtbot: QtBot, open_dialog: Callable[[], MethodsDialog], digits: Project, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    folder = folder_of(digits, "soft-targets")
    table(folder, soft=SOFT, logits=[0.95, 0.961, 0.97], rkd=[0.5, 0.6, 0.7], reverse_kl=[0.91, 0.9, 0.92], hint=[0.1])
    tell(folder, phase="finished", methods=["rkd"], seeds=3, epochs=5, total=13, done=13)
    dialog = open_dialog()
    assert (dialog.seeds.value(), dialog.epochs.value()) == (3, 5)
    assert dialog.picker.chosen() == ["hard", "soft", "rkd"]
    assert dialog.state.text() == "Finished: 13 runs"
    names = [cell(dialog, row, 0) for row in range(6)]
    assert names[0] == "Logit matching"
    verdicts = {name: cell(dialog, row, VERDICT) for row, name in enumerate(names)}
    assert verdicts == {
        "Logit matching": "better",
        "Soft targets": "reference",
        "Reverse KL": "no clear difference",
        "Relational (RKD)": "worse",
        "Hints, joint (FitNets)": "too few seeds",
        "Flow of the solution (FSP)": "does not fit",
    }
    assert cell(dialog, 0, AGAINST) == "+5.03"
    tip = dialog.table.model().index(0, AGAINST).data(Qt.ItemDataRole.ToolTipRole)
    assert tip == "+5.03 ± 0.06 points; 95 % interval of the mean +4.89 to +5.18"
    assert dialog.sentence.text() == "2 of 3 methods judged did not beat soft targets: Reverse KL, Relational (RKD)."
    test = [column.title for column in COLUMNS].index("Test %")
    dialog.table.sortByColumn(test, Qt.SortOrder.AscendingOrder)
    assert cell(dialog, 0, 0) == "Flow of the solution (FSP)"
    assert not dialog.table.grab().isNull()
    place = tmp_path / "table.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(place), ""))
    qtbot.mouseClick(dialog.csv, LEFT)
    assert place.read_bytes() == (folder / "methods.csv").read_bytes()


def test_one_that_goes_on_is_found_followed_and_stopped(
    qtbot: QtBot, open_dialog: Callable[[], MethodsDialog], digits: Project
) -> None:
    folder = folder_of(digits, "soft-targets")
    # a process that was started in the background of a script would ignore the signal
    code = "import signal, time; signal.signal(signal.SIGINT, signal.default_int_handler); print(flush=True)"
    other = subprocess.Popen([sys.executable, "-c", f"{code}; time.sleep(600)"], stdout=-1)
    try:
        assert other.stdout is not None
        other.stdout.readline()
        going = {"phase": "running", "methods": ["logits"], "seeds": 1, "epochs": 2, "total": 3, "pid": other.pid}
        tell(folder, **going, done=1, method="soft")
        dialog = open_dialog()
        window = dialog.parent()
        assert isinstance(window, MainWindow)
        assert dialog.state.text() == "1 of 3 finished; now Soft targets, seed 0"
        assert not dialog.start.isEnabled()
        assert not dialog.seeds.isEnabled()
        window._runs_changed()
        assert window.runs.methods.text() == "Comparing methods: 1 of 3"
        tell(folder, **going, done=2, method="logits")
        table(folder, soft=[0.9], hard=[0.8])
        qtbot.waitUntil(lambda: dialog.state.text() == "2 of 3 finished; now Logit matching, seed 0", timeout=PATIENCE)
        assert dialog.stack.currentIndex() == 1
        qtbot.mouseClick(dialog.stop, LEFT)
        assert other.wait() in (-signal.SIGINT, 1)
        qtbot.waitUntil(lambda: "Stopped at 2 of 3" in dialog.state.text(), timeout=PATIENCE)
        assert dialog.start.isEnabled()
        assert dialog.start.text() == "&Go on"
    finally:
        other.kill()
        other.communicate()


def test_a_comparison_that_failed_says_why(open_dialog: Callable[[], MethodsDialog], digits: Project) -> None:
    error = {"what": "the data is gone", "why": "", "fix": "bring it back"}
    tell(folder_of(digits, "soft-targets"), phase="failed", seeds=1, epochs=1, error=error)
    dialog = open_dialog()
    assert dialog.error.isVisible()
    assert dialog.error.text() == "the data is gone\nbring it back"


def test_an_experiment_without_a_teacher_is_told(make_window: Callable[..., MainWindow], digits: Project) -> None:
    window = make_window(digits)
    window.open_experiment(digits.path_of("hard-labels"))
    window.actions_by_name["methods"].trigger()
    assert window.methods.dialog is None
    assert window.message.what.text() == "This experiment cannot be compared on."


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_start_outlives_the_dialog_and_stop_is_resumable(
    qtbot: QtBot, open_dialog: Callable[[], MethodsDialog], digits: Project
) -> None:
    """The real process: started by a click, found again by another dialog, and stopped there."""
    dialog = open_dialog()
    qtbot.mouseClick(dialog.picker.none, LEFT)
    dialog.seeds.setValue(1)
    dialog.epochs.setValue(100_000)
    qtbot.mouseClick(dialog.start, LEFT)
    assert dialog.state.text() == "Starting..."
    process = dialog.comparing._process
    assert process is not None
    try:
        qtbot.waitUntil(lambda: "now Hard labels" in dialog.state.text(), timeout=PATIENCE)
        assert os.getsid(process.pid) == process.pid
        qtbot.mouseClick(dialog.close_button, LEFT)
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
        assert process.poll() is None
        again = open_dialog()
        assert again is not dialog
        assert "now Hard labels" in again.state.text()
        qtbot.waitUntil(lambda: any(run.state().step for run in digits.runs()), timeout=PATIENCE)
        qtbot.mouseClick(again.stop, LEFT)
        assert process.wait(timeout=PATIENCE / 1000) == 130
        qtbot.waitUntil(lambda: again.state.text().startswith("Stopped at 0 of 2"), timeout=PATIENCE)
        assert not any(run.status().active for run in digits.runs())
    finally:
        process.kill()
        process.wait()
