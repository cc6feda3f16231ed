"""What is in the data: examples and counts of each class, the splits, and the problems that were found."""

from __future__ import annotations

import base64
from typing import Any

from PySide6.QtCore import QEvent, QPoint, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QHelpEvent, QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import QFrame, QLabel, QScrollArea, QSizePolicy, QToolTip, QWidget

from kdstudio.gui.language import mark, tr, trn
from kdstudio.gui.setup.bars import IconButton
from kdstudio.gui.setup.context import Context
from kdstudio.gui.setup.fact_status import FactStatus
from kdstudio.gui.setup.joins import shape_text
from kdstudio.gui.setup.section import Card
from kdstudio.gui.setup.text_view import TextSamples, TokenHistogram
from kdstudio.gui.setup.text_view import in_words as text_in_words
from kdstudio.gui.theme import Theme

PICTURE = 32
ROW, BARE_ROW = 38, 24
#: Names longer than so many digits are cut; the tooltip has them whole.
NAME_DIGITS = 15
NUMBER_DIGITS = 6
BAR_WIDTH = 90
#: More rows than this scroll inside the card.
ROWS = 12
#: How many samples a split has, in words.
SPLITS = {
    "train": mark("{count:,} train"),
    "validation": mark("{count:,} validation"),
    "test": mark("{count:,} test"),
}
#: The splits in the legend of the bars, with a number behind each.
SPLIT_NAMES = {"train": mark("train"), "validation": mark("validation"), "test": mark("test")}

#: What pictures are, by their channels; 0 for any other number of them.
PICTURES = {
    0: mark("{total:,} pictures of {channels} channels of {size} pixels in {classes} classes; a network sees {shape}."),
    1: mark("{total:,} grey pictures of {size} pixels in {classes} classes; a network sees {shape}."),
    3: mark("{total:,} colour pictures of {size} pixels in {classes} classes; a network sees {shape}."),
}

#: What the pictures of a folder are on disk: whether it is known that all are grey.
ON_DISK = {
    True: mark("{total:,} grey pictures in {classes} classes, {sizes} pixels on disk."),
    False: mark("{total:,} pictures in {classes} classes, {sizes} pixels on disk."),
}
#: How they are read, by the channels that come of it.
READ = {
    1: mark("They are read as grey at {size} pixels; a network sees {shape}."),
    3: mark("They are read in colour at {size} pixels; a network sees {shape}."),
}


def split_colours(theme: Theme) -> dict[str, str]:
    tokens = theme.tokens
    return {"train": tokens.accent, "validation": tokens.curve3, "test": tokens.curve1}


