"""YAML in and out: reading, writing in one step, and what is said when the disk does not want to."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kdstudio.project import yaml_io
from kdstudio.project.errors import InputError, StorageError
from kdstudio.project.runs.folder import write_bytes
from kdstudio.project.yaml_io import (
    dump_yaml,
    parse_yaml,
    read_yaml,
    storage_error,
    update_yaml,
    write_text,
    write_yaml,
)
from kdstudio.project.yaml_text import flow_yaml

# -- reading -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# nothing but a comment\n", None),
        ("a: 1", {"a": 1}),
        ("\ufeffa: 1", {"a": 1}),  # as some editors save it
        ("a: 1\r\nb: 2\r\n", {"a": 1, "b": 2}),
        ("a: größer 温度 🔥", {"a": "größer 温度 🔥"}),
        ("a: 1e-3", {"a": 0.001}),
        ("a: [1e3, -2E-4, +1.5e+2, .5e1]", {"a": [1000.0, -0.0002, 150.0, 5.0]}),
        ("a: 1e-3b", {"a": "1e-3b"}),
        ("a: '1e-3'", {"a": "1e-3"}),
        ("a: e5", {"a": "e5"}),
        ("a: {b: {c: 1}}", {"a": {"b": {"c": 1}}}),
        ("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}),
        ("a: &x {b: 1, d: 2}\nc: {<<: *x, d: 3}", {"a": {"b": 1, "d": 2}, "c": {"b": 1, "d": 3}}),
    ],
)
def test_reading(text: str, value: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(text.encode())
    assert read_yaml(path) == value
    assert parse_yaml(text) == value


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a: 1\nb: 2\na: 3", "n: this is not valid YAML in line 3, column 1: the key 'a' stands twice"),
        ("t:\n  x: 1\n  x: 1", "n: this is not valid YAML in line 3, column 3: the key 'x' stands twice"),
        ("a: {b: 1, b: 2}", "n: this is not valid YAML in line 1, column 11: the key 'b' stands twice"),
        ("- {b: 1}\n- {c: 1, c: 1}", "n: this is not valid YAML in line 2, column 10: the key 'c' stands twice"),
        ("{[a]: 1}", "n: this is not valid YAML in line 1, column 2: a list cannot be a key"),
        ("? {a: 1}\n: 2", "n: this is not valid YAML in line 1, column 3: a list cannot be a key"),
        ("a: [1, 2", "n: this is not valid YAML in line "),
        ("a: 'x", "n: this is not valid YAML in line "),
        ("a: 1\n b: 2", "n: this is not valid YAML in line 2, column 3: mapping values are not allowed"),
        ("a: @x", "n: this is not valid YAML in line 1, column 4: found character that cannot start any token"),
        ("a: *nobody", "n: this is not valid YAML in line 1, column 4: found undefined alias"),
        ("a: &a [*a]", "n: this is not valid YAML in line 1, column 4: found unconstructable recursive node"),
        ("a: 1\n---\nb: 2", "n: this is not valid YAML in line 2, column 1"),
        ("a: \0", "n: this is not valid YAML"),
        ("a: !!python/object/apply:os.getcwd []", "n: this is not valid YAML in line 1, column 4: could not determine"),
    ],
)
def test_what_is_no_yaml(text: str, what: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_yaml(text, "n")
    assert caught.value.what.startswith(what)
    assert caught.value.kind == "yaml"
    assert caught.value.fix
    assert caught.value.exit_code == 2


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_yaml(tmp_path / "a.yaml", "experiments/a.yaml")
    assert str(caught.value) == "experiments/a.yaml: there is no such file\nWhat to do: check the path"
    assert caught.value.kind == "missing-file"


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"a: \xff\xfe")
    with pytest.raises(InputError, match="not a text file in UTF-8"):
        read_yaml(path)


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_yaml(tmp_path)


# -- writing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        {"a": 1, "z": 2, "b": [1, 2.5, "x", True], "c": {"d": None}},
        {"notes": "one\ntwo\n\n  three\n", "tail": "no newline\nat the end"},
        {
            "text": [
                "no",
                "yes",
                "on",
                "~",
                "null",
                "1",
                "1.5",
                "1e-3",
                "0x1f",
                "12:30",
                "1_000",
                "2024-01-01",
                "=",
                "<<",
            ]
        },
        {
            "text": [
                "",
                " ",
                "a: b",
                "#x",
                "- x",
                "[x",
                "{x",
                "'",
                '"',
                "\\",
                "a\tb",
                "&x",
                "*x",
                "!x",
                "%x",
                "@x",
                "`x",
            ]
        },
        {"numbers": [0, -1, 1.0, 1e-10, 1e22, 123456789.123, float("inf")]},
        {"unicode": "größer 温度 🔥 \u2028 \x85 \u00a0"},
        {"empty": {}, "none": [], "deep": [[1, 2], [[3]], {"a": [{"b": []}]}]},
        {"long": "word " * 60, "list": list(range(100)), "dict": {f"key{n}": "value" * 5 for n in range(20)}},
        {"lines": "trailing space \nand tab\t\n", "cr": "a\r\nb"},
        {1: "number", "no": "word", "1e3": "text"},
    ],
)
def test_what_is_written_is_read_again(value: dict[Any, Any], tmp_path: Path) -> None:
    write_yaml(tmp_path / "a.yaml", value)
    assert read_yaml(tmp_path / "a.yaml") == value
    assert list(read_yaml(tmp_path / "a.yaml")) == list(value)
    line = flow_yaml(value)
    assert "\n" not in line
    assert parse_yaml(line) == value
    assert parse_yaml(f"[{line}, {{x: {line}}}]") == [value, {"x": value}]


def test_the_style_is_that_of_the_samples() -> None:
    data = {
        "version": 1,
        "data": {"source": "digits", "batch_size": 64},
        "objective": [{"term": "hard", "weight": 0.1}, {"term": "soft", "weight": 0.9, "temperature": 4.0}],
        "teacher": {"model": "mlp", "widths": [256, 256], "train": {"epochs": 60, "optimizer": "adamw", "lr": 0.003}},
        "notes": "first\nsecond",
    }
    assert dump_yaml(data) == (
        "version: 1\n"
        "data: {source: digits, batch_size: 64}\n"
        "objective:\n"
        "  - {term: hard, weight: 0.1}\n"
        "  - {term: soft, weight: 0.9, temperature: 4.0}\n"
        "teacher: {model: mlp, widths: [256, 256], train: {epochs: 60, optimizer: adamw, lr: 0.003}}\n"
        "notes: |-\n"
        "  first\n"
        "  second\n"
    )


def test_one_list_twice_is_written_twice() -> None:
    widths = [8, 8]
    assert dump_yaml({"a": widths, "b": widths}) == "a: [8, 8]\nb: [8, 8]\n"


def test_folders_are_made(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "b" / "c.txt", "x")
    assert (tmp_path / "a" / "b" / "c.txt").read_text() == "x"


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
def test_the_mode_of_a_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "x")
    assert path.stat().st_mode & 0o777 == 0o644
    path.chmod(0o600)
    write_text(path, "y")
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "a.yaml", tmp_path / "a.yaml"
    real.write_text("a: 1\n")
    link.symlink_to(real)
    update_yaml(link, {"a": 2})
    assert link.is_symlink()
    assert real.read_text() == "a: 2\n"


# -- when writing fails --------------------------------------------------------------------------------------------


WRITERS: list[Callable[[Path], None]] = [
    lambda path: write_text(path, "new\n"),
    lambda path: write_bytes(path, b"new\n"),
    lambda path: write_yaml(path, {"new": True}),
    lambda path: update_yaml(path, {"new": True}),
]
writers = pytest.mark.parametrize("write", WRITERS, ids=["write_text", "write_bytes", "write_yaml", "update_yaml"])


@writers
@pytest.mark.parametrize("step", ["mkstemp", "fsync", "replace"])
@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ENOSPC, "disk-full", "the disk is full"),
        (errno.EDQUOT, "disk-full", "the disk is full"),
        (errno.EACCES, "read-only", "cannot be written"),
        (errno.EROFS, "read-only", "cannot be written"),
        (errno.EPERM, "read-only", "cannot be written"),
        (errno.EIO, "storage", "cannot be written"),
    ],
)
def test_a_write_that_fails_leaves_the_old_file(
    write: Callable[[Path], None],
    step: str,
    number: int,
    kind: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("old: true\n")

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tempfile if step == "mkstemp" else os, step, fail)
    with pytest.raises(StorageError) as caught:
        write(path)
    monkeypatch.undo()
    assert caught.value.kind == kind
    assert caught.value.what == f"{path}: {words}"
    assert caught.value.why == os.strerror(number)
    assert caught.value.fix
    assert caught.value.exit_code == 1
    assert path.read_text() == "old: true\n"
    assert list(tmp_path.iterdir()) == [path]  # and nothing half-written


@writers
def test_an_interrupted_write_leaves_the_old_file(
    write: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("old: true\n")

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(path)
    assert path.read_text() == "old: true\n"
    assert list(tmp_path.iterdir()) == [path]


@writers
def test_a_file_system_without_modes(
    write: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "chmod", refuse)
    write(tmp_path / "a.yaml")
    assert "new" in (tmp_path / "a.yaml").read_text()


@writers
def test_a_folder_that_cannot_be_written(
    write: Callable[[Path], None], tmp_path: Path, read_only: Callable[[Path], Path]
) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "a.yaml").write_text("old: true\n")
    folder = read_only(tmp_path / "project")
    with pytest.raises(StorageError) as caught:
        write(folder / "a.yaml")
    assert caught.value.kind == "read-only"
    assert "check the folder's permissions" in caught.value.fix
    assert (folder / "a.yaml").read_text() == "old: true\n"


def test_a_disk_that_is_full(tmp_path: Path, mount: Callable[[str], Path]) -> None:
    disk = mount("size=64k")
    path = disk / "a.yaml"
    write_text(path, "old: true\n")
    for write in (write_text, lambda path, text: write_bytes(path, text.encode())):
        with pytest.raises(StorageError) as caught:
            write(path, "x" * 100_000)
        assert caught.value.kind == "disk-full"
        assert caught.value.what == f"{path}: the disk is full"
        assert path.read_text() == "old: true\n"
        assert list(disk.iterdir()) == [path]


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    with pytest.raises(StorageError, match="cannot be written"):
        write_text(tmp_path / "a" / "b.txt", "x")


def test_an_error_without_a_number(tmp_path: Path) -> None:
    error = storage_error(tmp_path, OSError("something odd"))
    assert (error.kind, error.why) == ("storage", "something odd")


def test_updating_what_cannot_be_read_writes_it_anew(tmp_path: Path) -> None:
    for number, old in enumerate([b"a: [1", b"\xff\xfe", b"- 1\n- 2\n", b"text"]):
        path = tmp_path / f"{number}.yaml"
        path.write_bytes(old)
        update_yaml(path, {"a": 1})
        assert path.read_text() == "a: 1\n"
    update_yaml(tmp_path / "new.yaml", {"a": 1})
    assert (tmp_path / "new.yaml").read_text() == "a: 1\n"


def test_the_loader_without_libyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML may have been built without libyaml; both loaders say the same."""
    import yaml

    class Slow(yaml.SafeLoader):
        pass

    Slow.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, yaml_io._mapping)
    monkeypatch.setattr(yaml_io, "_UniqueKeyLoader", Slow)
    assert parse_yaml("a: &x {b: 1}\nc: {<<: *x, d: 3}")["c"] == {"b": 1, "d": 3}
    with pytest.raises(InputError, match="the key 'a' stands twice"):
        parse_yaml("a: 1\na: 2")
    with pytest.raises(InputError, match="a list cannot be a key"):
        parse_yaml("{[a]: 1}")
