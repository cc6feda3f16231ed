"""Where the program keeps what belongs to the person rather than to a project."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def config_dir() -> Path:
    """Folder for settings; `KDSTUDIO_CONFIG` overrides it (tests use that)."""
    override = os.environ.get("KDSTUDIO_CONFIG")
    return Path(override) if override else Path(platformdirs.user_config_dir("kdstudio", appauthor=False))


def cache_dir() -> Path:
    """Folder for downloads; `KDSTUDIO_CACHE` overrides it."""
    override = os.environ.get("KDSTUDIO_CACHE")
    return Path(override) if override else Path(platformdirs.user_cache_dir("kdstudio", appauthor=False))
