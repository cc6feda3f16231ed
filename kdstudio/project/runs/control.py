"""Requests to a run from outside: small files in `control/`. The engine alone reads and removes them."""

from __future__ import annotations

from typing import Literal, get_args

from kdstudio.project.errors import InputError
from kdstudio.project.runs.folder import RunFolder, write_bytes
from kdstudio.project.yaml_io import storage_error

Request = Literal["hold", "continue", "park", "stop", "stop-now"]
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
