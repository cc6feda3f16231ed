"""Fields of a sweep as a line of text: `train.lr=0.001..0.1:log`."""

from __future__ import annotations

from typing import Any

from kdstudio.project.errors import InputError
from kdstudio.project.spec import validate
from kdstudio.project.spec.sweep import SweepField
from kdstudio.project.yaml_io import parse_yaml

FORM = "write it like objective.1.temperature=1,2,4,8 or train.lr=0.001..0.1:log"


def field_of(text: str) -> SweepField:
    """The field that a line means.

    Args:
        text: `PATH=VALUE,VALUE...`, each read as YAML; or `PATH=LOW..HIGH` with `:log`, `:whole`, `:points=N` and
            `:rest=PATH` after it. Values that hold a comma stand in brackets: `[[32], [64, 32]]`.

    Raises:
        InputError, SpecError: It cannot be read, or means nothing.
    """
    path, equals, said = text.partition("=")
    if not equals or not path.strip() or not said.strip():
        raise InputError(f"--vary {text}: expected FIELD=VALUES", fix=FORM)
    return validate(SweepField, {"path": path.strip(), **values_of(said)}, f"--vary {text}")


def values_of(said: str) -> dict[str, Any]:
    """What stands after the `=`, as plain data of a `SweepField`.

    Raises:
        InputError: It cannot be read.
    """
    main, *options = _parts(said.strip())
    found: dict[str, Any] = {}
    low, dots, high = main.partition("..")
    if dots:
        found["low"], found["high"] = _number(low), _number(high)
    else:
        listed = parse_yaml(main if main.startswith("[[") else f"[{main}]", "the values")
        found["values"] = listed
    for option in options:
        name, _, value = option.partition("=")
        if name in ("log", "whole") and not value:
            found[name] = True
        elif name == "points" and value.isdecimal():
            found[name] = int(value)
        elif name == "rest" and value:
            found[name] = value
        else:
            raise InputError(
                f"':{option}' is no option of a field", fix="there are :log, :whole, :points=N, :rest=FIELD"
            )
    return found


def _parts(said: str) -> list[str]:
    """Splits options off at colons outside of brackets."""
    if said.startswith(("[", "{")):
        return [said]
    return said.split(":")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"'{text}' is no number", fix=FORM) from None


def text_of(field: SweepField) -> str:
    """A field's values as they are written."""
    if field.values:
        return ", ".join(_plain(value) for value in field.values)
    return f"{field.low:g}..{field.high:g}"


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
