"""A legend above its plot, where it hides no curve. A click on an entry hides its curves or shows them again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetricsF, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QAbstractButton, QFrame, QScrollArea, QWidget

from kdstudio.gui.language import mark, tr
from kdstudio.gui.theme import Theme, Tokens
from kdstudio.gui.widgets.flow import FlowLayout

ROWS = 3
SAMPLE = 20
GAP = 5
PAD = 4
DASHES = {
    "solid": Qt.PenStyle.SolidLine,
    "dash": Qt.PenStyle.DashLine,
    "dot": Qt.PenStyle.DotLine,
    "dashdot": Qt.PenStyle.DashDotLine,
}


@dataclass(frozen=True)
class Entry:
    """A line of the legend: its name, colour and dash, and words for its tooltip."""

    name: str
    colour: Callable[[Tokens], str]
    dash: str = "solid"
    dots: bool = False
    tip: str = ""


class LegendEntry(QAbstractButton):
    """A piece of the curve and its name; struck out while the curve is hidden."""

    def __init__(self, entry: Entry, theme: Theme) -> None:
        super().__init__()
        self.entry = entry
        self.theme = theme
        self.setCheckable(True)
        self.setChecked(True)
        self.setText(entry.name)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.alone_asked = False
        self._name()
        self.toggled.connect(lambda _: self._name())

    def _name(self) -> None:
        form = mark("{name}, shown") if self.isChecked() else mark("{name}, hidden")
        self.setAccessibleName(tr(form, name=self.entry.name))
        lines = [self.entry.tip, tr("Click to hide or show it, Shift+click to show it alone")]
        self.setToolTip("\n".join(line for line in lines if line))

    def sizeHint(self) -> QSize:
        metrics = QFontMetricsF(self.font())
        width = 2 * PAD + SAMPLE + GAP + metrics.horizontalAdvance(self.entry.name) + 1
        return QSize(int(width + 0.999), int(metrics.height()) + 4)

    def minimumSizeHint(self) -> QSize:
        hint = self.sizeHint()
        return QSize(min(hint.width(), 80), hint.height())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        self.alone_asked = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        super().keyPressEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.alone_asked = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        super().mousePressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        tokens, on = self.theme.tokens, self.isChecked()
        whole = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        if self.underMouse() or self.hasFocus():
            painter.setPen(QColor(tokens.accent) if self.hasFocus() else Qt.PenStyle.NoPen)
            painter.setBrush(QColor(tokens.raised))
            painter.drawRoundedRect(whole, 4, 4)
        middle = whole.center().y()
        colour = QColor(self.entry.colour(tokens) if on else tokens.faint)
        pen = QPen(colour, 2.0 if on else 1.0, DASHES[self.entry.dash])
        pen.setCapStyle(Qt.PenCapStyle.FlatCap)
        painter.setPen(pen)
        painter.drawLine(QPointF(PAD, middle), QPointF(PAD + SAMPLE, middle))
        if self.entry.dots:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colour)
            painter.drawEllipse(QPointF(PAD + SAMPLE / 2, middle), 2.6, 2.6)
        font = self.font()
        font.setStrikeOut(not on)
        painter.setFont(font)
        painter.setPen(QColor(tokens.ink if on else tokens.faint))
        place = whole.adjusted(PAD + SAMPLE + GAP, 0, -PAD + 1, 0)
        words = QFontMetricsF(font).elidedText(self.entry.name, Qt.TextElideMode.ElideMiddle, place.width())
        painter.drawText(place, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, words)


class Legend(QScrollArea):
    """Entries in rows, at most three of them at once; more are reached by scrolling.

    One entry takes part in the tab order; arrow keys go to the others, Space hides and shows.

    Signals:
        changed: Other entries are hidden now.
    """

    changed = Signal()

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.hidden: set[str] = set()
        self.entries: list[LegendEntry] = []
        self.setAccessibleName(tr("Legend"))
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._inside = QWidget()
        self._flow = FlowLayout(self._inside, across=6)
        self.setWidget(self._inside)

    def show_entries(self, entries: Sequence[Entry]) -> None:
        """Shows these; what is hidden stays so."""
        if [button.entry for button in self.entries] == list(entries):
            return
        focused = next((button.entry.name for button in self.entries if button.hasFocus()), None)
        for button in self.entries:
            self._flow.removeWidget(button)
            button.hide()
            button.deleteLater()
        self.entries = []
        for entry in entries:
            button = LegendEntry(entry, self.theme)
            button.setChecked(entry.name not in self.hidden)
            button._name()
            button.clicked.connect(lambda checked=False, button=button: self._clicked(button))
            button.installEventFilter(self)
            self._flow.addWidget(button)
            button.show()  # a layout counts what was never shown as nothing
            self.entries.append(button)
        self._stop_at(next((button for button in self.entries if button.entry.name == focused), None))
        if focused is not None and self.entries:
            self._stop().setFocus()
        self._fit()

    def shown(self, name: str) -> bool:
        return name not in self.hidden

    def set_hidden(self, names: set[str]) -> None:
        """Hides these and shows all others."""
        if names != self.hidden:
            self.hidden = set(names)
            for button in self.entries:
                button.setChecked(button.entry.name not in self.hidden)
            self.changed.emit()

    def recolour(self) -> None:
        for button in self.entries:
            button.update()

    # -- hiding ----------------------------------------------------------------------------------------------

    def _clicked(self, button: LegendEntry) -> None:
        name = button.entry.name
        if button.alone_asked:
            others = {other.entry.name for other in self.entries if other is not button}
            names = set() if self.hidden == others else others
            button.setChecked(True)
        else:
            names = self.hidden - {name} if button.isChecked() else self.hidden | {name}
        self._stop_at(button)
        self.set_hidden(names)

    # -- keyboard --------------------------------------------------------------------------------------------

    def _stop(self) -> LegendEntry:
        """The entry in the tab order."""
        return next(button for button in self.entries if button.focusPolicy() is not Qt.FocusPolicy.NoFocus)

    def _stop_at(self, chosen: LegendEntry | None) -> None:
        for index, button in enumerate(self.entries):
            stop = button is chosen or (chosen is None and index == 0)
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus if stop else Qt.FocusPolicy.NoFocus)

    def eventFilter(self, watched: QWidget, event: QEvent) -> bool:  # type: ignore[override]
        if event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent) and watched in self.entries:
            moves = {Qt.Key.Key_Left: -1, Qt.Key.Key_Up: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Down: 1}
            move = moves.get(Qt.Key(event.key()))
            if move is not None:
                place = self.entries.index(watched) + move
                if 0 <= place < len(self.entries):
                    self._stop_at(self.entries[place])
                    self.entries[place].setFocus(Qt.FocusReason.TabFocusReason)
                    self.ensureWidgetVisible(self.entries[place], 0, 2)
                return True
        return super().eventFilter(watched, event)

    # -- size ------------------------------------------------------------------------------------------------

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        """As high as its entries, up to three rows."""
        self.setVisible(bool(self.entries))
        if self.entries:
            row = self.entries[0].sizeHint().height()
            wanted = self._flow.heightForWidth(max(self.width(), 1))
            most = ROWS * row + (ROWS - 1) * 2
            if wanted > most:
                wanted = most
            if self.height() != wanted or self.minimumHeight() != wanted:
                self.setFixedHeight(wanted)
