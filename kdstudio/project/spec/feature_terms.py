"""Terms on features of layers."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from kdstudio.project.spec.joining import JoinRule
from kdstudio.project.spec.terms import LayerPair, PairTerm


class HintTerm(PairTerm):
    """Hints: mean squared error between the teacher's features and the student's, through a regressor (FitNets)."""

    joins: ClassVar[JoinRule] = "regressor"

    term: Literal["hint"] = "hint"
    """Hints from inside the teacher."""
    pairs: list[LayerPair] = Field(min_length=1)
    """The layer pairs; each gets a regressor of its own."""


class ContextTerm(PairTerm):
    """Hierarchical context: hints on maps at full size and averaged to 4, 2 and 1, through a regressor (ReviewKD)."""

    joins: ClassVar[JoinRule] = "map-regressor"

    weight: float = Field(1.0, ge=0)
    """Weight of the term in the sum (usual 0.6 to 8)."""
    term: Literal["context"] = "context"
    """Hints at several sizes."""
    pairs: list[LayerPair] = Field(min_length=1)
    """Pairs of layers that give maps; each gets a regressor of its own, and the losses are added."""


class AttentionTerm(PairTerm):
    """Attention transfer: where in a map the activations are strong (AT)."""

    joins: ClassVar[JoinRule] = "maps"

    weight: float = Field(1000.0, ge=0)
    """Weight of the term in the sum (usual 1000)."""
    term: Literal["attention"] = "attention"
    """Attention maps."""
    power: float = Field(2.0, ge=1, le=8)
    """Exponent p of the activations that an attention map is the mean of (usual 2)."""
    pairs: list[LayerPair] = Field(min_length=1)
    """Pairs of layers that give maps, of any size and number of channels; the losses are added."""


class SelectivityTerm(PairTerm):
    """Neuron selectivity: the distribution of the channels' maps, compared by a kernel (NST)."""

    joins: ClassVar[JoinRule] = "maps"

    weight: float = Field(50.0, ge=0)
    """Weight of the term in the sum (usual 50)."""
    term: Literal["selectivity"] = "selectivity"
    """What the channels select."""
    pairs: list[LayerPair] = Field(min_length=1)
    """Pairs of layers that give maps, of any size and number of channels; the losses are added."""


class FlowTerm(PairTerm):
    """Flow of the solution: how the channels of one layer go with those of the next (FSP)."""

    joins: ClassVar[JoinRule] = "channels"

    weight: float = Field(50.0, ge=0)
    """Weight of the term in the sum (usual 50)."""
    term: Literal["flow"] = "flow"
    """The flow from layer to layer."""
    pairs: list[LayerPair] = Field(min_length=2)
    """Two pairs or more, in the order of the network: the flow goes from each to the next. Channels have to agree."""


class CosineTerm(PairTerm):
    """Cosine: the directions of features, not their lengths (DistilBERT)."""

    joins: ClassVar[JoinRule] = "equal"

    weight: float = Field(1.0, ge=0)
    """Weight of the term in the sum (usual 1)."""
    term: Literal["cosine"] = "cosine"
    """Directions of features."""
    pairs: list[LayerPair] = Field(min_length=1)
    """Pairs of layers of the same shape; there is no regressor. The losses are added."""
