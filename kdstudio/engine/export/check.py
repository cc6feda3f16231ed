"""Checks an artifact: starts the fresh process that loads and runs it, and reads what it found."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kdstudio.engine.data import ArraySplit
from kdstudio.engine.evaluate import predict
from kdstudio.engine.export.formats import ARTIFACTS, facts
from kdstudio.engine.export.quantise import QUANTISED
from kdstudio.engine.export.tolerance import relative_tolerance, rounding_error
from kdstudio.engine.student_io import Student
from kdstudio.project.errors import InputError, KDStudioError, OutOfMemoryError, ParityError
from kdstudio.project.yaml_io import storage_error

#: The process may take this long, or so many times as long as the student itself took.
CHECK_SECONDS, CHECK_FACTOR = 600.0, 20.0
#: So many places of a text a language model's artifact is tried on.
POSITIONS = 2048


def check_artifact(folder: Path, student: Student, split: ArraySplit, trusted: bool = False) -> dict[str, Any]:
    """Loads an artifact in a fresh process and runs it on the split.

    Args:
        folder: What `export_student` wrote.
        student: What it must compute.
        split: Samples and labels.
        trusted: Whether a Python model file in the folder may run.

    Returns:
        What `verify` found, `checked` (seconds since 1970) and `rounding` (see `rounding_error`).

    Raises:
        InputError: The folder holds no artifact.
        KDStudioError: The checking process itself did not come back.
    """
    if not (folder / "metadata.json").exists() and not any((folder / name).exists() for name in ARTIFACTS):
        raise InputError(f"{folder}: there is no exported student here", why="it has no metadata.json and no artifact")
    begin = time.monotonic()
    samples, labels = cases_of(student, split)
    split = ArraySplit(samples, labels)
    expected = predict(student.model, student.preprocess, split, torch.device("cpu"))
    if student.text is not None and student.text.is_language_model:
        # what is hidden was drawn already: the samples are inputs
        labels = labels.flatten()
    seconds = max(CHECK_SECONDS, CHECK_FACTOR * (time.monotonic() - begin))
    spoiled = int((~torch.isfinite(expected)).any(dim=1).sum())
    if spoiled:
        problem = f"the student itself gives NaN or infinite outputs for {spoiled} of {len(expected)} test samples"
        return {"ok": False, "problem": problem, "checked": time.time(), "rounding": None}
    rounding = rounding_error(student, split, expected)
    with tempfile.TemporaryDirectory() as scratch:
        cases = Path(scratch) / "cases.npz"
        try:
            np.savez(
                cases,
                samples=samples.numpy(),
                labels=labels.numpy(),
                logits=expected.numpy(),
                tolerance=np.inf if quantised(folder) else relative_tolerance(rounding),
                facts=json.dumps(facts(student)),
            )
        except OSError as error:
            raise storage_error(cases, error) from error
        parity = _fresh_process(folder, cases, trusted, seconds)
    return {**parity, "checked": time.time(), "rounding": rounding}


def cases_of(student: Student, split: ArraySplit) -> tuple[Tensor, Tensor]:
    """What an artifact is tried on, and the right answers: the split, or of a language model some of its blocks.

    The outputs of a language model are large: a row of its vocabulary's size for each token.
    """
    if student.text is None or not student.text.is_language_model:
        return split.images, split.labels
    count = max(2, POSITIONS // student.text.max_tokens)
    inputs, targets = student.text.fixed_view(split.images[:count].long(), 0, split.labels[:count])
    if student.text.is_tagger:  # columns of padding alone have no outputs
        assert student.text.pad is not None
        used = int(inputs.ne(student.text.pad).any(dim=0).nonzero()[-1]) + 1
        inputs, targets = inputs[:, :used], targets[:, :used]
    return inputs, targets


def quantised(folder: Path) -> bool:
    """Whether an artifact differs from the student by design."""
    try:
        kind = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))["format"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return kind in QUANTISED


def check_or_raise(folder: Path, student: Student, split: ArraySplit, trusted: bool = False) -> dict[str, Any]:
    """`check_artifact`, with its findings in `parity.json` and a mismatch as an error.

    Raises:
        ParityError: The artifact does not compute what the student computes.
    """
    parity = check_artifact(folder, student, split, trusted)
    with contextlib.suppress(OSError):  # what lies on a read-only disk can be checked too
        write_json(folder / "parity.json", parity)
    if not parity["ok"]:
        raise parity_error(folder, parity)
    return parity


def _fresh_process(folder: Path, cases: Path, trusted: bool, seconds: float) -> dict[str, Any]:
    # -P: a file of the folder that we stand in, such as a types.py, must not be taken for a library's
    command = [sys.executable, "-P", "-m", "kdstudio.engine.export.verify"]
    command += [str(folder.resolve()), str(cases), str(os.getpid())]
    try:
        done = subprocess.run(
            command + (["--trusted"] if trusted else []),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        raise KDStudioError(f"{folder}: the check took more than {seconds:.0f} s", kind="timeout") from None
    if done.returncode == -9:  # nobody but the system does that to it
        raise OutOfMemoryError(
            f"{folder}: the check was killed", why="the system does so when memory runs out", fix="free some memory"
        )
    try:
        answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return answer
    except (ValueError, IndexError):
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        problem = f"the process that loaded it died (exit {done.returncode}): {last[:300]}"
        return {"ok": False, "problem": problem}


def parity_error(folder: Path, parity: dict[str, Any]) -> ParityError:
    """The error for an artifact that did not pass."""
    return ParityError(
        f"{folder}: the exported student did not pass its check",
        why=parity["problem"],
        fix="do not ship it; export again, and report the model if it happens again",
    )


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Plain data as a file that people can read too."""
    path.write_text(json.dumps(data, indent=1, allow_nan=False), encoding="utf-8")
