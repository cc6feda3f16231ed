"""The beginning of a table of texts, what its columns are likely to hold, and what comes of a choice of columns."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdstudio.project.errors import DataError
from kdstudio.project.tables import Row, read_rows

#: A head is this long at most, so that a window can read it at once.
MOST_ROWS, MOST_CHARACTERS = 2000, 4_000_000
#: A column with more different values than these among so many rows is no label.
MOST_CLASSES = 100
TEXT_NAMES = ("text", "sentence", "content", "message", "body", "review", "tweet", "comment", "question", "utterance",
              "premise", "sentence1", "question1", "text1", "article", "document", "title", "description")  # fmt: skip
SECOND_NAMES = ("hypothesis", "sentence2", "question2", "text2", "answer", "context", "passage", "second")
LABEL_NAMES = ("label", "class", "category", "target", "sentiment", "labels", "tag", "intent", "topic", "y", "spam",
               "rating", "score", "stars", "polarity", "type")  # fmt: skip


@dataclass(frozen=True)
class Columns:
    """Which columns hold what; None where none is known to."""

    text: str | None
    second: str | None
    label: str | None


@dataclass
class TableHead:
    """The first rows of a table.

    Attributes:
        path: The file.
        names: Its columns.
        rows: The first ones.
        whole: Whether these are all.
    """

    path: Path
    names: list[str]
    rows: list[Row] = field(default_factory=list)
    whole: bool = True


@dataclass(frozen=True)
class Found:
    """What a choice of columns gives, in the rows that were read.

    Attributes:
        rows: How many rows were looked at.
        classes: How often each label occurs, the most frequent first.
        empty: Lines without a text.
        unlabelled: Lines without a label.
        twice: Texts (with a second column, pairs of texts) that occurred before.
        problem: Why it cannot be used, empty where it can.
    """

    rows: int
    classes: list[tuple[str, int]]
    empty: list[int]
    unlabelled: list[int]
    twice: int
    problem: str = ""


def read_head(path: Path, encoding: str = "utf-8") -> TableHead:
    """The first rows of a table; reads no more of a file than a few megabytes.

    Raises:
        DataError: It cannot be read, or has no rows; names file and line.
    """
    head = TableHead(path, [])
    names: dict[str, None] = {}
    seen = 0
    for row in read_rows(path, encoding):
        names.update(dict.fromkeys(map(str, row.values)))
        if len(head.rows) >= MOST_ROWS or seen > MOST_CHARACTERS:
            head.whole = False
            break
        head.rows.append(row)
        seen += sum(len(str(value)) for value in row.values.values())
    head.names = list(names)
    if not head.rows:
        raise DataError(
            f"data.path: {path.name} has no rows",
            "there is nothing in it, or only the names of the columns",
            "give a table with texts in it",
        )
    return head


def guess_columns(head: TableHead) -> Columns:
    """The columns by their names, and where these say nothing by what is in them: long texts, few different labels."""
    text = _named(head.names, TEXT_NAMES)
    label = _named(head.names, LABEL_NAMES)
    if text is None or text == label:
        lengths = {name: _mean_length(head, name) for name in head.names if name != label}
        text = max(lengths, key=lambda name: lengths[name], default=None)
    if label is None:
        others = [name for name in head.names if name != text]
        kinds = {name: len(set(_values(head, name))) for name in others}
        few = [name for name in others if 1 < kinds[name] <= min(MOST_CLASSES, max(2, len(head.rows) // 2))]
        label = min(few, key=lambda name: kinds[name], default=None)
    second = _named([name for name in head.names if name not in (text, label)], SECOND_NAMES)
    return Columns(text, second, label)


def what_comes(head: TableHead, columns: Columns) -> Found:
    """Classes and gaps, as far as the rows that were read tell."""
    if columns.text is None or columns.label is None:
        missing = "text" if columns.text is None else "label"
        return Found(len(head.rows), [], [], [], 0, f"no column is chosen for the {missing}")
    if len({columns.text, columns.label, columns.second} - {None}) < 2 + (columns.second is not None):
        return Found(len(head.rows), [], [], [], 0, "a column is chosen twice")
    texts, labels = _values(head, columns.text), _values(head, columns.label)
    empty = [row.line for row, text in zip(head.rows, texts) if not text]
    unlabelled = [row.line for row, label in zip(head.rows, labels) if not label]
    counts = Counter(label for label in labels if label)
    seconds = _values(head, columns.second) if columns.second else texts
    full = [pair for pair in zip(texts, seconds) if pair[0]]
    problem = ""
    if any(isinstance(row.values.get(columns.text), (list, dict)) for row in head.rows):
        problem = f"the column '{columns.text}' holds lists, not texts"
    elif not full:
        problem = f"the column '{columns.text}' has no texts"
    elif len(counts) > MOST_CLASSES and len(counts) > len(head.rows) / 2:
        problem = f"the column '{columns.label}' has {len(counts):,} different values: it looks like no class"
    elif len(counts) < 2:
        words = "no labels" if not counts else f"one label only, '{next(iter(counts))[:40]}'"
        problem = f"the column '{columns.label}' has {words}; there have to be two classes"
        problem += "" if head.whole else " (among the rows that were read)"
    return Found(len(head.rows), counts.most_common(), empty, unlabelled, len(full) - len(set(full)), problem)


def _named(names: list[str], known: tuple[str, ...]) -> str | None:
    lower = {name.strip().lower(): name for name in names}
    return next((lower[name] for name in known if name in lower), None)


def _values(head: TableHead, name: str) -> list[str]:
    return [_plain(row.values.get(name)) for row in head.rows]


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value).strip()


def _mean_length(head: TableHead, name: str) -> float:
    values = _values(head, name)
    return sum(map(len, values)) / max(len(values), 1)
