"""The base of every spec model, and the helpers that turn pydantic's findings into our own messages."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from kdstudio.project.errors import Problem, SpecError

if TYPE_CHECKING:
    from kdstudio.project.spec.walk import Place

M = TypeVar("M", bound=BaseModel)


class Strict(BaseModel):
    """A spec model: unknown keys are refused, and an assignment is checked like a file."""

    model_config = ConfigDict(
        extra="forbid", validate_assignment=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


def switch(value: Any) -> Any:
    """The words `on` and `off`, which YAML reads as true and false."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


def suggestion(word: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?` for the nearest known word, or the empty string."""
    match = difflib.get_close_matches(str(word), [str(name) for name in known], n=1, cutoff=0.55)
    return f"did you mean '{match[0]}'?" if match else ""


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Each of pydantic's findings as a `Problem` whose path is the one a person wrote in YAML."""
    from kdstudio.project.spec.walk import walk_location

    found: list[Problem] = []
    for item in error.errors(include_url=False):
        place = walk_location(model, list(item["loc"]))
        found.append(Problem(place.path, *_say(item, place)))
    return found


def validate(model: type[M], data: Any, file: str = "") -> M:
    """`model.model_validate(data)`, with a `SpecError` that names file, field and fix."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise SpecError(problems_of(error, model), file) from None


#: What should stand there and how to write it, by the beginning of pydantic's word for the finding.
_TYPES = {
    "int_": ("should be a whole number", ""),
    "float_": ("should be a number", ""),
    "finite_number": ("should be a number with an end", ""),
    "bool_": ("should be true or false", "write true or false"),
    "string_type": ("should be text", "put it in quotes if it looks like a number, a date, yes or no"),
    "list_type": ("should be a list", "begin each item with a dash, or write [first, second]"),
    "dict_type": ("should be keys and values", "write {key: value}"),
    "model_": ("should be keys and values", ""),
    "too_short": ("", "add one"),
}


def _say(item: Any, place: Place) -> tuple[str, str]:
    """The message and the fix for one of pydantic's findings."""
    kind = item["type"]
    context = item.get("ctx", {})
    value = item.get("input")
    owner = place.owner
    last = place.path.rpartition(".")[2]
    if kind == "extra_forbidden":
        known = list(owner.model_fields) if owner else []
        near = suggestion(last, known)
        return f"unknown key '{last}'", near or (f"the keys here are: {', '.join(known)}" if known else "remove it")
    if kind == "missing":
        field: FieldInfo | None = owner.model_fields.get(last) if owner else None
        hint = f"add it: {field.description}" if field is not None and field.description else "add it"
        return "a required key is missing", hint
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _say_tag(item, place)
    if kind == "literal_error":
        expected = str(context.get("expected", "")).replace(" or ", ", ")
        choices = [choice.strip().strip("'") for choice in expected.split(",")]
        if str(value) in choices:
            return f"{value!r} is not a choice", f"write {value} without quotes"
        return f"{value!r} is not a choice", suggestion(str(value), choices) or f"choose one of: {', '.join(choices)}"
    if kind in ("value_error", "assertion_error"):
        text = str(context.get("error", item["msg"]))
        message, _, fix = text.partition("; ")
        return message, fix
    field = owner.model_fields.get(last) if owner else None
    shown = repr(value) if value is not None else "empty"
    if kind == "string_pattern_mismatch":
        return f"{shown} is not a choice", f"write {field.description}" if field and field.description else ""
    named, fix = next((words for start, words in _TYPES.items() if kind.startswith(start)), ("", ""))
    message = named or re.sub(r"^\w+ should", "should", item["msg"].replace("Input should", "should"))
    message = message.replace(" after validation", "")
    if value is None and field is not None and not field.is_required():
        fix = "remove the key to get what is usual"
    return f"{message} (it is {shown if len(shown) < 60 else shown[:57] + '...'})", fix or _example(place, field)


def _example(place: Place, field: FieldInfo | None) -> str:
    """What could stand there instead."""
    from kdstudio.project.spec.walk import models_in

    for model in (model for allowed in place.allowed for model in models_in(allowed)):
        for name, inner in model.model_fields.items():
            if get_origin(inner.annotation) is Literal:
                return f"write {{{name}: {get_args(inner.annotation)[0]}}}"
            if inner.is_required():
                return f"write {{{name}: ...}}"
        return "write {key: value}"
    if field is not None and isinstance(field.default, (int, float, str)) and field.default != "":
        return f"for example {field.default}"
    return f"it is for: {field.description}" if field is not None and field.description else ""


def _say_tag(item: Any, place: Place) -> tuple[str, str]:
    """What is wrong with the key that tells variants apart."""
    from kdstudio.project.spec.walk import models_in

    context = item.get("ctx", {})
    key = str(context.get("discriminator", "")).strip("'")
    models = [model for allowed in place.allowed for model in models_in(allowed)]
    fields = [model.model_fields[key] for model in models if key in model.model_fields]
    tags = [str(tag) for field in fields for tag in get_args(field.annotation)]
    if item["type"] == "union_tag_not_found":
        return f"the key '{key}' is missing", f"choose one of: {', '.join(tags)}" if tags else f"add '{key}'"
    tag = str(context.get("tag", ""))
    return f"unknown {key} '{tag}'", suggestion(tag, tags) or f"choose one of: {', '.join(tags)}"
