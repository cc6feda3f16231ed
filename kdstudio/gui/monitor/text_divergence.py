"""The soft-targets panel of language models: KL at each token of a text as bars, and its mean over the run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PySide6.QtCore import QEvent, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetricsF, QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QToolTip, QVBoxLayout, QWidget

from kdstudio.gui.language import mark, tr
from kdstudio.gui.monitor.moment import Moment
from kdstudio.gui.monitor.palettes import number, round_number, small_font
from kdstudio.gui.monitor.soft_state import SoftState
from kdstudio.gui.monitor.time_plot import Line, TimePlot
from kdstudio.gui.monitor.views import View
from kdstudio.gui.theme import Theme
from kdstudio.project.runs.snapshots import SnapshotInfo

LEFT, GAP, TOP = 40, 4, 6
NAME_SHARE = 0.34
CLOSE = 0.8
STEPS = (1.0, 2.0, 5.0)


def round_end(value: float) -> tuple[float, int]:
    """The end of an axis from 0 that holds a value, and into how many parts it is cut."""
    if not np.isfinite(value) or value <= 0:
        return 1.0, 2
    decade = 10.0 ** np.floor(np.log10(value))
    end = next(step * decade for step in (*STEPS, 10.0) if step * decade >= value * 0.999)
    return float(end), 5 if f"{end:e}".startswith("5") else 2


class TokenBars(QWidget):
    """A bar a token, the token below it.

    Args:
        describe: Words for a token, shown when the pointer rests on its bar.

    Signals:
        chosen: A bar was clicked, or reached by the arrow keys.
    """

    chosen = Signal(int)

    def __init__(self, theme: Theme, describe: Callable[[int], str]) -> None:
        super().__init__()
        self.theme = theme
        self.describe = describe
        self.names: list[str] = []
        self.values: np.ndarray = np.empty(0)
        self.hidden: list[bool] = []
        self.current = -1
        self.setAccessibleName(tr("Figure of each token"))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def minimumSizeHint(self) -> QSize:
        return QSize(160, 90)

    def show_values(self, names: list[str], values: list[float], hidden: list[bool], current: int) -> None:
        """Shows a value for each token, NaN for none."""
        self.names, self.values, self.hidden, self.current = names, np.array(values, float), hidden, current
        self.setAccessibleDescription(self.describe(current) if 0 <= current < len(names) else "")
        self.update()

    def area(self) -> QRectF:
        """Where the bars stand."""
        metrics = QFontMetricsF(small_font(self))
        longest = max((metrics.horizontalAdvance(name) for name in self.names), default=0.0)
        below = min(longest, NAME_SHARE * self.height()) + GAP
        return QRectF(LEFT, TOP, max(1.0, self.width() - LEFT - 2), max(1.0, self.height() - TOP - below))

    def token_at(self, x: float) -> int:
        """The token at a place from the left, -1 beside all."""
        area = self.area()
        index = int((x - area.left()) / area.width() * len(self.names)) if x >= area.left() else -1
        return index if 0 <= index < len(self.names) else -1

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self.names:
            return
        painter = QPainter(self)
        painter.setFont(small_font(self))
        tokens, metrics, area = self.theme.tokens, QFontMetricsF(small_font(self)), self.area()
        found = self.values[np.isfinite(self.values)]
        end, parts = round_end(float(found.max()) if found.size else 1.0)
        if area.height() / parts < metrics.height():
            parts = 1
        for part in range(parts + 1):
            y = area.bottom() - part / parts * area.height()
            painter.setPen(QColor(tokens.line))
            painter.drawLine(int(area.left()), int(y), int(area.right()), int(y))
            painter.setPen(QColor(tokens.soft))
            place = QRectF(0, y - metrics.height() / 2, LEFT - GAP, metrics.height())
            flags = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(place, flags, round_number(end * part / parts))
        width = area.width() / len(self.names)
        every = max(1, int(np.ceil(metrics.height() * CLOSE / width)))
        room = self.height() - area.bottom() - GAP
        for index, value in enumerate(self.values.tolist()):
            left = area.left() + index * width
            if np.isfinite(value):
                high = value / end * area.height()
                colour = QColor(tokens.accent if index == self.current else tokens.bad)
                bar = QRectF(left + 0.12 * width, area.bottom() - high, max(1.0, 0.76 * width), high)
                painter.fillRect(bar, colour)
            if index == self.current:
                painter.fillRect(QRectF(left, area.bottom(), width, 2), QColor(tokens.accent))
            if index % every == 0 or index == self.current:
                self._draw_name(painter, metrics, index, left + width / 2, area.bottom() + GAP, room, every)

    def _draw_name(
        self, painter: QPainter, metrics: QFontMetricsF, index: int, x: float, top: float, room: float, every: int
    ) -> None:
        tokens = self.theme.tokens
        near = every > 1 and index != self.current and self.current >= 0 and abs(index - self.current) < every
        if near:  # the chosen one is named in any case, and needs the room
            return
        font = painter.font()
        font.setBold(index == self.current or self.hidden[index])
        painter.save()
        painter.setFont(font)
        painter.setPen(QColor(tokens.ink if font.bold() else tokens.soft))
        painter.translate(x, top)
        painter.rotate(-90)
        name = QFontMetricsF(font).elidedText(self.names[index], Qt.TextElideMode.ElideRight, room)
        place = QRectF(-room, -metrics.height() / 2, room, metrics.height())
        painter.drawText(place, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, name)
        painter.restore()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        token = self.token_at(event.position().x())
        if event.button() == Qt.MouseButton.LeftButton and token >= 0:
            self.chosen.emit(token)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        move = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()))
        if move is None:
            super().keyPressEvent(event)
        elif 0 <= self.current + move < len(self.names):
            self.chosen.emit(self.current + move)

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            token = self.token_at(event.pos().x())
            if token >= 0:
                QToolTip.showText(event.globalPos(), self.describe(token), self)
            else:
                QToolTip.hideText()
            return True
        return super().event(event)


class DivergenceView(View):
    """KL at each token of the chosen text, and its mean over all probe texts in the course of the run."""

    title = mark("KL per token")
    hint = mark("How far the student's words are from the teacher's at each token, and on the mean over time")
    #: The same of taggers.
    tag_title = mark("KL per word")
    tag_hint = mark("How far the student's tags are from the teacher's at each word, and on the mean over time")

    def __init__(self, theme: Theme, state: SoftState, moment: Moment) -> None:
        super().__init__(theme)
        self.state = state
        self.moment = moment
        self._infos: list[SnapshotInfo] = []
        self._line: Line | None = None
        self.heading = QLabel()
        self.heading.setObjectName("soft")
        self.heading.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.bars = TokenBars(theme, self._tell)
        self.bars.chosen.connect(self._take)
        self.plot = TimePlot(theme, tr("Mean of the probe texts over time"), tr("nats"), x_label="")
        self.plot.setToolTip(tr("The mean over all tokens of the probe texts; click to go to a moment"))
        self.plot.picked.connect(moment.go_to_step)
        self.plot.setMinimumHeight(70)
        self.plot.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.heading)
        layout.addWidget(self.bars, 3)
        layout.addWidget(self.plot, 2)

    def clear(self) -> None:
        self._infos, self._line = [], None
        self.bars.show_values([], [], [], -1)

    def recolour(self) -> None:
        self.bars.update()
        self.plot.recolour()

    def redraw(self) -> None:
        data = self.state.text
        if data is None:
            return
        self.state.keep_choice()
        text, token = self.state.chosen
        self.bars.show_values(data.names(text), data.values(text), data.hidden(text), token)
        self.heading.setText(
            tr(
                "Text {number}: {figure} in nats, mean {mean} · curve: mean of all texts",
                number=text + 1,
                figure=data.shade_name,
                mean=number(data.mean(text)),
            )
        )
        infos = self.moment.infos
        if infos is not self._infos or self._line is None:
            self._infos = infos
            key = "nll" if data.said.kl is None else "kl"
            found = [(info.step, info.spoken.get(key, np.nan)) for info in infos]
            steps, means = np.array(found, float).reshape(-1, 2).T
            self._line = Line(data.shade_name, steps, means, lambda tokens: tokens.bad)
        self.plot.show_lines([self._line], data.said.step)

    def _take(self, token: int) -> None:
        self.state.choose(self.state.chosen[0], token)

    def _tell(self, token: int) -> str:
        data = self.state.text
        return "" if data is None else data.tell(self.state.chosen[0], token)
