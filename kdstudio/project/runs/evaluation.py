"""What the evaluation left in a run folder, and the same sums over logits for panels that watch a run. NumPy only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kdstudio.project.runs.folder import RunFolder


class Scorecards:
    """Reads a run's scorecard again only when its file has changed."""

    def __init__(self) -> None:
        self._known: tuple[Path, int] | None = None
        self._card: dict[str, Any] | None = None

    def of(self, run: RunFolder) -> dict[str, Any] | None:
        """The scorecard, None while there is none."""
        try:
            mark = (run.scorecard_path, run.scorecard_path.stat().st_mtime_ns)
        except OSError:
            return None
        if mark != self._known:
            self._known, self._card = mark, run.scorecard()
        return self._card
