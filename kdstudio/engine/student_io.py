"""A trained network as a folder that loads without the run: `model.safetensors` and `student.json`."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from kdstudio import __version__
from kdstudio.engine.data import DataBundle, Preprocess
from kdstudio.engine.data.views import TokenPreprocess
from kdstudio.engine.models import build_model, load_weights
from kdstudio.engine.models.own_code import code_files
from kdstudio.engine.text.facts import TextFacts
from kdstudio.engine.text.network import TextNetwork
from kdstudio.engine.text.tokens import KEPT, Tokenizer
from kdstudio.project.as_run import as_built
from kdstudio.project.errors import InputError, ModelError
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.spec import ModelSpec, validate
from kdstudio.project.yaml_io import storage_error

FORMAT_VERSION = 1
WEIGHTS = "model.safetensors"
DESCRIPTION = "student.json"
#: Folder of the tokenizer, where there is one.
TOKENIZER = KEPT


@dataclass
class Student:
    """A network that was read back, in eval mode.

    Attributes:
        model: float inputs (B, *input_shape), normalised by `preprocess`, to logits (B, C).
        preprocess: Stored samples (0..255 pixels or raw features) to network inputs.
        spec: What the network was built from.
        classes: Names in label order.
        input_shape: (C, H, W) or (D,).
        meta: What was written beside: role, run, data, scores.
        text: Of networks for texts, the text task.
    """

    model: nn.Module
    preprocess: Preprocess
    spec: ModelSpec
    classes: list[str]
    input_shape: tuple[int, ...]
    meta: dict[str, Any]
    text: TextFacts | None = None

    @property
    def outputs(self) -> int:
        """How many logits it gives."""
        return self.text.outputs if self.text is not None and self.text.is_language_model else len(self.classes)


def save_student(
    folder: Path,
    model: nn.Module,
    spec: ModelSpec,
    input_shape: tuple[int, ...],
    classes: list[str],
    preprocess: dict[str, Any],
    meta: dict[str, Any],
    root: Path | None = None,
    tokenizer: Tokenizer | None = None,
) -> None:
    """Writes the folder beside and renames it; an earlier one is replaced.

    Args:
        folder: The target.
        model: The network alone, without regressors or teacher.
        spec: What it was built from. Its `weights` and `pretrained` are dropped: the weights travel with it. A Python
            file of a person's own travels with it too, together with the neighbours that it imports.
        input_shape, classes, preprocess: See `Student`; `preprocess` is `Preprocess.to_dict()`.
        meta: Plain data to keep beside it.
        root: The project folder, needed where the model comes from a Python file of the user's.
        tokenizer: Of networks for texts; it travels with them.

    Raises:
        StorageError: The disk is full, or the folder cannot be written.
    """
    if root is not None:
        spec = as_built(spec, root)
    plain = spec.model_dump(mode="json", include=set(ModelSpec.model_fields))
    plain.update(weights=None, pretrained=False)
    if isinstance(model, TextNetwork):
        plain.update(model.description())
    code: dict[str, Path] = {}
    if ".py:" in spec.model and root is not None:
        name, _, function = spec.model.rpartition(":")
        file = root / name
        plain["model"] = f"{file.name}:{function}"  # wherever it lay, now it lies in this folder
        code = {path.relative_to(file.parent).as_posix(): path for path in code_files(file)}
    description = {
        "format": FORMAT_VERSION,
        "model": plain,
        "classes": classes,
        "input_shape": list(input_shape),
        "preprocess": preprocess,
        "meta": meta,
        "versions": {"kdstudio": __version__, "torch": str(torch.__version__)},
    }
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in model.state_dict().items()}
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            (beside / WEIGHTS).write_bytes(save(tensors))  # its own writer tells of a full disk in a way of its own
            (beside / DESCRIPTION).write_text(json.dumps(description, indent=1), encoding="utf-8")
            if tokenizer is not None:
                tokenizer.save(beside / TOKENIZER)
            for name, path in code.items():
                (beside / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, beside / name)
            os.chmod(beside, 0o755)
            for name in (WEIGHTS, DESCRIPTION):
                with (beside / name).open("rb") as stream:
                    os.fsync(stream.fileno())
            if folder.exists():
                old = folder.with_name(f".{folder.name}.old")
                shutil.rmtree(old, ignore_errors=True)
                os.replace(folder, old)
                os.replace(beside, folder)
                shutil.rmtree(old, ignore_errors=True)
            else:
                os.replace(beside, folder)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
    except OSError as error:
        raise storage_error(folder, error) from error


def load_student(folder: Path, trusted: bool = False) -> Student:
    """Reads a folder that `save_student` wrote, on the CPU.

    Args:
        folder: The folder.
        trusted: Whether a Python model file in it may run.

    Raises:
        ModelError: The folder is incomplete, damaged or of a newer format.
    """
    path = folder / DESCRIPTION
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        version = description["format"]
        classes = [str(name) for name in description["classes"]]
        input_shape = tuple(int(size) for size in description["input_shape"])
        preprocess = Preprocess.from_dict(description["preprocess"])
        plain, meta = description["model"], dict(description["meta"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path}: there is no readable student here", why=str(error)[:200], fix="run the experiment again"
        ) from None
    if version != FORMAT_VERSION:
        raise ModelError(f"{path}: format {version} is not known here", fix="update KD Studio")
    spec = validate(ModelSpec, plain, str(path))
    text = preprocess.facts if isinstance(preprocess, TokenPreprocess) else None
    language = text is not None and text.is_language_model
    outputs = text.outputs if language and text is not None else len(classes)
    model = build_model(spec, input_shape, outputs, folder, trusted, text)
    load_weights(model, folder / WEIGHTS)
    return Student(model.eval(), preprocess.eval(), spec, classes, input_shape, meta, text)


def student_folder(run: RunFolder, name: str | None) -> Path:
    """The folder of the run's student, or of a derived one by its name.

    Raises:
        InputError: There is none.
    """
    folder = run.student_dir if name is None else run.derived_dir(name)
    if (folder / DESCRIPTION).exists():
        return folder
    if name is None:
        raise InputError(
            f"{run.name}: there is no student yet", why=run.status().text(run.state()), fix="let the run finish first"
        )
    known = ", ".join(run.derived())
    raise InputError(
        f"{run.name}: there is no student '{name}'",
        fix=f"there are: {known}" if known else "kdstudio bias RUN --write NAME makes one",
    )


def require_same_data(student: Student, bundle: DataBundle) -> None:
    """Refuses data that the student was not trained on.

    Raises:
        InputError: The samples have another shape, or the classes are others.
    """
    if bundle.input_shape != student.input_shape:
        raise InputError(
            f"the data have samples of shape {bundle.input_shape}, and the student takes {student.input_shape}",
            fix="use the data that the student was trained on",
        )
    if student.text is not None and bundle.text != student.text:
        raise InputError(
            "the data's tokens are not those that the student was trained on",
            why="the tokenizer, data.max_tokens or data.task has changed since",
            fix="use the data that the student was trained on",
        )
    if bundle.classes != student.classes:
        raise InputError(
            f"the data's classes ({some(bundle.classes)}) are not the student's ({some(student.classes)})",
            why="the data have changed since the student was trained",
            fix="use the data that the student was trained on",
        )


def some(names: list[str], most: int = 6) -> str:
    """The first names, for messages."""
    return ", ".join(names[:most]) + (" ..." if len(names) > most else "")
