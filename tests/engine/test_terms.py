"""The terms of the objective: each is its loss on the right tensors, and pairs that cannot be are refused by name."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from kdstudio.engine import losses
from kdstudio.engine.networks import check_wiring
from kdstudio.engine.objective import Objective
from kdstudio.engine.terms import OUTPUT_MODULES, PAIR_MODULES, Facts, HintRegressor, StepOutputs
from kdstudio.engine.terms.pairs import REASONS, RegressedModule
from kdstudio.engine.validate import Validation
from kdstudio.project import spec
from kdstudio.project.errors import ModelError
from kdstudio.project.spec import JOIN_RULES, JoinRule, LayerPair, PairTerm, Term, TermBase, fits
from kdstudio.project.spec.walk import models_in

#: What a layer gives for each sample, by its name.
STUDENT = {"first": (6, 8, 8), "second": (6, 4, 4), "wide": (9, 4, 4), "vector": (12,), "tokens": (5, 7), "one": ()}
TEACHER = {"first": (6, 4, 4), "second": (6, 4, 4), "wide": (8, 8, 8), "vector": (12,), "tokens": (5, 9), "one": ()}
MAPS = [LayerPair(teacher="first", student="first"), LayerPair(teacher="second", student="second")]
VECTOR = [LayerPair(teacher="vector", student="vector")]


def outputs(batch: int = 8) -> StepOutputs:
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(batch, *shape, generator=generator)

    return StepOutputs(
        random(5).requires_grad_(),
        torch.arange(batch) % 5,
        random(5),
        {name: random(*shape).requires_grad_() for name, shape in STUDENT.items()},
        {name: random(*shape) for name, shape in TEACHER.items()},
        indices=torch.arange(batch),
    )


def value(term: TermBase, data: StepOutputs) -> float:
    """The unweighted loss of a term in an objective."""
    objective = Objective([term], 1, STUDENT, TEACHER, Facts(data.targets, 5))
    total, parts = objective(data, 0)
    assert float(total.detach()) == pytest.approx(term.weight * float(parts[0, 0]), rel=1e-6)
    total.backward()
    return float(parts[0, 0])


def test_every_term_of_the_spec_has_a_module() -> None:
    assert {*OUTPUT_MODULES, *PAIR_MODULES} == set(models_in(Term))
    assert all(issubclass(term, PairTerm) for term in PAIR_MODULES)
    assert not any(issubclass(term, PairTerm) for term in OUTPUT_MODULES)
    regressed = {term for term, module in PAIR_MODULES.items() if issubclass(module, RegressedModule)}
    assert regressed == {term for term in PAIR_MODULES if term.joins.endswith("regressor")}


def test_output_terms_are_their_losses() -> None:
    data = outputs()
    s, t, y = data.student_logits, data.teacher(), data.targets
    cases = [
        (spec.HardTerm(label_smoothing=0.1), torch.nn.functional.cross_entropy(s, y, label_smoothing=0.1)),
        (spec.SoftTerm(temperature=3), losses.soft_target_loss(s, t, 3)),
        (spec.ReverseKLTerm(temperature=3), losses.reverse_kl_loss(s, t, 3)),
        (spec.JSDTerm(beta=0.2, temperature=3), losses.generalized_jsd_loss(s, t, 0.2, 3)),
        (spec.DecoupledTerm(alpha=2, beta=3, temperature=5), losses.decoupled_loss(s, t, y, 2, 3, 5)),
        (spec.CorrelationTerm(inter=2, intra=3, temperature=5), losses.correlation_loss(s, t, 2, 3, 5)),
        (spec.LogitTerm(), losses.logit_matching_loss(s, t)),
    ]
    assert {type(term) for term, _ in cases} == set(OUTPUT_MODULES) - {spec.EnsembleTerm, spec.MutualTerm}
    for term, expected in cases:
        assert value(term, data) == pytest.approx(float(expected.detach()), rel=1e-6)
    assert s.grad is not None


PLAIN = [
    (spec.AttentionTerm(pairs=MAPS, power=3), lambda s, t: losses.attention_transfer_loss(s, t, 3)),
    (spec.SelectivityTerm(pairs=MAPS), losses.neuron_selectivity_loss),
    (spec.DistanceTerm(pairs=MAPS), losses.relational_distance_loss),
    (spec.AngleTerm(pairs=MAPS), losses.relational_angle_loss),
    (spec.SimilarityTerm(pairs=MAPS), losses.similarity_preserving_loss),
    (spec.ProbabilisticTerm(pairs=MAPS), losses.probabilistic_transfer_loss),
    (spec.CongruenceTerm(pairs=[MAPS[1], *VECTOR]), losses.correlation_congruence_loss),
    (spec.CosineTerm(pairs=VECTOR), losses.cosine_loss),
]


@pytest.mark.parametrize(("term", "loss"), PLAIN, ids=lambda item: getattr(item, "term", ""))
def test_terms_on_pairs_add_the_losses_of_their_pairs(term: Any, loss: Any) -> None:
    data = outputs()
    with torch.no_grad():
        expected = sum(float(loss(data.student_taps[p.student], data.teacher_taps[p.teacher])) for p in term.pairs)
    assert value(term, data) == pytest.approx(expected, rel=1e-5)
    for pair in term.pairs:
        assert float(data.student_taps[pair.student].grad.norm()) > 0


def test_the_flow_goes_from_pair_to_pair() -> None:
    data = outputs()
    s, t = data.student_taps, data.teacher_taps
    three = [*MAPS, MAPS[0]]
    there = losses.flow_loss(s["first"], s["second"], t["first"], t["second"])
    back = losses.flow_loss(s["second"], s["first"], t["second"], t["first"])
    assert value(spec.FlowTerm(pairs=MAPS), data) == pytest.approx(float(there.detach()), rel=1e-6)
    assert value(spec.FlowTerm(pairs=three), data) == pytest.approx(float((there + back).detach()), rel=1e-6)


def test_cosines_of_maps_are_those_of_their_places() -> None:
    data = outputs()
    student, teacher = data.student_taps["second"], data.teacher_taps["second"]
    places = [[side[:, :, y, x] for y in range(4) for x in range(4)] for side in (student, teacher)]
    expected = sum(float(losses.cosine_loss(s.detach(), t)) for s, t in zip(*places)) / 16
    assert value(spec.CosineTerm(pairs=MAPS[1:]), data) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("term", "share"), [(spec.HintTerm(pairs=MAPS), 0.5), (spec.ContextTerm(pairs=MAPS), 1.0)], ids=["hint", "context"]
)
def test_terms_with_regressors(term: Any, share: float) -> None:
    """Hints are a mean over the pairs, as before; the others are a sum."""
    data = outputs()
    objective = Objective([term], 1, STUDENT, TEACHER)
    module = objective.term_modules()[0]
    parts = module.pair_losses(data)
    assert float(module(data).detach()) == pytest.approx(share * float(sum(parts).detach()), rel=1e-6)
    objective(data, 0)[0].backward()
    assert len(list(objective.parameters())) == 4
    assert all(parameter.grad is not None for parameter in objective.parameters())


#: Of attention blocks, whose parts are tapped: tests/engine/text has them.
BLOCKS = (spec.AttentionRelationTerm, spec.AttentionScoreTerm)


@pytest.mark.parametrize("term", [term for term in PAIR_MODULES if term not in (spec.FlowTerm, *BLOCKS)])
def test_the_rule_of_a_term_is_what_its_loss_can_do(term: Any) -> None:
    """For every two layers: either the pair is refused by name before any step, or the loss is finite."""
    for student in STUDENT:
        for teacher in TEACHER:
            made = term(pairs=[LayerPair(teacher=teacher, student=student)])
            if fits(term.joins, STUDENT[student], TEACHER[teacher]):
                assert value(made, outputs()) < float("inf")
                continue
            with pytest.raises(ModelError, match=rf"objective\.0\.pairs\.0: '{teacher}' of the teacher") as caught:
                Objective([made], 1, STUDENT, TEACHER)
            assert caught.value.kind == "pair"
            assert caught.value.fix == REASONS[term.joins][1]


def test_channels_of_the_flow_have_to_agree() -> None:
    wide = LayerPair(teacher="wide", student="wide")
    with pytest.raises(ModelError, match=r"objective\.0\.pairs\.1: 'wide'") as caught:
        Objective([spec.FlowTerm(pairs=[MAPS[0], wide])], 1, STUDENT, TEACHER)
    assert "as many channels" in caught.value.fix


def test_rules() -> None:
    assert set(JOIN_RULES) == {tag for model in PAIR_MODULES for tag in [model.model_fields["term"].default]}
    cases: list[tuple[JoinRule, tuple[int, ...], tuple[int, ...], bool]] = [
        ("width", (16,), (4, 2, 2), True),
        ("width", (16,), (4, 2, 3), False),
        ("equal", (16,), (4, 2, 2), False),
        ("maps", (3, 1, 1), (5, 9, 9), True),
        ("channels", (3, 1, 1), (5, 9, 9), False),
        ("map-regressor", (4,), (8,), False),
        ("any", (4, 5), (8,), True),
        ("any", (), (8,), False),
    ]
    for rule, student, teacher, possible in cases:
        assert fits(rule, student, teacher) is possible
    for rule in REASONS:
        same = (4, 2) if rule in ("blocks", "scores", "states") else (4, 2, 2)
        assert fits(rule, same, same)
    assert HintRegressor((4, 2, 2), (6, 1, 1))(torch.zeros(2, 4, 2, 2)).shape == (2, 6, 1, 1)


def test_two_classes_are_refused_before_the_first_step(lab: Any) -> None:
    """The decoupled term needs classes beside the target."""
    from types import SimpleNamespace

    experiment = lab.experiment(objective=[{"term": "hard"}, {"term": "decoupled"}])
    bundle: Any = SimpleNamespace(outputs=2)
    with pytest.raises(ModelError, match=r"objective\.1\.beta: with two classes") as caught:
        check_wiring(experiment, None, torch.nn.Identity(), bundle, None)  # type: ignore[arg-type]
    assert caught.value.fix == "set beta to 0, or use soft targets"


def test_terms_on_outputs_are_scored_on_validation_samples(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, float]] = []
    original = Validation.score

    def score(validation: Validation, *args: Any) -> dict[str, float]:
        seen.append(original(validation, *args))
        return seen[-1]

    monkeypatch.setattr(Validation, "score", score)
    terms = [{"term": tag} for tag in ("hard", "soft", "reverse-kl", "jsd", "decoupled", "correlation", "logits")]
    run = lab.run(objective=terms, train={"epochs": 1, "lr": 0.01})
    names = {f"term.{term['term']}" for term in terms}
    assert names == {key for key in seen[-1] if key.startswith("term.")}
    for name in names:
        assert len(lab.metrics(run).series("student", "validation", name).values) == 1
