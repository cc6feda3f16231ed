"""Colours and dashes of compared runs. A run keeps its own as long as it is compared, whatever comes or goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from kdstudio.gui.monitor.legend import DASHES
from kdstudio.gui.theme import Tokens, term_colour
from kdstudio.project.runs.folder import RunFolder

COLOURS = 5
#: Runs that can be told apart; more share a style.
MOST = COLOURS * len(DASHES)


@dataclass(frozen=True)
class RunStyle:
    """One of the combinations of colour and dash."""

    number: int

    @property
    def dash(self) -> str:
        return list(DASHES)[self.number // COLOURS % len(DASHES)]

    @property
    def colour(self) -> Callable[[Tokens], str]:
        return lambda tokens: term_colour(tokens, self.number % COLOURS)


class RunStyles:
    """Gives each run a style that hangs on its name, and another one where that is taken."""

    def __init__(self) -> None:
        self._given: dict[Path, int] = {}

    def keep(self, runs: Sequence[RunFolder]) -> None:
        """Frees the styles of all other runs, and gives these one each."""
        paths = [run.path for run in runs]
        self._given = {path: number for path, number in self._given.items() if path in paths}
        for run in runs:
            if run.path in self._given:
                continue
            wanted = crc32(run.name.encode()) % MOST
            order = [(wanted + offset) % MOST for offset in range(MOST)]
            taken = set(self._given.values())
            self._given[run.path] = next((number for number in order if number not in taken), wanted)

    def of(self, run: RunFolder) -> RunStyle:
        return RunStyle(self._given[run.path])
