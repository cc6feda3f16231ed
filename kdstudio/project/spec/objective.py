"""The objective: a plain weighted sum of terms, each with its own weight, epochs and schedule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated

from pydantic import Field

from kdstudio.project.spec.feature_terms import (
    AttentionTerm,
    ContextTerm,
    CosineTerm,
    FlowTerm,
    HintTerm,
    SelectivityTerm,
)
from kdstudio.project.spec.joining import JoinRule
from kdstudio.project.spec.network_terms import EnsembleTerm, MutualTerm
from kdstudio.project.spec.output_terms import (
    CorrelationTerm,
    DecoupledTerm,
    HardTerm,
    JSDTerm,
    LogitTerm,
    ReverseKLTerm,
    SoftTerm,
)
from kdstudio.project.spec.relation_terms import (
    AngleTerm,
    CongruenceTerm,
    DistanceTerm,
    ProbabilisticTerm,
    SimilarityTerm,
)
from kdstudio.project.spec.terms import PairTerm, TermBase
from kdstudio.project.spec.text_terms import AttentionRelationTerm, AttentionScoreTerm, PatientTerm
from kdstudio.project.spec.trained_terms import (
    BoundaryTerm,
    ContrastiveTerm,
    FactorTerm,
    OverhaulTerm,
    ReviewTerm,
    VariationalTerm,
)
from kdstudio.project.spec.walk import models_in, tags_of

Term = Annotated[
    HardTerm
    | SoftTerm
    | ReverseKLTerm
    | JSDTerm
    | DecoupledTerm
    | CorrelationTerm
    | LogitTerm
    | EnsembleTerm
    | MutualTerm
    | HintTerm
    | ContextTerm
    | AttentionTerm
    | SelectivityTerm
    | FlowTerm
    | CosineTerm
    | DistanceTerm
    | AngleTerm
    | SimilarityTerm
    | ProbabilisticTerm
    | CongruenceTerm
    | VariationalTerm
    | ContrastiveTerm
    | ReviewTerm
    | OverhaulTerm
    | FactorTerm
    | BoundaryTerm
    | AttentionRelationTerm
    | AttentionScoreTerm
    | PatientTerm,
    Field(discriminator="term"),
]

#: How the terms on pairs of layers join them, by the term's tag.
JOIN_RULES: dict[str, JoinRule] = {
    tag: model.joins for model in models_in(Term) if issubclass(model, PairTerm) for tag in tags_of(model)
}


def numbered(tags: Iterable[str]) -> list[str]:
    """Names of terms by their kinds: a kind is numbered from its second term on (`soft`, `soft-2`)."""
    seen: Counter[str] = Counter()
    names = []
    for tag in tags:
        seen[tag] += 1
        names.append(tag if seen[tag] == 1 else f"{tag}-{seen[tag]}")
    return names


def term_names(terms: Sequence[Term]) -> list[str]:
    """A name for each term of an objective."""
    return numbered(term.term for term in terms)


def needs_teacher(terms: Sequence[TermBase]) -> bool:
    return any(term.asks_teacher for term in terms)


def needs_labels(terms: Sequence[TermBase]) -> bool:
    return any(term.asks_labels for term in terms)
