"""The quality panel, confusion: what a network says instead of the label, or instead of what the teacher says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QSizePolicy,
    QVBoxLayout,
)

from kdstudio.gui.language import mark, tr
from kdstudio.gui.monitor.maps import Matrix, MatrixMap
from kdstudio.gui.monitor.palettes import Scale
from kdstudio.gui.monitor.quality_state import Facts, QualityState, QualityView
from kdstudio.gui.monitor.words import percent
from kdstudio.gui.theme import Theme
from kdstudio.gui.words import network_word

PAIRS = {
    ("student", "label"): mark("Student against label"),
    ("student", "teacher"): mark("Student against teacher"),
    ("teacher", "label"): mark("Teacher against label"),
    ("baseline", "label"): mark("Baseline against label"),
}
WRONG = mark("{wrong:,.0f} of {all:,.0f} wrong · rows: label, columns: {network} · {samples}")
DIFFERENT = mark("{wrong:,.0f} of {all:,.0f} differ · rows: what the teacher says, columns: {network} · {samples}")
LABELLED = mark("label {row}, the {network} says {column}: {figures}")
TAUGHT = mark("the teacher says {row}, the {network} says {column}: {figures}")
MOST_LISTED = 50


class ConfusionView(QualityView):
    """A matrix of shares of each row, and the most frequent confusions as a list."""

    title = mark("Confusion")
    hint = mark("Which classes are taken for which")
    needs = ("confusion",)
    hints = {"f1": mark("Which tags are taken for which, word by word")}
    reasons = {
        "perplexity": mark(
            "A language model chooses among thousands of tokens: a table of their confusions would have millions of "
            "cells. Where it leaves its teacher is told token by token under Soft targets."
        )
    }

    def __init__(self, theme: Theme, state: QualityState) -> None:
        super().__init__(theme, state)
        self._counts: np.ndarray | None = None
        self._listed: list[tuple[int, int]] = []
        self.pair = QComboBox()
        self.pair.setAccessibleName(tr("Compared"))
        self.pair.setToolTip(tr("Rows are the label or what the teacher says, columns what the network says"))
        self.pair.activated.connect(lambda _: self.redraw())
        self.errors = QCheckBox(tr("errors only"))
        self.errors.setToolTip(tr("Leaves out the diagonal, so that rare confusions can be seen"))
        self.errors.toggled.connect(lambda _: self.redraw())
        row = QHBoxLayout(self.options)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.errors)
        row.addWidget(self.pair)
        self.caption = QLabel()
        self.caption.setObjectName("soft")
        self.caption.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.map = MatrixMap(theme, tr("Confusion"), describe=self._words)
        self.map.hovered.connect(self._hovered)
        self.list = QListWidget()
        self.list.setAccessibleName(tr("Most frequent confusions"))
        self.list.setToolTip(tr("Choose one to see its cell"))
        self.list.currentRowChanged.connect(self._chosen)
        self.list.setMaximumWidth(240)
        body = QHBoxLayout()
        body.setSpacing(12)
        body.addWidget(self.map, 3)
        body.addWidget(self.list, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.caption)
        layout.addLayout(body, 1)

    def clear(self) -> None:
        self._counts = None
        self._listed = []
        self.map.show_matrix(None)
        self.list.clear()
        self.caption.clear()

    def recolour(self) -> None:
        self.map.recolour()

    def _choose_pairs(self, facts: Facts) -> tuple[str, str]:
        found = [
            pair for pair in PAIRS
            if pair[0] in facts.networks and (pair[1] == "label" or "fidelity" in facts.networks[pair[0]])
        ]  # fmt: skip
        if [self.pair.itemData(index) for index in range(self.pair.count())] != found:
            chosen = self.pair.currentData()
            self.pair.clear()
            for pair in found:
                self.pair.addItem(tr(PAIRS[pair]), pair)
            self.pair.setCurrentIndex(found.index(chosen) if chosen in found else 0)
        return found[self.pair.currentIndex()]

    def redraw(self) -> None:
        facts = self.usable()
        if facts is None or not facts.networks:
            return
        network, against = self._choose_pairs(facts)
        entry = facts.networks[network]
        counts = np.array(entry["fidelity"]["confusion"] if against == "teacher" else entry["confusion"], float)
        self._counts = counts
        totals = counts.sum(axis=1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = counts / totals
        high = 1.0
        if self.errors.isChecked():
            np.fill_diagonal(shares, np.nan)
            high = float(np.nanmax(shares)) if np.isfinite(shares).any() else 1.0
        self.map.show_matrix(Matrix(shares, facts.classes, facts.classes, Scale(0.0, high or 1.0)))
        self._fill_list(counts, facts.classes)
        wrong = counts.sum() - np.trace(counts)
        form = DIFFERENT if against == "teacher" else WRONG
        self.caption.setText(
            tr(form, wrong=wrong, all=counts.sum(), network=network_word(network), samples=facts.words)
        )

    def _fill_list(self, counts: np.ndarray, classes: list[str]) -> None:
        off = counts.copy()
        np.fill_diagonal(off, 0)
        order = np.argsort(-off, axis=None, kind="stable")[:MOST_LISTED]
        cells = [(int(place) // len(off), int(place) % len(off)) for place in order if off.flat[place] > 0]
        texts = [f"{classes[row]} → {classes[column]}    {off[row, column]:,.0f}" for row, column in cells]
        if texts == [self.list.item(index).text() for index in range(self.list.count())]:
            return
        self._listed = cells
        self.list.blockSignals(True)
        self.list.clear()
        for text, cell in zip(texts, cells):
            item = QListWidgetItem(text)
            item.setToolTip(self._words(*cell))
            self.list.addItem(item)
        if not texts:
            item = QListWidgetItem(tr("No confusions"))
            item.setFlags(Qt.ItemFlag.NoItemFlags)
            self.list.addItem(item)
        self.list.blockSignals(False)

    def _chosen(self, row: int) -> None:
        if 0 <= row < len(self._listed):
            self.map.point_at(*self._listed[row])

    def _hovered(self, row: int, column: int) -> None:
        """The list follows the cell, where it has it."""
        if (row, column) in self._listed:
            self.list.blockSignals(True)
            self.list.setCurrentRow(self._listed.index((row, column)))
            self.list.blockSignals(False)

    def _words(self, row: int, column: int) -> str:
        assert self._counts is not None
        assert self.map.matrix is not None
        names, count, total = self.map.matrix.rows, self._counts[row, column], self._counts[row].sum()
        network, against = self.pair.currentData()
        figures = tr("{count:,.0f} of {total:,.0f}", count=count, total=total)
        if total:
            figures = f"{figures} ({percent(count / total)})"
        form = TAUGHT if against == "teacher" else LABELLED
        return tr(form, row=names[row], column=names[column], network=network_word(network), figures=figures)

    def table(self) -> Sequence[Sequence[object]]:
        facts = self.usable()
        if facts is None or self._counts is None:
            return []
        network, against = self.pair.currentData()
        rows: list[Sequence[object]] = [("samples", f"{against} \\ {network}", *facts.classes)]
        rows += [(facts.words, name, *map(int, row)) for name, row in zip(facts.classes, self._counts)]
        return rows
