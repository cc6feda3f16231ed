"""Terms with parts that learn: what they learn, remember and leave behind; their first stages; resumes bit for bit."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from kdstudio.engine.control import Control
from kdstudio.engine.first_stage import FirstStage
from kdstudio.engine.models.cifar import CifarResNet
from kdstudio.engine.models.simple import CNN
from kdstudio.engine.objective import DistillationModule, Objective
from kdstudio.engine.optim import build_optimizer
from kdstudio.engine.run import execute
from kdstudio.engine.terms import Facts, StepOutputs
from kdstudio.engine.terms.contrast import Contrast, ContrastiveModule
from kdstudio.engine.terms.trained import margins
from kdstudio.project import spec
from kdstudio.project.errors import ModelError
from kdstudio.project.runs.control import request
from kdstudio.project.runs.state import RunStatus
from kdstudio.project.spec import LayerPair, TrainSpec

PAIR = LayerPair(teacher="t", student="s")
LABELS = torch.tensor([0, 1, 1, 2, 0, 1, 2, 2, 2, 0])
CNNS: dict[str, Any] = {
    "data": {"source": "digits", "batch_size": 32, "train_limit": 160, "augment": ["jitter"]},
    "teacher": {"model": "cnn", "widths": [4, 6], "train": {"epochs": 1, "lr": 0.1}},
    "student": {"model": "cnn", "widths": [4, 6], "dropout": 0.2},
    "train": {"epochs": 2, "lr": 0.05},
    "evaluate": {"latency": False, "test": False},
}
LAST = [{"teacher": "stage2", "student": "stage2"}]
TERMS = [
    spec.VariationalTerm(pairs=[PAIR]),
    spec.ContrastiveTerm(pairs=[PAIR], dimensions=8),
    spec.ReviewTerm(pairs=[PAIR, PAIR]),
    spec.OverhaulTerm(pairs=[PAIR]),
    spec.FactorTerm(pairs=[PAIR]),
    spec.BoundaryTerm(pairs=[PAIR, PAIR]),
]


def objective_of(term: Any) -> tuple[Objective, StepOutputs]:
    torch.manual_seed(0)
    objective = Objective([term], 1, {"s": (4, 6, 6)}, {"t": (6, 3, 3)}, Facts(LABELS, 3))
    student, teacher = torch.randn(6, 4, 6, 6).requires_grad_(), torch.randn(6, 6, 3, 3)
    outputs = StepOutputs(
        torch.randn(6, 3), LABELS[:6], torch.randn(6, 3), {"s": student}, {"t": teacher}, indices=torch.arange(6)
    )
    return objective, outputs


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.term)
def test_parts_are_optimised_and_both_sides_of_the_term_get_a_gradient(term: Any) -> None:
    objective, outputs = objective_of(term)
    module = DistillationModule(nn.Linear(2, 2), objective)
    groups = build_optimizer(module, TrainSpec()).param_groups
    optimised = {id(parameter) for group in groups for parameter in group["params"]}
    loss, _ = objective(outputs, 0)
    loss.backward()
    assert float(outputs.student_taps["s"].grad.norm()) > 0
    trained = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    assert trained
    for parameter in trained:
        assert id(parameter) in optimised
        assert torch.isfinite(parameter.grad).all()
    assert not any(id(parameter) in optimised for parameter in objective.parameters() if not parameter.requires_grad)


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.term)
def test_one_sample_and_equal_samples_stay_finite(term: Any) -> None:
    for count in (1, 3):
        objective, outputs = objective_of(term)
        outputs.student_taps["s"] = torch.ones(count, 4, 6, 6).requires_grad_()
        outputs.teacher_taps["t"] = torch.ones(count, 6, 3, 3)
        outputs.indices = torch.arange(count)
        loss, _ = objective(outputs, 0)
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(outputs.student_taps["s"].grad).all()


def test_margins_are_the_means_of_what_is_negative() -> None:
    norm = nn.BatchNorm2d(4)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, -2.0, 0.5, 0.1]))
        norm.bias.copy_(torch.tensor([0.0, 1.0, -1.0, 3.0]))
    draws = torch.randn(400_000, 4, generator=torch.Generator().manual_seed(0))
    values = norm.bias.detach() + norm.weight.detach() * draws
    found = margins(nn.Sequential(nn.Conv2d(1, 4, 1), norm), "objective.0")
    for channel in range(3):
        below = values[:, channel][values[:, channel] < 0]
        assert float(found[channel]) == pytest.approx(float(below.mean()), abs=0.01)
    assert float(found[3]) == pytest.approx(-0.3)  # never negative: just below zero
    assert (found < 0).all()


def test_overhauled_features_need_a_normalisation(lab: Any) -> None:
    term = {"term": "overhaul", "pairs": [{"teacher": "stage2.conv", "student": "stage2"}]}
    with pytest.raises(ModelError, match=r"objective\.1\.pairs\.0\.teacher: .* ends in Conv2d") as caught:
        lab.run(**CNNS, objective=[{"term": "hard"}, term])
    assert "stage" not in [event[1] for event in lab.events(lab.project.runs()[0])]  # before the teacher's training
    assert "bn2" in caught.value.fix


def test_the_normalisation_that_a_layer_ends_in() -> None:
    resnet, cnn = CifarResNet(14, 1, 5), CNN(1, [4, 6], 5)
    for number, norm in enumerate((resnet.layer2[-1].bn2, resnet.layer3[-1].bn2, cnn.stage2.bn)):
        torch.nn.init.constant_(norm.bias, -1.0 - number)
    assert margins(resnet.layer2, "")[0] == margins(resnet.layer2[-1].bn2, "")[0] < -1
    assert margins(resnet.layer3, "")[0] == margins(resnet.layer3[-1].bn2, "")[0] < -2
    assert margins(cnn.stage2, "")[0] == margins(cnn.stage2.bn, "")[0] < -3
    plain = nn.Sequential(nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3, affine=False), nn.ReLU())
    assert margins(plain, "").tolist() == pytest.approx([-math.sqrt(2 / math.pi)] * 3)


def contrast(**fields: Any) -> Contrast:
    torch.manual_seed(0)
    return Contrast(spec.ContrastiveTerm(pairs=[PAIR], dimensions=4, **fields), 5, 7, LABELS)


@pytest.mark.parametrize("fields", [{}, {"negatives": 3}, {"positives": "relaxed"}], ids=str)
def test_negatives_are_of_other_classes_and_positives_of_the_same(fields: dict[str, Any]) -> None:
    made = contrast(**fields)
    for _ in range(20):
        positives, negatives = made._chosen(torch.arange(10))
        assert negatives.shape == (10, 3 if fields.get("negatives") else 6)
        assert (LABELS[negatives] != LABELS[:, None]).all()
        assert (LABELS[positives] == LABELS).all()
    assert bool((positives == torch.arange(10)).all()) is not ("positives" in fields)


def test_all_others_are_negatives_where_the_classes_are_equal() -> None:
    labels = torch.tensor([0, 1, 2, 2, 1, 0])
    made = Contrast(spec.ContrastiveTerm(pairs=[PAIR], dimensions=4), 5, 7, labels)
    _, negatives = made._chosen(torch.arange(6))
    for sample in range(6):
        assert sorted(negatives[sample].tolist()) == [i for i in range(6) if labels[i] != labels[sample]]


def test_the_memory_is_what_was_seen_and_only_in_training() -> None:
    made = contrast(memory_momentum=0.25)
    student, teacher, indices = torch.randn(3, 5), torch.randn(3, 7), torch.tensor([8, 2, 5])
    before = made.student_memory.clone()
    with torch.no_grad():
        made(student, teacher, indices)
    assert torch.equal(made.student_memory, before)
    assert math.isnan(float(made.student_scale))
    loss = made(student, teacher, indices)
    loss.backward()
    head = nn.functional.normalize(made.student_head(student), dim=1)
    expected = nn.functional.normalize(0.25 * before[indices] + 0.75 * head, dim=1)
    assert torch.allclose(made.student_memory[indices], expected, atol=1e-6)
    rest = [row for row in range(10) if row not in indices.tolist()]
    assert torch.equal(made.student_memory[rest], before[rest])
    scale = made.student_scale.clone()
    made(student, teacher, indices)
    assert torch.equal(made.student_scale, scale)  # Z is that of the first batch


def test_samples_that_are_not_known_have_no_contrast() -> None:
    objective, outputs = objective_of(TERMS[1])
    outputs.indices = None
    module = objective.term_modules()[0]
    assert isinstance(module, ContrastiveModule)
    assert module.pair_losses(outputs) == []


def test_variances_start_as_the_spec_says() -> None:
    objective, outputs = objective_of(spec.VariationalTerm(pairs=[PAIR], start_variance=2.5))
    module: Any = objective.term_modules()[0]
    error = (outputs.teacher_taps["t"] - module.predictors[0](outputs.student_taps["s"])).square()
    expected = (error / 2.5 + math.log(2.5)).mean() / 2
    assert float(module(outputs).detach()) == pytest.approx(float(expected.detach()), rel=1e-4)


def test_the_last_pair_counts_most() -> None:
    objective, outputs = objective_of(spec.BoundaryTerm(pairs=[PAIR, PAIR, PAIR]))
    module: Any = objective.term_modules()[0].eval()
    first, second, third = (float(loss.detach()) for loss in module.pair_losses(outputs))
    assert float(module(outputs).detach()) == pytest.approx(first / 4 + second / 2 + third, rel=1e-6)


LIVELY = [
    {"term": "hard"},
    {"term": "contrastive", "positives": "relaxed", "negatives": 50, "dimensions": 16, "pairs": LAST},
    {"term": "review", "pairs": [{"teacher": "stage1", "student": "stage1"}, *LAST]},
    {"term": "factor", "paraphraser_epochs": 2, "pairs": LAST},
]


def test_parked_anywhere_it_ends_as_if_it_had_not_been(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed = lab.run(**CNNS, objective=LIVELY)
    run = lab.new_project("other").create_run(lab.experiment(**CNNS, objective=LIVELY))
    before_first_step(monkeypatch, 7, lambda: request(run, "park"))
    lab.before_step("student", 3, lambda trainer: request(run, "park"))
    phases = [execute(run).phase for _ in range(3)]
    assert phases == ["parked", "parked", "finished"]
    assert [event for event in lab.events(run) if event[0] == "factor-first"] == [
        ("factor-first", "stage"),
        ("factor-first", "resume"),
    ]
    assert lab.same(lab.module(undisturbed), lab.module(run))
    losses = [lab.metrics(one).series("factor-first", "train", "loss") for one in (undisturbed, run)]
    assert losses[0].steps.tolist() == losses[1].steps.tolist() == [0, 9]
    assert losses[0].values.tolist() == losses[1].values.tolist()
    assert losses[0].values[-1] < losses[0].values[0]


def test_a_stop_in_the_first_stage(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = lab.project.create_run(lab.experiment(**CNNS, objective=LIVELY))
    before_first_step(monkeypatch, 3, lambda: request(run, "stop"))
    assert execute(run).phase == "stopped"
    assert run.status() is RunStatus.STOPPED
    assert not run.student_dir.exists()
    assert execute(run).phase == "finished"


def before_first_step(monkeypatch: pytest.MonkeyPatch, step: int, action: Callable[[], object]) -> None:
    """Calls the action once, before a step of a first stage; requests are answered at every step."""
    monkeypatch.setattr("kdstudio.engine.control.POLL_SECONDS", 0.0)
    original, done = Control.poll, []

    def poll(self: Control, on_hold: Any = None) -> None:
        stage = getattr(on_hold, "__self__", None)
        if isinstance(stage, FirstStage) and stage.step == step and not done:
            done.append(True)
            action()
        original(self, on_hold)

    monkeypatch.setattr(Control, "poll", poll)
