"""The quality panel, classes: the accuracy of each network on each class, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from PySide6.QtCore import QEvent, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetricsF, QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QScrollArea, QSizePolicy, QToolTip, QVBoxLayout, QWidget

from kdstudio.gui.language import mark, tr
from kdstudio.gui.monitor.palettes import small_font
from kdstudio.gui.monitor.quality_legend import NetworkLegend
from kdstudio.gui.monitor.quality_state import Facts, QualityState, QualityView, colour_of
from kdstudio.gui.monitor.words import percent
from kdstudio.gui.theme import Theme
from kdstudio.gui.words import network_word

#: What can be drawn of kinds of tags.
MEASURES = {"f1": mark("F1"), "precision": mark("Precision"), "recall": mark("Recall")}
ORDERS = {"class": mark("In order"), "worst": mark("Worst first"), "gap": mark("Largest gap to the teacher")}
GAP = 6
NARROWEST_BAR = 7
NARROWEST_CLASS = 46
WIDEST_BAR = 30
SCALE_WIDTH = 36
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)


class ClassBars(QWidget):
    """A group of upright bars for each class. Arrow keys go from class to class."""

    visited = Signal(int)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.facts: Facts | None = None
        self.order: list[int] = []
        self.at = -1
        self.setAccessibleName(tr("Accuracy by class"))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def show_facts(self, facts: Facts | None, order: list[int]) -> None:
        """Shows the classes of facts in an order."""
        self.facts, self.order = facts, order
        self.at = min(self.at, len(order) - 1)
        self.updateGeometry()
        self.setMinimumWidth(self._narrowest())
        self._tell()
        self.update()

    def _narrowest(self) -> int:
        networks = len(self.facts.networks) if self.facts is not None else 1
        return SCALE_WIDTH + len(self.order) * max(NARROWEST_CLASS, networks * NARROWEST_BAR + 2 * GAP)

    def sizeHint(self) -> QSize:
        return QSize(self._narrowest(), 120)

    def words(self, place: int) -> str:
        """What is known of a class."""
        assert self.facts is not None
        label = self.order[place]
        parts = []
        for name, entry in self.facts.networks.items():
            found = entry["per_class"][label][self.facts.measure]
            parts.append(f"{network_word(name)} {percent(found) if found is not None else '–'}")
        count = max(entry["per_class"][label]["count"] for entry in self.facts.networks.values())
        name, shares = self.facts.classes[label], ", ".join(parts)
        if self.facts.measure != "accuracy":
            measure = tr(MEASURES[self.facts.measure])
            if not count:  # while a run goes on they are not recorded
                return tr("{name}, {measure}: {shares}", name=name, measure=measure, shares=shares)
            return tr(
                "{name}, {measure}: {shares}; there are {count:,}",
                name=name,
                measure=measure,
                shares=shares,
                count=count,
            )
        return tr("{name}: {shares} of {count:,} samples", name=name, shares=shares, count=count)

    def _tell(self) -> None:
        self.setAccessibleDescription(self.words(self.at) if self.facts is not None and self.at >= 0 else "")

    # -- geometry --------------------------------------------------------------------------------------------

    def _area(self) -> QRectF:
        line = QFontMetricsF(small_font(self)).height()
        return QRectF(SCALE_WIDTH, 6, max(1, self.width() - SCALE_WIDTH), max(1.0, self.height() - line - 10))

    def _pitch(self) -> float:
        networks = len(self.facts.networks) if self.facts is not None else 1
        widest = networks * WIDEST_BAR + 4 * GAP
        return min(self._area().width() / max(1, len(self.order)), widest)

    def place_at(self, x: float) -> int:
        """The class at x, counted in the shown order; -1 for none."""
        place = int((x - self._area().left()) // self._pitch()) if self.order else -1
        return place if 0 <= place < len(self.order) else -1

    def spot(self, place: int) -> QRectF:
        """The room of a class."""
        area, pitch = self._area(), self._pitch()
        return QRectF(area.left() + place * pitch, area.top(), pitch, self.height() - area.top())

    # -- drawing ---------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        if self.facts is None or not self.order:
            return
        painter = QPainter(self)
        painter.setFont(small_font(self))
        tokens, metrics, area = self.theme.tokens, QFontMetricsF(small_font(self)), self._area()
        ticks = TICKS if area.height() > 5 * metrics.height() else (0.0, 1.0)
        for tick in ticks:
            y = area.bottom() - tick * area.height()
            painter.setPen(QColor(tokens.line))
            painter.drawLine(int(area.left()), int(y), self.width(), int(y))
            painter.setPen(QColor(tokens.soft))
            place = QRectF(0, y - metrics.height() / 2, SCALE_WIDTH - 6, metrics.height())
            flags = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(place, flags, f"{100 * tick:.0f} %" if tick == 1 else f"{100 * tick:.0f}")
        seen = event.rect()
        for number, label in enumerate(self.order):
            spot = self.spot(number)
            if spot.right() >= seen.left() and spot.left() <= seen.right():
                self._draw_class(painter, number, label, spot, area, metrics)

    def _draw_class(
        self, painter: QPainter, place: int, label: int, spot: QRectF, area: QRectF, metrics: QFontMetricsF
    ) -> None:
        assert self.facts is not None
        tokens = self.theme.tokens
        if place == self.at and self.hasFocus():
            painter.fillRect(spot, QColor(tokens.raised))
        networks = self.facts.networks
        width = (spot.width() - 2 * GAP) / len(networks)
        for index, (name, entry) in enumerate(networks.items()):
            share = entry["per_class"][label][self.facts.measure]
            left = spot.left() + GAP + index * width
            if share is None:
                continue
            height = share * area.height()
            bar = QRectF(left, area.bottom() - height, max(1.0, width - 1), height)
            painter.fillRect(bar, QColor(colour_of(name, tokens)))
            if height < 1:  # nothing right is something to see too
                painter.fillRect(QRectF(left, area.bottom() - 1, width - 1, 1), QColor(tokens.bad))
        painter.setPen(QColor(tokens.ink if place == self.at and self.hasFocus() else tokens.soft))
        below = QRectF(spot.left() + 1, area.bottom() + 3, spot.width() - 2, metrics.height())
        text = metrics.elidedText(self.facts.classes[label], Qt.TextElideMode.ElideMiddle, below.width())
        painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, text)

    # -- pointer and keys ------------------------------------------------------------------------------------

    def _visit(self, place: int) -> None:
        self.at = place
        self._tell()
        self.update()
        self.visited.emit(place)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        place = self.place_at(event.position().x())
        if place >= 0:
            self._visit(place)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        moves = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Home: -(10**6), Qt.Key.Key_End: 10**6}
        move = moves.get(Qt.Key(event.key()))
        if move is None or not self.order:
            super().keyPressEvent(event)
            return
        place = max(0, min(len(self.order) - 1, self.at + move))
        self._visit(place)
        where = self.spot(place).center().toPoint()
        QToolTip.showText(self.mapToGlobal(where), self.words(place), self)

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            place = self.place_at(event.pos().x())
            if place >= 0 and self.facts is not None:
                QToolTip.showText(event.globalPos(), self.words(place), self)
            else:
                QToolTip.hideText()
            return True
        return super().event(event)


class ClassesView(QualityView):
    """Bars of teacher, student and baseline for each class; many classes are scrolled through."""

    title = mark("Classes")
    hint = mark("Accuracy of each network on each class")
    needs = ("per_tag", "per_class")
    hints = {"f1": mark("F1, precision and recall of each network on each kind of tag")}
    reasons = {
        "perplexity": mark(
            "A language model has no classes: it chooses among thousands of tokens. The likeliest ones are under "
            "Soft targets."
        )
    }

    def __init__(self, theme: Theme, state: QualityState) -> None:
        super().__init__(theme, state)
        self.order = QComboBox()
        self.order.setAccessibleName(tr("Order of the classes"))
        self.order.setToolTip(tr("The order in which classes stand"))
        for key, words in ORDERS.items():
            self.order.addItem(tr(words), key)
        self.order.activated.connect(lambda _: self.redraw())
        self.measure = QComboBox()
        self.measure.setAccessibleName(tr("Measure of the kinds of tags"))
        self.measure.setToolTip(
            tr(
                "Precision: how much of what is said is right. Recall: how much of what is there is found. F1: their "
                "harmonic mean."
            )
        )
        for key, words in MEASURES.items():
            self.measure.addItem(tr(words), key)
        self.measure.activated.connect(lambda _: self.redraw())
        self.measure.hide()
        row = QHBoxLayout(self.options)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.measure)
        row.addWidget(self.order)
        self.legend = NetworkLegend(theme)
        self.bars = ClassBars(theme)
        self.area = QScrollArea()
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setWidgetResizable(True)
        self.area.setWidget(self.bars)
        self.area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.area.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.bars.visited.connect(self._reveal)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.legend)
        layout.addWidget(self.area, 1)

    def clear(self) -> None:
        self.bars.show_facts(None, [])

    def recolour(self) -> None:
        self.legend.recolour()
        self.bars.update()

    def facts(self) -> Facts | None:
        """The facts in force; of taggers with the kinds of tags as classes."""
        facts = self.usable()
        kinds = facts is not None and any("per_tag" in entry for entry in facts.networks.values())
        self.measure.setVisible(kinds)
        return of_kinds(facts, str(self.measure.currentData())) if facts is not None and kinds else facts

    def redraw(self) -> None:
        facts = self.facts()
        if facts is None:
            return
        has_teacher = "teacher" in facts.networks
        self.order.model().item(list(ORDERS).index("gap")).setEnabled(has_teacher)  # type: ignore[attr-defined]
        if not has_teacher and self.order.currentData() == "gap":
            self.order.setCurrentIndex(0)
        self.legend.show_facts(facts, {name: percent(entry[facts.measure]) for name, entry in facts.networks.items()})
        self.bars.show_facts(facts, ordered(facts, str(self.order.currentData())))

    def table(self) -> Sequence[Sequence[object]]:
        facts = self.facts()
        if facts is None:
            return []
        if facts.measure != "accuracy":
            return _kind_rows(facts, ordered(facts, str(self.order.currentData())))
        rows: list[Sequence[object]] = [("samples", "class", "count", *facts.networks)]
        for label in ordered(facts, str(self.order.currentData())):
            entries = [entry["per_class"][label] for entry in facts.networks.values()]
            shares = [entry["accuracy"] for entry in entries]
            rows.append((facts.words, facts.classes[label], entries[0]["count"], *shares))
        return rows

    def _reveal(self, place: int) -> None:
        spot = self.bars.spot(place)
        self.area.ensureVisible(int(spot.center().x()), 0, int(spot.width()), 0)


def of_kinds(facts: Facts, measure: str) -> Facts:
    """The facts of taggers with kinds of spans as classes, or of tags without spans these; see `Facts.measure`."""
    kinds = sorted(set().union(*(entry.get("per_tag", {}) for entry in facts.networks.values())))
    none = {"count": 0, **dict.fromkeys(MEASURES)}
    networks = {
        name: {**entry, "per_class": [entry.get("per_tag", {}).get(kind, none) for kind in kinds]}
        for name, entry in facts.networks.items()
    }
    return replace(facts, classes=kinds, networks=networks, measure=measure)


def _kind_rows(facts: Facts, order: list[int]) -> list[Sequence[object]]:
    """All three measures of each kind of tag."""
    heads = [f"{name} {measure}" for name in facts.networks for measure in MEASURES]
    rows: list[Sequence[object]] = [("samples", "kind", "count", *heads)]
    for label in order:
        entries = [entry["per_class"][label] for entry in facts.networks.values()]
        figures = [entry[measure] for entry in entries for measure in MEASURES]
        rows.append((facts.words, facts.classes[label], max(entry["count"] for entry in entries), *figures))
    return rows


def ordered(facts: Facts, order: str) -> list[int]:
    """The classes in an order; those without samples come last."""

    def share(network: str, label: int) -> float | None:
        entry: dict[str, Any] = facts.networks.get(network, {})
        return entry["per_class"][label][facts.measure] if entry else None

    def rank(label: int) -> tuple[float, int]:
        own = share("student", label)
        if order == "class" or own is None:
            return (0.0 if order == "class" else 2.0, label)
        taught = share("teacher", label)
        return (own - taught if order == "gap" and taught is not None else own, label)

    return sorted(range(len(facts.classes)), key=rank)
