"""A text as its tokens, each on a colour: wrapped like a paragraph, chosen by a click or the arrow keys."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetricsF, QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QScrollArea, QSizePolicy, QToolTip, QWidget

from kdstudio.gui.language import tr
from kdstudio.gui.monitor.curve import mixed
from kdstudio.gui.monitor.palettes import STEPS, Scale, colours, rgb
from kdstudio.gui.monitor.text_words import plain, seen
from kdstudio.gui.theme import Theme, Tokens

#: Room within a chip beside and above its token, and between lines.
SIDE, ABOVE, LEADING = 3, 2, 4
BLANK = 3
LIGHT = 140


def heat(tokens: Tokens) -> np.ndarray:
    """(STEPS, 3) bytes: the panel's ground, and the more of the warning colour the larger a value is."""
    ground, strong = QColor(tokens.panel), QColor(tokens.bad)
    return np.stack([rgb(mixed(strong, ground, share)) for share in np.linspace(0, 0.9, STEPS)])


class TokenField(QWidget):
    """The tokens.

    Args:
        describe: Words for a token, shown when the pointer rests on it.

    Signals:
        chosen: Another token was chosen.
    """

    chosen = Signal(int)

    def __init__(self, theme: Theme, describe: Callable[[int], str]) -> None:
        super().__init__()
        self.theme = theme
        self.describe = describe
        self.tokens: list[str] = []
        self.values: list[float] = []
        self.hidden: list[bool] = []
        self.scale = Scale(0.0, 1.0)
        self.current = -1
        self._places: list[QRectF] = []
        self.setAccessibleName(tr("Tokens of the text"))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def show_tokens(self, tokens: list[str], values: list[float], hidden: list[bool], scale: Scale) -> None:
        """Shows a text: its tokens, the value of each (NaN for none), and which were hidden from the networks."""
        self.values, self.scale = values, scale
        if tokens != self.tokens or hidden != self.hidden:
            self.tokens, self.hidden = tokens, hidden
            self._lay_out()
            self.updateGeometry()
        self.update()

    def choose(self, token: int) -> None:
        """Marks a token as the chosen one."""
        self.current = token
        if 0 <= token < len(self.tokens):
            self.setAccessibleDescription(self.describe(token))
        self.update()

    # -- geometry --------------------------------------------------------------------------------------------

    def _arranged(self, width: float) -> list[QRectF]:
        metrics = QFontMetricsF(self.font())
        height = metrics.height() + 2 * ABOVE
        places, x, y = [], 0.0, 1.0
        for token in self.tokens:
            gap = BLANK if token.startswith(" ") else 0
            wide = metrics.horizontalAdvance(plain(token).strip(" ") or " ") + 2 * SIDE
            if x > 0 and x + gap + wide > width - 2:
                x, y, gap = 0.0, y + height + LEADING, 0
            places.append(QRectF(x + gap + 1, y, wide, height))
            x += gap + wide
        return places

    def _lay_out(self) -> None:
        self._places = self._arranged(self.width())
        if self._places:
            self.setMinimumHeight(int(self._places[-1].bottom()) + 2)

    def resizeEvent(self, event: object) -> None:
        self._lay_out()

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        places = self._arranged(width)
        return int(places[-1].bottom()) + 2 if places else 0

    def sizeHint(self) -> QSize:
        return QSize(300, self.heightForWidth(max(self.width(), 200)))

    def token_at(self, place: QPointF) -> int:
        """The token at a place, -1 beside all."""
        return next((index for index, each in enumerate(self._places) if each.contains(place)), -1)

    def place_of(self, token: int) -> QRectF:
        """Where a token stands."""
        return self._places[token]

    # -- drawing ---------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        tokens = self.theme.tokens
        grounds = colours(np.array([self.values]), self.scale, heat(tokens), QColor(tokens.panel))[0]
        light = grounds @ np.array([0.299, 0.587, 0.114]) > LIGHT
        for index, (token, place) in enumerate(zip(self.tokens, self._places)):
            there = np.isfinite(self.values[index])
            if there:
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(QColor(*(int(part) for part in grounds[index])))
                painter.drawRoundedRect(place, 3, 3)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            if self.hidden[index]:
                painter.setPen(QPen(QColor(tokens.ink), 1, Qt.PenStyle.DashLine))
                painter.drawRoundedRect(place.adjusted(0.5, 0.5, -0.5, -0.5), 3, 3)
            if index == self.current:
                painter.setPen(QPen(QColor(tokens.accent), 2))
                painter.drawRoundedRect(place.adjusted(0, 0, 0, 0), 3, 3)
            ink = QColor(tokens.soft) if not there else QColor("#101010") if light[index] else QColor("#f4f4f4")
            painter.setPen(ink)
            painter.drawText(place, Qt.AlignmentFlag.AlignCenter, plain(token).strip(" "))
        if self.hasFocus():
            painter.setPen(QPen(QColor(tokens.accent), 1, Qt.PenStyle.DotLine))
            painter.drawRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5))

    # -- pointer and keys ------------------------------------------------------------------------------------

    def _pick(self, token: int) -> None:
        if 0 <= token < len(self.tokens) and token != self.current:
            self.choose(token)
            inside = self.parentWidget()
            area = inside.parentWidget() if inside is not None else None
            if isinstance(area, QScrollArea):
                middle = self._places[token].center()
                area.ensureVisible(int(middle.x()), int(middle.y()), 0, int(self._places[token].height()))
            self.chosen.emit(token)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._pick(self.token_at(event.position()))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        keys = Qt.Key
        moves = {keys.Key_Left: -1, keys.Key_Right: 1}
        ends = {keys.Key_Home: 0, keys.Key_End: len(self.tokens) - 1}
        key = Qt.Key(event.key())
        if key in moves:
            self._pick(self.current + moves[key])
        elif key in ends:
            self._pick(ends[key])
        elif key in (keys.Key_Up, keys.Key_Down) and 0 <= self.current < len(self._places):
            self._pick(self._beyond(1 if key == keys.Key_Down else -1))
        else:
            super().keyPressEvent(event)

    def _beyond(self, direction: int) -> int:
        """The token above or below the chosen one."""
        here = self._places[self.current]
        rows = sorted({place.top() for place in self._places if (place.top() - here.top()) * direction > 0})
        if not rows:
            return self.current
        row = rows[0] if direction > 0 else rows[-1]
        line = [index for index, place in enumerate(self._places) if place.top() == row]
        return min(line, key=lambda index: abs(self._places[index].center().x() - here.center().x()))

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            token = self.token_at(QPointF(event.pos()))
            if token >= 0:
                QToolTip.showText(event.globalPos(), self.describe(token), self)
            else:
                QToolTip.hideText()
            return True
        return super().event(event)


def first_words(tokens: list[str], most: int = 32) -> str:
    """The beginning of a text, for a list of texts."""
    text = " ".join("".join(plain(token) for token in tokens).split())
    return text if len(text) <= most else f"{text[:most].rstrip()}…" if text else seen("")
