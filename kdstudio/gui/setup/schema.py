"""What the form needs to know of a spec field, read from pydantic's models."""

from __future__ import annotations

import types
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from kdstudio.gui.language import tr
from kdstudio.gui.setup.words import choice_text, label_inside, label_of
from kdstudio.project.spec.walk import is_model, members, models_in, tags_of


@dataclass(frozen=True)
class FieldSchema:
    """One field as the form sees it.

    Attributes:
        description: What the field is, as the spec says it.
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
        return label_of(self.name)

    @property
    def inner_label(self) -> str:
        """The name as it is written inside a sentence."""
        return label_inside(self.name)

    @property
    def words(self) -> str:
        """The description in the language of the window."""
        return tr(self.description)

    @property
    def tip(self) -> str:
        """What the field is, with its default."""
        default = self.default
        if self.kind in ("model", "variants", "models") or default in (None, "", [], {}) or self.required:
            return self.words
        text = (
            choice_text(self.name, default) if isinstance(default, str) else f"{default:g}" if _number(default) else ""
        )
        words = (
            text or {True: tr("yes"), False: tr("no")}.get(default, "") if not isinstance(default, (list, dict)) else ""
        )
        return tr("{field} Default: {value}.", field=self.words, value=words) if words else self.words


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


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


def complete(model: type[BaseModel], data: Any) -> Any:
    """Plain data of a spec with the defaults filled in, keys in the model's order. What is wrong in it stays as it is.

    A required key without a default stays away, and unknown keys stay at the end.
    """
    if not isinstance(data, dict):
        return data
    found: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if name in data:
            found[name] = _completed(models_in_field(field.annotation), data[name])
        elif not field.is_required():
            found[name] = plain(field.get_default(call_default_factory=True, validated_data={}))
    return {**found, **{key: value for key, value in data.items() if key not in found}}


def models_in_field(annotation: Any) -> list[type[BaseModel]]:
    """The models of a field: its own, its variants, or those of its items."""
    found = []
    for member in members(annotation):
        found += models_in(get_args(member)[0]) if get_origin(member) is list else models_in(member)
    return found


def _completed(models: list[type[BaseModel]], value: Any) -> Any:
    if isinstance(value, list):
        return [_completed(models, item) for item in value] if models else value
    if not isinstance(value, dict) or not models:
        return value
    if len(models) == 1:
        return complete(models[0], value)
    key, table = variants_of(tuple(models))
    chosen = table.get(str(value.get(key)))
    return complete(chosen, value) if chosen is not None else value


def lean(model: type[BaseModel], data: Any) -> Any:
    """Plain data of a spec without what is at its default, as a person would write it; also of a wrong spec."""
    if not isinstance(data, dict):
        return data
    found: dict[str, Any] = {}
    for name, value in data.items():
        field = model.model_fields.get(name)
        if field is None:
            found[name] = value
            continue
        tag = get_origin(field.annotation) is Literal and name != "version"
        if not tag and not field.is_required():
            default = field.get_default(call_default_factory=True, validated_data={})
            if value == plain(default) and name != "version":
                continue
        found[name] = _leaned(models_in_field(field.annotation), value)
    return found


def _leaned(models: list[type[BaseModel]], value: Any) -> Any:
    if isinstance(value, list):
        return [_leaned(models, item) for item in value] if models else value
    if not isinstance(value, dict) or not models:
        return value
    if len(models) == 1:
        return lean(models[0], value)
    key, table = variants_of(tuple(models))
    chosen = table.get(str(value.get(key)))
    if chosen is None:
        return value
    result = lean(chosen, value)
    return {key: result.pop(key), **result}
