"""What a person says of a run: a star, tags, a note. In `marks.json` of its folder, which no engine reads."""

from __future__ import annotations

import contextlib

import msgspec

from kdstudio.project.errors import InputError
from kdstudio.project.runs.folder import RunFolder, write_bytes

FILE = "marks.json"


class Marks(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A person's marks on a run."""

    star: bool = False
    tags: list[str] = []
    note: str = ""

    @property
    def text(self) -> str:
        """The marks in one line, as lists show and search them."""
        parts = ["★" if self.star else "", *(f"#{tag}" for tag in self.tags), " ".join(self.note.split())]
        return " ".join(part for part in parts if part)


def read_marks(run: RunFolder) -> Marks:
    """The marks of a run; none where there is no file or it is damaged."""
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode((run.path / FILE).read_bytes(), type=Marks)
    return Marks()


def write_marks(run: RunFolder, marks: Marks) -> None:
    """Keeps the marks of a run; a file without any is removed.

    Raises:
        StorageError: The folder cannot be written.
    """
    if marks == Marks():
        with contextlib.suppress(FileNotFoundError):
            (run.path / FILE).unlink()
        return
    write_bytes(run.path / FILE, msgspec.json.format(msgspec.json.encode(marks), indent=1) + b"\n")


def tags_of(text: str) -> list[str]:
    """Tags as a person types them, with blanks or commas between and `#` before them or not.

    Raises:
        InputError: A tag is longer than 40 letters.
    """
    found = [part.lstrip("#") for part in text.replace(",", " ").split()]
    for tag in found:
        if len(tag) > 40:
            raise InputError(f"the tag '{tag[:20]}...' is longer than 40 letters", fix="write it as a note")
    return list(dict.fromkeys(tag for tag in found if tag))
