"""Terms on relations between the samples of a batch."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from kdstudio.project.spec.joining import JoinRule
from kdstudio.project.spec.terms import LayerPair, PairTerm


class DistanceTerm(PairTerm):
    """Relational distances: how far the samples of a batch are from each other (RKD)."""

    weight: float = Field(25.0, ge=0)
    """Weight of the term in the sum (usual 25)."""
    term: Literal["distance"] = "distance"
    """Distances between samples."""


class AngleTerm(PairTerm):
    """Relational angles: the angles between any three samples of a batch (RKD)."""

    weight: float = Field(50.0, ge=0)
    """Weight of the term in the sum (usual 50)."""
    term: Literal["angle"] = "angle"
    """Angles between samples."""


class SimilarityTerm(PairTerm):
    """Similarity preserving: which samples of a batch excite a layer alike (SP)."""

    weight: float = Field(3000.0, ge=0)
    """Weight of the term in the sum (usual 3000)."""
    term: Literal["similarity"] = "similarity"
    """Similarities between samples."""


class ProbabilisticTerm(PairTerm):
    """Probabilistic knowledge transfer: how likely each sample is another's neighbour (PKT)."""

    weight: float = Field(30000.0, ge=0)
    """Weight of the term in the sum (usual 30000)."""
    term: Literal["probabilistic"] = "probabilistic"
    """Probabilities of being neighbours."""


class CongruenceTerm(PairTerm):
    """Correlation congruence: neighbours in the batch must not miss the teacher in the same places (CC)."""

    joins: ClassVar[JoinRule] = "width"

    weight: float = Field(0.02, ge=0)
    """Weight of the term in the sum (usual 0.02)."""
    term: Literal["congruence"] = "congruence"
    """Congruence of correlations."""
    pairs: list[LayerPair] = Field(min_length=1)
    """Pairs of layers of the same width; there is no regressor. The losses are added."""
