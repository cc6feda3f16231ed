"""The objective: a plain weighted sum of terms, each with its own weight, epochs and schedule."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from kdstudio.project.spec.base import Strict


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


class HardTerm(TermBase):
    """Cross-entropy with the labels."""

    term: Literal["hard"] = "hard"
    """Hard labels."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of each label spread evenly over all classes (usual 0 to 0.1)."""


class SoftTerm(TermBase):
    """Soft targets: T^2 KL(teacher || student) at temperature T (Hinton 2015)."""

    term: Literal["soft"] = "soft"
    """The teacher's soft targets."""
    temperature: float = Field(4.0, gt=0, le=1000)
    """Temperature T that softens both distributions (usual 2 to 8; small students 2.5 to 4)."""


class LayerPair(Strict):
    """A teacher tap and a student tap that are to agree."""

    teacher: str
    """Name of the teacher's layer, for example layer2."""
    student: str
    """Name of the student's layer."""


class HintTerm(TermBase):
    """Hints: mean squared error between the teacher's features and the student's, through a regressor (FitNets)."""

    term: Literal["hint"] = "hint"
    """Hints from inside the teacher."""
    pairs: list[LayerPair] = Field(min_length=1)
    """The layer pairs; each gets a regressor of its own."""


Term = Annotated[HardTerm | SoftTerm | HintTerm, Field(discriminator="term")]


def needs_teacher(terms: list[HardTerm | SoftTerm | HintTerm]) -> bool:
    return any(not isinstance(term, HardTerm) for term in terms)


def needs_labels(terms: list[HardTerm | SoftTerm | HintTerm]) -> bool:
    return any(isinstance(term, HardTerm) for term in terms)
