"""How a stage works, in words: what was chosen on its behalf is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdstudio.engine.cache import PlannedTeacher
from kdstudio.engine.compiling import CompiledStudent

if TYPE_CHECKING:
    from kdstudio.engine.trainer import Trainer


def means_of(trainer: Trainer) -> dict[str, str]:
    """Precision, order in memory, where samples lie, where the teacher's answers come from, what is compiled, what is
    shared out."""
    precision = trainer.accelerator.mixed_precision
    found = {"precision": "fp32" if precision == "no" else precision}
    if trainer.channels_last:
        found["memory"] = "channels last"
    batches = trainer.batches
    where = "read ahead from the disk" if batches.from_disk else "sent ahead from memory"
    found["data"] = where if batches.streamed else f"on {trainer.device}" if batches.resident else "sent from memory"
    if not trainer.ranks.alone:
        found["ranks"] = f"{trainer.ranks.size} share each batch"
    if weights := trainer.weights.means():
        found["weights"] = weights
    if isinstance(trainer.teacher, PlannedTeacher) and trainer.raw.objective.needs_teacher(trainer.progress.epoch):
        found["teacher"] = trainer.teacher.means()
    compiled = trainer.raw.compiled
    graphs = isinstance(compiled, CompiledStudent) and compiled.graphs
    found["compile"] = f"off: {trainer.uncompiled}" if trainer.uncompiled else "on, CUDA graphs" if graphs else "on"
    return found
