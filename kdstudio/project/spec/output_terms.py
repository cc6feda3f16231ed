"""Terms on the outputs."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from kdstudio.project.spec.terms import TermBase


class HardTerm(TermBase):
    """Cross-entropy with the labels."""

    asks_teacher: ClassVar[bool] = False
    asks_labels: ClassVar[bool] = True

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


class ReverseKLTerm(TermBase):
    """Reverse KL: T^2 KL(student || teacher), which prefers one of the teacher's answers to all (MiniLLM)."""

    term: Literal["reverse-kl"] = "reverse-kl"
    """The reverse KL divergence."""
    temperature: float = Field(1.0, gt=0, le=1000)
    """Temperature T that softens both distributions (usual 1 to 4)."""


class JSDTerm(TermBase):
    """Generalised Jensen-Shannon divergence, between forward KL (beta 0) and reverse KL (beta 1) (GKD)."""

    term: Literal["jsd"] = "jsd"
    """The generalised Jensen-Shannon divergence."""
    beta: float = Field(0.5, ge=0, le=1)
    """The teacher's share of the mixture (usual 0.1 to 0.9). Near 0 and 1, but not at them, the loss shrinks to 0."""
    temperature: float = Field(1.0, gt=0, le=1000)
    """Temperature T that softens both distributions (usual 1). There is no factor T^2 here."""


class DecoupledTerm(TermBase):
    """Decoupled distillation: the target's share and the other classes with a weight of their own each (DKD)."""

    asks_labels: ClassVar[bool] = True

    term: Literal["decoupled"] = "decoupled"
    """Decoupled soft targets."""
    alpha: float = Field(1.0, ge=0)
    """Weight of the target's share against all others (usual 1)."""
    beta: float = Field(8.0, ge=0)
    """Weight of the distribution over the other classes (usual 1 to 8). It has to be 0 with two classes."""
    temperature: float = Field(4.0, gt=0, le=1000)
    """Temperature T that softens both distributions (usual 4)."""


class CorrelationTerm(TermBase):
    """Correlation of the outputs: their order and spacing within a sample and within a class, not values (DIST)."""

    term: Literal["correlation"] = "correlation"
    """Correlation of outputs."""
    inter: float = Field(1.0, ge=0)
    """Weight of the correlation between the classes of a sample (usual 1 to 2)."""
    intra: float = Field(1.0, ge=0)
    """Weight of the correlation between the samples of a batch, class by class (usual 1 to 2)."""
    temperature: float = Field(1.0, gt=0, le=1000)
    """Temperature T that softens both distributions (usual 1 to 4)."""


class LogitTerm(TermBase):
    """Logit matching: mean squared difference of the logits, the limit of soft targets for large T (Ba 2014)."""

    term: Literal["logits"] = "logits"
    """The teacher's logits."""
