"""Tables of texts: CSV, TSV and JSON lines, also gzipped, read row by row with all problems named."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from kdstudio.project.errors import DataError
from kdstudio.project.spec import suggestion

#: A field longer than this many characters is no text that anybody wrote: a quote was never closed.
LONGEST_FIELD = 50_000_000
Progress = Callable[[str, int, int], None]
#: What a file raises that breaks off, or was damaged.
BROKEN = (EOFError, OSError, zlib.error)
_MARKS = {
    ";": ("semicolons", "save the table with commas"),
    "\t": ("tabs", "name the file .tsv"),
    "|": ("bars", "save the table with commas"),
    ",": ("commas", "name the file .csv"),
}
_BINARY = (b"\x89PNG", b"PK\x03\x04", b"%PDF", b"\xff\xd8\xff", b"\x7fELF", b"PAR1")


@dataclass
class Row:
    """A row of a table.

    Attributes:
        line: Its line in the file, from 1.
        values: By column.
    """

    line: int
    values: dict[str, Any]


def suffix_of(path: Path) -> str:
    """.csv, .tsv, .jsonl or .txt, whatever is packed."""
    names = [suffix.lower() for suffix in path.suffixes]
    if names and names[-1] == ".gz":
        names.pop()
    last = names[-1] if names else ""
    return ".jsonl" if last in (".jsonl", ".ndjson", ".json") else last


def open_text(path: Path, encoding: str, field: str = "data.path") -> IO[str]:
    """A text file, unpacked where it is gzipped.

    Raises:
        DataError: It does not exist, is no text, or the encoding has no such name.
    """
    try:
        packed = path.suffix.lower() == ".gz"
        with gzip.open(path, "rb") if packed else path.open("rb") as file:
            head = file.read(4096)
    except FileNotFoundError:
        raise DataError(
            f"{field}: there is no file {path}", fix="check the path; it is relative to the project"
        ) from None
    except IsADirectoryError:
        raise DataError(f"{field}: {path} is a folder", fix="give a file") from None
    except BROKEN as error:
        raise DataError(f"{field}: {path} cannot be read", str(error)[:300], "copy the file again") from None
    wide = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    if head.startswith(_BINARY) or (b"\0" in head and not wide and not encoding.lower().startswith("utf-16")):
        raise DataError(
            f"{field}: {path.name} is no text file",
            "it has bytes in it that no text has",
            "give a .csv, .tsv, .jsonl or .txt file, or such a file packed with gzip",
        )
    if wide and encoding.lower() in ("utf-8", "utf8"):
        raise DataError(
            f"data.encoding: {path.name} is not utf-8", "it begins as utf-16 does", "set data.encoding to utf-16"
        )
    name = "utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding
    try:
        "".encode(name)
    except LookupError:
        raise DataError(
            f"data.encoding: there is no encoding '{encoding}'", fix="write utf-8, latin-1, cp1252 or utf-16"
        ) from None
    binary = gzip.open(path, "rb") if packed else path.open("rb")  # noqa: SIM115 (the text around it closes it)
    return io.TextIOWrapper(binary, encoding=name, newline="")  # type: ignore[arg-type]


def read_rows(path: Path, encoding: str, progress: Progress | None = None, field: str = "data.path") -> Iterator[Row]:
    """The rows of a table, one at a time.

    Raises:
        DataError: The file is none, or a row cannot be read; the message names the line.
    """
    kind = suffix_of(path)
    if kind not in (".csv", ".tsv", ".jsonl"):
        raise DataError(
            f"{field}: {path.name} is no table that is known here",
            fix="give a .csv, .tsv or .jsonl file (.gz too); plain text is data.source: corpus",
        )
    with open_text(path, encoding, field) as file:
        try:
            for number, row in enumerate(_lines(file, path) if kind == ".jsonl" else _cells(file, path, kind), 1):
                if progress is not None and number % 5000 == 0:
                    progress("reading the texts", number, 0)
                yield row
        except UnicodeDecodeError as error:
            raise wrong_encoding(path, encoding, error, field) from None
        except BROKEN as error:
            raise DataError(f"{field}: {path.name} breaks off", str(error)[:200], "copy the file again") from None


def wrong_encoding(path: Path, encoding: str, error: UnicodeDecodeError, field: str) -> DataError:
    """What to say of a file that has other characters than its encoding's; names the line where that can be counted."""
    where = "" if "16" in encoding or "32" in encoding else _undecodable(path, encoding)
    return DataError(
        f"{field}: {path.name}{where} is not {encoding}",
        f"the byte {error.object[error.start]:#04x} is none of its characters there",
        "set data.encoding to what it was written in (latin-1 or cp1252 for many older files); if only some lines are "
        "in another encoding, mend these",
    )


