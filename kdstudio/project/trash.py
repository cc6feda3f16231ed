"""Deleting moves to `.kdstudio/trash` of the project, from where it comes back."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from kdstudio.project.errors import InputError
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.yaml_io import storage_error


@dataclass(frozen=True)
class Trashed:
    """Something in the trash: where it was, and where it lies."""

    origin: Path
    place: Path


def trash_folder(root: Path) -> Path:
    return root / ".kdstudio" / "trash"


def move_to_trash(root: Path, path: Path) -> Trashed:
    """Moves a file or folder of the project to its trash.

    Args:
        root: The project folder.
        path: A run folder, or any file inside the project.

    Raises:
        InputError: There is no such thing, or a run that is going.
        StorageError: It cannot be moved.
    """
    if not path.exists():
        raise InputError(f"{path}: there is nothing to delete", fix="refresh the list")
    if (path / "state.json").exists() and RunFolder(path).status().active:
        raise InputError(f"{path}: this run is going", fix="stop it first")
    holder = trash_folder(root) / f"{time.strftime('%Y%m%d-%H%M%S')}-{time.time_ns() % 10**9:09d}"
    try:
        holder.mkdir(parents=True)
        (holder / "origin.json").write_text(json.dumps(os.path.relpath(path, root)), encoding="utf-8")
        os.replace(path, holder / path.name)
    except OSError as error:
        shutil.rmtree(holder, ignore_errors=True)  # nothing lies in it
        raise storage_error(path, error) from error
    return Trashed(path, holder / path.name)


def restore(trashed: Trashed) -> None:
    """Brings it back to where it was.

    Raises:
        InputError: Something else is there by now.
        StorageError: It cannot be moved.
    """
    if trashed.origin.exists():
        raise InputError(
            f"{trashed.origin}: something else has this name by now", fix=f"it lies in {trashed.place.parent}"
        )
    try:
        trashed.origin.parent.mkdir(parents=True, exist_ok=True)
        os.replace(trashed.place, trashed.origin)
        (trashed.place.parent / "origin.json").unlink(missing_ok=True)
        trashed.place.parent.rmdir()
    except OSError as error:
        raise storage_error(trashed.origin, error) from error
