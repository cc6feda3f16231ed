"""The table of runs as a model: ticks for comparison, figures that sort as numbers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt, Signal
from PySide6.QtGui import QColor, QIcon

from kdstudio.gui.icons import icon
from kdstudio.gui.language import mark, tr
from kdstudio.gui.theme import Theme
from kdstudio.gui.tree import status_colour, status_icon
from kdstudio.gui.words import status_words
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.state import RunStatus, goes_on
from kdstudio.project.runs.summary import RunSummary

#: Curves of more runs cannot be told apart.
MOST_COMPARED = 20
SORT = Qt.ItemDataRole.UserRole
Index = QModelIndex | QPersistentModelIndex


@dataclass(frozen=True)
class Column:
    """A column: its heading, what it says of a run (a number or text), how a number is written, and what it means.

    Attributes:
        title: Its name, and its heading where nothing else is said for a metric.
        words: By metric, a heading and what it means; under `mixed` where runs with several metrics are listed.
    """

    title: str
    value: Callable[[RunSummary], Any]
    write: Callable[[Any], str]
    tip: str
    number: bool = True
    words: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def said(self, metric: str) -> tuple[str, str]:
        """The heading and what it means, of runs with this metric."""
        return self.words.get(metric, (self.title, self.tip))


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"


def _accuracy(summary: RunSummary, network: str) -> float | None:
    """Of a language model the share of right tokens would stand beside shares of right samples: it has none here."""
    return None if summary.is_language else summary.accuracy(network)


def _moment(value: float) -> str:
    return time.strftime("%d %b %H:%M", time.localtime(value)) if value else ""


def _smaller(summary: RunSummary) -> float | None:
    student, teacher = summary.fact("student", "parameters"), summary.fact("teacher", "parameters")
    return teacher / student if student and teacher else None


def has_curves(summary: RunSummary) -> bool:
    """Whether there is something to compare: a run that failed at once has nothing."""
    return summary.status is not RunStatus.FAILED or goes_on(summary.state, summary.status)


COLUMNS = (
    Column(mark("Run"), lambda s: s.run.name, str, mark("Experiment and number; tick it to compare its curves"), False),
    Column(mark("Status"), lambda s: status_words(s.status, s.state), str, mark("Where the run stands"), False),
    Column(
        mark("Perplexity"),
        lambda s: s.score if s.is_language and s.scorecard else None,
        lambda v: f"{v:.2f}",
        mark("The student's perplexity on test samples, of language models: less is better"),
    ),
    Column(
        mark("Student %"),
        lambda s: _accuracy(s, "student"),
        _percent,
        mark("The student's accuracy on test samples"),
        words={
            "f1": (mark("Student F1"), mark("The student's F1 score on test samples, in per cent")),
            "mixed": (
                mark("Student %"),
                mark("The student's score on test samples: accuracy, and the F1 score of taggers"),
            ),
        },
    ),
    Column(
        mark("Alone %"),
        lambda s: _accuracy(s, "baseline"),
        _percent,
        mark("The accuracy of the same student from hard labels alone"),
        words={
            "f1": (mark("Alone F1"), mark("The F1 score of the same student from hard labels alone")),
            "mixed": (
                mark("Alone %"),
                mark("The same student from hard labels alone: accuracy, and the F1 score of taggers"),
            ),
        },
    ),
    Column(
        mark("Teacher %"),
        lambda s: _accuracy(s, "teacher"),
        _percent,
        mark("The teacher's accuracy"),
        words={
            "f1": (mark("Teacher F1"), mark("The teacher's F1 score")),
            "mixed": (mark("Teacher %"), mark("The teacher's accuracy, and the F1 score of taggers")),
        },
    ),
    Column(
        mark("Keeps %"),
        lambda s: s.headline("keeps"),
        _percent,
        mark("The student's accuracy as a share of the teacher's"),
        words={
            "f1": (mark("Keeps %"), mark("The student's F1 score as a share of the teacher's")),
            "perplexity": (mark("Keeps %"), mark("The teacher's perplexity as a share of the student's")),
            "mixed": (
                mark("Keeps %"),
                mark(
                    "The student's score as a share of the teacher's: accuracy, F1 of taggers, of language models by "
                    "perplexity"
                ),
            ),
        },
    ),
    Column(
        mark("Agrees %"),
        lambda s: s.headline("agreement"),
        _percent,
        mark("Samples on which student and teacher agree"),
        words={
            "f1": (mark("Agrees %"), mark("Words to which student and teacher give the same tag")),
            "perplexity": (mark("Agrees %"), mark("Tokens at which student and teacher find the same one likeliest")),
        },
    ),
    Column(
        mark("Parameters"),
        lambda s: s.fact("student", "parameters"),
        lambda v: f"{v:,}",
        mark("Parameters of the student"),
    ),
    Column(mark("Smaller"), _smaller, lambda v: f"{v:.1f} ×", mark("How many times more parameters the teacher has")),
    Column(mark("Seed"), lambda s: (s.scorecard or {}).get("seed"), str, mark("The seed of the student's training")),
    Column(
        mark("Marks"),
        lambda s: s.marks.text or None,
        str,
        mark("A star, tags and a note; the run's menu changes them, and the filter finds them"),
        False,
    ),
    Column(mark("Started"), lambda s: s.state.started, _moment, mark("When it was started"), False),
)


class RunsModel(QAbstractTableModel):
    """One row a run, the newest first.

    Signals:
        ticked: The ticked runs have changed.
    """

    ticked = Signal(list)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.rows: list[RunSummary] = []
        #: What the scores of these runs are: their metric, or `mixed`.
        self.metric = "accuracy"
        self._ticked: list[RunFolder] = []
        self._icons: dict[tuple[str, str], QIcon] = {}

    def fill(self, summaries: list[RunSummary]) -> None:
        """Shows these runs."""
        self.beginResetModel()
        self.rows = sorted(summaries, key=lambda s: (s.state.created, s.run.path.name), reverse=True)
        metrics = {summary.metric for summary in summaries if summary.scorecard}
        self.metric = "accuracy" if not metrics else metrics.pop() if len(metrics) == 1 else "mixed"
        self.endResetModel()
        there = {summary.run for summary in summaries}
        if any(run not in there for run in self._ticked):
            self._ticked = [run for run in self._ticked if run in there]
            self.ticked.emit(list(self._ticked))

    @property
    def compared(self) -> list[RunFolder]:
        return list(self._ticked)

    def clear_ticks(self) -> None:
        """Compares nothing."""
        self._ticked = []
        self._tell_ticks()

    def _tell_ticks(self) -> None:
        if self.rows:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self.rows) - 1, 0))
        self.ticked.emit(list(self._ticked))

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 (Qt's own signature)
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(COLUMNS)

    def flags(self, index: Index) -> Qt.ItemFlag:
        found = super().flags(index)
        tick = index.column() == 0 and has_curves(self.rows[index.row()])
        return found | Qt.ItemFlag.ItemIsUserCheckable if tick else found

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation is not Qt.Orientation.Horizontal or section >= len(COLUMNS):
            return None
        column = COLUMNS[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return tr(column.said(self.metric)[0])
        if role == Qt.ItemDataRole.ToolTipRole:
            return tr(column.said(self.metric)[1])
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if column.number else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        summary, column = self.rows[index.row()], COLUMNS[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            value = column.value(summary)
            return column.write(value) if value is not None else "–"
        if role == SORT:
            value = column.value(summary)
            return value if value is not None else float("-inf")
        if role == Qt.ItemDataRole.TextAlignmentRole and column.number:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.CheckStateRole and index.column() == 0 and has_curves(summary):
            return Qt.CheckState.Checked if summary.run in self._ticked else Qt.CheckState.Unchecked
        if role == Qt.ItemDataRole.DecorationRole and index.column() == 1:
            return self._icon(summary.status)
        if role == Qt.ItemDataRole.ForegroundRole and index.column() == 1:
            bad = summary.status in (RunStatus.FAILED, RunStatus.INTERRUPTED)
            return QColor(self.theme.tokens.bad) if bad else None
        if role == Qt.ItemDataRole.ToolTipRole and index.column() == 0:
            name = summary.run.name
            return name if has_curves(summary) else tr("{run} failed before it had curves", run=name)
        if role == Qt.ItemDataRole.ToolTipRole:
            return tr(column.said(summary.metric)[1])
        return None

    def _icon(self, status: RunStatus) -> QIcon:
        key = status_icon(status), status_colour(status, self.theme.tokens)
        if key not in self._icons:
            self._icons[key] = icon(*key)
        return self._icons[key]

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        if role != Qt.ItemDataRole.CheckStateRole or index.column() != 0:
            return False
        run = self.rows[index.row()].run
        if not has_curves(self.rows[index.row()]):
            return False
        if Qt.CheckState(value) == Qt.CheckState.Checked:
            if run in self._ticked or len(self._ticked) >= MOST_COMPARED:
                return False
            self._ticked.append(run)
        elif run in self._ticked:
            self._ticked.remove(run)
        self._tell_ticks()
        return True
