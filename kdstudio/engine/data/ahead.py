"""Work that is done ahead in other threads, so that its results are there when they are asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

#: So many results are made or waiting at a time: as many reads are under way at once.
AHEAD = 4
_THREADS = 3


def ahead(items: Sequence[Item], work: Callable[[Item], Result]) -> Iterator[Result]:
    """The results of `work` in the order of the items. An error is raised where its result would be.

    Args:
        items: What to work on.
        work: Called in other threads, several at once. It has to let go of the interpreter to be of use there, as
            PyTorch does while it copies and pins memory.
    """
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="kdstudio-ahead") as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for each in waiting:
                each.cancel()