def _undecodable(path: Path, encoding: str) -> str:
    """ ", line 7" for the first line that cannot be decoded."""
    number = 0
    try:
        with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as file:
            while line := file.readline(LONGEST_FIELD):
                number += 1
                line.decode(encoding)
    except UnicodeDecodeError:
        return f", line {number},"
    except BROKEN:
        pass
    return ""


def _cells(file: IO[str], path: Path, kind: str) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_FIELD)
    last = 0
    reader = csv.reader(file, delimiter="\t" if kind == ".tsv" else ",")
    try:
        header = next(reader, None)
        if not header or not any(name.strip() for name in header):
            raise DataError(f"data.path: {path.name} is empty", fix="its first line has to name the columns")
        names = _names(header, path)
        last = reader.line_num
        for cells in reader:
            began, last = last + 1, reader.line_num
            if not cells:
                continue
            if len(cells) != len(names):
                through = f" to {last}" if last > began else ""
                raise DataError(
                    f"data.path: {path.name}, line {began}{through}: {len(cells)} cells, and there are "
                    f"{len(names)} columns ({', '.join(names)[:120]})",
                    "a double quote that was opened is closed much later or never"
                    if last > began
                    else "a text with a comma or a line break in it has to stand in double quotes",
                    "mend the line, or write the table with a program that quotes texts",
                )
            yield Row(began, dict(zip(names, cells)))
    except csv.Error as error:
        raise DataError(
            f"data.path: {path.name}, line {last + 1}: {error}",
            "a double quote was opened and not closed, or the file is no such table",
            "mend the line",
        ) from None


def _names(header: list[str], path: Path) -> list[str]:
    """The columns' names; those that are missing, or occur again, are told apart by a number.

    Raises:
        DataError: Something else than this kind of file has stands between the columns.
    """
    if len(header) == 1:
        for mark, (word, fix) in _MARKS.items():
            if mark in header[0]:
                raise DataError(
                    f"data.path: {path.name}, line 1: its columns seem to be separated by {word}",
                    "a .csv file has commas between its columns, and a .tsv file has tabs",
                    fix,
                )
    names: list[str] = []
    for place, cell in enumerate(header, 1):
        name = wanted = cell.strip() or f"column {place}"
        number = 1
        while name in names:
            name, number = f"{wanted}.{number}", number + 1
        names.append(name)
    return names


def _lines(file: IO[str], path: Path) -> Iterator[Row]:
    number = 0
    while line := file.readline(LONGEST_FIELD):
        number += 1
        if not line.strip():
            continue
        if len(line) >= LONGEST_FIELD:
            raise DataError(
                f"data.path: {path.name}, line {number} is longer than {LONGEST_FIELD:,} characters",
                "no text that anybody wrote is",
                "write one JSON object a line",
            )
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            fix = "each line has to be one JSON object"
            raise DataError(f"data.path: {path.name}, line {number} is no JSON", str(error)[:200], fix) from None
        if not isinstance(found, dict):
            raise DataError(
                f"data.path: {path.name}, line {number} is no JSON object", fix='write {"text": ..., "label": ...}'
            )
        yield Row(number, found)


def column(row: Row, name: str, field: str, path: Path) -> Any:
    """A cell.

    Raises:
        DataError: There is no such column.
    """
    if name not in row.values:
        known = [str(key) for key in row.values]
        near = suggestion(name, known)
        raise DataError(
            f"{field}: {path.name} has no column '{name}'",
            f"line {row.line} has: {', '.join(known)[:200]}" if known else f"line {row.line} has none",
            near or "choose one of these",
        )
    return row.values[name]
