"""The project tree: experiments, and under each its runs with status and score."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHeaderView, QTreeWidget, QTreeWidgetItem

from kdstudio.gui.icons import icon
from kdstudio.gui.theme import Theme
from kdstudio.project.folder import Project
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.state import RunStatus, status_of

DATA = Qt.ItemDataRole.UserRole


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
        self.setAccessibleName("Project")
        self.setHeaderLabels(["Experiments and runs", "Score"])
        self.setHeaderHidden(True)
        self.setRootIsDecorated(True)
        self.setIndentation(14)
        self.header().setStretchLastSection(False)
        self.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.header().setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self.currentItemChanged.connect(self._chosen)

    def fill(self, project: Project | None) -> None:
        """Reads the project's experiments and runs anew; what was chosen stays chosen, without a signal."""
        current = self.currentItem()
        chosen = current.data(0, DATA) if current is not None else None
        closed = {item.text(0) for item in self._roots() if not item.isExpanded()}
        self.blockSignals(True)
        self.clear()
        if project is not None:
            for path in project.experiment_files():
                root = QTreeWidgetItem([path.stem])
                root.setData(0, DATA, path)
                root.setIcon(0, icon("experiment", self.theme.tokens.soft))
                self.addTopLevelItem(root)
                for run in reversed(project.runs(path.stem)):
                    root.addChild(self._run_item(run))
                root.setExpanded(path.stem not in closed)
        if chosen is not None:
            self.choose(chosen)
        self.blockSignals(False)

    def _roots(self) -> list[QTreeWidgetItem]:
        found = [self.topLevelItem(index) for index in range(self.topLevelItemCount())]
        return [item for item in found if item is not None]

    def _run_item(self, run: RunFolder) -> QTreeWidgetItem:
        state = run.state()
        status = status_of(state)
        scorecard = run.scorecard()
        score = ""
        if scorecard is not None:
            student = scorecard["networks"]["student"][scorecard["reported_split"]]
            score = f"{100 * student['accuracy']:.1f}"
        item = QTreeWidgetItem([run.path.name, score])
        item.setData(0, DATA, run)
        item.setTextAlignment(1, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        tokens = self.theme.tokens
        colours = {
            RunStatus.FINISHED: tokens.good,
            RunStatus.FAILED: tokens.bad,
            RunStatus.INTERRUPTED: tokens.bad,
            RunStatus.HOLDING: tokens.warn,
            RunStatus.PARKED: tokens.warn,
        }
        name = status.value if not status.active or status is RunStatus.HOLDING else "active"
        item.setIcon(0, icon(f"status-{name}", colours.get(status, tokens.accent if status.active else tokens.soft)))
        item.setToolTip(0, f"{run.name}: {status.text(state)}")
        return item

    def choose(self, what: Path | RunFolder) -> None:
        """Selects an experiment or a run."""
        for root in self._roots():
            children = [root.child(index) for index in range(root.childCount())]
            for item in (root, *children):
                if item is not None and item.data(0, DATA) == what:
                    self.setCurrentItem(item)
                    return

    def _chosen(self, item: QTreeWidgetItem | None) -> None:
        what = item.data(0, DATA) if item is not None else None
        if isinstance(what, RunFolder):
            self.run_chosen.emit(what)
        elif isinstance(what, Path):
            self.experiment_chosen.emit(what)
