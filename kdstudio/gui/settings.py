"""What the window remembers between starts: recent projects, theme, geometry."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from kdstudio.project.errors import StorageError
from kdstudio.project.settings_path import config_dir
from kdstudio.project.yaml_io import write_text

VERSION = 1
RECENT = 8
DEFAULTS: dict[str, Any] = {
    "version": VERSION,
    "theme": "system",
    "text": 0,
    "recent": [],
    "geometry": "",
    "splitter": "",
    "layout": "",
    "toured": False,
    "hidden_columns": [],
    "spare_core": True,
}


class Settings:
    """A small JSON file in the user's configuration folder. A damaged one is replaced by the defaults."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or config_dir() / "window.json"
        self._values = dict(DEFAULTS)
        try:
            stored = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            stored = {}
        if isinstance(stored, dict) and stored.get("version", 0) <= VERSION:
            for key, default in DEFAULTS.items():
                if key != "version" and isinstance(stored.get(key), type(default)):
                    self._values[key] = stored[key]

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def set(self, key: str, value: Any) -> None:
        """Remembers a value. A disk that cannot be written loses the setting, not the session."""
        if key not in DEFAULTS:
            raise KeyError(key)
        self._values[key] = value
        with contextlib.suppress(StorageError):
            write_text(self.path, json.dumps(self._values, indent=1))

    def opened(self, project: Path) -> None:
        """Puts a project first in the recent ones."""
        others = [entry for entry in self["recent"] if entry != str(project)]
        self.set("recent", [str(project), *others][:RECENT])
