"""Texts whose words have tags: CoNLL files, a word and its tag a line, and JSON lines with lists of words and tags."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kdstudio.project.errors import DataError
from kdstudio.project.tables import BROKEN, column, open_text, read_rows, suffix_of, wrong_encoding

#: Beginnings of lines in CoNLL files that are no words.
_NOT_WORDS = ("-DOCSTART-", "# ")


@dataclass(frozen=True)
class Tagged:
    """A sentence.

    Attributes:
        line: Where it begins in the file, from 1.
        words, tags: Of one length.
    """

    line: int
    words: list[str]
    tags: list[str]


def read_tagged(
    path: Path, encoding: str, words: str = "tokens", tags: str = "tags", field: str = "data.path"
) -> Iterator[Tagged]:
    """The sentences of a file, one at a time.

    Args:
        path: `.jsonl` (.gz too) with a list of words and a list of tags a line; any other file is read as CoNLL: a word
            first and its tag last in each line, blanks or tabs between, an empty line after each sentence.
        encoding: Of the file.
        words, tags: Keys of JSON lines.
        field: The file's place in the spec, for messages.

    Raises:
        DataError: The file cannot be read, or a sentence is none; names the line.
    """
    if suffix_of(path) == ".jsonl":
        for row in read_rows(path, encoding, field=field):
            said = [column(row, name, place, path) for name, place in ((words, "data.words"), (tags, "data.tags"))]
            for name, value in zip((words, tags), said):
                if not isinstance(value, list):
                    raise DataError(
                        f"{field}: {path.name}, line {row.line}: '{name}' is no list",
                        fix='write {"tokens": ["A", "word"], "tags": ["O", "O"]}',
                    )
            found = Tagged(row.line, [str(word) for word in said[0]], [str(tag) for tag in said[1]])
            if len(found.words) != len(found.tags):
                raise DataError(
                    f"{field}: {path.name}, line {row.line}: {len(found.words)} words and {len(found.tags)} tags",
                    "each word has one tag",
                    "mend the line",
                )
            yield found
        return
    yield from _conll(path, encoding, field)


def _conll(path: Path, encoding: str, field: str) -> Iterator[Tagged]:
    sentence = Tagged(1, [], [])
    number = 0
    with open_text(path, encoding, field) as file:
        try:
            for number, line in enumerate(file, 1):
                parts = line.split()
                if not parts or line.startswith(_NOT_WORDS):
                    if sentence.words:
                        yield sentence
                    sentence = Tagged(number + 1, [], [])
                    continue
                if len(parts) < 2:
                    raise DataError(
                        f"{field}: {path.name}, line {number}: the word '{parts[0][:40]}' has no tag",
                        "a line has a word first and its tag last, with blanks or a tab between",
                        "mend the line",
                    )
                sentence.words.append(parts[0])
                sentence.tags.append(parts[-1])
        except UnicodeDecodeError as error:
            raise wrong_encoding(path, encoding, error, field) from None
        except BROKEN as error:
            raise DataError(f"{field}: {path.name} breaks off", str(error)[:200], "copy the file again") from None
    if sentence.words:
        yield sentence


def broken_spans(tags: list[str]) -> int:
    """How many tags go on with an entity that did not begin: an I- after an O, or after another kind."""
    broken, before = 0, "O"
    for tag in tags:
        kind = tag[2:]
        if tag.startswith(("I-", "E-")) and before not in (f"B-{kind}", f"I-{kind}"):
            broken += 1
        before = tag
    return broken
