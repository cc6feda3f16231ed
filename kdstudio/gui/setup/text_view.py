"""What is in texts: their lengths in tokens, and some of them to read."""

from __future__ import annotations

import html
from typing import Any

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QHelpEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QLabel, QSizePolicy, QToolTip, QVBoxLayout, QWidget

from kdstudio.gui.language import mark, tr
from kdstudio.gui.theme import Theme

HEIGHT = 76
#: Texts that are shown, of all classes together.
MOST = 8
FORMS = {
    "token-classification": mark(
        "{total:,} sentences with {classes} tags, as tokens of {tokenizer} ({vocabulary:,} of them)."
    ),
    "classification": mark("{total:,} texts in {classes} classes, as tokens of {tokenizer} ({vocabulary:,} of them)."),
    "causal-lm": mark("{total:,} blocks of text, as tokens of {tokenizer} ({vocabulary:,} of them)."),
    "masked-lm": mark("{total:,} blocks of text, as tokens of {tokenizer} ({vocabulary:,} of them)."),
}


def in_words(report: dict[str, Any]) -> str:
    """What texts are, in sentences."""
    text, tokens = report["text"], report["text"]["tokens"]
    total = sum(report["samples"].values())
    name = str(text["tokenizer"]).rstrip("/").rpartition("/")[2]
    found = tr(
        FORMS[text["task"]],
        total=total,
        classes=len(report["classes"]),
        tokenizer=name,
        vocabulary=text["vocabulary"],
    )
    if text["task"] not in ("classification", "token-classification"):
        return (
            found
            + " "
            + tr("{tokens:,} tokens in all, {size} in a block.", tokens=tokens["total"], size=tokens["longest"])
        )
    return (
        found
        + " "
        + tr(
            "Half of them have {median:.0f} tokens or fewer; {share:.1f} % have more than {most} and are cut there.",
            median=tokens["median"],
            share=100 * tokens["cut"],
            most=text["facts"]["max_tokens"],
        )
    )


class TokenHistogram(QWidget):
    """How long the texts are. Painted; a tooltip tells the number of texts under the pointer."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self._counts: list[int] = []
        self._edges: list[float] = []
        self._most: float | None = None
        self._cut = 0.0
        self._open = False
        self.setAccessibleName(tr("Tokens of the texts"))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(HEIGHT)
        theme.changed.connect(self.update)

    def show_tokens(self, tokens: dict[str, Any], most: int | None = None) -> None:
        """Takes over the engine's answer; texts are cut at `most` tokens."""
        self._most = most
        self._cut = float(tokens["cut"])
        self._open = bool(tokens["beyond"])
        self._counts, self._edges = tokens["counts"], tokens["edges"]
        words = tr(
            "{low} to {high} tokens, half have {median:.0f} or fewer",
            low=tokens["shortest"],
            high=tokens["longest"],
            median=tokens["median"],
        )
        self.setAccessibleDescription(words if most is None else f"{words}; {self.cut_words()}")
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(320, HEIGHT)

    def _place(self, x: float) -> int:
        return min(len(self._counts) - 1, max(0, int(x / max(1, self.width()) * len(self._counts))))

    def cut_words(self) -> str:
        """What share of the texts loses its end."""
        return tr("{share:.1f} % cut at {most}", share=100 * self._cut, most=int(self._most or 0))

    def words_at(self, place: int) -> str:
        """What a bar is."""
        low, high, count = self._edges[place], self._edges[place + 1], self._counts[place]
        if self._open and place == len(self._counts) - 1:
            return tr("{low:.0f} tokens or more: {count:,} samples", low=low, count=count)
        return tr("{low:.0f} to {high:.0f} tokens: {count:,} samples", low=low, high=high, count=count)

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent) and self._counts:
            QToolTip.showText(event.globalPos(), self.words_at(self._place(event.pos().x())), self)
            return True
        return super().event(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self._counts:
            return
        tokens = self.theme.tokens
        painter = QPainter(self)
        line = painter.fontMetrics().height()
        room, width = self.height() - line - 4, self.width() / len(self._counts)
        highest = max(self._counts) or 1
        painter.setPen(Qt.PenStyle.NoPen)
        for place, count in enumerate(self._counts):
            cut = self._most is not None and self._edges[place] >= self._most
            painter.setBrush(QColor(tokens.warn if cut else tokens.accent))
            height = room * count / highest
            painter.drawRect(QRectF(place * width, room - height, max(1.0, width - 1), height))
        end = self._edges[-1]
        if self._most is not None and end > self._most:
            x = self._most / end * self.width()
            painter.setPen(QPen(QColor(tokens.ink), 1, Qt.PenStyle.DashLine))
            painter.drawLine(QPointF(x, 0), QPointF(x, room))
            words = self.cut_words()
            wide = painter.fontMetrics().horizontalAdvance(words)
            left = x + 5 if x + 5 + wide < self.width() else x - 5 - wide
            painter.drawText(QRectF(left, 0, wide + 2, line), Qt.AlignmentFlag.AlignLeft, words)
        painter.setPen(QColor(tokens.soft))
        below = QRectF(0, room + 4, self.width(), line)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, "0")
        painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, tr("tokens"))
        painter.drawText(
            below, Qt.AlignmentFlag.AlignRight, tr("{count:.0f} or more", count=end) if self._open else f"{end:.0f}"
        )


class TextSamples(QWidget):
    """Some texts with their class and length."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self._report: dict[str, Any] | None = None
        self.labels: list[QLabel] = []
        self._list = QVBoxLayout(self)
        self._list.setContentsMargins(0, 0, 0, 0)
        self._list.setSpacing(10)
        theme.changed.connect(self._write)

    def show_texts(self, report: dict[str, Any]) -> None:
        """Takes over the engine's answer."""
        self._report = report
        self._write()

    def _write(self) -> None:
        texts = _varied(self._report["text"]["texts"]) if self._report is not None else []
        while len(self.labels) < len(texts):
            label = QLabel()
            label.setWordWrap(True)
            label.setTextFormat(Qt.TextFormat.RichText)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            self.labels.append(label)
            self._list.addWidget(label)
        for label, sample in zip(self.labels, texts):
            label.setText(self._words(sample))
        for place, label in enumerate(self.labels):
            label.setVisible(place < len(texts))

    def _words(self, sample: dict[str, Any]) -> str:
        assert self._report is not None
        soft = self.theme.tokens.soft
        if sample["label"] >= 0:
            name = self._report["classes"][sample["label"]]
        elif self._report["text"]["task"] == "token-classification":
            name = tr("Sentence {number}", number=sample["index"])
        else:
            name = tr("Block {number}", number=sample["index"])
        count = tr("{count} tokens", count=sample["tokens"])
        head = f'<b>{html.escape(name)}</b> <span style="color:{soft}">{count}</span>'
        text = html.escape(" ".join(sample["text"].split()))
        return f"{head}<br>{text}{'' if sample['whole'] else '...'}"


def _varied(texts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """At most `MOST` texts, the classes in turn."""
    by_class: dict[int, list[dict[str, Any]]] = {}
    for text in texts:
        by_class.setdefault(text["label"], []).append(text)
    turns = max(map(len, by_class.values()), default=0)
    found = [each[turn] for turn in range(turns) for each in by_class.values() if turn < len(each)]
    return found[:MOST]
