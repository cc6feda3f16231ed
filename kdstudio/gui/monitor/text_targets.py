"""The soft-targets panel of language models: a text as tokens, and the top words of both networks at one of them."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

import numpy as np
from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QComboBox, QFrame, QHBoxLayout, QLabel, QScrollArea, QSizePolicy, QVBoxLayout

from kdstudio.gui.language import mark, tr
from kdstudio.gui.monitor.bars import ClassBars
from kdstudio.gui.monitor.colour_bar import ColourBar
from kdstudio.gui.monitor.palettes import Scale, number, round_number
from kdstudio.gui.monitor.soft_state import SoftState
from kdstudio.gui.monitor.text_data import TextTargets
from kdstudio.gui.monitor.text_tokens import TokenField, first_words, heat
from kdstudio.gui.monitor.views import View
from kdstudio.gui.theme import Theme

#: Below this height the text stands beside the bars.
LOW = 260
ENDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def shade_scale(data: TextTargets) -> Scale:
    """From 0 to a round value that few places exceed."""
    values = data.shade[np.isfinite(data.shade)]
    high = float(np.quantile(values, 0.95)) if values.size else 1.0
    return Scale(0.0, next((end for end in ENDS if end >= high), ENDS[-1]))


class TextBox(QComboBox):
    """Chooses one of the probe texts."""

    def __init__(self, chosen: Callable[[int], None]) -> None:
        super().__init__()
        self.setAccessibleName(tr("Probe text"))
        self.setToolTip(tr("One of the validation texts that every snapshot looks at"))
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(12)
        self.activated.connect(chosen)
        self._names: list[str] = []

    def fill(self, names: list[str], current: int) -> None:
        """Offers these texts."""
        with QSignalBlocker(self):
            if names != self._names:
                self._names = names
                self.clear()
                self.addItems(names)
            self.setCurrentIndex(current)


class TextView(View):
    """The tokens of a text, coloured by KL, and below them the words at the chosen one."""

    title = mark("Words")
    hint = mark("The likeliest words of teacher and student at a token of a text")
    tag_hint = mark("The tags that teacher and student give a word of a sentence")

    def __init__(self, theme: Theme, state: SoftState) -> None:
        super().__init__(theme)
        self.state = state
        self.texts = TextBox(self._take_text)
        self.bar = ColourBar(theme, tr("Scale of the tokens"), lambda: heat(theme.tokens))
        self.legend = QLabel()
        self.legend.setObjectName("soft")
        self.tokens = TokenField(theme, self._tell)
        self.tokens.chosen.connect(self._take_token)
        self.sheet = QScrollArea()
        self.sheet.setObjectName("strip")
        self.sheet.setFrameShape(QFrame.Shape.NoFrame)
        self.sheet.setWidgetResizable(True)
        self.sheet.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.sheet.setWidget(self.tokens)
        self.sheet.setMinimumHeight(48)
        self.caption = QLabel()
        self.caption.setTextFormat(Qt.TextFormat.RichText)
        self.caption.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.bars = ClassBars(theme)
        self.bars.setAccessibleName(tr("Teacher and student by word"))
        scale = QHBoxLayout()
        scale.setSpacing(8)
        scale.addWidget(self.legend, 0, Qt.AlignmentFlag.AlignTop)
        scale.addWidget(self.bar, 1)
        text = QVBoxLayout()
        text.setSpacing(4)
        text.addWidget(self.texts)
        text.addWidget(self.sheet, 1)
        text.addLayout(scale)
        words = QVBoxLayout()
        words.setSpacing(4)
        words.addWidget(self.caption)
        words.addWidget(self.bars, 1)
        self._parts = QBoxLayout(QBoxLayout.Direction.TopToBottom, self)
        self._parts.setContentsMargins(0, 0, 0, 0)
        self._parts.setSpacing(8)
        self._parts.addLayout(text, 2)
        self._parts.addLayout(words, 3)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        directions = QBoxLayout.Direction
        low = self.height() < LOW
        self._parts.setDirection(directions.LeftToRight if low else directions.TopToBottom)
        self._parts.setStretch(0, 1 if low else 2)
        self._parts.setStretch(1, 1 if low else 3)
        self.redraw()

    def clear(self) -> None:
        self.tokens.show_tokens([], [], [], Scale(0.0, 1.0))
        self.texts.fill([], -1)

    def recolour(self) -> None:
        for widget in (self.tokens, self.bar, self.bars):
            widget.update()
        self.redraw()

    def redraw(self) -> None:
        data = self.state.text
        if data is None:
            return
        self.state.keep_choice()
        text, token = self.state.chosen
        tokens = data.token_words(text)
        values = data.values(text)
        count = len(data.texts.ids)
        names = [
            tr("Text {number}: {words}", number=index + 1, words=first_words(data.token_words(index)))
            for index in range(count)
        ]
        self.texts.fill(names, text)
        scale = shade_scale(data)
        self.tokens.show_tokens(tokens, values, data.hidden(text), scale)
        self.tokens.choose(token)
        low = tr("{figure} in nats", figure=data.shade_name)
        self.legend.setText(data.legend if self.height() >= LOW else low)
        self.legend.setToolTip(data.shade_tip)
        self.bar.show_scale(scale, [(0.0, "0"), (scale.high / 2, round_number(scale.high / 2)), _end(scale)])
        self._show_words(data, text, token)

    def _show_words(self, data: TextTargets, text: int, token: int) -> None:
        place = data.place(token)
        words = data.words(text, place)
        rest = (words.teacher_rest, words.student_rest, words.others) if words.others else None
        names, there, logarithmic = words.names, words.there, self.state.logarithmic
        self.bars.show_sample(names, words.teacher, words.student, there, logarithmic, rest)
        figure, value = escape(data.shade_name), number(float(data.shade[text, place]))
        self.caption.setText(f"{figure} <b>{value}</b> &nbsp; {data.head(text, token)}")
        self.caption.setToolTip(tr(data.exact))

    def _take_text(self, text: int) -> None:
        self.state.choose(text, self.state.chosen[1])

    def _take_token(self, token: int) -> None:
        self.state.choose(self.state.chosen[0], token)

    def _tell(self, token: int) -> str:
        data = self.state.text
        return "" if data is None else data.tell(self.state.chosen[0], token)


def _end(scale: Scale) -> tuple[float, str]:
    return scale.high, f"≥ {round_number(scale.high)}"
