"""`--set a.b=c`: changes to a spec by path."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from kdstudio.project.errors import InputError
from kdstudio.project.spec import DataSpec, Experiment, Term, suggestion, validate
from kdstudio.project.spec.walk import models_in
from kdstudio.project.yaml_io import parse_yaml


def apply_overrides(experiment: Experiment, changes: list[str]) -> Experiment:
    """The experiment with the changes made.

    Another `source` or `term` drops the settings that only the earlier one had.

    Args:
        experiment: The spec.
        changes: Each `path=value`; the value is read as YAML, so `5`, `true`, `[10, 20]` and `{...}` are what they
            look like. An empty value takes the setting back to its default, and an item out of its list.

    Raises:
        InputError: No `=`, or a path that leads nowhere.
        SpecError: The changed spec is wrong.
    """
    data = experiment.model_dump(mode="json")
    for change in changes:
        path, equals, text = change.partition("=")
        if not equals or not path.strip():
            raise InputError(f"--set {change}: expected PATH=VALUE", fix="for example --set train.epochs=5")
        value = parse_yaml(text, f"--set {path}") if text.strip() else None
        _put(data, path.strip().split("."), value, bool(text.strip()), change)
    return validate(Experiment, data, "--set")


def with_values(experiment: Experiment, values: dict[str, Any], where: str) -> Experiment:
    """The experiment with values put at their paths.

    Args:
        experiment: The spec.
        values: By dotted path.
        where: Whose values they are, for messages.

    Raises:
        InputError: A path leads nowhere.
        SpecError: The changed spec is wrong.
    """
    data = experiment.model_dump(mode="json")
    for path, value in values.items():
        _put(data, path.split("."), value, True, f"{path}={value}")
    return validate(Experiment, data, where)


def _put(data: Any, keys: list[str], value: Any, given: bool, change: str) -> None:
    for position, key in enumerate(keys):
        last = position == len(keys) - 1
        if isinstance(data, list):
            most = len(data) - (0 if last and given else 1)  # one more appends
            if not key.isdecimal() or int(key) > most:
                raise InputError(
                    f"--set {change}: '{key}' is no place in '{'.'.join(keys[:position])}'",
                    fix=f"use 0 to {most}" if most >= 0 else "the list is empty",
                )
            index = int(key)
            if last and not given:
                del data[index]
            elif last and index == len(data):
                data.append(value)
            elif last:
                data[index] = value
            else:
                data = data[index]
        elif isinstance(data, dict):
            if last and given:
                data[key] = value
                _keep_fitting(data, key)
            elif last:
                data.pop(key, None)
            elif data.get(key) is None and key in data:
                data[key] = {}
                data = data[key]
            elif key in data:
                data = data[key]
            else:
                raise InputError(
                    f"--set {change}: there is no '{key}'",
                    fix=suggestion(key, data) or (f"there are: {', '.join(data)}" if data else "shorten the path"),
                )
        else:
            raise InputError(f"--set {change}: '{'.'.join(keys[:position])}' has no parts", fix="shorten the path")


def _keep_fitting(data: dict[str, Any], key: str) -> None:
    for model in [*models_in(DataSpec), *models_in(Term)]:
        field = model.model_fields.get(key)
        if field is not None and get_origin(field.annotation) is Literal and data[key] in get_args(field.annotation):
            for name in [name for name in data if name not in model.model_fields]:
                del data[name]
