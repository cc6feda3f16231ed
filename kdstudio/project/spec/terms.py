"""What every term of the objective shares, and what those on pairs of layers do."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from kdstudio.project.spec.base import Strict
from kdstudio.project.spec.joining import JoinRule


class WeightSchedule(Strict):
    """A factor on the term's weight that moves from `start` to `end` over the term's epochs."""

    kind: Literal["linear", "cosine"] = "linear"
    """Shape of the way from start to end."""
    start: float = Field(1.0, ge=0)
    """Factor at the term's first epoch."""
    end: float = Field(0.0, ge=0)
    """Factor at the term's last epoch."""


class TermBase(Strict):
    """What every term shares."""

    #: Whether the term looks at the teacher, and whether at the labels.
    asks_teacher: ClassVar[bool] = True
    asks_labels: ClassVar[bool] = False

    weight: float = Field(1.0, ge=0)
    """Weight of the term in the sum."""
    from_epoch: int = Field(0, ge=0)
    """First epoch (counted from 0) in which the term counts."""
    until_epoch: int | None = Field(None, ge=1)
    """Epoch at which the term stops to count (empty: to the end)."""
    schedule: WeightSchedule | None = None
    """A change of the weight over the term's epochs (empty: constant)."""

    @model_validator(mode="after")
    def _epochs(self) -> TermBase:
        if self.until_epoch is not None and self.until_epoch <= self.from_epoch:
            raise ValueError(
                f"until_epoch {self.until_epoch} is not after from_epoch {self.from_epoch}; make it larger"
            )
        return self


class LayerPair(Strict):
    """A teacher tap and a student tap that are to agree."""

    teacher: str
    """Name of the teacher's layer, for example layer2."""
    student: str
    """Name of the student's layer."""


class PairTerm(TermBase):
    """A term on pairs of layers."""

    joins: ClassVar[JoinRule] = "any"

    pairs: list[LayerPair] = Field(min_length=1)
    """The layer pairs; the losses of all are added."""

    @property
    def parts(self) -> tuple[str, ...]:
        """What the term looks at inside its attention blocks, of query, key and value; nothing for whole layers."""
        return ()

    @property
    def asks_scores(self) -> bool:
        """Whether it computes scores of attention out of queries and keys."""
        return False
