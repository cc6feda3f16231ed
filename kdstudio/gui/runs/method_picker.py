"""The methods of a comparison to choose from, by family, with tick boxes."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QTreeWidget, QTreeWidgetItem, QVBoxLayout, QWidget

from kdstudio.gui.language import tr
from kdstudio.gui.runs.method_words import FAMILIES, title_of
from kdstudio.project.method_bench import FLOOR, REFERENCE
from kdstudio.project.methods import ALL, METHODS, PEERS

ALWAYS = (FLOOR, REFERENCE)
NAME = Qt.ItemDataRole.UserRole
TICKED, UNTICKED = Qt.CheckState.Checked, Qt.CheckState.Unchecked


class MethodPicker(QWidget):
    """Hard labels and soft targets are always in: the floor, and what the others are measured against.

    Signals:
        changed: Other methods are ticked.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.items: dict[str, QTreeWidgetItem] = {}
        self._unfit: set[str] = set()
        self._locked = False
        self.tree = QTreeWidget()
        self.tree.setAccessibleName(tr("Methods to compare"))
        self.tree.setHeaderHidden(True)
        self.tree.setRootIsDecorated(False)
        self.tree.setItemsExpandable(False)
        self.tree.setIndentation(14)
        for family, title in FAMILIES.items():
            head = QTreeWidgetItem([tr(title)])
            font = head.font(0)
            font.setBold(True)
            head.setFont(0, font)
            head.setFlags(Qt.ItemFlag.ItemIsEnabled)
            self.tree.addTopLevelItem(head)
            for method in METHODS:
                if method.family == family:
                    item = QTreeWidgetItem([title_of(method.name)])
                    item.setData(0, NAME, method.name)
                    item.setCheckState(0, TICKED if method.name in ALL else UNTICKED)
                    head.addChild(item)
                    self.items[method.name] = item
            head.setExpanded(True)
        self.tree.itemChanged.connect(lambda *_: self.changed.emit())
        self.all, self.none = QPushButton(tr("All")), QPushButton(tr("None"))
        self.all.setToolTip(tr("Tick every method that fits the networks and trains the student alone"))
        self.none.setToolTip(tr("Tick only hard labels and soft targets, which are always in"))
        self.all.clicked.connect(lambda: self.choose(ALL))
        self.none.clicked.connect(lambda: self.choose([]))
        head_label = QLabel(tr("Methods"))
        head_label.setObjectName("heading")
        row = QHBoxLayout()
        row.addWidget(head_label, 1)
        for button in (self.all, self.none):
            button.setObjectName("flat")
            row.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self.tree, 1)
        self.greyed = QLabel(tr("Greyed: no layers of the two networks have the shapes that these need."))
        self.greyed.setObjectName("hint")
        self.greyed.setWordWrap(True)
        self.greyed.hide()
        column.addWidget(self.greyed)
        self._refresh()

    def chosen(self) -> list[str]:
        """The ticked methods that fit."""
        return [name for name, item in self.items.items() if item.checkState(0) == TICKED]

    def choose(self, names: Iterable[str]) -> None:
        """Ticks these, and those that are always in."""
        wanted = {*names, *ALWAYS} - self._unfit
        self.tree.blockSignals(True)
        for name, item in self.items.items():
            item.setCheckState(0, TICKED if name in wanted else UNTICKED)
        self.tree.blockSignals(False)
        self._refresh()
        self.changed.emit()

    def set_unfit(self, names: Iterable[str]) -> None:
        """Greys and unticks the methods that no layers of the two networks fit; one that fits again is ticked."""
        before, self._unfit = self._unfit, set(names)
        self.choose((set(self.chosen()) | before) - self._unfit)

    def lock(self, locked: bool) -> None:
        """Nothing can be ticked while a comparison goes on."""
        self._locked = locked
        for button in (self.all, self.none):
            button.setEnabled(not locked)
        self._refresh()

    def _refresh(self) -> None:
        self.greyed.setVisible(bool(self._unfit) and not self._locked)  # locked, all of them are grey
        self.tree.blockSignals(True)
        for name, item in self.items.items():
            unfit, always = name in self._unfit, name in ALWAYS
            usable = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsUserCheckable
            item.setFlags(Qt.ItemFlag.NoItemFlags if unfit or always or self._locked else usable)
            if unfit:
                item.setToolTip(0, tr("No layers of the two networks have the shapes that it needs."))
            elif always:
                item.setToolTip(0, tr("Always in: the others are measured against it."))
            else:
                method = next(method for method in METHODS if method.name == name)
                words = tr("Weights from: {source}", source=method.source)
                more = tr("It trains another student beside the first one, so its budget is larger.")
                item.setToolTip(0, f"{words}\n{more}" if method.family == PEERS else words)
        self.tree.blockSignals(False)
