"""Files of texts: tables with labels, and plain text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kdstudio.engine.data.base import DataBundle, Progress
from kdstudio.engine.data.text_bundles import Pair, corpus_bundle, labelled_bundle, problems_of_rows
from kdstudio.project.errors import DataError
from kdstudio.project.spec import TextCorpus, TextTable
from kdstudio.project.tables import BROKEN, Row, column, open_text, read_rows, suffix_of, wrong_encoding

#: Plain text is cut into tokens in pieces of about so many characters.
PIECE = 20_000


def load_table_data(spec: TextTable, root: Path, progress: Progress | None = None) -> DataBundle:
    """Texts with labels from a table.

    Raises:
        DataError: The file is missing or no table, a column is not there, or a row has no text or label.
    """
    problems: list[str] = []
    seen: set[tuple[str, str | None]] = set()
    train = _pairs(spec, root / spec.path, "data.path", problems, seen, progress)
    test = None
    if spec.test_path is not None:
        seen.clear()
        test = _pairs(spec, root / spec.test_path, "data.test_path", problems, seen, progress)
    return labelled_bundle(spec, root, Path(spec.path).name, train, test, spec.classes, problems, progress)


def _pairs(
    spec: TextTable,
    path: Path,
    field: str,
    problems: list[str],
    seen: set[tuple[str, str | None]],
    progress: Progress | None,
) -> list[Pair]:
    found: list[Pair] = []
    empty: list[int] = []
    unlabelled: list[int] = []
    twice = 0
    columns: set[str] = set()
    row = None
    for row in read_rows(path, spec.encoding, progress, field):
        columns.update(row.values)
        lenient = spec.bad_rows == "leave_out"
        text = _text(row, spec.text, "data.text", path, lenient)
        second = _text(row, spec.second, "data.second", path, lenient) if spec.second else None
        label = _text(row, spec.label, "data.label", path, lenient)
        known = bool(label) and (spec.classes is None or label in spec.classes)
        if not text or not known:
            if spec.bad_rows == "refuse":
                raise _bad_row(spec, row, path, text, label)
            (empty if not text else unlabelled).append(row.line)
            continue
        twice += (text, second) in seen
        seen.add((text, second))
        found.append((text, second, label))
    for name, key in ((spec.text, "data.text"), (spec.second, "data.second"), (spec.label, "data.label")):
        if name is not None and row is not None and name not in columns:
            column(row, name, key, path)
    problems += problems_of_rows(path.name, empty, unlabelled, twice, len(found) + len(empty) + len(unlabelled))
    return found


def _bad_row(spec: TextTable, row: Row, path: Path, text: str, label: str) -> DataError:
    leave = "mend the row, or set data.bad_rows to leave_out"
    where = f"{path.name}, line {row.line}"
    if not text:
        return DataError(f"data.path: {where} has no text in the column '{spec.text}'", "", leave)
    if not label:
        return DataError(f"data.path: {where} has no label in the column '{spec.label}'", "", leave)
    known = ", ".join(spec.classes or [])[:200]
    return DataError(f"data.path: {where} has the label '{label[:60]}'", f"data.classes has: {known}", leave)


def _text(row: Row, name: str, field: str, path: Path, lenient: bool = False) -> str:
    """A cell as a text; of JSON lines a key may be missing here and there, where that is to be left out."""
    value = row.values.get(name) if lenient else column(row, name, field, path)
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, dict)):
        raise DataError(
            f"{field}: {path.name}, line {row.line}: the column '{name}' has a {type(value).__name__}, not a text",
            fix="choose a column with texts",
        )
    return str(value).replace("\0", "").strip()


def load_corpus_data(spec: TextCorpus, root: Path, progress: Progress | None = None) -> DataBundle:
    """Plain text, packed into blocks of tokens.

    Raises:
        DataError: There is no text, or too little.
    """
    files = _files(root / spec.path)
    stamp = " ".join(
        [f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files] + [spec.text, spec.encoding]
    )

    def texts() -> Iterator[str]:
        for path in files:
            yield from _documents(spec, path)

    return corpus_bundle(spec, root, Path(spec.path).name, texts, spec.task, spec.mask_share, stamp, progress)


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if suffix_of(file) in (".txt", ".jsonl") and file.is_file())
        if not found:
            raise DataError(f"data.path: there is no .txt file in {path}", fix="give a folder with .txt files")
        return found
    if not path.exists():
        raise DataError(f"data.path: there is no file {path}", fix="check the path; it is relative to the project")
    return [path]


def _documents(spec: TextCorpus, path: Path) -> Iterator[str]:
    """Texts of a file: a row each of a table, pieces of plain text."""
    if suffix_of(path) in (".csv", ".tsv", ".jsonl"):
        for row in read_rows(path, spec.encoding):
            text = _text(row, spec.text, "data.text", path)
            if text:
                yield text
        return
    with open_text(path, spec.encoding) as file:
        try:
            while piece := file.read(PIECE):
                # a word that is cut in two would become other tokens
                yield piece + (file.readline() if not piece.endswith("\n") else "")
        except UnicodeDecodeError as error:
            raise wrong_encoding(path, spec.encoding, error, "data.path") from None
        except BROKEN as error:
            raise DataError(f"data.path: {path.name} breaks off", str(error)[:200], "copy the file again") from None
