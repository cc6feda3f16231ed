"""Samples without labels, which the teacher labels."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from kdstudio.project.spec.base import Strict
from kdstudio.project.spec.sources import DataSpec


class PoolSpec(Strict):
    """Samples without labels: the teacher labels them as they are, and the student learns from them, too."""

    data: DataSpec | None = None
    """Where more samples come from; their labels are not looked at, and they may be of another kind (empty: none)."""
    noise: int = Field(0, ge=0, le=10_000_000)
    """So many pictures of pure noise beside them, to see how far a teacher carries without any data (usual 0)."""
    labels: Literal["hard", "soft"] = "soft"
    """What the student gets: soft, the teacher's distribution alone; hard, also its answer as if it were a label."""
    threshold: float = Field(0.3, ge=0, le=1)
    """Least confidence of the teacher with which a sample is kept (0.3 in Noisy Student; 0 keeps all)."""
    balance: bool = True
    """As many samples for each class: of a large one the surest, of a small one each several times."""
    per_class: int | None = Field(None, ge=1)
    """How many of each class, when they are balanced (empty: as many as the middle one of the classes has)."""
    labelled_too: bool = True
    """Learn from the labelled samples, too; else from these alone, as from a transfer set of another kind."""
    rounds: int = Field(1, ge=1, le=8)
    """How often: from the second round on, the student of the round before is the teacher (self-training)."""
