"""The queue below the table of runs: what waits, in which order, and buttons that change it."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
)

from kdstudio.gui.icons import icon
from kdstudio.gui.language import mark, tr
from kdstudio.gui.runs.queue_keeper import QueueKeeper
from kdstudio.gui.setup.bars import IconButton
from kdstudio.gui.theme import Theme
from kdstudio.gui.tree import status_colour, status_icon
from kdstudio.gui.words import status_words
from kdstudio.project.queue import MOST_SIDE_BY_SIDE, MOST_TRIES, Queue, Queued, QueueFile, Turn

NAME = Qt.ItemDataRole.UserRole
MOST_ROWS = 5
TURNS = {
    Turn.WAITING: mark("{run}: waiting"),
    Turn.GOING: mark("{run}: {status}"),
    Turn.OVER: mark("{run}: {status}"),
    Turn.GIVEN_UP: mark("{run}: given up after {tries} tries"),
}


class QueueList(QListWidget):
    """The runs in their order; one is dragged to another place."""

    def __init__(self, keeper: QueueKeeper) -> None:
        super().__init__()
        self.keeper = keeper
        self.setAccessibleName(tr("Queue"))
        self.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)

    def dropEvent(self, event: QDropEvent) -> None:
        moved = self.currentItem()
        super().dropEvent(event)
        name = str(moved.data(NAME))
        names = [str(self.item(row).data(NAME)) for row in range(self.count())]
        self.keeper.change(partial(Queue.move, name=name, place=names.index(name)))


class QueueView(QFrame):
    """A card with the queue; it is not there while nothing is queued."""

    def __init__(self, theme: Theme, keeper: QueueKeeper) -> None:
        super().__init__()
        self.setObjectName("card")
        self.theme = theme
        self.keeper = keeper
        self.heading = QLabel(tr("Queue"))
        self.heading.setObjectName("heading")
        self.note = QLabel()
        self.note.setObjectName("soft")
        self.side_by_side = QSpinBox()
        self.side_by_side.setRange(1, MOST_SIDE_BY_SIDE)
        self.side_by_side.lineEdit().setTextMargins(6, 0, 0, 0)
        self.side_by_side.setPrefix(tr("at once: "))
        self.side_by_side.setAccessibleName(tr("Runs at once on one device"))
        self.side_by_side.setToolTip(tr("How many runs go at once on one device (usual 1)"))
        self.side_by_side.valueChanged.connect(lambda count: keeper.change(lambda queue: queue.set_side_by_side(count)))
        self.pause = QPushButton(tr("Pause the queue"))
        self.pause.setToolTip(tr("No further run is started; what is going goes on"))
        self.pause.clicked.connect(self._pause)
        self.list = QueueList(keeper)
        self.list.currentRowChanged.connect(lambda _: self._enable())
        self.up = IconButton(theme, "arrow-up", tr("Move the chosen run up"))
        self.down = IconButton(theme, "arrow-down", tr("Move the chosen run down"))
        self.again = IconButton(theme, "refresh", tr("Give the chosen run new tries"))
        self.remove = IconButton(theme, "trash", tr("Take the chosen run out of the queue; its folder stays"))
        self.up.clicked.connect(lambda: self._move(-1))
        self.down.clicked.connect(lambda: self._move(1))
        self.again.clicked.connect(lambda: self._each("again"))
        self.remove.clicked.connect(lambda: self._each("remove"))
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(self.heading)
        head.addWidget(self.note, 1)
        for button in (self.up, self.down, self.again, self.remove):
            head.addWidget(button)
        head.addWidget(self.side_by_side)
        head.addWidget(self.pause)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 8, 12, 8)
        layout.setSpacing(4)
        layout.addLayout(head)
        layout.addWidget(self.list)
        keeper.changed.connect(self.show_queue)
        theme.changed.connect(lambda: self.show_queue(keeper.file, keeper.listed))
        self.hide()

    def show_queue(self, file: QueueFile, listed: list[Queued]) -> None:
        """Shows the queue; what is chosen stays chosen."""
        chosen = self._chosen()
        self.list.blockSignals(True)
        self.list.clear()
        for one in listed:
            words = tr(TURNS[one.turn], run=one.run.name, status=status_words(one.status, one.state), tries=MOST_TRIES)
            item = QListWidgetItem(icon(status_icon(one.status), status_colour(one.status, self.theme.tokens)), words)
            item.setData(NAME, one.run.name)
            self.list.addItem(item)
            if one.run.name == chosen:
                self.list.setCurrentItem(item)
        self.list.blockSignals(False)
        rows = max(1, min(MOST_ROWS, self.list.count()))
        self.list.setFixedHeight(rows * max(self.list.sizeHintForRow(0), 20) + 2 * self.list.frameWidth() + 4)
        waiting = sum(one.turn is Turn.WAITING for one in listed)
        going = sum(one.turn is Turn.GOING for one in listed)
        words = tr("{waiting} waiting, {going} going", waiting=waiting, going=going)
        self.note.setText(tr("{words}; paused", words=words) if file.paused else words)
        self.pause.setText(tr("Go on") if file.paused else tr("Pause the queue"))
        self.side_by_side.blockSignals(True)
        self.side_by_side.setValue(file.side_by_side)
        self.side_by_side.blockSignals(False)
        self.setVisible(bool(listed))
        self._enable()

    def _chosen(self) -> str:
        item = self.list.currentItem()
        return str(item.data(NAME)) if item is not None else ""

    def _enable(self) -> None:
        row, count = self.list.currentRow(), self.list.count()
        turn = self.keeper.listed[row].turn if 0 <= row < len(self.keeper.listed) else None
        self.up.setEnabled(row > 0)
        self.down.setEnabled(0 <= row < count - 1)
        self.again.setEnabled(turn is Turn.GIVEN_UP)
        self.remove.setEnabled(row >= 0)

    def _pause(self) -> None:
        paused = not self.keeper.file.paused
        self.keeper.change(lambda queue: queue.pause(paused))

    def _move(self, by: int) -> None:
        name, place = self._chosen(), self.list.currentRow() + by
        self.keeper.change(lambda queue: queue.move(name, place))

    def _each(self, what: str) -> None:
        name = self._chosen()
        self.keeper.change(lambda queue: queue.remove(name) if what == "remove" else queue.try_again(name))

    def sizeHint(self) -> QSize:
        return QSize(super().sizeHint().width(), self.minimumSizeHint().height())
