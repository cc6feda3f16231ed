"""The alignment panel, layers: CKA of every teacher layer with every student layer, and one pair of them over time."""

from __future__ import annotations

from html import escape

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QFontMetricsF, QResizeEvent
from PySide6.QtWidgets import (
    QBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QSizePolicy,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from kdstudio.gui.language import mark, tr
from kdstudio.gui.monitor.align_state import AlignState, Pair, pair_name, pair_words
from kdstudio.gui.monitor.colour_bar import ColourBar
from kdstudio.gui.monitor.maps import Matrix, MatrixMap
from kdstudio.gui.monitor.palettes import Scale, shortened, small_font
from kdstudio.gui.monitor.text_words import has_blocks, layer_tick, layer_word
from kdstudio.gui.monitor.time_plot import Line, TimePlot
from kdstudio.gui.monitor.views import View
from kdstudio.gui.theme import Theme

SCALE = Scale(0.0, 1.0)
TICKS = ((0.0, "0"), (0.25, "0.25"), (0.5, "0.5"), (0.75, "0.75"), (1.0, "1"))
NARROW = 380
PADDING = 8
#: Bold words take more room than their plain ones.
WIDER = 1.25


class LayersView(View):
    """The map, and beside it the chosen pair over time and the best match of each teacher layer."""

    title = mark("Layers")
    share = 3
    hint = mark("CKA of every teacher layer with every student layer: 1 is the same up to rotation and scale")

    def __init__(self, theme: Theme, state: AlignState) -> None:
        super().__init__(theme)
        self.state = state
        self.legend = self._label(tr("Marks of the map"))
        self.legend.setToolTip(tr("Dots: the best match of each teacher layer; frames: pairs of the objective"))
        self.map = MatrixMap(theme, tr("CKA of teacher layers with student layers"), describe=self._describe)
        self.map.clicked.connect(self._clicked)
        self.bar = ColourBar(theme, tr("Scale of CKA"))
        self.bar.show_scale(SCALE, TICKS)
        self.heading = self._label(tr("Chosen pair"))
        self.plot = TimePlot(theme, tr("CKA of the chosen pair over time"), "", x_label="")
        self.plot.picked.connect(state.moment.go_to_step)
        self.plot.setToolTip(tr("CKA of the chosen pair over the run; click to go to a moment"))
        self.plot.setMinimumHeight(70)
        self.matches_title = QLabel(tr("Best match of each teacher layer"))
        self.matches_title.setObjectName("soft")
        self.matches = QListWidget()
        self.matches.setObjectName("strip")
        self.matches.setAccessibleName(tr("Best match of each teacher layer"))
        self.matches.setToolTip(
            tr("The student layer most alike to each teacher layer; choose one to see it over time")
        )
        self.matches.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.matches.setItemDelegate(_SmallPrint(self.matches))
        self.matches.setMinimumHeight(40)
        self.matches.itemActivated.connect(self._match_chosen)
        self.matches.itemClicked.connect(self._match_chosen)
        left, right = QWidget(), QWidget()
        for column, widgets in (
            (left, ((self.legend, 0), (self.map, 1), (self.bar, 0))),
            (right, ((self.heading, 0), (self.plot, 1), (self.matches_title, 0), (self.matches, 1))),
        ):
            inside = QVBoxLayout(column)
            inside.setContentsMargins(0, 0, 0, 0)
            inside.setSpacing(4)
            for widget, stretch in widgets:
                inside.addWidget(widget, stretch)
        self.sides = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        self.sides.setContentsMargins(0, 0, 0, 0)
        self.sides.setSpacing(12)
        self.sides.addWidget(left, 3)
        self.sides.addWidget(right, 2)

    @staticmethod
    def _label(name: str) -> QLabel:
        label = QLabel()
        label.setAccessibleName(name)
        label.setTextFormat(Qt.TextFormat.RichText)
        label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        return label

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        directions = QBoxLayout.Direction
        self.sides.setDirection(directions.TopToBottom if self.width() < NARROW else directions.LeftToRight)
        self.bar.set_inset(int(self.map.area().left()))
        self.draw_pair()

    def clear(self) -> None:
        self.map.show_matrix(None)
        self.matches.clear()

    def recolour(self) -> None:
        self.map.recolour()
        self.bar.update()
        self.plot.recolour()
        self.redraw()

    def redraw(self) -> None:
        now = self.state.now()
        if now is None:
            return
        info, table = now
        matches = self.state.best_matches()
        if self.state.chosen is None and matches:
            teacher, student, _ = max(matches, key=lambda match: match[2])
            self.state.chosen = self.state.pairs[0] if self.state.pairs else (teacher, student)
        names = [list(info.teacher_layers), list(info.student_layers)]
        if has_blocks(names[0]) and has_blocks(names[1]):
            names = [[layer_tick(name) for name in side] for side in names]
        self.map.show_matrix(Matrix(table, names[0], names[1], SCALE))
        self.map.set_marks(
            rings=[self._cell(pair) for pair in self.state.pairs],
            dots=[self._cell((teacher, student)) for teacher, student, _ in matches],
            chosen=self._cell(self.state.chosen) if self.state.chosen is not None else (-1, -1),
        )
        tokens = self.theme.tokens
        teacher, student, best, pair = tr("teacher"), tr("student"), tr("best"), tr("pair")
        marks = f'<span style="color:{tokens.teacher}">{teacher} ↓</span> '
        marks += f'<span style="color:{tokens.student}">{student} →</span> &nbsp;● {best}'
        self.legend.setText(marks + (f" &nbsp;▢ {pair}" if self.state.pairs else ""))
        self.bar.set_inset(int(self.map.area().left()))
        self._fill_matches(matches)
        self.draw_pair()

    def draw_pair(self) -> None:
        """Draws the chosen pair over time, with what has been read so far."""
        info, pair, now = self.state.moment.info, self.state.chosen, self.state.now()
        if info is None or pair is None or now is None:
            return
        steps, values = self.state.over_time(pair)
        line = Line(pair_name(*pair), steps, values, lambda tokens: tokens.accent)
        self.plot.show_lines([line], info.step, 0.0, 1.0)
        row, column = self._cell(pair)
        value = f"CKA <b>{now[1][row, column]:.3f}</b>" if row >= 0 and column >= 0 else ""
        metrics = self.heading.fontMetrics()
        room = self.heading.width() - metrics.horizontalAdvance("CKA 0.000   ") * WIDER
        self.heading.setText(f"{value} &nbsp;{escape(fitted_pair(pair, QFontMetricsF(metrics), room))}")
        self.heading.setToolTip(tr("{pair}: teacher's layer, student's layer", pair=pair_name(*pair)))

    def _fill_matches(self, matches: list[tuple[str, str, float]]) -> None:
        for row, (teacher, student, value) in enumerate(matches):
            if row >= self.matches.count():
                self.matches.addItem(QListWidgetItem())
            item = self.matches.item(row)
            words = f"{value:.2f}  {pair_name(teacher, student)}"
            if item.text() != words:
                item.setText(words)
                item.setToolTip(words)
                item.setData(Qt.ItemDataRole.UserRole, (teacher, student))
        while self.matches.count() > len(matches):
            self.matches.takeItem(self.matches.count() - 1)

    def _cell(self, pair: Pair) -> tuple[int, int]:
        now = self.state.now()
        if now is None or pair[0] not in now[0].teacher_layers or pair[1] not in now[0].student_layers:
            return (-1, -1)
        info = now[0]
        return info.teacher_layers.index(pair[0]), info.student_layers.index(pair[1])

    def _describe(self, row: int, column: int) -> str:
        pair = self._pair(row, column)
        assert self.map.matrix is not None
        assert pair is not None
        value = float(self.map.matrix.values[row, column])
        lines = [
            tr(
                "teacher's {teacher}, student's {student}: CKA {value:.3f}",
                teacher=pair[0],
                student=pair[1],
                value=value,
            )
        ]
        if pair in self.state.pairs:
            lines.append(tr("a pair of the objective"))
        return "\n".join([*lines, tr("click to see the pair over time")])

    def _clicked(self, row: int, column: int) -> None:
        pair = self._pair(row, column)
        if pair is not None:
            self.choose(pair)

    def _pair(self, row: int, column: int) -> Pair | None:
        """The layers of a cell, by their whole names."""
        now = self.state.now()
        return None if now is None else (now[0].teacher_layers[row], now[0].student_layers[column])

    def _match_chosen(self, item: QListWidgetItem) -> None:
        teacher, student = item.data(Qt.ItemDataRole.UserRole)
        self.choose((teacher, student))

    def choose(self, pair: Pair) -> None:
        """Looks at a pair of layers over time."""
        self.state.chosen = pair
        self.redraw()


class _SmallPrint(QStyledItemDelegate):
    """Rows in the font of the map's names, so that two layer names fit into one."""

    def __init__(self, matches: QListWidget) -> None:
        super().__init__(matches)
        self.list = matches

    def initStyleOption(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> None:
        super().initStyleOption(option, index)
        option.font = small_font(self.list)  # type: ignore[attr-defined]
        metrics = QFontMetricsF(small_font(self.list))
        value, _, _ = (index.data() or "").partition(" ")
        room = self.list.viewport().width() - metrics.horizontalAdvance(f"{value}  ") - 2 * PADDING
        pair = index.data(Qt.ItemDataRole.UserRole)
        option.text = f"{value}  {fitted_pair(pair, metrics, room)}"  # type: ignore[attr-defined]


def fitted_pair(pair: Pair, metrics: QFontMetricsF, room: float) -> str:
    """A pair by name, both layers shortened where there is no room."""
    name = pair_words(*pair)
    if metrics.horizontalAdvance(name) > room:
        name = pair_name(*(shortened(layer_word(layer)) for layer in pair))
    return metrics.elidedText(name, Qt.TextElideMode.ElideRight, room)
