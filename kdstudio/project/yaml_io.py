"""YAML in and out. Reading is plain and safe; an edit keeps the comments and the order that a person wrote."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any

import yaml

from kdstudio.project.errors import InputError, StorageError
from kdstudio.project.yaml_edit import CannotEdit, edit_yaml, same, with_written
from kdstudio.project.yaml_text import EXPONENT, EXPONENT_STARTS, dump_yaml

try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # PyYAML without libyaml
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]


class _UniqueKeyLoader(_Loader):  # type: ignore[misc, valid-type]
    """YAML lets a key stand twice and silently keeps the last; here that is an error. And 1e-3 is a number."""


def _mapping(loader: Any, node: Any, deep: bool = False) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(None, None, "a list cannot be a key", key_node.start_mark)
        if key_node.tag == "tag:yaml.org,2002:merge":  # `<<: *name` takes over what stands at &name
            continue
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key '{key}' stands twice", key_node.start_mark)
        seen.add(key)
    return yaml.constructor.SafeConstructor.construct_mapping(loader, node, deep=True)


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_UniqueKeyLoader.add_implicit_resolver("tag:yaml.org,2002:float", EXPONENT, EXPONENT_STARTS)


__all__ = ["dump_yaml", "parse_yaml", "read_yaml", "storage_error", "update_yaml", "write_text", "write_yaml"]


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


def write_yaml(path: Path, data: Any) -> None:
    """Writes plain data; the file is replaced in one step, so a crash leaves the old one or the new one."""
    write_text(path, dump_yaml(data))


def update_yaml(path: Path, data: dict[str, Any], full: dict[str, Any] | None = None) -> None:
    """Brings an existing YAML file to `data`, keeping comments, order and style where keys stay.

    Where the file does not exist or cannot be parsed, it is written anew.

    Args:
        path: The file.
        data: Plain data.
        full: The same with all defaults: keys that stand in the file stay there, even with their default value.

    Raises:
        StorageError: The disk is full, or the folder cannot be written.
    """
    try:
        raw = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        raw = ""
    text = raw.replace("\r\n", "\n")
    new = updated_text(text, data, full)
    write_text(path, new.replace("\n", "\r\n") if text != raw else new)


def updated_text(text: str, data: dict[str, Any], full: dict[str, Any] | None = None) -> str:
    """The text of a YAML file brought to `data`; see `update_yaml`."""
    try:
        old = parse_yaml(text)
    except InputError:
        return dump_yaml(data)
    if old is None:  # nothing but comments
        return text.rstrip("\n") + "\n" * bool(text.strip()) + dump_yaml(data)
    if not isinstance(old, dict):
        return dump_yaml(data)
    wanted = data if full is None else with_written(old, data, full)
    try:
        new = edit_yaml(text, old, wanted)
    except CannotEdit:
        new = ""
    # A form of YAML that is not edited in place, such as an anchor that went, is written anew
    return new if _reads_as(new, wanted) else dump_yaml(data)


def _reads_as(text: str, data: Any) -> bool:
    try:
        return same(parse_yaml(text), data)
    except InputError:
        return False


def write_text(path: Path, text: str) -> None:
    """Writes a text file beside, syncs it and renames it over the old one.

    Raises:
        StorageError: The disk is full, or the folder cannot be written.
    """
    try:
        target = Path(os.path.realpath(path))  # a link stays a link
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".new")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(OSError):  # some file systems have no modes
                os.chmod(name, target.stat().st_mode & 0o777 if target.exists() else 0o644)
            os.replace(name, target)
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