class ClassTable(QWidget):
    """A row for each class: name, pictures, a bar of its samples by split, and their number. Painted."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.setAccessibleName(tr("Samples of each class"))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._classes: list[str] = []
        self._counts: dict[str, list[int]] = {}
        self._pictures: dict[int, list[QPixmap]] = {}
        theme.changed.connect(self.update)

    def show_data(self, report: dict[str, Any]) -> None:
        """Takes over the engine's answer."""
        self._classes, self._counts = report["classes"], report["counts"]
        self._pictures = {}
        for example in report.get("examples", []):
            pixmap = QPixmap()
            pixmap.loadFromData(base64.b64decode(example["png"]))
            self._pictures.setdefault(example["label"], []).append(pixmap)
        rows = [f"{name}: {self._row_text(index)}" for index, name in enumerate(self._classes)]
        self.setAccessibleDescription("; ".join(rows[:20]))
        self.setFixedHeight(self.row_height * len(self._classes))
        self.update()

    @property
    def row_height(self) -> int:
        return max(ROW if self._pictures else BARE_ROW, self.fontMetrics().height() + 6)

    def sizeHint(self) -> QSize:
        return QSize(420, self.row_height * max(len(self._classes), 1))

    def _row_text(self, index: int) -> str:
        return ", ".join(tr(words, count=self._counts[split][index]) for split, words in SPLITS.items())

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            index = event.pos().y() // self.row_height
            if 0 <= index < len(self._classes):
                QToolTip.showText(event.globalPos(), f"{self._classes[index]}: {self._row_text(index)}", self)
                return True
        return super().event(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        tokens = self.theme.tokens
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)  # small pictures stay sharp
        height = self.row_height
        first = max(0, event.rect().top() // height)
        last = min(len(self._classes) - 1, event.rect().bottom() // height)
        largest = max(
            (sum(self._counts[split][row] for split in SPLITS) for row in range(len(self._classes))), default=1
        )
        metrics = painter.fontMetrics()
        digit = metrics.horizontalAdvance("0")
        numbers = NUMBER_DIGITS * digit
        names = min(NAME_DIGITS * digit, max(map(metrics.horizontalAdvance, self._classes), default=0) + 16)
        room = self.width() - names - numbers - 16
        pictures = max(0, min(max(map(len, self._pictures.values()), default=0), (room - BAR_WIDTH) // (PICTURE + 4)))
        bars = names + pictures * (PICTURE + 4) + (8 if pictures else 0)
        for row in range(first, last + 1):
            top = row * height
            painter.setPen(QColor(tokens.ink))
            name = metrics.elidedText(self._classes[row], Qt.TextElideMode.ElideRight, names - 12)
            painter.drawText(QRect(0, top, names - 8, height), Qt.AlignmentFlag.AlignVCenter, name)
            for place, pixmap in enumerate(self._pictures.get(row, [])[:pictures]):
                corner = QPoint(names + place * (PICTURE + 4), top + (height - PICTURE) // 2)
                _draw_picture(painter, QRect(corner, QSize(PICTURE, PICTURE)), pixmap)
            area = QRectF(bars, top + height / 2 - 5, self.width() - bars - numbers - 8, 10)
            self._draw_bar(painter, area, row, largest)
            painter.setPen(QColor(tokens.soft))
            number = f"{sum(self._counts[split][row] for split in SPLITS):,}"
            right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(QRect(self.width() - numbers, top, numbers, height), right, number)

    def _draw_bar(self, painter: QPainter, area: QRectF, row: int, largest: int) -> None:
        left = area.left()
        painter.setPen(Qt.PenStyle.NoPen)
        for split, colour in split_colours(self.theme).items():
            width = area.width() * self._counts[split][row] / max(largest, 1)
            painter.setBrush(QColor(colour))
            painter.drawRect(QRectF(left, area.top(), max(width - 1, 0), area.height()))
            left += width


def _draw_picture(painter: QPainter, area: QRect, pixmap: QPixmap) -> None:
    size = pixmap.size().scaled(area.size(), Qt.AspectRatioMode.KeepAspectRatio)
    target = QRect(QPoint(0, 0), size)
    target.moveCenter(area.center())
    painter.drawPixmap(target, pixmap)


class DataCard(Card):
    """The engine's answer about the data, in words and pictures."""

    def __init__(self, context: Context) -> None:
        super().__init__(tr("What is in it"))
        self.context = context
        tip = tr("Read the data again: files were added, removed or changed")
        self.again = IconButton(context.theme, "refresh", tip)
        self.again.clicked.connect(lambda: context.facts.look_again("data"))
        self.head.addWidget(self.again)
        self.status = FactStatus(context, "data", tr("Reading the data"))
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.legend = QLabel()
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.legend.setWordWrap(True)
        self.problems = QLabel()
        self.problems.setObjectName("warning")
        self.problems.setWordWrap(True)
        self.problems.setTextFormat(Qt.TextFormat.PlainText)
        self.table = ClassTable(context.theme)
        self.area = QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setWidget(self.table)
        self.area.setAccessibleName(tr("Classes"))
        self.tokens = TokenHistogram(context.theme)
        self.texts = TextSamples(context.theme)
        for widget in (self.status, self.words, self.problems, self.legend, self.area, self.tokens, self.texts):
            self.body.addWidget(widget)
        self._shown: dict[str, Any] | None = None
        context.theme.changed.connect(self._write_legend)

    def refresh(self) -> None:
        """Shows what is known now; an older answer stays while it is asked again."""
        self.status.refresh()
        report = self.context.facts.data.answer
        for widget in (self.words, self.legend):
            widget.setVisible(report is not None)
        self.area.setVisible(bool(report and report["classes"]))
        self.texts.setVisible(bool(report and "text" in report))
        self.tokens.setVisible(bool(report and report["classes"] and "text" in report))
        self.problems.setVisible(bool(report and report["problems"]))
        if report is None or report is self._shown:
            return
        self._shown = report
        self.words.setText(in_words(report))
        self.problems.setText("\n".join(report["problems"]))
        self._write_legend()
        self.table.show_data(report)
        if "text" in report:
            text = report["text"]
            labelled = text["task"] in ("classification", "token-classification")
            self.tokens.show_tokens(text["tokens"], text["facts"]["max_tokens"] if labelled else None)
            self.texts.show_texts(report)
        rows = min(len(report["classes"]), ROWS)
        self.area.setFixedHeight(rows * self.table.row_height + 2)

    def _write_legend(self) -> None:
        if self._shown is None:
            return
        samples = self._shown["samples"]
        parts = [
            f'<span style="color:{colour}">■</span>&nbsp;{tr(SPLIT_NAMES[split])}&nbsp;{samples[split]:,}'
            for split, colour in split_colours(self.context.theme).items()
        ]
        self.legend.setText("&nbsp;&nbsp; ".join(parts))


def in_words(report: dict[str, Any]) -> str:
    """What the data are, in sentences."""
    lacking = report.get("left_out") or {}
    found = text_in_words(report) if "text" in report else _form_in_words(report, lacking.get("samples", 0))
    if report.get("unlabelled"):
        found += " " + tr("{count:,} more have no label that is used.", count=report["unlabelled"])
    if not lacking.get("classes"):
        return found
    names = ", ".join(lacking["classes"])
    return f"{found} " + trn(
        "The student's training samples lack class {names} ({samples:,} samples); a teacher learns it, and it is "
        "validated and tested.",
        "The student's training samples lack the classes {names} ({samples:,} samples); a teacher learns them, and "
        "they are validated and tested.",
        len(lacking["classes"]),
        names=names,
        samples=lacking["samples"],
    )


def _form_in_words(report: dict[str, Any], lacking: int) -> str:
    shape, classes = report["input_shape"], len(report["classes"])
    total = sum(report["samples"].values()) + lacking
    stored = report.get("stored")
    if stored:
        least, most = shape_text(stored["smallest"]), shape_text(stored["largest"])
        sizes = least if least == most else tr("{least} to {most}", least=least, most=most)
        found = tr(ON_DISK[stored["grey"]], total=total, classes=classes, sizes=sizes)
        read = tr(READ[shape[0]], size=shape_text(shape[1:]), shape=shape_text(shape))
        return f"{found} {read}"
    if len(shape) == 3:
        form = PICTURES.get(shape[0], PICTURES[0])
        return tr(
            form,
            total=total,
            channels=shape[0],
            size=shape_text(shape[1:]),
            classes=classes,
            shape=shape_text(shape),
        )
    return tr(
        "{total:,} rows of {numbers:,} numbers in {classes} classes. They are features, so there are no pictures; "
        "means from {low:.3g} to {high:.3g}, deviations from {least:.3g} to {most:.3g}. "
        "Each is standardised before a network sees it.",
        total=total,
        numbers=shape[0],
        classes=classes,
        low=min(report["mean"]),
        high=max(report["mean"]),
        least=min(report["std"]),
        most=max(report["std"]),
    )
