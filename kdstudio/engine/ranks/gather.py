"""Tensors that are to be alike on all ranks. Imports nothing of the engine: terms and layers use it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn


class Together(nn.Module):
    """What DDP wraps: a module whose parts may rest in some steps, as a term does before its first epoch.

    Buffers that a part names in `agreed` are alike on all ranks; DDP would send them anew at each step.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.whole = module
        # DDP is to look which parameters rest; while none does, it warns that it need not
        self.resting = nn.Parameter(torch.zeros(()))
        names = [f"{place}.{name}" for place, part in self.named_modules() for name in getattr(part, "agreed", ())]
        nn.parallel.DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(self, names)

    def forward(self, *values: Any) -> Any:
        return self.whole(*values)


def everyones(rows: Tensor) -> Tensor:
    """The rows (B, ...) of all ranks, those of rank 0 first; of one alone its own."""
    if not distributed.is_available() or not distributed.is_initialized() or distributed.get_world_size() == 1:
        return rows
    size = distributed.get_world_size()
    counts = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(size)]
    distributed.all_gather(counts, torch.tensor([len(rows)], device=rows.device))
    lengths = [int(count) for count in counts]
    # a collective takes one shape only
    padded = rows.new_zeros(max(lengths), *rows.shape[1:])
    padded[: len(rows)] = rows
    parts = [torch.empty_like(padded) for _ in range(size)]
    distributed.all_gather(parts, padded)
    return torch.cat([part[:length] for part, length in zip(parts, lengths)])
