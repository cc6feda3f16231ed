"""The project tree: experiments, and under each its runs with status and score."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QPoint, QSignalBlocker, Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QHeaderView, QMenu, QTreeWidget, QTreeWidgetItem

from kdstudio.gui.icons import icon
from kdstudio.gui.language import mark, tr
from kdstudio.gui.theme import Theme, Tokens
from kdstudio.gui.words import status_words
from kdstudio.project.folder import Project
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.state import RunStatus
from kdstudio.project.runs.summary import RunSummary

DATA = Qt.ItemDataRole.UserRole
EXPERIMENT_MENU = ("run", "new-experiment", "duplicate", "rename", "delete")
RUN_MENU = ("resume", "stop", "report", "marks", "open-folder", "delete")


#: What the number beside a run is: its kind, and whether it is final.
SCORES = {
    ("accuracy", True): mark("accuracy on test samples"),
    ("accuracy", False): mark("best validation accuracy so far"),
    ("f1", True): mark("F1 score on test samples"),
    ("f1", False): mark("best validation F1 score so far"),
    ("perplexity", True): mark("perplexity on test samples"),
    ("perplexity", False): mark("best validation perplexity so far"),
}


class ProjectTree(QTreeWidget):
    """Experiments and runs.

    Signals:
        experiment_chosen: The path of an experiment's file.
        run_chosen: A run folder.
    """

    experiment_chosen = Signal(object)
    run_chosen = Signal(object)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.menu_actions: dict[str, QAction] = {}
        self._shown: tuple[object, ...] = ()
        self.setAccessibleName(tr("Project"))
        self.setColumnCount(2)
        self.setHeaderHidden(True)
        self.setRootIsDecorated(True)
        self.setIndentation(14)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._open_menu)
        self.header().setStretchLastSection(False)
        self.header().setMinimumSectionSize(20)
        self.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.header().setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self.currentItemChanged.connect(self._chosen)

    def fill(self, project: Project | None, summaries: list[RunSummary], unsaved: Path | None = None) -> None:
        """Shows the experiments and runs; what was chosen stays chosen, without a signal.

        Args:
            project: The open project.
            summaries: Its runs.
            unsaved: The experiment with changes that are not in its file.
        """
        files = project.experiment_files() if project is not None else []
        mark = (self.theme.tokens, tuple(files), unsaved, tuple(summary.mark for summary in summaries))
        if mark == self._shown:
            return
        self._shown = mark
        current = self.currentItem()
        chosen = current.data(0, DATA) if current is not None else None
        closed = {item.data(0, DATA) for item in self._roots() if not item.isExpanded()}
        self.blockSignals(True)
        self.clear()
        by_experiment: dict[str, list[RunSummary]] = {}
        for summary in summaries:
            by_experiment.setdefault(summary.run.experiment_name, []).append(summary)
        for path in files:
            root = QTreeWidgetItem([f"{path.stem} ●" if path == unsaved else path.stem])
            root.setData(0, DATA, path)
            root.setToolTip(
                0, tr("{file}, with changes that are not saved", file=path.name) if path == unsaved else path.name
            )
            root.setIcon(0, icon("experiment", self.theme.tokens.soft))
            self.addTopLevelItem(root)
            for summary in reversed(by_experiment.get(path.stem, [])):
                root.addChild(self._run_item(summary))
            root.setExpanded(path not in closed)
        if chosen is not None:
            self.choose(chosen)
        self.blockSignals(False)

    def _roots(self) -> list[QTreeWidgetItem]:
        found = [self.topLevelItem(index) for index in range(self.topLevelItemCount())]
        return [item for item in found if item is not None]

    def _run_item(self, summary: RunSummary) -> QTreeWidgetItem:
        score = ""
        if summary.score is not None:
            score = f"{summary.score:.1f}" if summary.is_language else f"{100 * summary.score:.1f}"
        # what is not final is told from what is, as the two are of other samples
        shown = score if summary.scorecard or not score else tr("{score} so far", score=score)
        item = QTreeWidgetItem([summary.run.path.name, shown])
        item.setData(0, DATA, summary.run)
        item.setTextAlignment(1, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        name = status_icon(summary.status)
        item.setIcon(0, icon(name, status_colour(summary.status, self.theme.tokens)))
        words = status_words(summary.status, summary.state)
        final = summary.scorecard is not None
        what = tr(SCORES[summary.metric, final])
        unit = "" if summary.is_language else " %"
        lines = [f"{summary.run.name}: {words}", f"{score}{unit}: {what}" if score else ""]
        item.setToolTip(0, "\n".join(line for line in lines if line))
        return item

    def choose(self, what: Path | RunFolder) -> None:
        """Selects an experiment or a run, without a signal."""
        for root in self._roots():
            children = [root.child(index) for index in range(root.childCount())]
            for item in (root, *children):
                if item is not None and item.data(0, DATA) == what:
                    with QSignalBlocker(self):
                        self.setCurrentItem(item)
                    return

    def chosen(self) -> Path | RunFolder | None:
        """What is selected."""
        item = self.currentItem()
        return item.data(0, DATA) if item is not None else None

    def _chosen(self, item: QTreeWidgetItem | None) -> None:
        what = item.data(0, DATA) if item is not None else None
        if isinstance(what, RunFolder):
            self.run_chosen.emit(what)
        elif isinstance(what, Path):
            self.experiment_chosen.emit(what)

    def _open_menu(self, place: QPoint) -> None:
        item = self.itemAt(place)
        if item is None:
            return
        self.setCurrentItem(item)
        menu = QMenu(self)
        for name in RUN_MENU if isinstance(item.data(0, DATA), RunFolder) else EXPERIMENT_MENU:
            menu.addAction(self.menu_actions[name])
        menu.exec(self.viewport().mapToGlobal(place))
        menu.deleteLater()


def status_icon(status: RunStatus) -> str:
    """The icon of a status."""
    return f"status-{status.value if not status.active or status is RunStatus.HOLDING else 'active'}"


def status_colour(status: RunStatus, tokens: Tokens) -> str:
    """The colour of a status."""
    colours = {
        RunStatus.FINISHED: tokens.good,
        RunStatus.FAILED: tokens.bad,
        RunStatus.INTERRUPTED: tokens.bad,
        RunStatus.HOLDING: tokens.warn,
        RunStatus.PARKED: tokens.warn,
    }
    return colours.get(status, tokens.accent if status.active else tokens.soft)
