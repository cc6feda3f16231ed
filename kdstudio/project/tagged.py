"""Texts whose words have tags: CoNLL files, a word and its tag a line, and JSON lines with lists of words and tags."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdstudio.project.errors import DataError
from kdstudio.project.tables import BROKEN, column, open_text, read_rows, suffix_of, wrong_encoding

#: Keys of JSON lines that are tried in turn where the first is not there and no other was asked for.
USUAL_WORDS = ("tokens", "words", "text")
USUAL_TAGS = ("tags", "ner_tags", "pos_tags", "labels", "label")


#: Endings of files that hold a word and its tag a line.
CONLL = (".conll", ".bio", ".iob", ".iob2")


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
        words, tags: Keys of JSON lines; the usual ones are guessed.
        field: The file's place in the spec, for messages.

    Raises:
        DataError: The file cannot be read, or a sentence is none; names the line.
    """
    kind = suffix_of(path)
    if kind == ".csv":
        raise DataError(
            f"{field}: {path.name} is a .csv file",
            "words with tags come as JSON lines with lists, or as CoNLL: a word and its tag a line",
            "write it as one of these; a table with one label a text is data.source: table",
        )
    if kind != ".jsonl":
        yield from _conll(path, encoding, field)
        return
    for row in read_rows(path, encoding, field=field):
        names = usual_key(row.values, words, USUAL_WORDS), usual_key(row.values, tags, USUAL_TAGS)
        for name, place in zip(names, ("data.words", "data.tags")):
            column(row, name, place, path)  # tells what is there in its place
        found = sentence_of(row.line, row.values, *names, f"{field}: {path.name}, line {row.line}")
        if found.words:
            yield found


def sentence_of(line: int, row: Mapping[str, Any], words: str, tags: str, where: str) -> Tagged:
    """The sentence of a row that has a list of words and one of tags.

    Args:
        line: The row's number.
        words, tags: Keys of the lists.
        where: The row's place, for messages.

    Raises:
        DataError: They are no lists of texts, or not of one length.
    """
    found = Tagged(line, _texts(row[words], words, where), _texts(row[tags], tags, where))
    if len(found.words) != len(found.tags):
        raise DataError(
            f"{where}: {len(found.words)} words and {len(found.tags)} tags", "each word has one tag", "mend the line"
        )
    return found


def looks_tagged(path: Path) -> bool:
    """Whether a file holds tagged words: by its ending, or JSON lines that begin with lists of words and of tags."""
    kind = suffix_of(path)
    if kind != ".jsonl":
        return kind in CONLL
    try:
        first = next(read_rows(path, "utf-8"), None)
    except DataError:
        return False
    if first is None:
        return False
    keys = usual_key(first.values, USUAL_WORDS[0], USUAL_WORDS), usual_key(first.values, USUAL_TAGS[0], USUAL_TAGS)
    return all(isinstance(first.values.get(key), list) for key in keys)


def usual_key(known: Container[str], name: str, usual: Sequence[str]) -> str:
    """The key that is asked for; where that is the first of the usual ones and is not there, another of them."""
    if name in known or name != usual[0]:
        return name
    return next((other for other in usual if other in known), name)


def _texts(value: object, name: str, where: str) -> list[str]:
    fix = 'write {"tokens": ["A", "word"], "tags": ["O", "O"]}'
    if not isinstance(value, list):
        raise DataError(f"{where}: '{name}' is no list", fix=fix)
    for place, each in enumerate(value, 1):
        if isinstance(each, bool) or not isinstance(each, str | int | float):
            raise DataError(f"{where}: item {place} of '{name}' is no text", f"it is {str(each)[:60]}", fix)
    return [str(each) for each in value]


def _conll(path: Path, encoding: str, field: str) -> Iterator[Tagged]:
    sentence = Tagged(1, [], [])
    number, columns = 0, 0
    with open_text(path, encoding, field) as file:
        try:
            for number, line in enumerate(file, 1):
                parts = line.split()
                if not sentence.words and _is_comment(line, len(parts), columns):
                    sentence = Tagged(number + 1, [], [])
                    continue
                if not parts or parts[0] == "-DOCSTART-":
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
                columns = len(parts)
                sentence.words.append(parts[0])
                sentence.tags.append(parts[-1])
        except UnicodeDecodeError as error:
            raise wrong_encoding(path, encoding, error, field) from None
        except BROKEN as error:
            raise DataError(f"{field}: {path.name} breaks off", str(error)[:200], "copy the file again") from None
    if sentence.words:
        yield sentence


def _is_comment(line: str, parts: int, columns: int) -> bool:
    """Whether a line before a sentence is a remark, as `# sent_id = 1`, and not the word `#` with its tag."""
    return line.startswith("# ") and ("=" in line or parts != (columns or 2))


def broken_spans(tags: list[str]) -> int:
    """How many tags go on with an entity that did not begin: an I-, E- or L- after an O, or after another kind."""
    broken, before = 0, "O"
    for tag in tags:
        kind = tag[2:]
        if tag.startswith(("I-", "E-", "L-")) and before not in (f"B-{kind}", f"I-{kind}"):
            broken += 1
        before = tag
    return broken
