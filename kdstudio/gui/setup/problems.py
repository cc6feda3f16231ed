"""Where on the form a problem of the spec is shown, and how it is said there."""

from __future__ import annotations

import re

from pydantic import BaseModel

from kdstudio.gui.language import mark, tr
from kdstudio.gui.setup.schema import models_in_field
from kdstudio.project.errors import Problem
from kdstudio.project.spec import Experiment

#: What the spec says of a key that is not there.
MISSING = "a required key is missing"
#: What is to be chosen, by model and field.
PATH_WORDS = {
    ("ImageFolder", "path"): mark("Choose a folder: it has a sub-folder of images for each class."),
    ("NumpyFile", "path"): mark("Choose a file: a NumPy file (.npz) with images or features, and labels."),
}


def placed(problems: list[Problem]) -> dict[str, list[str]]:
    """Messages by dotted path. A problem of a group is put to the field that its message names."""
    found: dict[str, list[str]] = {}
    for problem in problems:
        found.setdefault(_place(problem), []).append(_said(problem))
    return found


def _said(problem: Problem) -> str:
    if problem.message == MISSING:
        return _missing(problem)
    return " ".join(_sentence(part) for part in (problem.message, problem.fix) if part)


def _sentence(text: str) -> str:
    """Begins large and ends with a stop. Lists stand as their field takes them, without YAML's brackets."""
    text = re.sub(r"for example \[([^\]]*)\]", r"for example \1", text)
    text = text[:1].upper() + text[1:]
    return text if text.endswith(("?", "!")) else text.rstrip(".") + "."


def _missing(problem: Problem) -> str:
    """In the window nobody adds a key: a field is filled in, or a file is chosen."""
    group, _, name = problem.path.rpartition(".")
    for model in _models_at(group):
        field = model.model_fields.get(name)
        description = (field.description if field is not None else "") or ""
        if description and description in problem.fix:
            words = PATH_WORDS.get((model.__name__, name))
            return tr(words) if words else tr("Fill this in: {description}", description=tr(description))
    return tr("Fill this in.")


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
