"""The check of an artifact, run in a fresh process: `python -m kdstudio.engine.export.verify FOLDER CASES [--trusted]`.

`CASES` is a NumPy file with raw samples, labels and the logits that the student gave. Prints one JSON object.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

#: Largest allowed difference of outputs, as a share of the logits' spread. float32 graphs in another order of
#: operations differ by about 1e-6; a wrong weight or a lost preprocessing by far more than this.
TOLERANCE = 1e-4


def file_hash(path: Path) -> str:
    """SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(folder: Path, cases: Path, trusted: bool) -> dict[str, Any]:
    """Loads the artifact, runs it, compares.

    Returns:
        `ok`, `problem` (empty if ok), `max_difference`, `tolerance`, `agreement`, `accuracy`, `expected_accuracy`,
        `samples`.
    """
    metadata = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
    path = folder / metadata["file"]
    if file_hash(path) != metadata["sha256"]:
        return {"ok": False, "problem": f"{path.name} is not the file that was written (its SHA-256 differs)"}
    from kdstudio.engine.export.formats import RUNNERS, run_in_batches

    try:
        runner = RUNNERS[metadata["format"]](folder, trusted)
    except Exception as error:  # whatever a loader raises, the artifact does not load
        return {"ok": False, "problem": f"{path.name} cannot be loaded: {_first_line(error)}"}
    with np.load(cases) as arrays:
        samples, labels, expected = arrays["samples"], arrays["labels"], arrays["logits"]
    try:
        found = run_in_batches(runner, samples)
    except Exception as error:  # see above
        return {"ok": False, "problem": f"{path.name} cannot be run: {_first_line(error)}"}
    if found.shape != expected.shape:
        return {"ok": False, "problem": f"outputs have shape {found.shape} instead of {expected.shape}"}
    difference = float(np.abs(found - expected).max())
    allowed = TOLERANCE * max(1.0, float(np.abs(expected).max()))
    result = {
        "max_difference": difference,
        "tolerance": allowed,
        "agreement": float((found.argmax(1) == expected.argmax(1)).mean()),
        "accuracy": float((found.argmax(1) == labels).mean()),
        "expected_accuracy": float((expected.argmax(1) == labels).mean()),
        "samples": len(samples),
    }
    good = difference <= allowed  # False for NaN too
    problem = "" if good else f"outputs differ by {difference:.3g}, and {allowed:.3g} is allowed"
    return {"ok": good, "problem": problem, **result}


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:200] if text else ''}"


if __name__ == "__main__":
    print(json.dumps(verify(Path(sys.argv[1]), Path(sys.argv[2]), "--trusted" in sys.argv[3:])))
