"""Writes an artifact, checks it in a fresh process, and only then gives it its name."""

from __future__ import annotations

import glob
import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

from kdstudio import __version__
from kdstudio.engine.data import DataBundle
from kdstudio.engine.export.check import check_artifact, parity_error, write_json
from kdstudio.engine.export.formats import FORMATS, WRITERS, facts, sync
from kdstudio.engine.export.usage import NEEDS, NEEDS_PICTURES, checked_words, snippet
from kdstudio.engine.export.usage_texts import text_readme
from kdstudio.engine.export.verify import file_hash
from kdstudio.engine.student_io import Student, load_student, require_same_data, some
from kdstudio.project.errors import InputError, KDStudioError
from kdstudio.project.spec import suggestion
from kdstudio.project.yaml_io import storage_error


@dataclass
class ExportResult:
    """An artifact that was checked.

    Attributes:
        folder: Where it lies.
        file: The artifact in it.
        format: One of `FORMATS`.
        bytes: Its size.
        parity: What the check found; see `verify`.
    """

    folder: str
    file: str
    format: str
    bytes: int
    parity: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def export_student(
    source: Path, kind: str, out: Path, bundle: DataBundle, *, force: bool = False, trusted: bool = False
) -> ExportResult:
    """Exports a student folder and checks the artifact on the data's test samples.

    Args:
        source: A folder that `save_student` wrote.
        kind: One of `FORMATS`.
        out: The new folder. It appears when the check has passed; an artifact that failed is kept as `<out>.failed`.
        bundle: Data with test samples.
        force: Replace an earlier export.
        trusted: Whether a Python model file may run.

    Raises:
        InputError: An unknown format, the folder exists, or the data are not those of the student.
        ParityError: The artifact does not compute what the student computes.
        StorageError: The disk is full, or the folder cannot be written.
    """
    require_format(kind)
    out = Path(os.path.abspath(out))
    try:
        _require_free(out, source, force)
    except OSError as error:
        raise storage_error(out, error) from error
    student = load_student(source, trusted)
    require_same_data(student, bundle)
    if kind == "transformers" and student.text is None:
        raise InputError(
            f"{student.spec.model} is no model of the transformers library",
            fix="choose onnx, torch-export or safetensors",
        )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.{os.getpid()}."))
    except OSError as error:
        raise storage_error(out, error) from error
    try:
        metadata = _metadata(student, kind, bundle)
        name = _write(kind, student, source, beside, metadata)
        written = sorted(path for path in beside.rglob("*") if path.is_file())
        metadata["file"] = name
        metadata["files"] = {path.relative_to(beside).as_posix(): file_hash(path) for path in written}
        write_json(beside / "metadata.json", metadata)
        parity = check_artifact(beside, load_student(source, trusted), bundle.test, trusted)
        write_json(beside / "parity.json", parity)
        os.chmod(beside, 0o755)
        if not parity["ok"]:
            failed = _keep_failed(beside, out)
            raise parity_error(failed, parity)
        (beside / "README.md").write_text(_readme(metadata, parity), encoding="utf-8")
        for path in beside.rglob("*"):
            if path.is_file():
                sync(path)
        _put(beside, out)
        _sweep(out)
    except OSError as error:
        raise storage_error(out, error) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return ExportResult(str(out), name, kind, (out / name).stat().st_size, parity)


def require_format(kind: str) -> None:
    """Refuses a format that there is not.

    Raises:
        InputError: With the nearest one.
    """
    if kind not in FORMATS:
        near = suggestion(kind, FORMATS)
        raise InputError(f"there is no export format '{kind}'", fix=near or f"there are: {', '.join(FORMATS)}")


def _require_free(out: Path, source: Path, force: bool) -> None:
    if source.resolve() in (out.resolve(), *out.resolve().parents):
        raise InputError(f"{out}: lies in the student's own folder", fix="choose another folder with --out")
    if out.is_dir() and not any(out.iterdir()):
        return
    if out.exists() and not force:
        raise InputError(f"{out}: already exists", fix="choose another folder, or add --force to replace it")
    if out.exists() and not _is_export(out):
        raise InputError(
            f"{out}: this is no exported student, so it is not replaced",
            why="--force replaces an earlier export and nothing else",
            fix="choose another folder with --out",
        )


