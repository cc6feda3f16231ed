"""The network of a run, where a spec says that another one begins as it is (`model: as-run`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kdstudio.project.errors import InputError, ModelError
from kdstudio.project.folder import Project
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.spec import AS_RUN, ModelSpec, validate

DESCRIPTION = "student.json"


def run_of(weights: str, root: Path, place: str) -> RunFolder:
    """The finished run that `run:EXPERIMENT[/NNN]` means.

    Args:
        weights: What the spec says.
        root: The project folder.
        place: Where the spec says it, for messages: `student.weights`.

    Raises:
        ModelError: There is no such run, or no project.
    """
    try:
        project = Project.open(root)
    except InputError:
        raise ModelError(
            f"{place}: '{weights}' needs a project, and {root} is none", fix="give a file instead"
        ) from None
    run = project.run_with_student(weights)
    if run is not None:
        return run
    known = ", ".join(project.experiment_names())
    raise ModelError(
        f"{place}: no finished run for '{weights}'",
        fix=f"run that experiment first; there are: {known}" if known else "run that experiment first",
        kind="missing-run",
    )


def as_built(spec: ModelSpec, root: Path) -> ModelSpec:
    """The spec with the network of its run in place of `as-run`; any other spec as it is.

    Raises:
        ModelError: There is no such run, or its student cannot be read.
    """
    if spec.model != AS_RUN or spec.weights is None:
        return spec
    run = run_of(spec.weights, root, "weights")
    path = run.student_dir / DESCRIPTION
    try:
        described: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["model"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ModelError(f"{path}: there is no readable student here", fix="run that experiment again") from None
    if ".py:" in described.get("model", ""):  # its code travels with the student
        described["model"] = str((run.student_dir / described["model"]).relative_to(root))
    return validate(ModelSpec, {**described, "weights": spec.weights}, str(path))
