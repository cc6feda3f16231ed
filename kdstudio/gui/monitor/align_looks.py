"""What the attention and relations views share: the pair that is chosen, and its arrays at the shown moment."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtWidgets import QComboBox, QLabel, QWidget

from kdstudio.gui.language import mark, tr
from kdstudio.gui.monitor.align_state import AlignState, Pair, pair_words
from kdstudio.project.runs.snapshots import SnapshotInfo, read_looks

#: How many moments back an array is looked for, where the shown one's cannot be read.
BACK = 8
NONE_KEPT = {
    "attention": mark(
        "There are no attention maps in this run: they are kept of layers that give maps of more than one pixel, "
        "by runs from this version on."
    ),
    "relations": mark(
        "There are no distances between samples in this run: they are kept by runs from this version on."
    ),
}


class PairBox(QComboBox):
    """Chooses one of the pairs whose arrays a run keeps.

    Signals:
        pair_chosen: The person has chosen another pair.
    """

    pair_chosen = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName(tr("Pair of layers"))
        self.setToolTip(tr("The teacher's layer and the student's layer that are compared"))
        self.activated.connect(lambda _: self.pair_chosen.emit())
        self._pairs: tuple[Pair, ...] = ()

    def fill(self, pairs: tuple[Pair, ...]) -> None:
        """Offers these pairs; the last one at first, later the one that was chosen."""
        if pairs == self._pairs:
            return
        chosen = self.pair()
        self._pairs = pairs
        with QSignalBlocker(self):
            self.clear()
            self.addItems([pair_words(*pair) for pair in pairs])
            self.setCurrentIndex(pairs.index(chosen) if chosen in pairs else len(pairs) - 1)

    def pair(self) -> Pair | None:
        """The chosen pair."""
        index = self.currentIndex()
        return self._pairs[index] if 0 <= index < len(self._pairs) else None


class Looks:
    """Reads the arrays of one kind at the shown moment.

    Args:
        state: The panel's.
        kind: `attention` or `relations`.
    """

    def __init__(self, state: AlignState, kind: str) -> None:
        self.state = state
        self.kind = kind

    def pairs(self) -> tuple[Pair, ...]:
        """The pairs whose arrays are kept."""
        info = self.state.moment.info
        if info is None:
            return ()
        return info.attention_pairs if self.kind == "attention" else info.relation_pairs

    def now(self, pair: Pair) -> tuple[SnapshotInfo, np.ndarray, np.ndarray] | None:
        """The moment, the teacher's and the student's array; of a moment before where the shown one is damaged."""
        moment = self.state.moment
        if moment.run_folder is None:
            return None
        for index in range(moment.index, max(-1, moment.index - BACK), -1):
            found = read_looks(moment.run_folder, moment.infos[index], self.kind, pair)
            if found is not None:
                return moment.infos[index], *found
        return None


def empty_label(kind: str, parent: QWidget) -> QLabel:
    """What is said where nothing is kept."""
    label = QLabel(tr(NONE_KEPT[kind]), parent)
    label.setObjectName("soft")
    label.setWordWrap(True)
    label.hide()
    return label
