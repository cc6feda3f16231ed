"""Plain data as YAML text, in the style that the sample projects have."""

from __future__ import annotations

import re
from typing import Any

import yaml

_WIDTH = 1_000_000_000
#: The longest mapping that is put on one line.
_LINE = 90
#: YAML 1.1 takes 1e-3 for a word, as it has no point; here it is a number.
EXPONENT = re.compile(r"^[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9]+)[eE][-+]?[0-9]+$")
EXPONENT_STARTS = list("-+0123456789.")


class _Flow(dict):
    """A mapping that goes on one line."""


class _FlowList(list):
    """A list that goes on one line, with all that is in it."""


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)  # lists stand two columns right of their key


def _list(dumper: yaml.SafeDumper, value: list[Any]) -> Any:
    plain = all(isinstance(item, (int, float, str, bool)) for item in value)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=plain)


def _text(dumper: yaml.SafeDumper, value: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(list, _list)
_Dumper.add_representer(str, _text)
_Dumper.add_representer(
    _FlowList, lambda dumper, value: dumper.represent_sequence("tag:yaml.org,2002:seq", value, True)
)
_Dumper.add_representer(_Flow, lambda dumper, value: dumper.represent_mapping("tag:yaml.org,2002:map", value, True))
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", EXPONENT, EXPONENT_STARTS)


def dump_yaml(data: Any) -> str:
    """YAML text for plain data: keys in their order, short lists and mappings on one line."""
    return _dump(_styled(data, root=True), default_flow_style=False, width=110)


def flow_yaml(value: Any) -> str:
    """Plain data on one line; it may stand anywhere in a YAML file."""
    return _dump(_FlowList([value]), width=_WIDTH).strip()[1:-1]


def block_yaml(value: Any, indent: int) -> str:
    """Plain data over several lines, those after the first one indented."""
    lines = dump_yaml(value).rstrip("\n").split("\n")
    return "\n".join(" " * indent * bool(number and line) + line for number, line in enumerate(lines))


def scalar_yaml(value: Any, style: str | None = None) -> str:
    """A single value on one line, text in the given quotes."""
    if isinstance(value, str) and "\n" not in value and style in ("'", '"'):
        return _dump(value, default_style=style, width=_WIDTH).strip()
    return flow_yaml(value)


def _dump(value: Any, **options: Any) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, **options)


def _styled(value: Any, root: bool = False) -> Any:
    if isinstance(value, dict):
        if value and not root and len(flow_yaml(value)) <= _LINE:
            return _Flow(value)
        return {key: _styled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_styled(item) for item in value]
    return value
