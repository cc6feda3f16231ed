"""What the ranks of a run have to say to each other."""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import psutil
import torch
from torch import distributed, nn

from kdstudio.engine.cache import AskingStopped
from kdstudio.engine.control import Control, Interrupted, Parked, StoppedNow
from kdstudio.project.errors import KDStudioError, StorageError
from kdstudio.project.runs.place import Place

logger = logging.getLogger("kdstudio")

#: Others wait this long for one of them: for its downloads, and while the run is on hold.
PATIENCE = timedelta(days=7)
#: A rank that is gone is looked for this long before a broken connection is told without its number.
LOOK_SECONDS = 3.0
#: A request from outside reaches all ranks within about this time.
MEET_SECONDS = 0.1
#: They meet at least this often, in steps.
MEET_STEPS = 256

#: How a run can end on all ranks at once; a later one goes before an earlier one.
_ENDS: tuple[type[Exception] | None, ...] = (None, AskingStopped, Parked, Interrupted, StoppedNow)
_STOP = 1  # `AskingStopped` is how a stop shows while a teacher is asked
_ENDING = "ending"

Result = TypeVar("Result")


class Store(Protocol):
    """What is used of torch's key-value store."""

    def set(self, key: str, value: str) -> None: ...
    def get(self, key: str) -> bytes: ...
    def check(self, keys: list[str]) -> bool: ...


class RankLost(KDStudioError):
    """A rank has ended, and the others cannot go on without it."""

    default_kind = "rank-lost"


