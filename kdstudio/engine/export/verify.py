"""The check of an artifact, in a fresh process: `python -m kdstudio.engine.export.verify FOLDER CASES PARENT`.

With `--trusted` after these, a Python model file in the folder may run.
`CASES` is a NumPy file with raw samples, labels, the logits that the student gave, what is allowed, and what the
artifact must say of itself; `PARENT` is the process to end with. Prints one JSON object.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

#: What an artifact says of itself, so that it can be used without us.
DESCRIBED = {"labels": "labels", "input_shape": "input shape", "preprocessing": "preprocessing"}


def file_hash(path: Path) -> str:
    """SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(folder: Path, cases: Path, trusted: bool) -> dict[str, Any]:
    """Loads the artifact, runs it, compares.

    Returns:
        `ok` and `problem` (empty if ok); and if it ran `max_difference` of the outputs and the `tolerance` for that
        sample, the same as shares of the outputs' size (`relative_difference`, `relative_tolerance`), `agreement`,
        `accuracy`, `expected_accuracy` and `samples`.
    """
    with np.load(cases) as arrays:
        samples, labels, expected = arrays["samples"], arrays["labels"], arrays["logits"]
        allowed, facts = float(arrays["tolerance"]), json.loads(str(arrays["facts"]))
    try:
        metadata = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
        name, kind, hashes = metadata["file"], metadata["format"], dict(metadata["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        return _refused(f"metadata.json is missing or damaged: {_first_line(error)}")
    problem = _files_problem(folder, hashes, name) or _facts_problem(metadata, facts, "metadata.json")
    if problem:
        return _refused(problem)
    from kdstudio.engine.export.formats import LOADERS, run_in_batches

    if kind not in LOADERS:
        return _refused(f"metadata.json names an unknown format, '{kind}'")
    try:
        artifact = LOADERS[kind](folder, trusted)
    except Exception as error:  # whatever a loader raises, the artifact does not load
        return _refused(f"{name} cannot be loaded: {_first_line(error)}")
    problem = _facts_problem(artifact.metadata, facts, name)
    if problem:
        return _refused(problem)
    try:
        found = run_in_batches(artifact.run, samples)
    except Exception as error:  # see above
        return _refused(f"{name} cannot be run: {_first_line(error)}")
    if found.shape != expected.shape:
        return _refused(f"outputs have shape {found.shape} instead of {expected.shape}")
    return compare(found, expected, labels, allowed)


def compare(found: np.ndarray, expected: np.ndarray, labels: np.ndarray, allowed: float) -> dict[str, Any]:
    """The outputs of an artifact against the student's; see `verify`.

    Args:
        found, expected: (N, C) logits.
        labels: (N) true classes; below 0 where there is none.
        allowed: Largest difference, as a share of the size of a sample's outputs; infinite for a quantised artifact.
    """
    from kdstudio.engine.export.tolerance import scales

    spoiled = int((~np.isfinite(found)).any(axis=1).sum())
    if spoiled:
        return _refused(f"outputs of {spoiled} of {len(found)} samples are NaN or infinite")
    differences = np.abs(found.astype(np.float64) - expected).max(axis=1)
    relative = differences / scales(expected)
    most, worst = int(differences.argmax()), int(relative.argmax())
    good = bool(relative[worst] <= allowed)
    problem = f"outputs differ by {relative[worst]:.2g} of their size, and {allowed:.2g} is what rounding explains"
    return {
        "ok": good,
        "problem": "" if good else problem,
        "max_difference": float(differences[most]),
        "tolerance": None if np.isinf(allowed) else float(allowed * scales(expected)[most]),
        "relative_difference": float(relative[worst]),
        "relative_tolerance": None if np.isinf(allowed) else allowed,
        "agreement": float((found.argmax(1) == expected.argmax(1)).mean()),
        "accuracy": float((found.argmax(1) == labels)[labels >= 0].mean()),
        "expected_accuracy": float((expected.argmax(1) == labels)[labels >= 0].mean()),
        "nll": _nll(found, labels),
        "expected_nll": _nll(expected, labels),
        "samples": len(found),
    }


def _nll(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log-likelihood in nats, over samples that have a label."""
    wide = logits[labels >= 0].astype(np.float64)
    top = wide.max(axis=1)
    total = top + np.log(np.exp(wide - top[:, None]).sum(axis=1))
    return float((total - wide[np.arange(len(wide)), labels[labels >= 0]]).mean())


def _files_problem(folder: Path, hashes: dict[str, str], name: str) -> str:
    if name not in hashes:
        return f"metadata.json has no SHA-256 of {name}"
    for file, digest in hashes.items():
        path = folder / file
        if not path.is_file():
            return f"{file} is missing"
        if file_hash(path) != digest:
            return f"{file} is not the file that was written (its SHA-256 differs)"
    return ""


def _facts_problem(said: dict[str, Any], facts: dict[str, Any], where: str) -> str:
    for key, words in DESCRIBED.items():
        if key not in said:
            return f"{where} does not say its {words}"
        if said[key] != facts[key]:
            return f"{where} has another {words} than the student"
    return ""


def _refused(problem: str) -> dict[str, Any]:
    return {"ok": False, "problem": problem}


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:200] if text else ''}"


def _end_with(parent: int, cases: Path) -> None:
    """Ends this process when the one that started it is gone, as when an export is killed half-way."""
    import psutil

    while psutil.pid_exists(parent) and (os.name != "posix" or os.getppid() == parent):
        time.sleep(0.5)
    with contextlib.suppress(OSError):  # nobody else is left to tidy up
        cases.unlink()
        cases.parent.rmdir()
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with, args=(int(sys.argv[3]), Path(sys.argv[2])), daemon=True).start()
    print(json.dumps(verify(Path(sys.argv[1]), Path(sys.argv[2]), "--trusted" in sys.argv[4:])))
