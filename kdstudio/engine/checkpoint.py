"""Checkpoints: all that a stage needs to go on as if nothing had happened."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from kdstudio.project.errors import StorageError
from kdstudio.project.yaml_io import storage_error


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Writes beside, syncs, renames: at every moment the old file or the new one is whole.

    Raises:
        StorageError: The disk is full, or the folder cannot be written.
    """
    beside = path.with_name(f".{path.name}.new")
    try:
        buffer = io.BytesIO()  # the disk is touched once, so an error in pickling leaves no half file
        torch.save(content, buffer)
        with beside.open("wb") as file:
            file.write(buffer.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        with contextlib.suppress(OSError):  # some file systems cannot sync a folder
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise storage_error(path, error) from error


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any] | None:
    """Reads a checkpoint with `weights_only=True`; None where there is none.

    Raises:
        StorageError: The file is damaged.
    """
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception as error:  # a damaged pickle can raise anything
        raise _damaged(path, "cannot be read", error) from None


@contextlib.contextmanager
def telling_misfits(path: Path) -> Iterator[None]:
    """While a checkpoint's content is put into place: what does not fit is told as a damaged file.

    Raises:
        StorageError: Something is missing, or is of another network.
    """
    try:
        yield
    except torch.cuda.OutOfMemoryError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RuntimeError) as error:
        raise _damaged(path, "does not fit this run", error) from None


def _damaged(path: Path, what: str, error: Exception) -> StorageError:
    lines = str(error).splitlines() or [type(error).__name__]
    stage = path.name.removesuffix("last.pt").removesuffix("best.pt")
    return StorageError(
        f"{path}: the checkpoint {what}",
        why=lines[0][:200],
        fix=f"delete {stage}last.pt and {stage}best.pt in this folder and resume: the stage starts anew",
        kind="damaged",
    )