class Ranks:
    """The ranks of a run as one of them sees them. Of one alone, everything here is done at once.

    Args:
        place: Where this process stands.
        store: The ranks' common store; None for one alone.
        ended: Says of a rank that this process has started how it has ended; empty where it has not.
    """

    def __init__(
        self, place: Place | None = None, store: Store | None = None, ended: Callable[[int], str] | None = None
    ) -> None:
        self.place = place or Place()
        self.rank, self.size = self.place.rank, self.place.size
        self._store = store
        self._ended = ended
        self._met_at, self._met_step = time.monotonic(), 0

    @property
    def main(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        return self.size == 1

    # -- one for all -----------------------------------------------------------------------------------------

    def decide(self, work: Callable[[], Result]) -> Result:
        """Rank 0 works, the others wait; all get its result, or end as it ends.

        Args:
            work: Its result is small, and can be pickled.
        """
        if self.alone:
            return work()
        if not self.main:
            end, result = self._said(None)
            if end == "failed":
                raise RankLost("rank 0 has failed")
            if end:
                raise next(each for each in _ENDS if each is not None and each.__name__ == end)()
            return result
        try:
            result = work()
        except tuple(each for each in _ENDS if each is not None) as request:
            self._said((type(request).__name__, None))
            raise
        except Exception:
            with contextlib.suppress(Exception):  # the first error is the one to tell
                self._said(("failed", None))
            raise
        self._said(("", result))
        return result

    def first(self, work: Callable[[], object]) -> None:
        """Rank 0 works, the others wait for it."""

        def quietly() -> None:
            work()

        self.decide(quietly)

    def in_turn(self, work: Callable[[], Result]) -> Result:
        """All ranks do the same work, rank 0 first: what it has downloaded or written the others find."""
        found: list[Result] = []
        self.first(lambda: found.append(work()))
        return found[0] if found else work()

    def _said(self, said: Any) -> Any:
        """What rank 0 says."""
        box = [said]
        distributed.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        return box[0]

    def share(self, module: nn.Module) -> None:
        """Gives all ranks the parameters and buffers of rank 0's module."""
        if self.alone:
            return
        with torch.no_grad():
            for tensor in (*module.parameters(), *module.buffers()):
                if not tensor.numel():
                    continue
                there = tensor.detach().contiguous()
                distributed.broadcast(there.view(-1).view(torch.uint8), src=0)  # as bytes any type can be sent
                if there.data_ptr() != tensor.data_ptr():
                    tensor.copy_(there)

    # -- all for one -----------------------------------------------------------------------------------------

    def total(self, values: np.ndarray) -> np.ndarray:
        """The sum of float64 arrays (of one shape) over the ranks."""
        if self.alone:
            return values
        tensor = torch.from_numpy(np.ascontiguousarray(values, np.float64))
        distributed.all_reduce(tensor)
        return tensor.numpy()

    def least(self, work: Callable[[], int]) -> int:
        """All ranks work at the same time. They get the least of their results (0 or more), or end as rank 0 ends."""
        if self.alone:
            return work()
        try:
            found = work()
        except tuple(each for each in _ENDS if each is not None) as request:
            found = -_ENDS.index(type(request)) if self.main else np.iinfo(np.int32).max
            if self.main and self._store is not None:
                self._store.set(_ENDING, "1")
        agreed = torch.tensor([found])
        distributed.all_reduce(agreed, distributed.ReduceOp.MIN)
        if agreed[0] < 0:
            raise _ENDS[-int(agreed[0])]()  # type: ignore[misc]
        return int(agreed[0])

    @property
    def ending(self) -> bool:
        """Whether rank 0 has left a work of `least`, so that the others need not finish it."""
        return self._store is not None and self._store.check([_ENDING])

    def meet(
        self, control: Control, on_hold: Callable[[bool], None], step: int, due: tuple[bool, bool] = (False, False)
    ) -> tuple[int, tuple[bool, bool]]:
        """All ranks look at the requests to the run at the same step; while it is on hold they wait here.

        Args:
            control: Rank 0's reads the requests; the others' only hear signals.
            on_hold: See `Control.poll`.
            step: Where the training stands.
            due: What rank 0 finds due: a checkpoint, and a snapshot.

        Returns:
            The number of steps to the next meeting, and what rank 0 finds due.

        Raises:
            Parked, StoppedNow, Interrupted: On all ranks. `stop` sets `control.stop_requested` on all.
        """
        pace = self._pace(step)
        code = 0
        try:
            control.poll(on_hold)
        except (Parked, StoppedNow) as request:
            code = _ENDS.index(type(request))
        if not code and control.stop_requested:
            code = _STOP
        agreed = torch.tensor([code, *((pace, *due) if self.main else (0, 0, 0))])
        distributed.all_reduce(agreed, distributed.ReduceOp.MAX)
        code, steps, save, show = agreed.tolist()
        self._met_at, self._met_step = time.monotonic(), step
        if code == _STOP:
            control.stop_requested = True
        elif code:
            raise _ENDS[code]()  # type: ignore[misc]
        return max(1, steps), (bool(save), bool(show))

    def _pace(self, step: int) -> int:
        """So many steps take the time between two meetings."""
        taken, seconds = step - self._met_step, time.monotonic() - self._met_at
        return 1 if taken < 1 else max(1, min(MEET_STEPS, int(MEET_SECONDS * taken / max(seconds, 1e-9))))

    # -- when one is lost ------------------------------------------------------------------------------------

    def check_alike(self, path: Path, content: dict[str, Any] | None) -> None:
        """Makes sure that all ranks have read the same checkpoint.

        Raises:
            StorageError: This one has read another than rank 0.
        """
        if self.alone:
            return
        progress = content.get("progress") if isinstance(content, dict) else None
        if self.decide(lambda: progress) != progress:
            raise StorageError(
                f"{path}: rank {self.rank} sees another checkpoint than rank 0",
                why="its machine does not see the same files, or not yet",
                fix="put the project on a file system that all machines share, and resume",
            )

    def introduce(self) -> None:
        """Says who this rank is, so that it can be looked for."""
        if self._store is not None:
            self._store.set(f"process/{self.rank}", f"{_host()} {psutil.Process().pid}")

    def await_others(self) -> None:
        """Waits until all ranks have introduced themselves.

        Raises:
            RankLost: One has ended instead.
        """
        if self._store is None:
            return
        for rank in range(self.size):
            while not self._store.check([f"process/{rank}"]):
                how = self._fate(rank) if self.main else ""
                if how:
                    raise lost(rank, self.size, how)
                time.sleep(0.02)

    def report(self, error: BaseException) -> None:
        """Tells rank 0 why this rank ends; not that it has only lost the others."""
        if self._store is not None and not is_lost_connection(error):
            said = error.what if isinstance(error, KDStudioError) else f"{type(error).__name__}: {error}"
            with contextlib.suppress(Exception):  # the store is with rank 0, which may be gone
                self._store.set(f"failed/{self.rank}", said.splitlines()[0][:300] if said else "an error")

    def blame(self, error: BaseException) -> KDStudioError | None:
        """What a broken connection comes from: the rank that is gone; None where it is this rank's own error."""
        if self.alone or not is_lost_connection(error):
            return None
        deadline = time.monotonic() + LOOK_SECONDS
        while True:
            for rank in range(1, self.size):
                how = self._fate(rank)
                if how:
                    return lost(rank, self.size, how)
            if time.monotonic() > deadline:
                return lost(None, self.size, str(error).splitlines()[0][:200])
            time.sleep(0.05)

    def _fate(self, rank: int) -> str:
        """How a rank has ended, as far as it is known; empty where it is at work."""
        with contextlib.suppress(Exception):  # a store that is gone knows nothing
            if self._store is not None and self._store.check([f"failed/{rank}"]):
                return self._store.get(f"failed/{rank}").decode()
        if self._ended is not None:
            return self._ended(rank)
        with contextlib.suppress(Exception):
            if self._store is not None and self._store.check([f"process/{rank}"]):
                host, pid = self._store.get(f"process/{rank}").decode().split()
                if host == _host() and not _lives(int(pid)):
                    return "its process is gone"
        return ""


def lost(rank: int | None, size: int, how: str) -> RankLost:
    """The error of a run that has lost a rank.

    Args:
        rank: Which one; None where nobody knows.
        size: How many there were.
        how: How it has ended.
    """
    which = f"rank {rank} of {size}" if rank is not None else f"one of the {size} ranks"
    return RankLost(
        f"{which} has ended, and the others cannot go on without it",
        why=how,
        fix="resume the run: it goes on from the last checkpoint, on as many ranks as there are then; if the process "
        "was killed, memory may have run out: lower data.batch_size or set train.accumulate",
    )


def is_lost_connection(error: BaseException) -> bool:
    """Whether an error says that another rank does not answer."""
    if isinstance(error, (RankLost, distributed.DistError)):
        return True
    words = str(error).lower()
    return isinstance(error, RuntimeError) and any(word in words for word in ("gloo", "nccl", "connection", "socket"))


def _host() -> str:
    return socket.gethostname() or "-"


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
