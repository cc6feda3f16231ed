"""What a run is told from outside.

Requests are small files in `control/`, which the engine alone reads and removes. The file `watched` beside them says by
its time that somebody looks, so that metrics are worth writing more often.
"""

from __future__ import annotations

import contextlib
import time
from typing import Literal, get_args

from kdstudio.project.errors import InputError
from kdstudio.project.runs.folder import RunFolder, write_bytes
from kdstudio.project.yaml_io import storage_error

Request = Literal["hold", "continue", "park", "stop", "stop-now"]
#: So long somebody who looked counts as watching.
WATCHED_SECONDS = 10.0
REQUESTS: tuple[str, ...] = get_args(Request)


def request(run: RunFolder, what: str) -> None:
    """Asks the run's process to hold, continue, park, stop or stop now.

    Raises:
        InputError: An unknown request.
        StorageError: The folder cannot be written.
    """
    if what not in REQUESTS:
        raise InputError(f"there is no request '{what}'", fix=f"there are: {', '.join(REQUESTS)}")
    try:
        run.control_dir.mkdir(exist_ok=True)
    except OSError as error:
        raise storage_error(run.control_dir, error) from error
    write_bytes(run.control_dir / what, b"", sync=False)


def tell_watched(run: RunFolder) -> None:
    """Says that somebody looks at the run now. A folder that cannot be written is watched all the same."""
    with contextlib.suppress(OSError):
        (run.path / "watched").touch()


def is_watched(run: RunFolder) -> bool:
    """Whether somebody has looked at the run lately."""
    try:
        return abs(time.time() - (run.path / "watched").stat().st_mtime) < WATCHED_SECONDS
    except OSError:
        return False
