"""The alignment panel, attention of text networks: which token looks at which, teacher beside student."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout

from kdstudio.gui.language import mark, tr
from kdstudio.gui.monitor.align_looks import Looks, PairBox
from kdstudio.gui.monitor.align_state import AlignState
from kdstudio.gui.monitor.map_field import MapField
from kdstudio.gui.monitor.maps import Matrix
from kdstudio.gui.monitor.palettes import Scale, number
from kdstudio.gui.monitor.text_targets import TextBox
from kdstudio.gui.monitor.text_tokens import first_words
from kdstudio.gui.monitor.text_words import seen
from kdstudio.gui.monitor.views import View
from kdstudio.gui.theme import Theme

NAMES = {
    "teacher": mark("Attention between tokens: teacher"),
    "student": mark("Attention between tokens: student"),
    "difference": mark("Attention between tokens: difference"),
}
SIDES = ("teacher", "student")
NOTHING = {
    "": mark("There are no maps of attention between tokens in this run: they are kept by runs from this version on."),
    "rotary": mark(
        "No maps are shown for this architecture: it turns positions into queries and keys after their projections "
        "(rotary positions), and a map computed before that would be a wrong one."
    ),
    "unknown": mark(
        "No maps are shown for this architecture: it is not known here how its attention is computed. They are shown "
        "for BERT, RoBERTa, ELECTRA, DistilBERT, GPT-2 and OPT."
    ),
}


class TokenAttentionView(View):
    """Attention of one text, pair of blocks and head: rows are the tokens that look, columns those they look at."""

    title = mark("Attention")
    hint = mark("Which tokens of a text look at which, in a block of the teacher and in one of the student")

    def __init__(self, theme: Theme, state: AlignState) -> None:
        super().__init__(theme)
        self.state = state
        self.looks = Looks(state, "attention")
        self.shown: dict[str, np.ndarray] = {}
        self.tokens: list[str] = []
        self.text = 0
        self.pair = PairBox()
        self.pair.pair_chosen.connect(self.redraw)
        self.pair.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.texts = TextBox(self._take_text)
        self.texts.setMinimumContentsLength(6)
        self.head = QComboBox()
        self.head.setAccessibleName(tr("Attention head"))
        self.head.setToolTip(tr("One head of both blocks, or the mean over all of each"))
        self.head.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.head.activated.connect(lambda _: self.redraw())
        self.words = QLabel()
        self.words.setObjectName("soft")
        self.words.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.words.setToolTip(tr("1 where both look at the same tokens with the same shares; 0 where at other ones"))
        self.empty = QLabel(self)
        self.empty.setObjectName("soft")
        self.empty.setWordWrap(True)
        self.empty.hide()
        self.field = MapField(theme, {name: tr(words) for name, words in NAMES.items()}, self.describe)
        row = QHBoxLayout()
        row.setSpacing(8)
        for widget, stretch in ((self.texts, 1), (self.pair, 0), (self.head, 0)):
            row.addWidget(widget, stretch)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(row)
        layout.addWidget(self.words)
        layout.addWidget(self.empty, 0, Qt.AlignmentFlag.AlignTop)
        layout.addWidget(self.field, 1)

    def clear(self) -> None:
        self.shown, self.tokens, self.text = {}, [], 0
        for shown in self.field.maps.values():
            shown.show_matrix(None)

    def recolour(self) -> None:
        self.field.recolour()
        self.redraw()

    def texts_of(self) -> list[list[str]]:
        """The tokens of each probe text, as the networks see them."""
        moment = self.state.moment
        if moment.texts is not None:
            return [moment.texts.tokens(text) for text in range(len(moment.texts.ids))]
        probes = moment.probes
        return [] if probes is None or probes.tokens is None else probes.tokens

    def redraw(self) -> None:
        info = self.state.moment.info
        self.pair.fill(self.looks.pairs())
        pair = self.pair.pair()
        found = self.looks.now(pair) if pair is not None else None
        there = found is not None and found[1].ndim == found[2].ndim == 4
        for widget in (self.field, self.pair, self.texts, self.head, self.words):
            widget.setVisible(there)
        self.empty.setVisible(not there)
        if found is None or not there:
            self.shown = {}
            why = info.attention_why if info is not None else None
            words = NOTHING.get(why or "", NOTHING["unknown"])
            self.empty.setText(tr(words))
            return
        sides = dict(zip(SIDES, found[1:]))
        texts = self.texts_of()[: min(len(side) for side in sides.values())]
        self.text = max(0, min(self.text, len(texts) - 1))
        names = [tr("Text {number}: {words}", number=at + 1, words=first_words(row)) for at, row in enumerate(texts)]
        self.texts.fill(names, self.text)
        self._offer_heads(min(side.shape[1] for side in sides.values()))
        count = min(len(texts[self.text]), sides["teacher"].shape[-1])
        self.tokens = [seen(token) for token in texts[self.text][:count]]
        head = self.head.currentIndex() - 1
        self.shown = {}
        for name, side in sides.items():
            heads = side[self.text, :, :count, :count]
            self.shown[name] = heads.mean(axis=0) if head < 0 else heads[head].copy()
        self._show_maps()

    def _offer_heads(self, heads: int) -> None:
        if self.head.count() != heads + 1:
            with QSignalBlocker(self.head):
                self.head.clear()
                self.head.addItem(tr("Mean over heads"))
                self.head.addItems([tr("Head {number}", number=number) for number in range(heads)])

    def _show_maps(self) -> None:
        texts = self.state.moment.texts
        causal = texts is not None and texts.task == "causal-lm"
        top = max(float(np.max(side, initial=1e-3)) for side in self.shown.values())
        scale = Scale(0.0, top)
        for name, side in self.shown.items():
            drawn = side.astype(float)
            if causal:  # what is not written yet cannot be looked at
                drawn[np.triu_indices(len(drawn), 1)] = np.nan
            self.field.maps[name].show_matrix(Matrix(drawn, self.tokens, self.tokens, scale))
        self.field.show_maps(list(SIDES), scale, 1.0, False, False)
        same = float(np.mean(np.minimum(self.shown["teacher"], self.shown["student"]).sum(axis=1)))
        self.words.setText(tr("Rows look at columns · in common {share:.0f} %", share=100 * min(1.0, same)))

    def describe(self, row: int, column: int) -> str:
        """A cell in words, with the values of both networks."""
        lines = [tr("{one} looks at {other}", one=self.tokens[row], other=self.tokens[column])]
        words = {"teacher": mark("teacher: {value}"), "student": mark("student: {value}")}
        lines += [tr(words[name], value=number(float(self.shown[name][row, column]))) for name in SIDES]
        return "\n".join(lines)

    def _take_text(self, text: int) -> None:
        self.text = text
        self.redraw()

    def rows(self) -> list[tuple[str, str, float, float]]:
        """What is shown, for a table: who looks, at what, teacher's share, student's share."""
        return [
            (one, other, float(self.shown["teacher"][row, column]), float(self.shown["student"][row, column]))
            for row, one in enumerate(self.tokens if self.shown else [])
            for column, other in enumerate(self.tokens)
        ]
