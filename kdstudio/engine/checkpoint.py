"""Checkpoints: all that a stage needs to go on as if nothing had happened."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import zipfile
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
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise StorageError(
            f"{path}: the checkpoint cannot be read",
            why=str(error).splitlines()[0][:200],
            fix="delete this file to start the stage anew",
            kind="damaged",
        ) from None
