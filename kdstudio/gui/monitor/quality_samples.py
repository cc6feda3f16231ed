"""The quality panel, samples: the pictures that the student gets most wrong, or on which it leaves its teacher."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QImage, QPainter, QPen
from PySide6.QtWidgets import (
    QComboBox,
    QLabel,
    QListView,
    QListWidget,
    QListWidgetItem,
    QSizePolicy,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
)

from kdstudio.gui.language import mark, tr
from kdstudio.gui.monitor.palettes import small_font
from kdstudio.gui.monitor.probe_strip import picture
from kdstudio.gui.monitor.quality_state import NETWORKS, QualityState, QualityView, colour_of
from kdstudio.gui.theme import Theme
from kdstudio.gui.words import network_word, split_word
from kdstudio.project.runs.evaluation import Samples

LISTS = {"worst": mark("Worst"), "disagreeing": mark("Furthest from the teacher")}
HINTS = {
    "worst": mark("Largest loss of the student first"),
    "disagreeing": mark("Largest KL(teacher || student) first"),
}
SIDE = 72
MARGIN = 6
TEXT_WIDTH = 118
#: Of a sample that is read and not looked at; and its letters in the tooltip.
READ_WIDTH, TOLD = 300, 600
NONE_YET = mark("The pictures are kept by the evaluation at the end of a run; this run was evaluated without them.")


class SamplesView(QualityView):
    """Pictures, each with its label and what the networks say."""

    title = mark("Samples")
    hint = mark("The samples that are most wrong, or furthest from the teacher")
    needs = ("worst",)
    reasons = {
        "f1": mark(
            "The evaluation keeps no single sentences. A few, with the tags of each word, are under Soft targets."
        ),
        "perplexity": mark(
            "A language model has no labelled samples. A few texts, token by token, are under Soft targets."
        ),
    }

    def __init__(self, theme: Theme, state: QualityState) -> None:
        super().__init__(theme, state)
        self._shown: tuple[Samples, str] | None = None
        self.which = QComboBox()
        self.which.setAccessibleName(tr("Which samples"))
        for key, words in LISTS.items():
            self.which.addItem(tr(words), key)
            self.which.setItemData(self.which.count() - 1, tr(HINTS[key]), Qt.ItemDataRole.ToolTipRole)
        self.which.setToolTip(tr("Largest loss of the student first, or largest distance from the teacher first"))
        self.which.activated.connect(lambda _: self.redraw())
        self.options = self.which
        self.caption = QLabel()
        self.caption.setObjectName("soft")
        self.caption.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.list = QListWidget()
        self.list.setObjectName("strip")
        self.list.setAccessibleName(tr("Samples"))
        self.list.setViewMode(QListView.ViewMode.IconMode)
        self.list.setFlow(QListView.Flow.LeftToRight)
        self.list.setWrapping(True)
        self.list.setResizeMode(QListView.ResizeMode.Adjust)
        self.list.setMovement(QListView.Movement.Static)
        self.list.setUniformItemSizes(True)
        self.list.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.list.setItemDelegate(_Tile(self))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.caption)
        layout.addWidget(self.list, 1)

    @property
    def samples(self) -> Samples | None:
        return self._shown[0] if self._shown is not None else None

    def clear(self) -> None:
        self._shown = None
        self.list.clear()
        self.caption.clear()

    def recolour(self) -> None:
        self.list.viewport().update()

    def redraw(self) -> None:
        facts = self.state.facts()
        samples = facts.samples if facts is not None else None
        if samples is None:
            self.clear()
            self.caption.setText(tr(NONE_YET) if facts is not None else "")
            return
        disagreeing = list(LISTS).index("disagreeing")
        has = len(samples.lists.get("disagreeing", ())) > 0
        self.which.model().item(disagreeing).setEnabled(has)  # type: ignore[attr-defined]
        if not has and self.which.currentIndex() == disagreeing:
            self.which.setCurrentIndex(0)
        which = str(self.which.currentData())
        if self._shown is not None and self._shown[0] is samples and self._shown[1] == which:
            return
        chosen = self.list.currentRow()
        self._shown = (samples, which)
        self.list.clear()
        for row in samples.lists.get(which, []):
            item = QListWidgetItem()
            item.setData(Qt.ItemDataRole.UserRole, int(row))
            if samples.images is not None:
                item.setData(Qt.ItemDataRole.DecorationRole, picture(samples.images[row]))
            side = SIDE if samples.texts is None else READ_WIDTH
            item.setSizeHint(QSize(side + TEXT_WIDTH + 3 * MARGIN, SIDE + 2 * MARGIN))
            words = self.words(int(row))
            item.setToolTip(words)
            item.setData(Qt.ItemDataRole.AccessibleTextRole, words)
            self.list.addItem(item)
        if 0 <= chosen < self.list.count():
            self.list.setCurrentRow(chosen)
        words = facts.words if facts is not None else ""
        if samples.split == "probe samples":
            words = tr("the probe samples, {samples}", samples=words)
        self.caption.setText(f"{tr(HINTS[which])} · {words}")

    def says(self, row: int) -> list[tuple[str, str, bool]]:
        """(network, what it says and how sure it is, whether that is the label) of each network."""
        samples = self.samples
        assert samples is not None
        found = []
        for network in NETWORKS:
            if network in samples.predicted:
                said = int(samples.predicted[network][row])
                sure = 100 * float(samples.confidence[network][row])
                found.append((network, f"{samples.classes[said]} {sure:.0f} %", said == int(samples.labels[row])))
        return found

    def words(self, row: int) -> str:
        samples = self.samples
        assert samples is not None
        label = samples.classes[int(samples.labels[row])]
        number, split = int(samples.indices[row]), split_word(samples.split)
        lines = [tr("Sample {number} of {split}, label {label}", number=number, split=split, label=label)]
        for name, said, right in self.says(row):
            form = mark("{network}: {said}, right") if right else mark("{network}: {said}, wrong")
            lines.append(tr(form, network=network_word(name), said=said))
        if samples.texts is not None:
            text = samples.texts[row]
            lines.append(text[:TOLD] + ("..." if len(text) > TOLD else ""))
        return "\n".join(lines)

    def table(self) -> Sequence[Sequence[object]]:
        samples = self.samples
        if samples is None or self._shown is None:
            return []
        names = list(samples.predicted)
        heads = [f"{name} {what}" for name in names for what in ("says", "confidence")]
        rows: list[Sequence[object]] = [("split", "index", "label", *heads)]
        for row in samples.lists.get(self._shown[1], []):
            said: list[object] = []
            for name in names:
                said += [samples.classes[int(samples.predicted[name][row])], float(samples.confidence[name][row])]
            label = samples.classes[int(samples.labels[row])]
            rows.append((samples.split, int(samples.indices[row]), label, *said))
        return rows


class _Tile(QStyledItemDelegate):
    """Picture at the left, label and answers beside it; a wrong answer has a cross before it, a right one a tick."""

    def __init__(self, view: SamplesView) -> None:
        super().__init__(view)
        self.view = view

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        view, tokens = self.view, self.view.theme.tokens
        samples = view.samples
        if samples is None:
            return
        rect: QRect = option.rect  # type: ignore[attr-defined]
        state: QStyle.StateFlag = option.state  # type: ignore[attr-defined]
        row = int(index.data(Qt.ItemDataRole.UserRole))
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if state & (QStyle.StateFlag.State_Selected | QStyle.StateFlag.State_MouseOver):
            painter.setPen(Qt.PenStyle.NoPen)
            chosen = state & QStyle.StateFlag.State_Selected
            painter.setBrush(QColor(tokens.selection if chosen else tokens.raised))
            painter.drawRoundedRect(rect, 6, 6)
        if state & QStyle.StateFlag.State_HasFocus:
            painter.setPen(QPen(QColor(tokens.accent), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(rect).adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
        wide = SIDE if samples.texts is None else READ_WIDTH
        frame = QRect(rect.left() + MARGIN, rect.top() + MARGIN, wide, SIDE)
        if samples.texts is None:
            self._draw_picture(painter, frame, index.data(Qt.ItemDataRole.DecorationRole), row)
        else:
            self._draw_text(painter, frame, samples.texts[row])
        painter.setFont(small_font(view.list))
        metrics = painter.fontMetrics()
        left = frame.right() + MARGIN
        lines = 1 + len(view.says(row))
        top = frame.top() + max(0, (SIDE - lines * (metrics.height() + 1)) // 2)
        room = rect.right() - left - MARGIN
        painter.setPen(QColor(tokens.ink))
        label = samples.classes[int(samples.labels[row])]
        self._line(painter, metrics, QRect(left, top, room, metrics.height()), tr("label {label}", label=label))
        for place, (network, said, right) in enumerate(view.says(row), 1):
            where = QRect(left, top + place * (metrics.height() + 1), room, metrics.height())
            painter.setPen(QColor(colour_of(network, tokens)))
            self._line(painter, metrics, where, f"{'✓' if right else '✗'} {said}")
        painter.restore()

    @staticmethod
    def _line(painter: QPainter, metrics: QFontMetrics, where: QRect, words: str) -> None:
        text = metrics.elidedText(words, Qt.TextElideMode.ElideRight, where.width())
        painter.drawText(where, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, text)

    def _draw_text(self, painter: QPainter, frame: QRect, text: str) -> None:
        """As many lines as there is room for, the last one with dots where there are more."""
        tokens = self.view.theme.tokens
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(tokens.field))
        painter.drawRoundedRect(frame, 4, 4)
        painter.setFont(small_font(self.view.list))
        painter.setPen(QColor(tokens.ink))
        inner = frame.adjusted(MARGIN, MARGIN // 2, -MARGIN, -MARGIN // 2)
        metrics = painter.fontMetrics()
        words, lines, most = text.split(), [""], max(1, inner.height() // metrics.height())
        for word in words:
            longer = f"{lines[-1]} {word}".strip()
            if metrics.horizontalAdvance(longer) <= inner.width() or not lines[-1]:
                lines[-1] = longer
            elif len(lines) < most:
                lines.append(word)
            else:
                lines[-1] = metrics.elidedText(f"{longer} ...", Qt.TextElideMode.ElideRight, inner.width())
                break
        for place, line in enumerate(lines):
            where = QRect(inner.left(), inner.top() + place * metrics.height(), inner.width(), metrics.height())
            self._line(painter, metrics, where, line)

    def _draw_picture(self, painter: QPainter, frame: QRect, image: QImage | None, row: int) -> None:
        tokens = self.view.theme.tokens
        if image is None:
            painter.setPen(QPen(QColor(tokens.line), 1))
            painter.setBrush(QColor(tokens.field))
            painter.drawRoundedRect(QRectF(frame).adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
            painter.setPen(QColor(tokens.soft))
            samples = self.view.samples
            number = int(samples.indices[row]) if samples is not None else row
            painter.drawText(frame, Qt.AlignmentFlag.AlignCenter, f"#{number}")
            return
        fitted = QRect(frame)
        fitted.setSize(image.size().scaled(frame.size(), Qt.AspectRatioMode.KeepAspectRatio))
        fitted.moveCenter(frame.center())
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, image.width() > SIDE)
        painter.drawImage(fitted, image)
