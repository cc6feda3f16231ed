"""The project's `cache/`: teachers' answers and decoded images. What there is, how large it is, and what makes room."""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CACHE_DIR = "cache"
DESCRIPTION = "cache.json"
USED = "used"
#: How the folders of decoded images begin.
IMAGES = "images-"
#: Keep what can be made again out of version control and of backups.
_MARKS = {".gitignore": "*\n", "CACHEDIR.TAG": "Signature: 8a477f597d28d172789f06886806bc55\n"}
#: What was used within so many seconds makes no room: another run may be reading it.
IN_USE_SECONDS = 3600.0


@dataclass(frozen=True)
class CacheEntry:
    """The answers of one teacher about one set of samples, or the decoded images of a folder.

    Attributes:
        path: Its folder.
        size: Bytes on the disk.
        used: When a run last read or wrote it, seconds since 1970.
        about: What `cache.json` says: teacher, data, rows, precision, arrays.
    """

    path: Path
    size: int
    used: float
    about: dict[str, Any]

    @property
    def is_images(self) -> bool:
        return self.path.name.startswith(IMAGES)

    @property
    def views(self) -> int:
        """Views of the samples that something is kept of."""
        return sum(1 for each in self.path.glob("v*") if each.is_dir())


def entries(root: Path) -> list[CacheEntry]:
    """What the cache of a project holds, the one used last first. Folders without a readable description count too."""
    found = []
    for folder in _folders(root):
        try:
            about = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            about = {}
        size = sum(_disk_bytes(file) for file in folder.rglob("*") if file.is_file())
        found.append(CacheEntry(folder, size, _used(folder), about if isinstance(about, dict) else {}))
    return sorted(found, key=lambda entry: -entry.used)


def total_bytes(root: Path) -> int:
    """Bytes that the project's cache takes on the disk."""
    return sum(entry.size for entry in entries(root))


def make_room(root: Path, needed: int, limit: int, keep: Path, now: float | None = None) -> list[CacheEntry]:
    """Deletes answers that were not used for longest, until `needed` bytes more are within the limit or none may go.

    Decoded images neither count nor go: they are only on the disk where there is no other place for them.

    Args:
        root: The project.
        needed, limit: Bytes.
        keep: An entry that stays.
        now: Seconds since 1970, for tests.

    Returns:
        What was deleted.
    """
    now = time.time() if now is None else now
    held = [entry for entry in entries(root) if not entry.is_images]
    total = sum(entry.size for entry in held)
    gone = []
    for entry in reversed(held):
        if total + needed <= limit:
            break
        if entry.path == keep or now - entry.used < IN_USE_SECONDS:
            continue
        shutil.rmtree(entry.path, ignore_errors=True)
        total -= entry.size
        gone.append(entry)
    return gone


def drop_images(root: Path, folder: str, keep: Path, now: float | None = None) -> None:
    """Deletes what is left of images of a folder that were decoded otherwise, or not to the end.

    Args:
        root: The project.
        folder: The images' folder, as `cache.json` has it.
        keep: The entry that stays.
        now: Seconds since 1970, for tests.
    """
    now = time.time() if now is None else now
    for entry in entries(root):
        old = entry.path != keep and now - entry.used >= IN_USE_SECONDS
        if entry.is_images and old and entry.about.get("images", folder) == folder:
            shutil.rmtree(entry.path, ignore_errors=True)


def clear(root: Path) -> int:
    """Deletes the whole cache; runs that read it make it again. Returns the bytes that are free now."""
    size = total_bytes(root)
    for folder in _folders(root):
        shutil.rmtree(folder, ignore_errors=True)
    return size


def mark_used(folder: Path) -> None:
    """Says that an entry is in use."""
    with suppress(OSError):  # it only looks older than it is
        (folder / USED).touch()


def mark_rebuildable(folder: Path) -> None:
    """Says to version control and backups that a folder's content can be made again.

    Raises:
        OSError: It cannot be written.
    """
    for name, content in _MARKS.items():
        if not (folder / name).exists():
            (folder / name).write_text(content, encoding="utf-8")


def _folders(root: Path) -> list[Path]:
    home = root / CACHE_DIR
    return sorted(each for each in home.iterdir() if each.is_dir()) if home.is_dir() else []


def _used(folder: Path) -> float:
    for name in (USED, DESCRIPTION):
        try:
            return (folder / name).stat().st_mtime
        except OSError:
            continue
    return 0.0


def _disk_bytes(file: Path) -> int:
    """What a file takes: arrays that are filled in part have holes."""
    try:
        found = os.stat(file)
    except OSError:
        return 0
    blocks = getattr(found, "st_blocks", None)
    return found.st_size if blocks is None else min(found.st_size, blocks * 512)
