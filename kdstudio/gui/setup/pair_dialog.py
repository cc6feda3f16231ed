"""Pairs layers of teacher and student: both networks side by side, with shapes, and a check before a pair is added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QBrush, QColor, QIcon, QKeyEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QPushButton,
    QSplitter,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from kdstudio.gui.icons import icon
from kdstudio.gui.language import mark, tr, trn
from kdstudio.gui.setup.joins import join, shape_text
from kdstudio.gui.setup.words import label_of
from kdstudio.gui.theme import Theme
from kdstudio.project.pairing import Likeness, at_resolutions, by_likeness, modules_of, shapes_of, suggestions
from kdstudio.project.spec import JoinRule

NAME = Qt.ItemDataRole.UserRole
LAYERS = {"teacher": mark("Layers of the teacher"), "student": mark("Layers of the student")}


class LayerTree(QTreeWidget):
    """The layers of one network, nested as they are, with the shape of what they put out.

    Signals:
        entered: Return was pressed.
    """

    entered = Signal()

    def __init__(self, title: str, report: dict[str, Any] | None) -> None:
        super().__init__()
        self.setAccessibleName(title)
        self.setHeaderLabels([tr("Layer"), tr("Output"), tr("Kind")])
        self.setUniformRowHeights(True)
        self.setIndentation(14)
        self.header().setStretchLastSection(False)
        modes = QHeaderView.ResizeMode
        for column, mode in enumerate((modes.ResizeToContents, modes.ResizeToContents, modes.Stretch)):
            self.header().setSectionResizeMode(column, mode)
        self._items: dict[str, QTreeWidgetItem] = {}
        self._parts: set[str] = set()
        listed = {layer["name"] for layer in report["layers"]} if report is not None else set()
        for module in modules_of(report):
            self._add(module)
            self._parts.add(module["name"])
        for name in listed:  # and what holds it
            item: QTreeWidgetItem | None = self._items[name]
            while item is not None:
                self._parts.discard(str(item.data(0, NAME)))
                item = item.parent()
        self.expandAll()
        self.show_parts(False)

    @property
    def has_parts(self) -> bool:
        """Whether there is more than the listed layers."""
        return bool(self._parts)

    def show_parts(self, shown: bool) -> None:
        """Shows or hides what stands inside the layers. What is selected stays on screen."""
        for name in self._parts:
            item = self._items[name]
            item.setHidden(not shown and item is not self.currentItem())

    def _add(self, layer: dict[str, Any]) -> None:
        name = layer["name"]
        parent = name.rpartition(".")[0]
        while parent and parent not in self._items:
            parent = parent.rpartition(".")[0]
        short = name.removeprefix(f"{parent}.") if parent else name
        item = QTreeWidgetItem([short, shape_text(layer["output_shape"]), layer["kind"]])
        item.setData(0, NAME, name)
        item.setToolTip(
            0, trn("{name}: {count:,} parameter", "{name}: {count:,} parameters", layer["parameters"], name=name)
        )
        item.setData(0, Qt.ItemDataRole.AccessibleTextRole, f"{name}, {shape_text(layer['output_shape'])}")
        if parent:
            self._items[parent].addChild(item)
        else:
            self.addTopLevelItem(item)
        self._items[name] = item

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.entered.emit()  # and the dialog does not see it: Return would close it
            event.accept()
        else:
            super().keyPressEvent(event)

    def chosen(self) -> str:
        """The name of the selected layer, empty for none."""
        item = self.currentItem()
        return str(item.data(0, NAME)) if item is not None else ""

    def choose(self, name: str) -> None:
        """Selects a layer."""
        if name in self._items:
            above: QTreeWidgetItem | None = self._items[name]
            while above is not None:
                above.setHidden(False)
                above = above.parent()
            self.setCurrentItem(self._items[name])
            self.scrollToItem(self._items[name])


class PairDialog(QDialog):
    """Select a layer on each side; the line between says whether and how they can be joined.

    Args:
        theme: For the colours of teacher and student.
        teacher, student: The engine's reports, None where they are not known (yet).
        pairs: The pairs that there are.
        parent: The dialog's parent.
        rule: How the term joins two layers.
        likeness: How alike the layers were in a run, None where no run says it.

    Signals:
        likeness_wanted: The likeness of the untrained student is to be measured; `show_likeness` takes it.
    """

    likeness_wanted = Signal()

    def __init__(
        self,
        theme: Theme,
        teacher: dict[str, Any] | None,
        student: dict[str, Any] | None,
        pairs: list[Any],
        parent: QWidget | None = None,
        rule: JoinRule = "regressor",
        likeness: Likeness | None = None,
    ) -> None:
        super().__init__(parent)
        self.theme = theme
        self._likeness = likeness
        self.rule: JoinRule = rule
        self.setWindowTitle(tr("Pair layers"))
        self._reports = {"teacher": teacher, "student": student}
        self._shapes = {side: shapes_of(report) for side, report in self._reports.items()}
        self.trees = {side: LayerTree(tr(LAYERS[side]), report) for side, report in self._reports.items()}
        self.verdict = QLabel()
        self.verdict.setWordWrap(True)
        self.verdict.setTextFormat(Qt.TextFormat.PlainText)
        self.verdict.setMinimumHeight(2 * self.fontMetrics().height() + 4)
        self.verdict.setAlignment(Qt.AlignmentFlag.AlignVCenter)
        self.mark = QLabel()
        self.add = QPushButton(tr("&Add pair"))
        self.suggest = QPushButton(tr("&Suggest pairs"))
        self.suggest.setToolTip(tr("Adds a pair for each stage that both networks have"))
        self.ways = QPushButton(tr("&Other ways"))
        self.ways.setObjectName("menu")
        self.ways.setToolTip(tr("Suggests pairs by the size of the maps, or by how alike the layers are"))
        self.ways.setMenu(self._ways_menu())
        self.parts = QCheckBox(tr("Show all &parts"))
        self.parts.setToolTip(tr("Also what stands inside the layers: convolutions, norms, activations"))
        self.parts.setVisible(any(tree.has_parts for tree in self.trees.values()))
        self.remove = QPushButton(tr("&Remove pair"))
        self.remove.setToolTip(tr("Removes the selected pair (Delete)"))
        self.list = QListWidget()
        self.list.setAccessibleName(tr("Pairs"))
        self.list.setMinimumHeight(72)
        for pair in pairs:
            if isinstance(pair, dict):
                self._append(str(pair.get("teacher", "")), str(pair.get("student", "")))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        for button in (*buttons.buttons(), self.add, self.suggest, self.ways, self.remove):
            if isinstance(button, QPushButton):
                button.setAutoDefault(False)
                button.setIcon(QIcon())
        self._lay_out(buttons)
        for tree in self.trees.values():
            tree.currentItemChanged.connect(lambda *_: self._check())
            tree.entered.connect(self._add)
            tree.itemDoubleClicked.connect(lambda *_: self._add())
        self.add.clicked.connect(self._add)
        self.suggest.clicked.connect(self._suggest)
        self.remove.clicked.connect(self._remove)
        delete = QShortcut(QKeySequence.StandardKey.Delete, self.list)
        delete.setContext(Qt.ShortcutContext.WidgetShortcut)
        delete.activated.connect(self._remove)
        self.list.currentRowChanged.connect(self._pair_chosen)
        self._start(pairs)

    def _lay_out(self, buttons: QDialogButtonBox) -> None:
        trees = QSplitter()
        trees.setChildrenCollapsible(False)
        for side, colour in (("teacher", self.theme.tokens.teacher), ("student", self.theme.tokens.student)):
            report = self._reports[side]
            name = report["model"] if report else tr("not known yet")
            label = QLabel(f'<span style="color:{colour}">●</span> <b>{label_of(side)}</b>&nbsp; {name}')
            label.setBuddy(self.trees[side])
            box = QWidget()
            column = QVBoxLayout(box)
            column.setContentsMargins(0, 0, 0, 0)
            column.setSpacing(4)
            column.addWidget(label)
            column.addWidget(self.trees[side])
            trees.addWidget(box)
        for tree in self.trees.values():
            self.parts.toggled.connect(tree.show_parts)
        check = QHBoxLayout()
        check.setSpacing(8)
        check.addWidget(self.mark)
        check.addWidget(self.verdict, 1)
        check.addWidget(self.add)
        heading = QLabel(tr("Pairs"))
        heading.setObjectName("heading")
        heading.setBuddy(self.list)
        below = QGridLayout()
        below.setSpacing(8)
        below.addWidget(heading, 0, 0)
        below.addWidget(self.list, 1, 0, 4, 1)
        below.addWidget(self.suggest, 1, 1)
        below.addWidget(self.ways, 2, 1)
        below.addWidget(self.remove, 3, 1)
        below.addWidget(self.parts, 0, 1)
        below.setRowStretch(4, 1)
        below.setColumnStretch(0, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 12, 16, 12)
        layout.setSpacing(12)
        layout.addWidget(trees, 3)
        layout.addLayout(check)
        layout.addLayout(below, 1)
        layout.addWidget(buttons)

    def sizeHint(self) -> QSize:
        return QSize(860, 600)

    def minimumSizeHint(self) -> QSize:
        return super().minimumSizeHint().expandedTo(QSize(640, 480))

    def _start(self, pairs: list[Any]) -> None:
        """Selects what is likely meant first: the first pair, or the first suggestion."""
        if self.list.count():
            self.list.setCurrentRow(0)
        else:
            found = self._suggestions()
            if found:
                self.trees["teacher"].choose(found[0][0])
                self.trees["student"].choose(found[0][1])
        self.suggest.setEnabled(bool(self._suggestions()))
        self.ways.setEnabled(all(self._shapes.values()))
        self.trees["teacher"].setFocus()
        self._check()

    # -- pairs -------------------------------------------------------------------------------------------------

    def pairs(self) -> list[dict[str, str]]:
        """The pairs as they are now."""
        items = [self.list.item(row).data(NAME) for row in range(self.list.count())]
        return [{"teacher": teacher, "student": student} for teacher, student in items]

    def _has(self, teacher: str, student: str) -> bool:
        return {"teacher": teacher, "student": student} in self.pairs()

    def _append(self, teacher: str, student: str, likeness: float | None = None) -> None:
        text, wrong = f"{teacher} → {student}", False
        if likeness is not None:
            text = f"{text} (CKA {likeness:.2f})"
        if teacher in self._shapes["teacher"] and student in self._shapes["student"]:
            found = join(self._shapes["student"][student], self._shapes["teacher"][teacher], self.rule)
            text, wrong = f"{text}:  {found.text}", not found.possible
        elif self._shapes["teacher"] and self._shapes["student"]:
            text, wrong = f"{text}:  {tr('there is no such layer')}", True
        item = QListWidgetItem(text)
        item.setData(NAME, (teacher, student))
        if wrong:
            item.setForeground(QBrush(QColor(self.theme.tokens.bad)))
        self.list.addItem(item)

    def _add(self) -> None:
        teacher, student = self.trees["teacher"].chosen(), self.trees["student"].chosen()
        if self.add.isEnabled():
            self._append(teacher, student)
            self.list.setCurrentRow(self.list.count() - 1)
            self._check()

    def _remove(self) -> None:
        row = self.list.currentRow()
        if row >= 0:
            self.list.takeItem(row)
        self._check()

    def _suggestions(self) -> list[tuple[str, str]]:
        teacher, student = self._reports["teacher"], self._reports["student"]
        return suggestions(teacher, student, self.rule) if teacher and student else []

    def _suggest(self) -> None:
        for teacher, student in self._suggestions():
            if not self._has(teacher, student):
                self._append(teacher, student)
        self._check()

    # -- other ways --------------------------------------------------------------------------------------------

    def _ways_menu(self) -> QMenu:
        menu = QMenu(self)
        self.by_size = menu.addAction(tr("By the size of the maps"))
        self.by_size.triggered.connect(self._suggest_by_size)
        self.by_run = menu.addAction(tr("By likeness in the latest run"))
        self.by_run.setVisible(self._likeness is not None)
        self.by_run.triggered.connect(lambda: self.show_likeness(self._likeness))
        if self._likeness is not None:
            self.by_run.setText(tr("By likeness in {run}", run=self._likeness.source))
        self.by_start = menu.addAction(tr("By likeness of the untrained student"))
        self.by_start.triggered.connect(self._ask_likeness)
        return menu

    def _suggest_by_size(self) -> None:
        teacher, student = self._reports["teacher"], self._reports["student"]
        assert teacher is not None
        assert student is not None
        found = at_resolutions(teacher["layers"], student["layers"], self.rule)
        self._take([(one, other, None) for one, other in found])

    def _ask_likeness(self) -> None:
        self.verdict.setText(tr("Measuring how alike the layers are..."))
        self.by_start.setEnabled(False)
        self.likeness_wanted.emit()

    def show_likeness(self, likeness: Likeness | None) -> None:
        """Adds the pairs that are most alike."""
        self.by_start.setEnabled(True)
        if likeness is not None:
            pairs = by_likeness(likeness, self._shapes["teacher"], self._shapes["student"], self.rule)
            self._take([*pairs])

    def show_failure(self, text: str) -> None:
        """Why the likeness could not be measured."""
        self.by_start.setEnabled(True)
        self.mark.setPixmap(icon("alert", self.theme.tokens.bad).pixmap(16, 16))
        self.mark.setVisible(True)
        self.verdict.setText(text)

    def _take(self, pairs: Sequence[tuple[str, str, float | None]]) -> None:
        for teacher, student, likeness in pairs:
            if not self._has(teacher, student):
                self._append(teacher, student, likeness)
        self._check()
        if not pairs:
            self.verdict.setText(tr("No layers were found that way which this term can pair."))

    def _pair_chosen(self, row: int) -> None:
        if row >= 0:
            teacher, student = self.list.item(row).data(NAME)
            self.trees["teacher"].choose(teacher)
            self.trees["student"].choose(student)
        self._check()

    def _check(self) -> None:
        """Says whether the selected layers can be joined."""
        teacher, student = self.trees["teacher"].chosen(), self.trees["student"].chosen()
        tokens = self.theme.tokens
        possible = False
        if not all(self._shapes.values()):
            text = tr("The layers appear when both networks can be built; close this and correct them first.")
        elif not teacher or not student:
            text = tr("Select a layer on each side.")
        else:
            found = join(self._shapes["student"][student], self._shapes["teacher"][teacher], self.rule)
            there = self._has(teacher, student)
            possible = found.possible and not there
            text = tr("{teacher} → {student}: {verdict}.", teacher=teacher, student=student, verdict=found.text)
            if there:
                text = tr("This pair is there already. {verdict}", verdict=text)
            name, colour = ("status-finished", tokens.good) if found.possible else ("alert", tokens.bad)
            self.mark.setPixmap(icon(name, colour).pixmap(16, 16))
        self.mark.setVisible(bool(teacher and student))
        self.verdict.setText(text)
        self.add.setEnabled(possible)
        self.remove.setEnabled(self.list.currentRow() >= 0)
