"""The Runs page: a table of all runs with their figures, sorted and filtered; ticks compare."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QModelIndex, QPoint, QSize, QSortFilterProxyModel, Qt, Signal
from PySide6.QtGui import QAction, QResizeEvent, QShowEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QMenu,
    QPushButton,
    QStackedLayout,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from kdstudio.gui.language import tr
from kdstudio.gui.runs.table import COLUMNS, MOST_COMPARED, SORT, RunsModel
from kdstudio.gui.settings import Settings
from kdstudio.gui.theme import Theme
from kdstudio.gui.tree import RUN_MENU
from kdstudio.gui.widgets.empty import EmptyState
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.summary import RunSummary

if TYPE_CHECKING:
    from kdstudio.gui.runs.pareto import ParetoView

LEAST_NAME = 120
NAME_ENOUGH = 200
#: Columns that are hidden, in this order, where names have no room.
GIVE_WAY = tuple(
    index for title in ("Seed", "Smaller", "Agrees %") for index, column in enumerate(COLUMNS) if column.title == title
)
HEAD_PADDING = 22


def unused_columns(summaries: list[RunSummary]) -> set[int]:
    """Columns that say nothing of any run: perplexity where there are no language models, accuracy where only these."""
    language = [summary.is_language for summary in summaries if summary.scorecard]
    empty = {"Perplexity"} if not any(language) else set()
    if language and all(language):
        empty = {"Student %", "Alone %", "Teacher %"}
    return {index for index, column in enumerate(COLUMNS) if column.title in empty}


class Header(QHeaderView):
    """Qt keeps room for the arrow of sorting in every section; here only the sorted one has it."""

    def __init__(self) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self.setSectionsClickable(True)
        self.setHighlightSections(False)
        self.setMinimumSectionSize(48)
        self.sortIndicatorChanged.connect(lambda: self.resizeSections())

    def sectionSizeFromContents(self, section: int) -> QSize:
        whole = super().sectionSizeFromContents(section)
        if section == self.sortIndicatorSection():
            return whole
        text = str(self.model().headerData(section, self.orientation()))
        return QSize(self.fontMetrics().horizontalAdvance(text) + HEAD_PADDING, whole.height())


class RunsPage(QWidget):
    """Double click or Enter shows a run on the Monitor page.

    Signals:
        chosen: A run folder to be shown.
        pointed: A run folder that its menu is opened for: it is shown, but the page stays.
        compared: The run folders whose curves are to be shown beside the shown run's.
    """

    chosen = Signal(object)
    pointed = Signal(object)
    compared = Signal(list)

    def __init__(self, theme: Theme, run_action: QAction, settings: Settings | None = None) -> None:
        super().__init__()
        self._settings = settings
        self.model = RunsModel(theme)
        self.model.ticked.connect(self._ticked)
        self.proxy = QSortFilterProxyModel()
        self.proxy.setSourceModel(self.model)
        self.proxy.setSortRole(SORT)
        self.proxy.setFilterKeyColumn(-1)
        self.proxy.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.search = QLineEdit()
        self.search.setPlaceholderText(tr("Filter: a name, a status, a figure"))
        self.search.setAccessibleName(tr("Filter the runs"))
        self.search.setClearButtonEnabled(True)
        self.search.setMaximumWidth(320)
        self.search.textChanged.connect(self.proxy.setFilterFixedString)
        self.note = QLabel()
        self.note.setObjectName("soft")
        self.untick = QPushButton(tr("Clear ticks"))
        self.untick.setToolTip(tr("Take all ticks away"))
        self.untick.clicked.connect(self.model.clear_ticks)
        self.costs = QPushButton(tr("Quality and cost"))
        self.costs.setCheckable(True)
        self.costs.setToolTip(tr("Plot the finished runs by their quality and what their students cost"))
        self.costs.toggled.connect(self._show_costs)
        self.methods = QPushButton(tr("Compare methods..."))
        self.sweeps = QPushButton(tr("Sweeps..."))
        self.sweeps.setToolTip(tr("Try many values of a few fields of the open experiment, and see which are best"))
        self.table = QTableView()
        self.table.setAccessibleName(tr("Runs"))
        header = Header()
        self.table.setHorizontalHeader(header)
        self.table.setModel(self.proxy)
        self.table.setSortingEnabled(True)
        self.table.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(34)
        self.table.setShowGrid(False)
        self.table.setWordWrap(False)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)
        header.setStretchLastSection(True)
        header.sortIndicatorChanged.connect(lambda: self._fit())
        self.table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.table.activated.connect(self._activated)
        self.menu_actions: dict[str, QAction] = {}
        self.table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.table.customContextMenuRequested.connect(self._open_menu)
        head = QHBoxLayout()
        head.setSpacing(12)
        head.addWidget(self.search, 1)
        head.addStretch(1)
        head.addWidget(self.note)
        head.addWidget(self.untick)
        head.addWidget(self.costs)
        head.addWidget(self.methods)
        head.addWidget(self.sweeps)
        holder = QWidget()
        column = QVBoxLayout(holder)
        column.setContentsMargins(10, 10, 10, 10)
        column.setSpacing(8)
        column.addLayout(head)
        column.addWidget(self.table, 1)
        self._column = column
        self.pareto: ParetoView | None = None
        header.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        header.customContextMenuRequested.connect(self._ask_columns)
        self._theme = theme
        self._unused: set[int] = set()
        self.stack = QStackedLayout(self)
        words = tr("Every run of this project is listed here with its score. Tick runs to compare their curves.")
        self.stack.addWidget(EmptyState(tr("No runs yet"), words, run_action))
        self.stack.addWidget(holder)
        self._ticked([])

    def add_below(self, widget: QWidget) -> None:
        """Puts something below the table."""
        self._column.addWidget(widget)

    def show_runs(self, summaries: list[RunSummary]) -> None:
        """Fills the table anew; what is selected stays selected."""
        chosen = self.chosen_run()
        self.model.fill(summaries)
        self._unused = unused_columns(summaries)
        self.stack.setCurrentIndex(1 if summaries else 0)
        self._fit()
        self._draw_costs()
        for row, summary in enumerate(self.model.rows):
            if summary.run == chosen:
                self.table.setCurrentIndex(self.proxy.mapFromSource(self.model.index(row, 0)))

    def _fit(self) -> None:
        """Names take what the other columns leave, and a few of those give way to them: nothing is to be scrolled."""
        table, header, last = self.table, self.table.horizontalHeader(), self.model.columnCount() - 1
        for column in range(last + 1):
            header.setSectionHidden(column, column in self._unused or COLUMNS[column].title in self.hidden_columns)
        sizes = [header.sectionSize(column) for column in range(last)]
        sizes.append(max(table.sizeHintForColumn(last), header.sectionSizeHint(last)))
        whole = max(table.sizeHintForColumn(0), header.sectionSizeHint(0)) + 20  # the tick is not in Qt's sum
        room = table.viewport().width() - sum(sizes[1:])
        for column in GIVE_WAY:
            if room < min(whole, NAME_ENOUGH):
                header.hideSection(column)
                room += sizes[column]
        table.setColumnWidth(0, max(LEAST_NAME, min(whole, room)))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._fit()

    # -- columns -----------------------------------------------------------------------------------------------

    @property
    def hidden_columns(self) -> list[str]:
        """The columns that the person does not want, by their English titles."""
        return list(self._settings["hidden_columns"]) if self._settings is not None else []

    def columns_menu(self) -> QMenu:
        """All columns but the name, those that are shown with a tick."""
        menu = QMenu(self)
        for column in COLUMNS[1:]:
            action = menu.addAction(tr(column.said(self.model.metric)[0]))
            action.setCheckable(True)
            action.setChecked(column.title not in self.hidden_columns)
            action.triggered.connect(lambda checked, title=column.title: self._show_column(title, checked))
        return menu

    def _ask_columns(self, place: QPoint) -> None:
        menu = self.columns_menu()
        menu.exec(self.table.horizontalHeader().mapToGlobal(place))
        menu.deleteLater()

    def _show_column(self, title: str, shown: bool) -> None:
        if self._settings is not None:
            others = [each for each in self.hidden_columns if each != title]
            self._settings.set("hidden_columns", others if shown else [*others, title])
            self._fit()

    # -- quality and cost --------------------------------------------------------------------------------------

    def _show_costs(self, on: bool) -> None:
        if self.pareto is None:
            from kdstudio.gui.runs.pareto import ParetoView  # with it comes the library of plots

            self.pareto = ParetoView(self._theme)
            self.pareto.picked.connect(self._pick)
            self._column.insertWidget(2, self.pareto)
        self.pareto.setVisible(on)
        self._draw_costs()

    def _draw_costs(self) -> None:
        if self.pareto is not None and self.costs.isChecked():
            self.pareto.show_runs(self.model.rows, self.chosen_run())

    def _pick(self, run: RunFolder) -> None:
        for row, summary in enumerate(self.model.rows):
            if summary.run == run:
                self.table.setCurrentIndex(self.proxy.mapFromSource(self.model.index(row, 0)))
        self._draw_costs()

    def chosen_run(self) -> RunFolder | None:
        """The selected run."""
        index = self.proxy.mapToSource(self.table.currentIndex())
        return self.model.rows[index.row()].run if index.isValid() else None

    def _activated(self, index: QModelIndex) -> None:
        self.chosen.emit(self.model.rows[self.proxy.mapToSource(index).row()].run)

    def _open_menu(self, place: QPoint) -> None:
        index = self.table.indexAt(place)
        if not index.isValid():
            return
        self.table.setCurrentIndex(index)
        self.pointed.emit(self.model.rows[self.proxy.mapToSource(index).row()].run)
        menu = QMenu(self)
        for name in RUN_MENU:
            menu.addAction(self.menu_actions[name])
        menu.exec(self.table.viewport().mapToGlobal(place))
        menu.deleteLater()

    def _ticked(self, runs: list[RunFolder]) -> None:
        count = len(runs)
        if not count:
            note = tr("Tick runs to compare them")
        elif count < MOST_COMPARED:
            note = tr("{count} compared on the Monitor page", count=count)
        else:
            note = tr("{count} compared on the Monitor page, {most} is the most", count=count, most=MOST_COMPARED)
        self.note.setText(note)
        self.untick.setEnabled(bool(count))
        self.compared.emit(runs)
