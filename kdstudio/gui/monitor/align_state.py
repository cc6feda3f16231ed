"""What the views of the alignment panel share: the shown map, the chosen pair, and CKA of any pair over time."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from kdstudio.gui.monitor.moment import KEPT, Moment
from kdstudio.gui.monitor.text_words import layer_word
from kdstudio.project.runs.snapshots import SnapshotInfo, read_cka

#: Seconds that one redraw may spend on reading maps; a map takes about 0.03 ms.
READING = 0.004
Pair = tuple[str, str]


def pair_name(teacher: str, student: str) -> str:
    """A pair as the engine names it in its snapshots."""
    return f"{teacher} → {student}"


def pair_words(teacher: str, student: str) -> str:
    """A pair as people read it: blocks of transformers by their numbers."""
    return pair_name(layer_word(teacher), layer_word(student))


@dataclass
class AlignState:
    """The shared moment and what the views found out about it."""

    moment: Moment
    pairs: list[Pair] = field(default_factory=list)
    chosen: Pair | None = None
    _maps: dict[int, np.ndarray | None] = field(default_factory=dict)
    _history: tuple[object, tuple[np.ndarray, np.ndarray]] | None = None

    def clear(self) -> None:
        """Forgets a run."""
        self.pairs = []
        self.chosen = None
        self._maps = {}
        self._history = None

    def map_of(self, info: SnapshotInfo) -> np.ndarray | None:
        """The CKA map of a snapshot, read once; None where it has none or is damaged."""
        if info.number not in self._maps:
            self._maps[info.number] = read_cka(info)
        return self._maps[info.number]

    def now(self) -> tuple[SnapshotInfo, np.ndarray] | None:
        """The shown snapshot and its CKA map, or where that cannot be read the one before; None without any."""
        for index in range(self.moment.index, max(-1, self.moment.index - KEPT), -1):
            info = self.moment.infos[index]
            table = self.map_of(info)
            if table is not None and table.size:
                return info, table
        return None

    def read_on(self) -> bool:
        """Reads maps that are still missing, for a few milliseconds. True when all have been read."""
        deadline = time.perf_counter() + READING
        for info in self.moment.infos:
            if info.number not in self._maps:
                self.map_of(info)
                if time.perf_counter() > deadline:
                    return False
        return True

    def over_time(self, pair: Pair) -> tuple[np.ndarray, np.ndarray]:
        """CKA of a pair in every snapshot read so far: steps, values. The same arrays while nothing is new."""
        mark = (pair, len(self._maps), [info.number for info in self.moment.infos[-1:]], len(self.moment.infos))
        if self._history is not None and self._history[0] == mark:
            return self._history[1]
        steps, values = [], []
        for info in self.moment.infos:
            table = self._maps.get(info.number)
            if table is not None and pair[0] in info.teacher_layers and pair[1] in info.student_layers:
                steps.append(info.step)
                values.append(float(table[info.teacher_layers.index(pair[0]), info.student_layers.index(pair[1])]))
        self._history = (mark, (np.array(steps, float), np.array(values, float)))
        return self._history[1]

    def best_matches(self) -> list[tuple[str, str, float]]:
        """Of each teacher layer at the shown moment: its name, the student layer most alike, their CKA."""
        now = self.now()
        if now is None:
            return []
        info, table = now
        best = np.nan_to_num(table, nan=-1.0).argmax(axis=1)
        return [
            (name, info.student_layers[column], float(table[row, column]))
            for row, (name, column) in enumerate(zip(info.teacher_layers, best.tolist()))
        ]
