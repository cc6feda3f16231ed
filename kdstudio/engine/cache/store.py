"""Arrays of teachers' answers on disk: written in shards, each with a checksum, by any number of processes at once.

A view of the samples is a folder; an array of it is one file of fixed rows, so that row i is sample i and a reader maps
the whole file. A shard is `SHARD` rows. Its rows are written and flushed to the disk first, and only then named in the
array's `.done` file with their checksum: whatever ends a process in between, the shard counts as missing.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from filelock import FileLock, Timeout

from kdstudio.project.cache import DESCRIPTION, mark_rebuildable, mark_used
from kdstudio.project.runs.folder import write_bytes
from kdstudio.project.yaml_io import storage_error

#: Rows of a shard.
SHARD = 1024
FORMAT = 1


class CacheStore:
    """One entry of the cache: the answers of one teacher about one set of samples.

    Args:
        folder: The entry's folder; made if it is missing.
        rows: Number of samples N.
        about: What `cache.json` is to say.

    Raises:
        StorageError: The folder cannot be made.
    """

    def __init__(self, folder: Path, rows: int, about: Mapping[str, Any]) -> None:
        self.folder = folder
        self.rows = rows
        try:
            folder.mkdir(parents=True, exist_ok=True)
            mark_rebuildable(folder.parent)
        except OSError as error:
            raise storage_error(folder, error) from error
        if not (folder / DESCRIPTION).exists():
            said = {"format": FORMAT, "rows": rows, "shard": SHARD, "made": time.time(), **about}
            write_bytes(folder / DESCRIPTION, msgspec.json.encode(said))
        mark_used(folder)
        self._sound: dict[Path, dict[int, int]] = {}

    @property
    def shards(self) -> int:
        return -(-self.rows // SHARD)

    def span(self, shard: int) -> tuple[int, int]:
        """The rows of a shard: first, and the one behind the last."""
        return shard * SHARD, min(self.rows, (shard + 1) * SHARD)

    def view(self, number: int) -> Path:
        return self.folder / f"v{number:x}"

    def missing(self, view: int, arrays: Mapping[str, ArrayKind]) -> dict[int, list[str]]:
        """The shards that some of the arrays lack, with those arrays. Rows are checked against their checksums once."""
        found: dict[int, list[str]] = {}
        for name, kind in arrays.items():
            sound = self._checked(view, name, kind)
            for shard in range(self.shards):
                if shard not in sound:
                    found.setdefault(shard, []).append(name)
        return dict(sorted(found.items()))

    def write(self, view: int, shard: int, values: Mapping[str, np.ndarray]) -> None:
        """Writes a shard of some arrays.

        Args:
            values: By name (rows of the shard, ...), in the type that is kept.

        Raises:
            StorageError: The disk is full, or the folder cannot be written.
        """
        start, _ = self.span(shard)
        home = self.view(view)
        try:
            home.mkdir(exist_ok=True)
            for name, rows in values.items():
                content = np.ascontiguousarray(rows).tobytes()
                path = _file(home, name)
                with _opened(path) as file:
                    file.seek(start * (len(content) // len(rows)))
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                sum_of = zlib.crc32(content)
                with path.with_suffix(".done").open("ab") as done:
                    done.write(f"{shard} {sum_of}\n".encode())
                    done.flush()
                    os.fsync(done.fileno())
                self._sound.setdefault(path, {})[shard] = sum_of
        except OSError as error:
            raise storage_error(home, error) from error

    def read(self, view: int, name: str, kind: ArrayKind) -> np.ndarray:
        """An array (N, ...) of a view that lacks nothing, mapped from its file.

        Raises:
            StorageError: The file is gone or cannot be read.
        """
        path = _file(self.view(view), name)
        try:
            # copy on write: PyTorch takes no array that is read-only
            return np.memmap(path, kind.dtype, "c", shape=(self.rows, *kind.shape))
        except (OSError, ValueError) as error:
            raise storage_error(path, error if isinstance(error, OSError) else OSError(str(error))) from error

    @contextmanager
    def claim(self, view: int, shard: int) -> Iterator[bool]:
        """Whether this process may fill a shard; False while another one does."""
        home = self.view(view)
        try:
            home.mkdir(parents=True, exist_ok=True)
            lock = FileLock(home / f".{shard}.lock")
            lock.acquire(timeout=0)
        except Timeout:
            yield False
            return
        except OSError as error:
            raise storage_error(home, error) from error
        try:
            yield True
        finally:
            lock.release()
            with suppress(OSError):
                (home / f".{shard}.lock").unlink()

    def _checked(self, view: int, name: str, kind: ArrayKind) -> dict[int, int]:
        path = _file(self.view(view), name)
        sound = self._sound.setdefault(path, {})
        done = _done(path.with_suffix(".done"))
        open_shards = [shard for shard in done if shard not in sound and shard < self.shards]
        if not open_shards:
            return sound
        row = kind.row_bytes
        try:
            with path.open("rb") as file:
                for shard in sorted(open_shards):
                    start, end = self.span(shard)
                    file.seek(start * row)
                    content = file.read((end - start) * row)
                    if len(content) == (end - start) * row and zlib.crc32(content) == done[shard]:
                        sound[shard] = done[shard]
        except OSError:
            pass  # what cannot be read is missing
        return sound


class ArrayKind(msgspec.Struct, frozen=True):
    """What the rows of an array are.

    Attributes:
        shape: Of a row.
        dtype: NumPy's word for the type on the disk.
    """

    shape: tuple[int, ...]
    dtype: str

    @property
    def row_bytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


def _file(home: Path, name: str) -> Path:
    plain = "".join(letter if letter.isalnum() or letter in "-_#" else "+" for letter in name)
    return home / f"{plain}.bin"


def _done(path: Path) -> dict[int, int]:
    """Shards with their checksums; a line that was cut off by a crash is skipped."""
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except OSError:
        return {}
    found = {}
    for line in lines:
        parts = line.split()
        if len(parts) == 2 and parts[0].isdigit() and parts[1].isdigit():
            found[int(parts[0])] = int(parts[1])
    return found


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A file to write into the middle of; made if it is missing, and never emptied."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
    with os.fdopen(handle, "r+b") as file:
        yield file
