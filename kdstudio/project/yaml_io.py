"""YAML in and out. Reading is plain and safe; an edit keeps the comments and the order that a person wrote."""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path
from typing import Any

import yaml

from kdstudio.project.errors import InputError, StorageError

try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # PyYAML without libyaml
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]


class _UniqueKeyLoader(_Loader):  # type: ignore[misc, valid-type]
    """YAML lets a key stand twice and silently keeps the last; here that is an error. 1e-3 is a number, too."""


def _mapping(loader: Any, node: Any, deep: bool = False) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key '{key}' stands twice", key_node.start_mark)
        seen.add(key)
    return yaml.constructor.SafeConstructor.construct_mapping(loader, node, deep=True)


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_yaml(path: Path, shown: str | None = None) -> Any:
    """The plain contents of a YAML file.

    Args:
        path: The file.
        shown: How the file is called in messages; the path itself by default.

    Raises:
        InputError: The file is missing, cannot be read, or is not YAML (with the line and column).
    """
    name = shown or str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{name}: there is no such file", fix="check the path", kind="missing-file") from None
    except UnicodeDecodeError:
        raise InputError(f"{name}: this is not a text file in UTF-8", fix="save it as UTF-8", kind="yaml") from None
    except OSError as error:
        raise InputError(f"{name}: cannot be read", why=str(error.strerror or error), kind="missing-file") from None
    return parse_yaml(text, name)


def parse_yaml(text: str, name: str = "") -> Any:
    """The plain contents of YAML text; see `read_yaml`."""
    try:
        return yaml.load(text, Loader=_UniqueKeyLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InputError(
            f"{name}: this is not valid YAML{where}: {problem}",
            fix="look for a missing colon, bracket or quote, or uneven indentation",
            kind="yaml",
        ) from None


def dump_yaml(data: Any) -> str:
    """YAML text for plain data: keys in their order, short lists on one line."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=110)


class _Dumper(yaml.SafeDumper):
    pass


def _short_list(dumper: yaml.SafeDumper, value: list[Any]) -> Any:
    plain = all(isinstance(item, (int, float, str, bool)) for item in value)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=plain)


_Dumper.add_representer(list, _short_list)


def write_yaml(path: Path, data: Any) -> None:
    """Writes plain data; the file is replaced in one step, so a crash leaves the old one or the new one."""
    write_text(path, dump_yaml(data))


def update_yaml(path: Path, data: dict[str, Any]) -> None:
    """Brings an existing YAML file to `data`, keeping comments, order and style where keys stay.

    Where the file does not exist or cannot be parsed, it is written anew.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    handler = YAML()
    handler.preserve_quotes = True
    handler.width = 110
    handler.indent(mapping=2, sequence=4, offset=2)
    current: Any = None
    if path.exists():
        try:
            current = handler.load(path.read_text(encoding="utf-8"))
        except (YAMLError, UnicodeDecodeError):
            current = None
    if not isinstance(current, dict):
        write_yaml(path, data)
        return
    _merge(current, data)
    out = io.StringIO()
    handler.dump(current, out)
    write_text(path, out.getvalue())


def _merge(old: Any, new: dict[str, Any]) -> None:
    """Changes `old` in place until it equals `new`, touching only what differs."""
    for key in [key for key in old if key not in new]:
        del old[key]
    for key, value in new.items():
        if key not in old:
            old[key] = value
        elif isinstance(old[key], dict) and isinstance(value, dict):
            _merge(old[key], value)
        elif isinstance(old[key], list) and isinstance(value, list):
            _merge_list(old[key], value)
        elif old[key] != value or (type(old[key]) is not type(value) and isinstance(value, bool)):
            old[key] = value


def _merge_list(old: Any, new: list[Any]) -> None:
    for index, value in enumerate(new):
        if index >= len(old):
            old.append(value)
        elif isinstance(old[index], dict) and isinstance(value, dict):
            _merge(old[index], value)
        elif isinstance(old[index], list) and isinstance(value, list):
            _merge_list(old[index], value)
        elif old[index] != value:
            old[index] = value
    del old[len(new) :]


def write_text(path: Path, text: str) -> None:
    """Writes a text file beside, syncs it and renames it over the old one.

    Raises:
        StorageError: The disk is full, or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".new")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, path.stat().st_mode & 0o777 if path.exists() else 0o644)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise storage_error(path, error) from error


def storage_error(path: Path, error: OSError) -> StorageError:
    """The message for a write that failed."""
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(
            f"{path}: the disk is full",
            why=str(error.strerror),
            fix="free some space, then resume the run; nothing that was saved before is lost",
            kind="disk-full",
        )
    return StorageError(
        f"{path}: cannot be written",
        why=str(error.strerror or error),
        fix="check the folder's permissions, or choose another folder with --out",
        kind="read-only" if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM) else "storage",
    )