def _is_export(folder: Path) -> bool:
    try:
        return json.loads((folder / "metadata.json").read_text(encoding="utf-8"))["format"] in FORMATS
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _sweep(out: Path) -> None:
    """Removes what exports that were killed left beside the folder."""
    for path in out.parent.glob(f".{glob.escape(out.name)}.*"):
        parts = path.name.removeprefix(f".{out.name}.").split(".")
        if len(parts) == 2 and parts[0].isdigit() and not psutil.pid_exists(int(parts[0])):
            shutil.rmtree(path, ignore_errors=True)


def _put(folder: Path, out: Path) -> None:
    """Gives a finished folder its name; an earlier export goes when the new one stands."""
    if not out.exists():
        os.replace(folder, out)
        return
    old = out.with_name(f".{out.name}.{os.getpid()}.old")
    os.replace(out, old)
    try:
        os.replace(folder, out)
    except OSError:
        os.replace(old, out)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _keep_failed(folder: Path, out: Path) -> Path:
    """Moves an artifact that did not pass to `<out>.failed`, in place of an earlier one that did not."""
    failed, number = out.with_name(f"{out.name}.failed"), 2
    while failed.exists() and not _is_export(failed):
        failed, number = out.with_name(f"{out.name}.failed-{number}"), number + 1
    shutil.rmtree(failed, ignore_errors=True)
    os.replace(folder, failed)
    return failed


def _write(kind: str, student: Student, source: Path, folder: Path, metadata: dict[str, Any]) -> str:
    try:
        return WRITERS[kind](student, source, folder, metadata)
    except (OSError, KDStudioError):
        raise
    except Exception as error:  # the exporters raise their own many kinds for networks they cannot trace
        text = (str(error).strip().splitlines() or [""])[0][:300]
        raise KDStudioError(
            f"the student cannot be written as {kind}",
            why=f"{type(error).__name__}: {text}",
            fix="the format safetensors works for every student; the network may do something that cannot be traced",
            kind="export",
        ) from error


def _metadata(student: Student, kind: str, bundle: DataBundle) -> dict[str, Any]:
    pixels = {1: "grey", 3: "RGB"}.get(student.input_shape[0], "as in the data")
    form = f"float32, pixels in 0..255, {pixels}" if len(student.input_shape) == 3 else "float32, as in the data"
    if bundle.source == "folder":
        form += f"; pictures upright, the shorter side resized to {student.input_shape[1]}, the centre cut out"
    if student.text is not None:
        form = f"int64, token ids of the tokenizer beside it, up to {student.text.max_tokens} a text"
    return {
        "format": kind,
        **facts(student),
        "input": form,
        "output": "logits",
        "preprocessing_in_graph": kind != "safetensors" and student.text is None,
        "model": student.spec.model,
        "origin": {**student.meta, "data": bundle.origin()},
        "versions": {"kdstudio": __version__, "torch": str(torch.__version__)},
    }


def _readme(metadata: dict[str, Any], parity: dict[str, Any]) -> str:
    if "text" in metadata["preprocessing"]:
        return text_readme(metadata, parity)
    shape = " x ".join(str(size) for size in metadata["input_shape"])
    kind, name = metadata["format"], metadata["file"]
    within = "inside the graph" if metadata["preprocessing_in_graph"] else "in `student.preprocess`"
    own_code = ".py:" in metadata["model"]
    picture = tuple(metadata["input_shape"]) if metadata["origin"]["data"]["source"] == "folder" else None
    needs = NEEDS[kind] + (NEEDS_PICTURES[kind] if picture else "")
    return f"""# {metadata["model"]} ({kind})

A distilled student, exported by KD Studio {metadata["versions"]["kdstudio"]}.

- file: `{name}` (SHA-256 `{metadata["files"][name]}`)
- input: `samples`, (batch, {shape}), {metadata["input"]}; the normalisation is {within}
- output: `logits`, (batch, {len(metadata["labels"])}); labels: {some(metadata["labels"], 20)}
- {checked_words(parity)}

To use it (`pip install {needs}`), run this in the folder{"; it runs the Python file there" * own_code}:

```python
{snippet(kind, own_code, picture)}```
"""
