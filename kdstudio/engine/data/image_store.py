"""Where decoded images of a folder are kept on the disk: in the project's cache, made again whenever a file changes."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from filelock import FileLock, Timeout

from kdstudio.project.amounts import size_text
from kdstudio.project.cache import CACHE_DIR, DESCRIPTION, IMAGES, drop_images, mark_rebuildable, mark_used
from kdstudio.project.errors import DataError
from kdstudio.project.runs.folder import write_bytes
from kdstudio.project.spec import ImageFolder
from kdstudio.project.yaml_io import storage_error

logger = logging.getLogger("kdstudio")

#: Images are kept in memory where they take at most this share of what is free.
MEMORY_SHARE = 0.7
#: On the disk they take at most this share of what is free.
_DISK_SHARE = 0.9
#: Raised when decoding comes out otherwise.
_FORMAT = 1
_WAIT_SECONDS = 0.2
_FOUND = "found.json"


class ImageStore:
    """Decoded images of one folder at one size, split by split.

    Args:
        root: The project.
        spec: The folder, and how its images are read.
        base: Where the folder is.
        files: The images of each split, in their order.
    """

    def __init__(self, root: Path, spec: ImageFolder, base: Path, files: Mapping[str, Sequence[Path]]) -> None:
        self._root, self._spec, self._base, self._files = root, spec, base, files
        side = spec.image_size
        self._shapes = {split: (len(paths), 1 if spec.grayscale else 3, side, side) for split, paths in files.items()}
        self._about = {"images": spec.path, "rows": sum(map(len, files.values())), "side": side}

    @cached_property
    def folder(self) -> Path:
        """Where they are kept: named by all files, which are looked at for that."""
        spec = self._spec
        digest = hashlib.blake2b(f"{_FORMAT} {spec.image_size} {spec.grayscale}".encode(), digest_size=8)
        for split, paths in self._files.items():
            for path in paths:
                found = path.stat()
                where = path.relative_to(self._base).as_posix()
                digest.update(f"\0{split}\0{where}\0{found.st_size}\0{found.st_mtime_ns}".encode())
        return self._root / CACHE_DIR / f"{IMAGES}{digest.hexdigest()}"

    def found(self) -> dict[str, Any] | None:
        """What was noted when all images were decoded; None where they are not, or no longer, all there."""
        try:
            whole = all(self._path(split).stat().st_size == math.prod(s) for split, s in self._shapes.items())
            if not whole or not (self.folder / DESCRIPTION).exists():
                return None
            found = json.loads((self.folder / _FOUND).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    @contextmanager
    def filling(self, waiting: Callable[[], None]) -> Iterator[None]:
        """While this process alone may decode.

        Args:
            waiting: Called again and again while another one does.

        Raises:
            StorageError: The cache cannot be written to.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            mark_rebuildable(self.folder.parent)
        except OSError as error:
            raise storage_error(self.folder, error) from error
        lock = FileLock(self.folder / ".lock")
        while True:
            try:
                lock.acquire(timeout=_WAIT_SECONDS)
                break
            except Timeout:
                waiting()
            except OSError as error:
                raise storage_error(self.folder, error) from error
        drop_images(self._root, str(self._about["images"]), self.folder)
        try:
            yield
        finally:
            lock.release()

    def new(self, split: str) -> np.memmap[Any, np.dtype[np.uint8]]:
        """uint8 [N, C, S, S], to be written."""
        path, shape = self._path(split), self._shapes[split]
        try:
            (self.folder / DESCRIPTION).unlink(missing_ok=True)
            with path.open("wb") as file:
                if hasattr(os, "posix_fallocate"):  # a disk that is full is told now; writing to a map would crash
                    os.posix_fallocate(file.fileno(), 0, math.prod(shape))
                else:
                    file.truncate(math.prod(shape))
            return np.memmap(path, np.uint8, "r+", shape=shape)
        except OSError as error:
            raise storage_error(path, error) from error

    def finish(self, arrays: Mapping[str, np.memmap[Any, np.dtype[np.uint8]]], found: Mapping[str, Any]) -> None:
        """Says that all images are there: from now on they are not decoded again."""
        for array in arrays.values():
            array.flush()
        write_bytes(self.folder / _FOUND, json.dumps(found).encode())
        write_bytes(self.folder / DESCRIPTION, json.dumps({**self._about, "made": time.time()}).encode())

    def images(self, split: str) -> torch.Tensor:
        """uint8 [N, C, S, S], mapped from the file."""
        path = self._path(split)
        mark_used(self.folder)
        try:
            # copy on write: PyTorch takes no array that is read-only
            return torch.from_numpy(np.memmap(path, np.uint8, "c", shape=self._shapes[split]))
        except (OSError, ValueError) as error:
            raise storage_error(path, error if isinstance(error, OSError) else OSError(str(error))) from error

    def _path(self, split: str) -> Path:
        return self.folder / f"{split}.bin"


def belongs_on_disk(spec: ImageFolder, root: Path, total: int, decoded: Callable[[], bool]) -> bool:
    """Whether the decoded images of a folder are kept on the disk and not in memory.

    Args:
        spec: The folder.
        root: The project.
        total: The number of images.
        decoded: Says whether they are on the disk already, and need no more room there.

    Raises:
        DataError: They fit into neither, or not where they are asked for.
    """
    needed = total * (1 if spec.grayscale else 3) * spec.image_size**2
    memory, disk = psutil.virtual_memory().available, shutil.disk_usage(root).free
    if spec.keep_in != "disk" and needed <= memory * MEMORY_SHARE:
        return False
    if spec.keep_in != "memory" and (needed <= disk * _DISK_SHARE or decoded()):
        logger.info("%s: %s of images are read from the disk, batch by batch", spec.path, size_text(needed))
        return True
    there = {
        "auto": f"{size_text(memory)} of memory and {size_text(disk)} of the project's disk are free.",
        "memory": f"data.keep_in asks for the memory, and {size_text(memory)} is free.",
        "disk": f"data.keep_in asks for the project's disk, and {size_text(disk)} is free.",
    }
    smaller = "Set a smaller data.image_size, or data.grayscale if colour does not matter"
    raise DataError(
        f"{spec.path}: {total} images at {spec.image_size} x {spec.image_size} take {size_text(needed)}",
        there[spec.keep_in],
        f"{smaller}." if spec.keep_in == "auto" else f"{smaller}; or set data.keep_in to auto.",
        kind="memory",
    )
