"""Which columns of a table hold the text and the label: its first rows, and a click on a column."""

from __future__ import annotations

import functools
from pathlib import Path

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QGridLayout,
    QHeaderView,
    QLabel,
    QMenu,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from kdstudio.gui.dialogs.own_text import encoding_box
from kdstudio.gui.language import mark, tr, trn
from kdstudio.gui.theme import Theme
from kdstudio.project.errors import KDStudioError
from kdstudio.project.table_head import Columns, TableHead, guess_columns, read_head, what_comes

ROWS, LETTERS, MOST_NAMED = 40, 160, 8
#: A table that is wider is shown so far; the boxes have all of its columns.
COLUMNS = 60
MOST_WIDE = 420
ROLES = {"text": mark("Text"), "second": mark("Second text"), "label": mark("Label")}


class ColumnsDialog(QDialog):
    """`columns` and `encoding` are what was chosen, once it is accepted.

    Args:
        theme: The window's theme.
        path: The table.
        encoding: To read it with at first.
        columns: What is chosen now; what is not, or is not there, is guessed.
        parent: The dialog's parent.
    """

    def __init__(
        self,
        theme: Theme,
        path: Path,
        encoding: str = "utf-8",
        columns: Columns | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Columns of {name}", name=path.name))
        self.resize(860, 560)
        self.theme, self.path = theme, path
        self.columns = columns or Columns(None, None, None)
        self.head: TableHead | None = None
        words = QLabel(tr("Which column holds the text, and which the label? Choose below, or click a column's name."))
        words.setObjectName("soft")
        words.setWordWrap(True)
        self.boxes = {role: QComboBox() for role in ROLES}
        self.encoding = encoding_box(encoding)
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(4)
        named = [*((tr(ROLES[role]), box) for role, box in self.boxes.items()), (tr("Encoding"), self.encoding)]
        for place, (name, box) in enumerate(named):
            label = QLabel(name)
            label.setObjectName("label")
            label.setBuddy(box)
            box.setAccessibleName(name)
            grid.addWidget(label, 0, place)
            grid.addWidget(box, 1, place)
            grid.setColumnStretch(place, 1)
        self.table = QTableWidget()
        self.table.setAccessibleName(tr("First rows of the table"))
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.table.setWordWrap(False)
        self.table.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.table.verticalHeader().setDefaultSectionSize(26)
        header = self.table.horizontalHeader()
        header.setSectionsClickable(True)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setStretchLastSection(True)
        header.sectionClicked.connect(self._ask_role)
        self.sentence = QLabel()
        self.sentence.setWordWrap(True)
        self.sentence.setTextFormat(Qt.TextFormat.PlainText)
        self.problem = QLabel()
        self.problem.setObjectName("error")
        self.problem.setWordWrap(True)
        self.problem.setTextFormat(Qt.TextFormat.PlainText)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.take = self.buttons.addButton(tr("Use these columns"), QDialogButtonBox.ButtonRole.AcceptRole)
        self.take.setObjectName("primary")
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setSpacing(12)
        layout.addWidget(words)
        layout.addLayout(grid)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.sentence)
        layout.addWidget(self.problem)
        layout.addWidget(self.buttons)
        for role, box in self.boxes.items():
            box.activated.connect(functools.partial(self._chosen, role))
        self.encoding.currentTextChanged.connect(lambda _: self._read())
        self._read()

    def _read(self) -> None:
        """Reads the table's head, and takes what fits of the choice so far."""
        try:
            self.head = read_head(self.path, self.encoding.currentText().strip())
        except KDStudioError as error:
            self.head = None
            self.table.clear()
            self.table.setRowCount(0)
            self.table.setColumnCount(0)
            self._write("")
            self._tell("\n".join(part for part in (error.what, error.why, error.fix) if part))
            for box in self.boxes.values():
                box.clear()
            self.take.setEnabled(False)
            return
        names, guess = self.head.names, guess_columns(self.head)
        kept = {role: getattr(self.columns, role) for role in ROLES}
        found = {role: kept[role] if kept[role] in names else getattr(guess, role) for role in ROLES}
        if kept["text"] in names:  # who chose a text without a second one wants none
            found["second"] = kept["second"] if kept["second"] in names else None
        self.columns = Columns(**found)
        for role, box in self.boxes.items():
            box.clear()
            box.addItem(tr("none") if role == "second" else tr("not chosen"), None)
            for name in names:
                box.addItem(name, name)
        self._show_rows()
        self._show()

    def _show_rows(self) -> None:
        assert self.head is not None
        rows, names = self.head.rows[:ROWS], self.head.names[:COLUMNS]
        self.table.setRowCount(len(rows))
        self.table.setColumnCount(len(names))
        self.table.setVerticalHeaderLabels([str(row.line) for row in rows])
        for place, row in enumerate(rows):
            for column, name in enumerate(names):
                value = row.values.get(name)
                text = "" if value is None else " ".join(str(value)[: 4 * LETTERS].split())
                item = QTableWidgetItem(text[:LETTERS] + ("..." if len(text) > LETTERS else ""))
                self.table.setItem(place, column, item)
        wide = max(120, (self.width() - 120) // max(len(names), 1))
        for column, name in enumerate(names):
            long = any(len(str(row.values.get(name) or "")) > 24 for row in rows)
            self.table.setColumnWidth(column, min(MOST_WIDE, max(wide, 320)) if long else min(wide, 140))

    # -- choosing ----------------------------------------------------------------------------------------------

    def _ask_role(self, column: int) -> None:
        """What the clicked column is."""
        menu = self.menu_of(column)
        header = self.table.horizontalHeader()
        menu.exec(header.mapToGlobal(QPoint(header.sectionViewportPosition(column), header.height())))
        menu.deleteLater()

    def menu_of(self, column: int) -> QMenu:
        """The roles that a column can have."""
        assert self.head is not None
        name = self.head.names[column]
        menu = QMenu(self)
        for role, words in ROLES.items():
            action = menu.addAction(tr(words))
            action.setCheckable(True)
            action.setChecked(getattr(self.columns, role) == name)
            action.triggered.connect(lambda checked, role=role: self.give(role, name, checked))
        return menu

    def _chosen(self, role: str, place: int) -> None:
        self.give(role, self.boxes[role].itemData(place))

    def give(self, role: str, name: str | None, checked: bool = True) -> None:
        """Lets a column have a role; it loses another one that it had."""
        found = {each: getattr(self.columns, each) for each in ROLES}
        for each, held in found.items():
            if held == name and each != role:
                found[each] = None
        found[role] = name if checked else None
        self.columns = Columns(**found)
        self._show()

    def _show(self) -> None:
        assert self.head is not None
        tokens = self.theme.tokens
        colours = {"text": tokens.student, "second": tokens.curve3, "label": tokens.teacher}
        roles = {getattr(self.columns, role): role for role in ROLES if getattr(self.columns, role)}
        for role, box in self.boxes.items():
            box.setCurrentIndex(max(0, box.findData(getattr(self.columns, role))))
        for column, name in enumerate(self.head.names[:COLUMNS]):
            found = roles.get(name)
            item = QTableWidgetItem(f"{name}  ·  {tr(ROLES[found])}" if found else name)
            item.setToolTip(tr("Click to say what this column holds"))
            self.table.setHorizontalHeaderItem(column, item)
            least = min(MOST_WIDE, self.table.horizontalHeader().sectionSizeHint(column))
            self.table.setColumnWidth(column, max(least, self.table.columnWidth(column)))
            for row in range(self.table.rowCount()):
                cell = self.table.item(row, column)
                if cell is not None:
                    cell.setForeground(QColor(tokens.ink if found else tokens.soft))
                    ground = QColor(colours[found]) if found else QColor(0, 0, 0, 0)
                    ground.setAlpha(34 if found else 0)
                    cell.setBackground(ground)
        self._say()

    def _say(self) -> None:
        assert self.head is not None
        found = what_comes(self.head, self.columns)
        lines = []
        if found.classes:
            shown = ", ".join(f"{name[:24]} {count:,}" for name, count in found.classes[:MOST_NAMED])
            shown += " ..." if len(found.classes) > MOST_NAMED else ""
            lines.append(trn("{count} class: {names}", "{count} classes: {names}", len(found.classes), names=shown))
        if found.empty:
            lines.append(trn("{count} row has no text", "{count} rows have no text", len(found.empty)))
        if found.unlabelled:
            lines.append(trn("{count} row has no label", "{count} rows have no label", len(found.unlabelled)))
        if found.twice:
            lines.append(trn("{count} text occurs again", "{count} texts occur again", found.twice))
        rows = trn("{count} row", "{count} rows", found.rows)
        rows = rows if self.head.whole else tr("the first {rows}", rows=rows)
        self._write(tr("In {rows}: {what}.", rows=rows, what="; ".join(lines)) if lines else "")
        self._tell(found.problem)
        self.take.setEnabled(not found.problem)

    def _write(self, text: str) -> None:
        self.sentence.setText(text)
        self.sentence.setVisible(bool(text))

    def _tell(self, text: str) -> None:
        self.problem.setText(text)
        self.problem.setVisible(bool(text))

    @property
    def gaps(self) -> bool:
        """Whether rows without a text or a label were seen, which are to be left out."""
        if self.head is None:
            return False
        found = what_comes(self.head, self.columns)
        return bool(found.empty or found.unlabelled)
