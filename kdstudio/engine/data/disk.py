"""Images that do not fit into memory: decoded once, kept on the disk as plain pixels, and read a batch at a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from kdstudio.project.runs.folder import write_bytes

#: Choices of at most this size are read at once: probes, small splits.
SMALL_BYTES = 64 * 2**20
#: So much is in memory at once where all samples are gone through.
_PIECE_BYTES = 32 * 2**20
_NOTES = "notes.json"


class DiskImages:
    """Images in files, in the place of the tensor of an `ArraySplit`. Only what is asked for is read.

    It answers what splits are asked: shape and type, samples by number, pieces, and a choice of samples.

    Args:
        parts: uint8 [n, C, H, W] each, mapped from files, or in memory; one behind the other.
        rows: int64 [N], which of them there are, and in which order; None for all.
        folder: Where findings are noted that take a look at every sample; None for nowhere.
        file: What the files are called there.
    """

    dtype = torch.uint8
    ndim = 4
    device = torch.device("cpu")

    def __init__(
        self, parts: Sequence[Tensor], rows: Tensor | None = None, folder: Path | None = None, file: str = ""
    ) -> None:
        self._parts = list(parts)
        self._rows = torch.arange(sum(len(part) for part in parts)) if rows is None else rows
        self._folder = folder
        self._file = file

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def shape(self) -> torch.Size:
        return torch.Size((len(self._rows), *self._parts[0].shape[1:]))

    @property
    def nbytes(self) -> int:
        return self.shape.numel()

    @property
    def name(self) -> str:
        """Stands for which samples of which files they are, in which order."""
        return f"{self._file} {hashlib.blake2b(self._rows.numpy().data, digest_size=16).hexdigest()}"

    def __getitem__(self, index: int | slice | Tensor) -> Tensor:
        """The images of some samples (int64 [M] or a slice: [M, C, H, W]), or of one ([C, H, W])."""
        rows = self._rows[index]
        return self._read(rows[None])[0] if rows.ndim == 0 else self._read(rows)

    def index_select(self, dimension: int, indices: Tensor) -> Tensor:
        """As that of a tensor along its first dimension: the images of some samples."""
        return self[indices]

    def split(self, size: int) -> Iterator[Tensor]:
        """All images, in pieces of `size` samples."""
        for start in range(0, len(self), size):
            yield self[start : start + size]

    def choice(self, indices: Tensor) -> Tensor | DiskImages:
        """The images at `indices` (int64 [M]): read if they are few, else still on the disk."""
        few = len(indices) * self.shape[1:].numel() <= SMALL_BYTES
        return self[indices] if few else DiskImages(self._parts, self._rows[indices], self._folder, self._file)

    def noted(self, purpose: str, find: Callable[[], Any]) -> Any:
        """What `find` finds by looking at every sample; noted beside the files, so that it is looked for once.

        Args:
            purpose: With the samples and their order it stands for what is found.
            find: Its result can be written as JSON.
        """
        if self._folder is None:
            return find()
        key, path = f"{purpose} {self.name}", self._folder / _NOTES
        notes: dict[str, Any] = {}
        with suppress(OSError, ValueError):
            notes = json.loads(path.read_text(encoding="utf-8"))
        if key not in notes:
            notes[key] = find()
            with suppress(OSError):  # then it is looked for once more the next time
                write_bytes(path, json.dumps(notes).encode())
        return notes[key]

    def _read(self, rows: Tensor) -> Tensor:
        if len(self._parts) == 1:
            return self._parts[0].index_select(0, rows)
        found = torch.empty(len(rows), *self.shape[1:], dtype=self.dtype)
        first = 0
        for part in self._parts:
            here = (rows >= first) & (rows < first + len(part))
            found[here] = part.index_select(0, rows[here] - first)
            first += len(part)
        return found


def joined(images: Sequence[Tensor]) -> Tensor:
    """The samples of several splits, one behind the other; on the disk where one of them is."""
    given = cast("list[Tensor | DiskImages]", list(images))
    if not any(isinstance(each, DiskImages) for each in given):
        return torch.cat(list(images))
    parts: list[Tensor] = []
    rows: list[Tensor] = []
    first = 0
    for each in given:
        whole = each if isinstance(each, DiskImages) else DiskImages([each])
        parts += whole._parts
        rows.append(whole._rows + first)
        first += sum(len(part) for part in whole._parts)
    return as_tensor(DiskImages(parts, torch.cat(rows)))


def chosen(images: Tensor, indices: Tensor) -> Tensor:
    """The images at `indices` (int64 [M]), copied; on the disk where they are and take much."""
    given = cast("Tensor | DiskImages", images)
    return as_tensor(given.choice(indices)) if isinstance(given, DiskImages) else given[indices]


def pieces(images: Tensor) -> Iterator[Tensor]:
    """All samples, as many at once as take little memory."""
    each = max(1, images.nbytes // max(1, len(images)))
    yield from images.split(max(1, _PIECE_BYTES // each))


def on_disk(images: Tensor) -> DiskImages | None:
    """The images that lie on the disk; None for those in memory."""
    given = cast("Tensor | DiskImages", images)
    return given if isinstance(given, DiskImages) else None


def as_tensor(images: Tensor | DiskImages) -> Tensor:
    """`DiskImages` answer what is asked of the images of a split, so they go by the name of a tensor there."""
    return cast(Tensor, images)
