"""Which module belongs to which term of the spec."""

from __future__ import annotations

from kdstudio.engine.terms import contrast, factors, features, fusion, networks, outputs, relations, text, trained
from kdstudio.engine.terms.base import Facts, TermModule
from kdstudio.engine.terms.pairs import PairModule, Shapes, Wiring
from kdstudio.project import spec
from kdstudio.project.spec import MutualTerm, PairTerm, TermBase

OUTPUT_MODULES: dict[type[TermBase], type[TermModule]] = {
    spec.HardTerm: outputs.HardModule,
    spec.SoftTerm: outputs.SoftModule,
    spec.ReverseKLTerm: outputs.ReverseKLModule,
    spec.JSDTerm: outputs.JSDModule,
    spec.DecoupledTerm: outputs.DecoupledModule,
    spec.CorrelationTerm: outputs.CorrelationModule,
    spec.LogitTerm: outputs.LogitModule,
    spec.EnsembleTerm: networks.EnsembleModule,
    spec.MutualTerm: networks.MutualModule,
}
PAIR_MODULES: dict[type[TermBase], type[PairModule]] = {
    spec.HintTerm: features.HintModule,
    spec.ContextTerm: features.ContextModule,
    spec.AttentionTerm: features.AttentionModule,
    spec.SelectivityTerm: features.SelectivityModule,
    spec.FlowTerm: features.FlowModule,
    spec.CosineTerm: features.CosineModule,
    spec.DistanceTerm: relations.DistanceModule,
    spec.AngleTerm: relations.AngleModule,
    spec.SimilarityTerm: relations.SimilarityModule,
    spec.ProbabilisticTerm: relations.ProbabilisticModule,
    spec.CongruenceTerm: relations.CongruenceModule,
    spec.VariationalTerm: trained.VariationalModule,
    spec.ContrastiveTerm: contrast.ContrastiveModule,
    spec.ReviewTerm: fusion.ReviewModule,
    spec.OverhaulTerm: trained.OverhaulModule,
    spec.FactorTerm: factors.FactorModule,
    spec.BoundaryTerm: trained.BoundaryModule,
    spec.AttentionRelationTerm: text.AttentionRelationModule,
    spec.AttentionScoreTerm: text.AttentionScoreModule,
    spec.PatientTerm: text.PatientModule,
}


def module_of(term: type[TermBase]) -> type[TermModule]:
    """The module of a term of the spec."""
    return OUTPUT_MODULES.get(term) or PAIR_MODULES[term]


def make_term(
    term: TermBase,
    name: str,
    student_shapes: Shapes,
    teacher_shapes: Shapes,
    where: str,
    facts: Facts | None = None,
) -> TermModule:
    """The module of a term of the objective.

    Args:
        term: As the spec says it.
        name: Its name among the terms of the objective.
        student_shapes, teacher_shapes: Output shapes of the tapped layers, without the batch dimension.
        where: The term's place in the spec (``objective.2``), for messages.
        facts: What terms with state need to know; None where only shapes are checked.

    Raises:
        ModelError: A pair whose shapes do not fit.
    """
    if isinstance(term, PairTerm):
        return PAIR_MODULES[type(term)](term, name, Wiring(student_shapes, teacher_shapes, where, facts))
    if isinstance(term, MutualTerm):
        return networks.MutualModule(term, name, facts)
    return OUTPUT_MODULES[type(term)](term, name)
