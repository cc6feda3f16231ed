"""What the exceptions of others are to a person."""

from __future__ import annotations

import logging

from kdstudio.project.errors import KDStudioError, OutOfMemoryError
from kdstudio.project.runs.folder import RunFolder

logger = logging.getLogger("kdstudio")


def memory_error(error: BaseException) -> OutOfMemoryError:
    """A device or a machine had no memory left."""
    return OutOfMemoryError(
        "the device ran out of memory",
        why=str(error).splitlines()[0][:300],
        fix="set train.accumulate: 2 (same result, half the memory), lower data.batch_size or use precision bf16; "
        "then resume the run",
    )


def crash(run: RunFolder, error: Exception) -> KDStudioError:
    """Anything that nobody has foreseen; the details go to the log."""
    logger.exception("unexpected error")
    first = (str(error).splitlines() or [""])[0]
    return KDStudioError(
        f"something unexpected went wrong: {type(error).__name__}: {first[:300]}",
        why="this is a mistake in KD Studio or in a model file of yours",
        fix=f"the details are at the end of {run.log_path}",
        kind="crash",
    )
