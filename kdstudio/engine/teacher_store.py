"""Trained teachers are kept in the project's `teachers/`, so that each is trained once."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from torch import nn

from kdstudio.engine.data import DataBundle
from kdstudio.engine.models.own_code import code_files
from kdstudio.engine.networks import weights_path
from kdstudio.engine.student_io import load_student
from kdstudio.project.errors import InputError, ModelError
from kdstudio.project.spec import DataBase, TeacherSpec

#: Part of every key; raised when a change in the engine makes the same spec end in other weights.
RECIPE = 1
#: Fields that decide where samples come from or which there are, which the fingerprint tells; and what only the
#: student's samples lack.
_NOT_ITS_VIEWS = {
    "folder", "download", "path", "unreadable", "keep_in", "test_fraction", "leave_out", "labelled", "views",
}  # fmt: skip


def teacher_key(spec: TeacherSpec, data: DataBase, bundle: DataBundle, root: Path) -> str:
    """16 hex digits that stand for all that decides the teacher's weights: spec, data, seed, and files it reads."""
    digest = hashlib.blake2b(digest_size=8)
    left: dict[str, Any] = {"train": {"device", "devices", "sharing", "checkpoint_seconds", "compile"}}
    if not spec.finetune:  # teachers from before there was a choice keep their keys
        left["finetune"] = True
    varies = bool(getattr(data, "augment", ())) or (bundle.text is not None and bundle.text.hides)
    described = {
        "recipe": RECIPE + varies,  # views came from another source of chance before
        "teacher": spec.model_dump(mode="json", exclude=left),
        "data": bundle.fingerprint(),
    }
    if not spec.given:
        described["views"] = data.model_dump(mode="json", exclude=_NOT_ITS_VIEWS)
    digest.update(json.dumps(described, sort_keys=True).encode())
    files = []
    if spec.weights is not None:
        files.append(weights_path(spec.weights, root, "teacher"))
    if ".py:" in spec.model:
        files += code_files(root / spec.model.split(":")[0])
    for file in files:
        if file.exists():
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "blake2b").digest())
    return digest.hexdigest()


def teacher_folder(root: Path, spec: TeacherSpec, key: str) -> Path:
    """Where the teacher with this key is kept."""
    name = "".join(letter if letter.isalnum() or letter in "-." else "-" for letter in spec.model)
    return root / "teachers" / f"{name}-{key}"


def load_teacher(folder: Path, trusted: bool) -> nn.Module:
    """The network of a kept teacher, on the CPU.

    Raises:
        ModelError: The folder is damaged, or its Python file may not run.
    """
    try:
        return load_student(folder, trusted).model
    except InputError as error:
        if error.kind == "untrusted":
            raise
        raise ModelError(
            f"teacher: the one that was kept in {folder} cannot be read",
            why=error.what,
            fix="delete that folder: the next run makes the teacher again",
            kind="damaged",
        ) from None
