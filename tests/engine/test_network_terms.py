"""Terms with several teachers and with several students: what they are, and what becomes of their networks."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from kdstudio.engine import losses
from kdstudio.engine.objective import DistillationModule, Objective
from kdstudio.engine.optim import build_optimizer
from kdstudio.engine.run import execute
from kdstudio.engine.terms import Facts, StepOutputs
from kdstudio.project import spec
from kdstudio.project.errors import SpecError
from kdstudio.project.runs.control import request
from kdstudio.project.spec import Experiment, PeerSpec, TrainSpec, validate

PEER = {"model": "mlp", "widths": [12], "seed": 1}
TEACHERS = [
    {"model": "mlp", "widths": [16], "train": {"epochs": 1, "lr": 0.1, "seed": 5}},
    {"model": "mlp", "widths": [20], "train": {"epochs": 1, "lr": 0.1, "seed": 6}},
]


def logits(seed: int) -> torch.Tensor:
    return torch.randn(6, 4, generator=torch.Generator().manual_seed(seed)) * 2


def outputs(others: int = 2) -> StepOutputs:
    targets = torch.tensor([0, 1, 2, 3, 0, 1])
    student = logits(0).requires_grad_()
    return StepOutputs(student, targets, logits(1), other_logits=[logits(2 + number) for number in range(others)])


def value(term: Any, data: StepOutputs) -> float:
    total, parts = Objective([term], 1)(data, 0)
    total.backward()
    return float(parts[0, 0])


def test_equal_and_given_weights() -> None:
    data = outputs()
    each = [
        float(losses.soft_target_loss(data.student_logits, t, 3.0).detach()) for t in (logits(1), logits(2), logits(3))
    ]
    assert value(spec.EnsembleTerm(temperature=3), data) == pytest.approx(sum(each) / 3, rel=1e-5)
    given = spec.EnsembleTerm(temperature=3, weighting="given", weights=[1, 3, 0])
    assert value(given, data) == pytest.approx((each[0] + 3 * each[1]) / 4, rel=1e-5)


def test_weights_by_confidence_are_those_of_the_paper() -> None:
    data, expected = outputs(), 0.0
    for row in range(6):
        teachers = [tensor[row].tolist() for tensor in (logits(1), logits(2), logits(3))]
        label = int(data.targets[row])
        ce = [math.log(sum(math.exp(v) for v in t)) - t[label] for t in teachers]
        for own, t in zip(ce, teachers):
            weight = (1 - math.exp(own) / sum(math.exp(other) for other in ce)) / 2
            p, q = (torch.tensor(side).double().div(4).softmax(0) for side in (t, data.student_logits[row].tolist()))
            expected += weight * 16 * float((p * (p / q).log()).sum()) / 6
    assert value(spec.EnsembleTerm(weighting="confidence"), data) == pytest.approx(expected, rel=1e-5)


def test_one_teacher_is_soft_targets() -> None:
    for weighting in ("equal", "confidence"):
        data = outputs(0)
        expected = float(losses.soft_target_loss(data.student_logits, data.teacher(), 4.0).detach())
        assert value(spec.EnsembleTerm(weighting=weighting), data) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"teacher": PEER | {"seed": 0}, "objective": [{"term": "ensemble"}]}, "teacher.seed"),
        ({"teacher": {"model": "mlp"}, "objective": [{"term": "ensemble"}]}, "needs further teachers"),
        ({"teachers": [{"model": "mlp"}], "objective": [{"term": "hard"}]}, "no first one"),
        (
            {
                "teacher": {"model": "mlp"},
                "teachers": [{"model": "mlp"}],
                "objective": [{"term": "ensemble", "weighting": "given", "weights": [1]}],
            },
            "1 weights for 2 teachers",
        ),
        ({"objective": [{"term": "ensemble", "weights": [1, 2]}]}, "go with weighting 'given'"),
        ({"objective": [{"term": "mutual", "peers": [{"model": "mlp", "weights": "a.pt"}]}]}, "starts at random"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        validate(Experiment, {"name": "a", "student": {"model": "mlp"}, **fields}, "a.yaml")
    assert message in str(caught.value)


def mutual(peers: int = 2) -> tuple[DistillationModule, Any]:
    def build(made: Any, seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return nn.Linear(5, 4)

    term = spec.MutualTerm(temperature=2, peers=[PeerSpec(model="mlp", seed=number + 1) for number in range(peers)])
    objective = Objective([spec.HardTerm(), term], 1, facts=Facts(build=build))
    torch.manual_seed(0)
    return DistillationModule(nn.Linear(5, 4), objective), objective.term_modules()[1]


def test_students_learn_from_each_other_and_nobody_through_another() -> None:
    module, term = mutual()
    inputs, targets = torch.randn(6, 5), torch.tensor([0, 1, 2, 3, 0, 1])
    total, parts, _ = module(inputs, targets, 0, None, {})
    own = module.student(inputs)
    said = [peer(inputs) for peer in term.peers]
    expected = sum(losses.soft_target_loss(own, peer, 2.0) for peer in said) / 2
    assert float(parts[0, 1]) == pytest.approx(float(expected.detach()), rel=1e-6)
    assert float(total.detach()) == pytest.approx(float(parts[1].sum()), rel=1e-6)  # what peers learn is not told
    total.backward()
    student = torch.autograd.grad(
        nn.functional.cross_entropy(own, targets) + expected, module.student.weight, retain_graph=True
    )[0]
    assert torch.allclose(module.student.weight.grad, student, atol=1e-6)
    mimicry = (losses.soft_target_loss(said[0], own, 2.0) + losses.soft_target_loss(said[0], said[1], 2.0)) / 2
    first = torch.autograd.grad(nn.functional.cross_entropy(said[0], targets) + mimicry, term.peers[0].weight)[0]
    assert torch.allclose(term.peers[0].weight.grad, first, atol=1e-6)
    assert term._said == []
    optimised = {id(p) for group in build_optimizer(module, TrainSpec()).param_groups for p in group["params"]}
    assert {id(parameter) for parameter in term.parameters()} <= optimised


def test_peers_are_trained_watched_resumed_and_left_behind(lab: Any) -> None:
    fields: dict[str, Any] = {
        "teacher": None,
        "objective": [{"term": "hard"}, {"term": "mutual", "peers": [PEER, PEER | {"seed": 2}]}],
    }
    undisturbed = lab.run(**fields)
    run = lab.new_project("other").create_run(lab.experiment(**fields))
    lab.before_step("student", 7, lambda trainer: request(run, "park"))
    assert [execute(run).phase for _ in range(2)] == ["parked", "finished"]
    assert lab.same(lab.module(undisturbed), lab.module(run))
    metrics = lab.metrics(run)
    for peer in ("peer_1_accuracy", "peer_2_accuracy"):
        accuracy = metrics.series("student", "validation", peer).values
        assert len(accuracy) == len(metrics.series("student", "validation", "accuracy").values)
        assert 0 < accuracy[-1] <= 1
    weights = lab.module(run)
    assert not torch.equal(
        weights["objective.terms.1.peers.0.hidden1.linear.weight"],
        weights["objective.terms.1.peers.1.hidden1.linear.weight"],
    )
    assert set(load_file(run.student_dir / "model.safetensors")) == {
        key.removeprefix("student.") for key in weights if key.startswith("student.")
    }


def test_further_teachers_are_stages_and_are_trained_once(lab: Any) -> None:
    fields: dict[str, Any] = {"teachers": TEACHERS, "objective": [{"term": "hard"}, {"term": "ensemble"}]}
    run = lab.run(**fields)
    stages = list(dict.fromkeys(stage for stage, event in lab.events(run) if event == "stage"))
    assert stages == ["teacher", "teacher-2", "teacher-3", "student"]
    values = lab.metrics(run).series("student", "validation", "term.ensemble").values
    assert len(values) > 0
    assert all(math.isfinite(one) for one in values)
    again = lab.run(**fields)
    assert list(dict.fromkeys(stage for stage, event in lab.events(again) if event == "stage")) == ["student"]
    assert lab.same(lab.module(run), lab.module(again))
    weights = lab.module(run)
    assert not [key for key in weights if not key.startswith("student.")]


def test_a_stop_among_the_teachers(lab: Any) -> None:
    fields: dict[str, Any] = {"teachers": TEACHERS, "objective": [{"term": "hard"}, {"term": "ensemble"}]}
    run = lab.project.create_run(lab.experiment(**fields))
    lab.before_step("teacher-2", 2, lambda trainer: request(run, "stop"))
    assert execute(run).phase == "stopped"
    assert not run.student_dir.exists()
    assert execute(run).phase == "finished"
