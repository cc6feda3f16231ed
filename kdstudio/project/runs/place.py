"""Which rank this process is, as a launcher says it in the environment. Needs no torch: it is asked at each start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

#: Set for ranks that a run has started itself: they end with it.
SPAWNED = "KDSTUDIO_RANK_OF"
#: The variables in which launchers say which rank a process is.
LAUNCHED_BY = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
#: Set by `accelerate launch --use_fsdp`.
SHARDED_BY = "ACCELERATE_USE_FSDP"


@dataclass(frozen=True)
class Place:
    """Where a process stands among those of its run.

    Attributes:
        rank, size: Its number, and how many there are on all machines.
        local_rank: Its number on this machine, which is that of its CUDA device.
        launched: Whether a launcher has started all of them: torchrun, accelerate launch, or a run's first process.
        sharded: Whether the launcher asks for weights that are shared out over them, as `train.sharing: fsdp` does.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    launched: bool = False
    sharded: bool = False

    @classmethod
    def here(cls, environment: Mapping[str, str] | None = None) -> Place:
        """As the environment says it; the only rank where it says nothing."""
        found = os.environ if environment is None else environment
        numbers = [found.get(name, "") for name in LAUNCHED_BY]
        if not (numbers[0].isdigit() and numbers[1].isdigit()):
            return cls()
        rank, size = int(numbers[0]), int(numbers[1])
        if not rank < size:
            return cls()
        sharded = found.get(SHARDED_BY, "").lower() == "true"
        return cls(rank, size, int(numbers[2]) if numbers[2].isdigit() else rank, True, sharded)


#: The place of a process that works alone.
ALONE = Place()
