"""Writes an artifact, checks it in a fresh process, and only then gives it its name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kdstudio import __version__
from kdstudio.engine.data import ArraySplit, DataBundle
from kdstudio.engine.evaluate import predict
from kdstudio.engine.export.formats import FORMATS, SNIPPETS, WRITERS, sync
from kdstudio.engine.export.verify import file_hash
from kdstudio.engine.student_io import Student, load_student
from kdstudio.project.errors import InputError, KDStudioError, ParityError
from kdstudio.project.spec import suggestion
from kdstudio.project.yaml_io import storage_error

CHECK_SECONDS = 600


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
        force: Replace an existing folder.
        trusted: Whether a Python model file may run.

    Raises:
        InputError: An unknown format, or the folder exists.
        ParityError: The artifact does not compute what the student computes.
        StorageError: The disk is full, or the folder cannot be written.
    """
    if kind not in FORMATS:
        raise InputError(
            f"there is no export format '{kind}'", fix=suggestion(kind, FORMATS) or f"there are: {', '.join(FORMATS)}"
        )
    if out.exists() and not force:
        raise InputError(f"{out}: already exists", fix="choose another folder, or add --force to replace it")
    student = load_student(source, trusted)
    if bundle.input_shape != student.input_shape:
        raise InputError(
            f"the data have samples of shape {bundle.input_shape}, and the student takes {student.input_shape}",
            fix="check with the data that the student was trained on",
        )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    except OSError as error:
        raise storage_error(out, error) from error
    try:
        metadata = _metadata(student, kind)
        file = beside / _write(kind, student, source, beside, metadata)
        metadata.update(file=file.name, sha256=file_hash(file))
        _json(beside / "metadata.json", metadata)
        parity = check_artifact(beside, load_student(source, trusted), bundle.test, trusted)
        if not parity["ok"]:
            failed = out.with_name(f"{out.name}.failed")
            shutil.rmtree(failed, ignore_errors=True)
            os.replace(beside, failed)
            raise _parity_error(failed, parity)
        (beside / "README.md").write_text(_readme(metadata, parity), encoding="utf-8")
        for path in beside.iterdir():
            if path.is_file():
                sync(path)
        os.chmod(beside, 0o755)
        if out.exists():
            shutil.rmtree(out) if out.is_dir() else out.unlink()
        os.replace(beside, out)
    except OSError as error:
        raise storage_error(out, error) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return ExportResult(str(out), file.name, kind, (out / file.name).stat().st_size, parity)


def check_artifact(folder: Path, student: Student, split: ArraySplit, trusted: bool = False) -> dict[str, Any]:
    """Loads an artifact in a fresh process, runs it on the split and writes `parity.json` beside it.

    Returns:
        What `verify` found.

    Raises:
        InputError: The folder holds no artifact.
        KDStudioError: The checking process itself did not come back.
    """
    if not (folder / "metadata.json").exists():
        raise InputError(f"{folder}: there is no exported student here", why="it has no metadata.json")
    expected = predict(student.model, student.preprocess, split, torch.device("cpu"))
    with tempfile.TemporaryDirectory() as scratch:
        cases = Path(scratch) / "cases.npz"
        np.savez(cases, samples=split.images.numpy(), labels=split.labels.numpy(), logits=expected.numpy())
        command = [sys.executable, "-m", "kdstudio.engine.export.verify", str(folder), str(cases)]
        try:
            done = subprocess.run(
                command + (["--trusted"] if trusted else []), capture_output=True, text=True, timeout=CHECK_SECONDS
            )
            parity = json.loads(done.stdout.strip().splitlines()[-1])
        except subprocess.TimeoutExpired:
            raise KDStudioError(f"{folder}: the check took more than {CHECK_SECONDS} s") from None
        except (ValueError, IndexError):
            last = (done.stderr.strip().splitlines() or ["no output"])[-1]
            parity = {"ok": False, "problem": f"the process that loaded it died (exit {done.returncode}): {last[:300]}"}
    parity["checked"] = time.time()
    try:
        _json(folder / "parity.json", parity)
    except OSError as error:
        raise storage_error(folder / "parity.json", error) from error
    return parity


def check_or_raise(folder: Path, student: Student, split: ArraySplit, trusted: bool = False) -> dict[str, Any]:
    """`check_artifact`, with a mismatch as an error.

    Raises:
        ParityError: The artifact does not compute what the student computes.
    """
    parity = check_artifact(folder, student, split, trusted)
    if not parity["ok"]:
        raise _parity_error(folder, parity)
    return parity


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


def _metadata(student: Student, kind: str) -> dict[str, Any]:
    return {
        "format": kind,
        "labels": student.classes,
        "input_shape": list(student.input_shape),
        "input": "float32, 0..255" if len(student.input_shape) == 3 else "float32, as in the data",
        "output": "logits",
        "preprocessing": student.preprocess.to_dict(),
        "preprocessing_in_graph": kind != "safetensors",
        "model": student.spec.model,
        "origin": student.meta,
        "versions": {"kdstudio": __version__, "torch": str(torch.__version__)},
    }


def _parity_error(folder: Path, parity: dict[str, Any]) -> ParityError:
    return ParityError(
        f"{folder}: the artifact does not compute what the student computes",
        why=parity["problem"],
        fix="do not ship it; export again, and report the model if it happens again",
    )


def _json(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=1), encoding="utf-8")


def _readme(metadata: dict[str, Any], parity: dict[str, Any]) -> str:
    shape = " x ".join(str(size) for size in metadata["input_shape"])
    kind = metadata["format"]
    within = "inside the graph" if metadata["preprocessing_in_graph"] else "in `student.preprocess`"
    labels = ", ".join(metadata["labels"][:20]) + (" ..." if len(metadata["labels"]) > 20 else "")
    return f"""# {metadata["model"]} ({kind})

A distilled student, exported by KD Studio {metadata["versions"]["kdstudio"]}.

- file: `{metadata["file"]}` (SHA-256 `{metadata["sha256"]}`)
- input: `samples`, (batch, {shape}), {metadata["input"]}; the normalisation is {within}
- output: `logits`, (batch, {len(metadata["labels"])}); labels: {labels}
- checked in a fresh process on {parity["samples"]} test samples: accuracy {parity["accuracy"]:.2%}, largest difference
  from the student's outputs {parity["max_difference"]:.2g} (allowed: {parity["tolerance"]:.2g})

```python
{SNIPPETS[kind]}```
"""
