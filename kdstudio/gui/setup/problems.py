"""Where on the form a problem of the spec is shown, and how it is said there."""

from __future__ import annotations

import re

from pydantic import BaseModel

from kdstudio.gui.setup.schema import models_in_field
from kdstudio.project.errors import Problem
from kdstudio.project.spec import Experiment


def placed(problems: list[Problem]) -> dict[str, list[str]]:
    """Messages by dotted path. A problem of a group is put to the field that its message names."""
    found: dict[str, list[str]] = {}
    for problem in problems:
        found.setdefault(_place(problem), []).append(_said(problem))
    return found


def _said(problem: Problem) -> str:
    parts = [part[:1].upper() + part[1:].rstrip(".") + "." for part in (problem.message, problem.fix) if part]
    return " ".join(parts)


def _place(problem: Problem) -> str:
    models = _models_at(problem.path)
    names = {name for model in models for name in model.model_fields}
    wanted = re.findall(r"needs '(\w+)'", problem.message)
    for word in [*wanted, *re.findall(r"\w+", problem.message)]:
        if word in names:
            return f"{problem.path}.{word}" if problem.path else word
    return problem.path


def _models_at(path: str) -> list[type[BaseModel]]:
    """The models whose fields stand below a path; none where it leads to a value."""
    models: list[type[BaseModel]] = [Experiment]
    keys = path.split(".") if path else []
    for key in keys:
        if not key.isdigit():
            models = [
                inner
                for model in models
                if key in model.model_fields
                for inner in models_in_field(model.model_fields[key].annotation)
            ]
    return models
