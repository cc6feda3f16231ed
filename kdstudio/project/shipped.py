"""Files that come with the program: resources and sample projects, from a checkout or from the installed wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def _shipped(name: str) -> Path:
    installed = _PACKAGE / "_shipped" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


def resource(relative: str) -> Path:
    """The path of a file under `resources/`."""
    return _shipped("resources") / relative


def sample_projects() -> Path:
    """The folder with the sample projects."""
    return _shipped("projects")
