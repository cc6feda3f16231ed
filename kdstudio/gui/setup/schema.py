"""What the form needs to know of a spec field, read from pydantic's models."""

from __future__ import annotations

import types
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from kdstudio.project.spec.walk import is_model, members, models_in, tags_of


@dataclass(frozen=True)
class FieldSchema:
    """One field as the form sees it.

    Attributes:
        kind: `bool`, `int`, `float`, `text`, `choice`, `flags` (a list of choices), `numbers`, `texts`, `mapping`,
            `model`, `variants` (one of several models), `models` (a list of models or variants).
        optional: Whether None is allowed.
        choices: For `choice` and `flags`.
        models: For `model`, `variants` and `models`.
        low, high: Bounds, None where there are none; `strict_low` says that low itself is not allowed.
        whole: For `numbers`: integers.
    """

    name: str
    kind: str
    description: str
    default: Any
    required: bool
    optional: bool = False
    choices: tuple[str, ...] = ()
    models: tuple[type[BaseModel], ...] = ()
    low: float | None = None
    high: float | None = None
    strict_low: bool = False
    whole: bool = False

    @property
    def label(self) -> str:
        """The name in people's words."""
        words = self.name.replace("_", " ")
        special = {"lr": "learning rate", "clip norm": "clip gradient norm"}
        words = special.get(words, words)
        return words[:1].upper() + words[1:]


def fields_of(model: type[BaseModel], skip: tuple[str, ...] = ()) -> list[FieldSchema]:
    """The fields of a model in their order; fixed ones (`version`, a variant's tag) are left out."""
    found = []
    for name, field in model.model_fields.items():
        if name in skip or (get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1):
            continue
        found.append(_field(name, field))
    return found


def _field(name: str, field: FieldInfo) -> FieldSchema:
    annotation: Any = field.annotation
    optional = False
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        arguments = [argument for argument in get_args(annotation) if argument is not type(None)]
        optional = len(arguments) < len(get_args(annotation))
        if len(arguments) == 1:
            annotation = arguments[0]
    if field.default_factory is not None:
        default = field.get_default(call_default_factory=True, validated_data={})
    else:
        default = None if field.default is PydanticUndefined else field.default
    facts: dict[str, Any] = {
        "name": name,
        "description": field.description or "",
        "default": plain(default),
        "required": field.is_required(),
        "optional": optional,
    }
    for rule in field.metadata:
        if getattr(rule, "ge", None) is not None:
            facts["low"] = rule.ge
        if getattr(rule, "gt", None) is not None:
            facts.update(low=rule.gt, strict_low=True)
        if getattr(rule, "le", None) is not None:
            facts["high"] = rule.le
        if getattr(rule, "lt", None) is not None:
            facts["high"] = rule.lt
    return FieldSchema(kind=_kind(annotation, facts), **facts)


def _kind(annotation: Any, facts: dict[str, Any]) -> str:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _kind(get_args(annotation)[0], facts)
    if origin is Literal:
        facts["choices"] = tuple(str(value) for value in get_args(annotation))
        return "choice"
    if origin is list:
        return _list_kind(get_args(annotation)[0], facts)
    if origin is dict:
        return "mapping"
    if origin in (Union, types.UnionType):
        facts["models"] = tuple(models_in(annotation))
        return "variants"
    if is_model(annotation):
        facts["models"] = (annotation,)
        return "model"
    return {bool: "bool", int: "int", float: "float"}.get(annotation, "text")


def _list_kind(item: Any, facts: dict[str, Any]) -> str:
    models = models_in(item)
    if models:
        facts["models"] = tuple(models)
        return "models"
    inner = members(item)[0]
    if get_origin(inner) is Literal:
        facts["choices"] = tuple(str(value) for value in get_args(inner))
        return "flags"
    if inner in (int, float):
        facts["whole"] = inner is int
        return "numbers"
    return "texts"


def variants_of(models: tuple[type[BaseModel], ...]) -> tuple[str, dict[str, type[BaseModel]]]:
    """The key that tells variants apart (`source`, `term`), and the model for each of its values."""
    for key in models[0].model_fields:
        if all(key in m.model_fields and get_origin(m.model_fields[key].annotation) is Literal for m in models):
            table: dict[str, type[BaseModel]] = {}
            for model in models:
                for value in get_args(model.model_fields[key].annotation):
                    table[str(value)] = model
            return key, table
    raise TypeError(f"variants without a common tag: {[tags_of(model) for model in models]}")


def plain(value: Any) -> Any:
    """Models as plain data."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value
