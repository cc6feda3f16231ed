"""The base of every spec model, and the helpers that turn pydantic's findings into our own messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from kdstudio.project.errors import Problem, SpecError

M = TypeVar("M", bound=BaseModel)


class Strict(BaseModel):
    """A spec model: unknown keys are refused, and an assignment is checked like a file."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, use_attribute_docstrings=True)


def suggestion(word: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?` for the nearest known word, or the empty string."""
    match = difflib.get_close_matches(str(word), [str(name) for name in known], n=1, cutoff=0.55)
    return f"did you mean '{match[0]}'?" if match else ""


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Each of pydantic's findings as a `Problem` whose path is the one a person wrote in YAML."""
    found: list[Problem] = []
    for item in error.errors(include_url=False):
        location = list(item["loc"])
        path, owner = _yaml_path(model, location)
        message, fix = _say(item, owner, location)
        found.append(Problem(path, message, fix))
    return found


def validate(model: type[M], data: Any, file: str = "") -> M:
    """`model.model_validate(data)`, with a `SpecError` that names file, field and fix."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise SpecError(problems_of(error, model), file) from None


def _yaml_path(model: type[BaseModel], location: list[Any]) -> tuple[str, type[BaseModel] | None]:
    """The dotted path without pydantic's union tags, and the model that owns the last key."""
    from kdstudio.project.spec.walk import walk_location

    return walk_location(model, location)


def _say(item: Any, owner: type[BaseModel] | None, location: list[Any]) -> tuple[str, str]:
    kind = item["type"]
    context = item.get("ctx", {})
    value = item.get("input")
    last = location[-1] if location else ""
    if kind == "extra_forbidden":
        known = list(owner.model_fields) if owner else []
        near = suggestion(str(last), known)
        return f"unknown key '{last}'", near or (f"the keys here are: {', '.join(known)}" if known else "remove it")
    if kind == "missing":
        field: FieldInfo | None = owner.model_fields.get(str(last)) if owner else None
        hint = f"add it: {field.description}" if field is not None and field.description else "add it"
        return "a required key is missing", hint
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        tags = [tag.strip().strip("'") for tag in str(context.get("expected_tags", "")).split(",") if tag.strip()]
        key = str(context.get("discriminator", "")).strip("'")
        if kind == "union_tag_not_found":
            return f"the key '{key}' is missing", f"choose one of: {', '.join(tags)}" if tags else f"add '{key}'"
        tag = str(context.get("tag", ""))
        return f"unknown {key} '{tag}'", suggestion(tag, tags) or f"choose one of: {', '.join(tags)}"
    if kind == "literal_error":
        expected = str(context.get("expected", "")).replace(" or ", ", ")
        choices = [choice.strip().strip("'") for choice in expected.split(",")]
        return f"{value!r} is not a choice", suggestion(str(value), choices) or f"choose one of: {', '.join(choices)}"
    if kind in ("value_error", "assertion_error"):
        text = str(context.get("error", item["msg"]))
        message, _, fix = text.partition("; ")
        return message, fix
    shown = repr(value)
    message = item["msg"].replace("Input should be", "should be")
    return f"{message} (it is {shown if len(shown) < 60 else shown[:57] + '...'})", ""
