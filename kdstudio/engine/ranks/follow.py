"""What the ranks beside rank 0 do: the same work, and no word of it to the run folder."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any

from kdstudio.engine.control import Control, Interrupted, Parked, StoppedNow
from kdstudio.engine.device import pick_threads
from kdstudio.engine.ranks.group import is_lost_connection
from kdstudio.engine.ranks.join import joined
from kdstudio.engine.ranks.workers import end_with_parent
from kdstudio.engine.recorder import Recorder
from kdstudio.engine.run import Session
from kdstudio.project.errors import KDStudioError
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.metrics import MetricRecord
from kdstudio.project.runs.place import SPAWNED, Place

logger = logging.getLogger("kdstudio")


class Listener(Control):
    """Hears signals; requests in the run folder are rank 0's to read."""

    requests = ()

    def poll(self, on_hold: Callable[[bool], None] | None = None) -> None:
        if self._signalled:
            raise Interrupted


class Onlooker(Recorder):
    """Takes what a recorder takes, and writes nothing."""

    def __enter__(self) -> Onlooker:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._writer.shutdown(wait=True)

    def metrics(self, records: Iterable[MetricRecord]) -> None:
        pass

    def write_state(self) -> None:
        pass

    def _save(self, path: Any, arrays: Mapping[str, Any], meta: dict[str, str]) -> None:
        pass


def follow(place: Place, until: str = "", threads: str = "") -> int:
    """Works on a run as one of its further ranks, to the end of the run. Returns the exit code.

    What goes wrong here rank 0 tells, in the state of the run.
    """
    if SPAWNED in os.environ:
        end_with_parent()
    logger.propagate = False
    try:
        with joined(place) as (ranks, run):
            pick_threads(threads)
            try:
                return _followed(run, ranks, until)
            except Exception as error:
                ranks.report(error)
                raise
    except KDStudioError as error:
        return error.exit_code
    except Exception as error:
        if not is_lost_connection(error):
            traceback.print_exc()
        return 1


def _followed(run: RunFolder, ranks: Any, until: str) -> int:
    with Listener(run) as control, Onlooker(run) as recorder:
        try:
            with ExitStack() as stack:
                Session(run, recorder, control, stack, ranks).work(until)
        except (Parked, StoppedNow):
            return 130
    return 0
