"""Terms with more than one teacher, or with students that learn together."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from kdstudio.project.spec.models import ModelSpec
from kdstudio.project.spec.terms import TermBase


class EnsembleTerm(TermBase):
    """Several teachers: the soft targets of the first one and of the experiment's further `teachers`, weighed."""

    asks_labels: ClassVar[bool] = True

    term: Literal["ensemble"] = "ensemble"
    """Soft targets of several teachers."""
    temperature: float = Field(4.0, gt=0, le=1000)
    """Softens all distributions (usual 2 to 8)."""
    weighting: Literal["equal", "given", "confidence"] = "equal"
    """All alike, by `weights`, or for each sample by how well each teacher knows its label."""
    weights: list[float] | None = None
    """The teachers' weights, the first one's first; they are divided by their sum (with weighting `given`)."""

    @model_validator(mode="after")
    def _weights(self) -> EnsembleTerm:
        if (self.weights is not None) != (self.weighting == "given"):
            raise ValueError("'weights' go with weighting 'given'; give both or neither")
        if self.weights is not None and (min(self.weights, default=-1.0) < 0 or sum(self.weights) <= 0):
            raise ValueError("weights are not negative, and not all of them 0; for example [2, 1]")
        return self


class PeerSpec(ModelSpec):
    """A student that learns beside the first one."""

    seed: int = Field(1, ge=0, le=2**31 - 1)
    """Its own seed: peers that start alike have nothing to tell each other."""


class MutualTerm(TermBase):
    """Mutual learning: students that train together, each led by the others' outputs (DML)."""

    asks_teacher: ClassVar[bool] = False
    asks_labels: ClassVar[bool] = True

    term: Literal["mutual"] = "mutual"
    """Students that learn from each other."""
    temperature: float = Field(1.0, gt=0, le=1000)
    """Softens all distributions (usual 1)."""
    peers: list[PeerSpec] = Field(min_length=1, max_length=8)
    """The other students. They learn from labels and from each other, and are dropped at the end."""

    @field_validator("peers")
    @classmethod
    def _fresh(cls, value: list[PeerSpec]) -> list[PeerSpec]:
        for place, peer in enumerate(value):
            if peer.weights is not None:
                raise ValueError(f"peer {place + 1} starts at random; remove its weights")
        return value
