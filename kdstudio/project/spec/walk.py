"""Walks a spec's types along a path: shared by error messages, `--set` and the form."""

from __future__ import annotations

import types
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel


def members(annotation: Any) -> list[Any]:
    """The alternatives of a (possibly annotated, possibly optional) annotation."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return members(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return [member for argument in get_args(annotation) for member in members(argument)]
    return [annotation]


def is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def models_in(annotation: Any) -> list[type[BaseModel]]:
    return [member for member in members(annotation) if is_model(member)]


#: The keys that tell a union's models apart.
TAG_KEYS = ("source", "term")


def tags_of(model: type[BaseModel]) -> set[str]:
    """The values of the model's key that pydantic uses as a union's tag; a choice among its other fields is none."""
    found: set[str] = set()
    for key in TAG_KEYS:
        field = model.model_fields.get(key)
        if field is not None and get_origin(field.annotation) is Literal:
            found.update(str(value) for value in get_args(field.annotation))
    return found


class Place(NamedTuple):
    """Where a location leads.

    Attributes:
        path: The dotted path, as a person would write it.
        owner: The model that owns the last key, None where the path leaves the models.
        allowed: What may stand there: types and models.
    """

    path: str
    owner: type[BaseModel] | None
    allowed: list[Any]


def walk_location(model: type[BaseModel], location: list[Any]) -> Place:
    """Turns pydantic's location into a place in YAML.

    Pydantic puts the tag of a discriminated union (and the class name of a plain one) among the keys, and `[key]`
    behind a wrong key. Those parts are not in the file, so they are dropped here.
    """
    path: list[str] = []
    candidates: list[Any] = [model]
    owner: type[BaseModel] | None = None
    for part in location:
        if part == "[key]":
            continue
        models = [candidate for candidate in candidates if is_model(candidate)]
        if isinstance(part, int):
            path.append(str(part))
            candidates = [
                member
                for candidate in candidates
                if get_origin(candidate) in (list, tuple)
                for argument in get_args(candidate)[:1]
                for member in members(argument)
            ]
            continue
        holding = [candidate for candidate in models if part in candidate.model_fields]
        narrowed = [candidate for candidate in models if part == candidate.__name__ or part in tags_of(candidate)]
        choices = [candidate for candidate in candidates if candidate is not type(None)]
        if narrowed and len(choices) > 1:  # the tag comes first, even where a key has its name, as `folder`
            candidates = list(narrowed)
            owner = narrowed[0]
            continue
        if not holding and not models and _is_type_word(str(part)):
            continue
        path.append(str(part))
        if holding:
            owner = holding[0]
            candidates = members(owner.model_fields[part].annotation)
        else:
            owner = models[0] if models else None
            candidates = [
                member
                for candidate in candidates
                if get_origin(candidate) is dict
                for argument in get_args(candidate)[1:]
                for member in members(argument)
            ]
    return Place(".".join(path), owner, candidates)


def _is_type_word(part: str) -> bool:
    return part in {"str", "int", "float", "bool", "none"} or part.startswith(
        ("list[", "dict[", "literal[", "constrained-")
    )
