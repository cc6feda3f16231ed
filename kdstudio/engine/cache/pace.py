"""How many samples a teacher is asked about at once while a cache is filled."""

from __future__ import annotations

SIZES = (64, 256, 1024)
#: How often each size is timed; the best time counts, since the first one holds what is done once.
TRIALS = 2


class Pace:
    """Tries a few batch sizes on the real work and goes on with the quickest one.

    More at once can be slower on a processor, whose caches then hold less of it.
    """

    def __init__(self) -> None:
        self._open = [size for size in SIZES for _ in range(TRIALS)]
        self._best: dict[int, float] = {}

    def size(self) -> int:
        """Samples of the next batch."""
        return self._open[0] if self._open else min(self._best, key=lambda size: self._best[size])

    def took(self, asked: int, samples: int, seconds: float) -> None:
        """Tells how long a batch took.

        Args:
            asked: What `size` said.
            samples: How many there were; at the end of a shard it may be fewer.
            seconds: Elapsed time.
        """
        if self._open and self._open[0] == asked:
            self._open.pop(0)
            share = seconds / max(1, samples)
            self._best[asked] = min(share, self._best.get(asked, share))
