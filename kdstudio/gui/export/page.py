"""The Export page: the scorecard of a finished student, and its artifacts, each checked in a fresh process."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from PySide6.QtCore import QProcess, QTimer, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from kdstudio.gui.export.advice import AdviceCard
from kdstudio.gui.export.artifact import FORMATS, ArtifactCard
from kdstudio.gui.export.class_bias import ClassBiasCard, read_answer
from kdstudio.gui.export.draft_card import DraftCard
from kdstudio.gui.export.scorecard import ScorecardView
from kdstudio.gui.export.written_card import WrittenCard
from kdstudio.gui.language import tr
from kdstudio.gui.setup.inputs import Combo
from kdstudio.gui.theme import Theme
from kdstudio.gui.widgets.empty import EmptyState
from kdstudio.project.errors import KDStudioError
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.spec import DataBase, TextData

#: In the place of a format: a derived student is being written.
BIAS = "bias"
SETTLED_MILLISECONDS = 1000


class ExportPage(QWidget):
    """Exports in a process of its own, so the window neither waits nor imports the engine.

    Signals:
        failed: What, why and how to go on, of an export that did not pass.
    """

    failed = Signal(str, str, str)

    def __init__(self, actions: dict[str, QAction], theme: Theme) -> None:
        super().__init__()
        self.run_folder: RunFolder | None = None
        self._process: QProcess | None = None
        self._settling = QTimer(self)
        self._settling.setSingleShot(True)
        self._settling.setInterval(SETTLED_MILLISECONDS)
        self._kind = ""
        self._cancelled = False
        self.title = QLabel()
        self.title.setObjectName("title")
        self.scorecard = ScorecardView()
        self.advice = AdviceCard(theme)
        self.cards = {kind.name: ArtifactCard(kind) for kind in FORMATS}
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(self.title)
        head.addStretch()
        for name in ("report", "evaluate"):
            button = QPushButton(actions[name].text().replace("&", ""))
            button.clicked.connect(actions[name].trigger)
            actions[name].changed.connect(lambda b=button, a=actions[name]: b.setEnabled(a.isEnabled()))
            head.addWidget(button)
        self._row = QGridLayout()
        self._row.setSpacing(12)
        for card in self.cards.values():
            card.asked.connect(self.export)
        self._place_cards(False)
        ship = QLabel(tr("Ship the student"))
        ship.setObjectName("title")
        self.which = Combo()
        self.which.setAccessibleName(tr("Student to ship"))
        self.which.setToolTip(tr("The run's own student, or one that was derived from it"))
        self.which.setMinimumContentsLength(16)
        self.which.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.which.currentIndexChanged.connect(self._show_exports)
        self.bias = ClassBiasCard()
        self.bias.asked.connect(self._save_derived)
        self.draft, self.written = DraftCard(), WrittenCard(theme)
        ship_row = QHBoxLayout()
        ship_row.setSpacing(12)
        ship_row.addWidget(ship)
        ship_row.addWidget(self.which)
        ship_row.addStretch()
        inner = QWidget()
        inner.setMaximumWidth(1180)
        column = QVBoxLayout(inner)
        column.setContentsMargins(24, 16, 24, 24)
        column.setSpacing(14)
        column.addLayout(head)
        column.addWidget(self.scorecard)
        column.addWidget(self.advice)
        column.addLayout(ship_row)
        column.addLayout(self._row)
        column.addWidget(self.bias)
        column.addWidget(self.draft)
        column.addWidget(self.written)
        column.addStretch()
        self.area = area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidget(inner)
        area.verticalScrollBar().rangeChanged.connect(self._scroll_to_advice)
        self.stack = QStackedLayout(self)
        self._actions = actions
        self.empty = EmptyState(" ", "")
        self.stack.addWidget(self.empty)
        self.stack.addWidget(area)
        self.going: bool | None = None
        self.set_going(False)

    def set_going(self, going: bool) -> None:
        """Whether the shown run is at work: then there is nothing to start, only to wait for."""
        if going == self.going:
            return
        self.going = going
        if going:
            text = tr("Its scorecard and the ways to ship its student appear here when it is finished.")
            self.empty.set_text(text, tr("The run is going"))
        else:
            text = tr("When a run is finished, its scorecard and the ways to ship its student appear here.")
            self.empty.set_text(text, tr("No finished student"))
        self.empty.offer(self._actions["page-monitor" if going else "run"])

    def show_run(self, run: RunFolder | None) -> None:
        """Shows a run's student, or the empty state if it has none yet."""
        if run != self.run_folder:
            self._cancel()
        self.run_folder = run
        scorecard = run.scorecard() if run is not None else None
        self.stack.setCurrentIndex(0 if run is None or scorecard is None else 1)
        if run is None or scorecard is None:
            return
        self.title.setText(tr("Scorecard of {run}", run=run.name))
        self.scorecard.show_scorecard(scorecard)
        self.advice.show_run(run)
        data = _data_of(run)
        self._place_cards(isinstance(data, TextData))
        writes = getattr(data, "task", "") == "causal-lm"
        for card in (self.draft, self.written):
            card.setVisible(writes)
            card.show_run(run if writes else None)
        self.draft.setVisible(writes and "teacher" in scorecard["networks"])
        self.bias.setVisible(getattr(data, "task", "classification") == "classification")
        self._list_students(self.derived)
        self.bias.show_run(run, scorecard.get("data", {}).get("left_out", []))

    def _place_cards(self, texts: bool) -> None:
        """Formats that the student can have, four in a row or three in two."""
        names = [name for name in self.cards if texts or name != "transformers"]
        columns = 3 if len(names) > 4 else len(names)
        for name, card in self.cards.items():
            self._row.removeWidget(card)
            card.setVisible(name in names)
        for place, name in enumerate(names):
            self._row.addWidget(self.cards[name], place // columns, place % columns)
        for column in range(4):
            self._row.setColumnStretch(column, int(column < columns))

    def show_advice(self) -> None:
        """Scrolls to what is worth trying. A page that has just come on screen still grows, and is followed so long."""
        self._settling.start()
        QTimer.singleShot(0, self, self._scroll_to_advice)

    def _scroll_to_advice(self) -> None:
        if self._settling.isActive():
            self.area.ensureWidgetVisible(self.advice, 0, 24)

    @property
    def derived(self) -> str | None:
        """The name of the derived student that is to be shipped, None for the run's own."""
        return self.which.currentData()

    def _list_students(self, chosen: str | None) -> None:
        names = self.run_folder.derived() if self.run_folder is not None else []
        self.which.blockSignals(True)
        self.which.clear()
        self.which.addItem(tr("The run's own"), None)
        for name in names:
            self.which.addItem(name, name)
        self.which.setCurrentIndex(names.index(chosen) + 1 if chosen in names else 0)
        self.which.setVisible(bool(names))
        self.which.blockSignals(False)
        self._show_exports()

    def _show_exports(self) -> None:
        if self.run_folder is None:
            return
        folder = self.run_folder.exports_dir(self.derived)
        for name, card in self.cards.items():
            if not (self.busy and name == self._kind):
                card.show_folder(folder / name)

    @property
    def busy(self) -> bool:
        """Whether an export is going on."""
        return self._process is not None

    def export(self, kind: str) -> None:
        """Exports the shown run's student; asked again for the same format, cancels."""
        if self._process is not None:
            if kind == self._kind:
                self._cancel()
            return
        which = [] if self.derived is None else ["--student", self.derived]
        self._begin(kind, "export", ["--format", kind, "--force", *which])

    def _save_derived(self, arguments: list[str]) -> None:
        """Writes a derived student; asked again meanwhile, cancels."""
        if self._process is not None:
            if self._kind == BIAS:
                self._cancel()
            return
        self._begin(BIAS, "bias", arguments)

    def _begin(self, kind: str, verb: str, arguments: list[str]) -> None:
        if self.run_folder is None:
            return
        self._kind, self._cancelled = kind, False
        process = QProcess(self)
        self._process = process
        process.finished.connect(self._finished)
        self._show_busy()
        command = ["-m", "kdstudio", verb, str(self.run_folder.path), *arguments, "--json"]
        process.start(sys.executable, command)

    def _show_busy(self) -> None:
        self.which.setEnabled(not self.busy)
        self.bias.set_busy(self.busy and self._kind == BIAS)
        if self.busy and self._kind != BIAS:
            self.bias.button.setEnabled(False)
        for name, card in self.cards.items():
            card.set_busy(self.busy and name == self._kind)
            card.button.setEnabled(not self.busy or name == self._kind)

    def _cancel(self) -> None:
        if self._process is not None:
            self._cancelled = True
            self._process.terminate()  # it tidies up

    def _finished(self, code: int, status: QProcess.ExitStatus) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        said = bytes(process.readAllStandardError().data()).decode("utf-8", "replace").strip()
        answer = read_answer(bytes(process.readAllStandardOutput().data()).decode("utf-8", "replace"))
        process.deleteLater()
        self._show_busy()
        if self._kind == BIAS and code == 0 and answer is not None:
            name = Path(answer["folder"]).name.removeprefix("student-")
            self._list_students(name)
            self.bias.saved(name, answer)
        # what the check said makes the card higher, which the layout knows a turn later
        QTimer.singleShot(0, self, partial(self._show_card, self._kind))
        if code != 0 and not self._cancelled:
            words = said.removeprefix("kdstudio: ").splitlines() or [tr("The process that exports died.")]
            what, *rest = words
            why = [line.removeprefix("Why: ") for line in rest if line.startswith("Why: ")]
            fix = [line.removeprefix("What to do: ") for line in rest if line.startswith("What to do: ")]
            self.failed.emit(what, "\n".join(why), "\n".join(fix))

    def _show_card(self, kind: str) -> None:
        card = self.cards.get(kind, self.bias)
        self.area.ensureWidgetVisible(card, 0, 24)

    def shut_down(self) -> None:
        """Ends what is going on; the window is closing."""
        for card in (self.draft, self.written):
            card.shut_down()
        if self._process is not None:
            self._process.blockSignals(True)
            self._process.terminate()
            if not self._process.waitForFinished(3000):
                self._process.kill()
                self._process.waitForFinished(1000)
            self._process = None


def _data_of(run: RunFolder) -> DataBase | None:
    """What the run's student learned from; None where its spec cannot be read."""
    try:
        return run.experiment().data
    except KDStudioError:
        return None
