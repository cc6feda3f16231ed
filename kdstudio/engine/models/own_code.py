"""What belongs to a model file of a person's own: the file, and the neighbours that it imports."""

from __future__ import annotations

import ast
from pathlib import Path


def code_files(file: Path) -> list[Path]:
    """The file and the modules beside it that it imports, they and theirs, in the order they are met.

    A package (a folder) comes whole. Imports of installed libraries are no neighbours.
    """
    found: dict[Path, None] = {}
    waiting = [file]
    while waiting:
        path = waiting.pop()
        if path in found or not path.is_file():
            continue
        found[path] = None
        for name in _imported(path):
            package = file.parent / name
            waiting.append(file.parent / f"{name}.py")
            if package.is_dir():
                waiting += sorted(package.rglob("*.py"))
    return list(found)


def _imported(path: Path) -> set[str]:
    """The first parts of the names that a Python file imports, anywhere in it."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return set()
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names
