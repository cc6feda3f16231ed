"""Terms on features that learn more than a regressor: variances, heads and a memory, a fusion, a connector, factors."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from kdstudio.project.spec.joining import JoinRule
from kdstudio.project.spec.terms import LayerPair, PairTerm


class VariationalTerm(PairTerm):
    """Variational information: the teacher's features are predicted, with a learned variance for each channel (VID)."""

    joins: ClassVar[JoinRule] = "prediction"

    weight: float = Field(1.0, ge=0)
    """Weight of the term in the sum (usual 1)."""
    term: Literal["variational"] = "variational"
    """What the student's features tell of the teacher's."""
    start_variance: float = Field(5.0, gt=1e-3, le=1000)
    """Variance of every channel at the start (usual 5)."""
    pairs: list[LayerPair] = Field(min_length=1)
    """The layer pairs; each gets a predictor and variances of its own, and the losses are added."""


class ContrastiveTerm(PairTerm):
    """Contrastive representation: the same sample's features agree, other samples' do not, by a memory (CRD)."""

    joins: ClassVar[JoinRule] = "embedding"
    asks_labels: ClassVar[bool] = True

    weight: float = Field(0.8, ge=0)
    """Weight of the term in the sum (usual 0.8)."""
    term: Literal["contrastive"] = "contrastive"
    """Which sample is which."""
    dimensions: int = Field(128, ge=2, le=4096)
    """Numbers a sample is described by in the memory (usual 128)."""
    negatives: int = Field(16384, ge=1, le=1_000_000)
    """Other samples that each one is told apart from (usual 16384); on a smaller training set all of other classes."""
    temperature: float = Field(0.07, gt=0, le=10)
    """Temperature of the similarities (usual 0.07)."""
    memory_momentum: float = Field(0.5, ge=0, lt=1)
    """Share of the memory that is kept when a sample is seen again (usual 0.5)."""
    positives: Literal["exact", "relaxed"] = "exact"
    """What counts as the same: the sample itself (exact), or any sample of its class (relaxed)."""
    pairs: list[LayerPair] = Field(min_length=1)
    """The layer pairs, usually the last features; each has heads and a memory of its own, and the losses are added."""


class ReviewTerm(PairTerm):
    """Knowledge review: later layers of the student are fused into earlier ones and led to the teacher's (ReviewKD)."""

    joins: ClassVar[JoinRule] = "fusion"

    weight: float = Field(1.0, ge=0)
    """Weight of the term in the sum (usual 0.6 to 8)."""
    term: Literal["review"] = "review"
    """All stages at once."""
    width: int = Field(512, ge=1, le=4096)
    """Most channels of the fusion; it has as many as the student's last layer where those are fewer."""
    pairs: list[LayerPair] = Field(min_length=1)
    """Pairs of layers that give maps, in the order of the network; each is fused with what comes after it."""


class OverhaulTerm(PairTerm):
    """Overhauled features: before the ReLU, with a margin from the teacher's batch normalisation (OFD)."""

    joins: ClassVar[JoinRule] = "map-connector"

    weight: float = Field(0.001, ge=0)
    """Weight of the term in the sum (usual 0.001: the loss is a sum over all places)."""
    term: Literal["overhaul"] = "overhaul"
    """Features before the ReLU."""
    pairs: list[LayerPair] = Field(min_length=1)
    """Pairs of layers that give maps; the teacher's are batch normalisations. Each earlier pair counts half."""


class FactorTerm(PairTerm):
    """Factor transfer: the teacher's maps in fewer channels, by a paraphraser that is trained first (FT)."""

    joins: ClassVar[JoinRule] = "factors"

    weight: float = Field(200.0, ge=0)
    """Weight of the term in the sum (usual 200 to 500)."""
    term: Literal["factor"] = "factor"
    """Factors of the teacher's maps."""
    rate: float = Field(0.5, gt=0, le=4)
    """Channels of the factors as a share of the teacher's (usual 0.5)."""
    paraphraser_epochs: int = Field(30, ge=1, le=10_000)
    """Epochs of the first stage, which trains the paraphraser on the teacher's maps (usual 30)."""
    paraphraser_lr: float = Field(0.1, gt=0, le=10)
    """Learning rate of the first stage, SGD with momentum 0.9 (usual 0.1)."""
    pairs: list[LayerPair] = Field(min_length=1)
    """Pairs of layers that give maps, usually the last; each has a paraphraser of its own, and the losses are added."""


class BoundaryTerm(PairTerm):
    """Activation boundaries: the same neurons are active, whatever their values (AB)."""

    joins: ClassVar[JoinRule] = "connector"

    weight: float = Field(0.001, ge=0)
    """Weight of the term in the sum (usual 0.001: the loss is a sum over all neurons)."""
    term: Literal["boundary"] = "boundary"
    """Which neurons are active."""
    margin: float = Field(1.0, gt=0, le=100)
    """How far from its boundary a neuron of the student is to be (usual 1)."""
    pairs: list[LayerPair] = Field(min_length=1)
    """The layer pairs; each gets a connector of its own. Each earlier pair counts half."""
