"""The objective, its terms, and the contracts between teacher, student and helpers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kdstudio.engine.objective import DistillationModule, Objective
from kdstudio.engine.taps import Taps
from kdstudio.engine.teacher import Teacher
from kdstudio.engine.terms import HintRegressor, StepOutputs
from kdstudio.project.errors import ModelError
from kdstudio.project.schedules import weight_at
from kdstudio.project.spec import HardTerm, HintTerm, LayerPair, SoftTerm, WeightSchedule, term_names


def outputs(batch: int = 4) -> StepOutputs:
    return StepOutputs(torch.randn(batch, 5, requires_grad=True), torch.randint(0, 5, (batch,)), torch.randn(batch, 5))


def test_what_is_reported_is_what_is_optimised() -> None:
    objective = Objective([HardTerm(weight=0.3), SoftTerm(weight=0.7, temperature=2)], 5)
    total, parts = objective(outputs(), 0)
    assert float(total.detach()) == pytest.approx(float(parts[1].sum()), rel=1e-6)
    assert parts[1].tolist() == pytest.approx([0.3 * float(parts[0, 0]), 0.7 * float(parts[0, 1])])


def test_a_term_of_weight_zero_is_watched_but_cannot_spoil_the_sum() -> None:
    objective = Objective([HardTerm(weight=1), SoftTerm(weight=0, temperature=4)], 1)
    data = outputs()
    data.teacher_logits = torch.full((4, 5), float("nan"))
    total, _ = objective(data, 0)
    assert torch.isfinite(total)
    data.teacher_logits = torch.randn(4, 5)
    _, parts = objective(data, 0)
    assert float(parts[0, 1]) > 0
    assert float(parts[1, 1]) == 0


def test_epochs_and_schedules() -> None:
    term = SoftTerm(weight=2, from_epoch=2, until_epoch=6, schedule=WeightSchedule(start=1, end=0))
    assert [weight_at(term, epoch, 10) for epoch in (0, 2, 5, 6)] == [None, 2.0, 0.0, None]
    cosine = SoftTerm(weight=1, schedule=WeightSchedule(kind="cosine", start=0, end=1))
    values = [weight_at(cosine, epoch, 5) for epoch in range(5)]
    assert values == sorted(values)
    assert values[2] == pytest.approx(0.5)
    assert weight_at(SoftTerm(schedule=WeightSchedule()), 0, 1) == 1.0


def test_inactive_terms_are_not_computed() -> None:
    objective = Objective([HardTerm(), SoftTerm(from_epoch=1)], 3)
    data = outputs()
    data.teacher_logits = None
    total, parts = objective(data, 0)
    assert torch.isfinite(total)
    assert parts[0, 1].isnan()
    assert not objective.needs_teacher(0)
    assert objective.needs_teacher(1)


def test_names_of_repeated_terms() -> None:
    assert term_names([HardTerm(), SoftTerm(), SoftTerm()]) == ["hard", "soft", "soft-2"]


@pytest.mark.parametrize(
    ("student", "teacher"),
    [((16,), (32,)), ((7, 16), (7, 32)), ((8, 4, 4), (16, 4, 4)), ((8, 8, 8), (16, 4, 4)), ((8, 2, 2), (16, 5, 4))],
)
def test_regressors_join_shapes(student: tuple[int, ...], teacher: tuple[int, ...]) -> None:
    assert HintRegressor(student, teacher)(torch.randn(3, *student)).shape == (3, *teacher)


def test_pairs_that_cannot_be_joined_name_their_place() -> None:
    term = HintTerm(pairs=[LayerPair(teacher="conv", student="fc")])
    with pytest.raises(ModelError, match=r"objective\.1\.pairs\.0.*'conv'.*'fc'"):
        Objective([HardTerm(), term], 1, {"fc": (10,)}, {"conv": (8, 4, 4)})


class Small(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(6, width)
        self.norm = nn.BatchNorm1d(width)
        self.fc = nn.Linear(width, 5)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.fc(self.norm(self.hidden(inputs)).relu())


def build() -> tuple[DistillationModule, Teacher]:
    pair = LayerPair(teacher="hidden", student="hidden")
    terms = [HardTerm(weight=0.1), SoftTerm(weight=0.9), HintTerm(pairs=[pair])]
    objective = Objective(terms, 2, {"hidden": (4,)}, {"hidden": (9,)})
    return DistillationModule(Small(4), objective), Teacher(Small(9), ["hidden"])


def test_the_teacher_is_out_of_reach() -> None:
    module, teacher = build()
    module.train()
    teacher.model.train()  # whatever happens in between
    before = {key: value.clone() for key, value in teacher.model.state_dict().items()}
    inputs, targets = torch.randn(8, 6), torch.randint(0, 5, (8,))
    logits, features = teacher(inputs)
    total, _, _ = module(inputs, targets, 0, logits, features)
    total.backward()
    assert not teacher.model.training
    assert all(torch.equal(value, before[key]) for key, value in teacher.model.state_dict().items())
    assert all(parameter.grad is None for parameter in teacher.model.parameters())
    own = {id(parameter) for parameter in module.parameters()}
    assert not own & {id(parameter) for parameter in teacher.model.parameters()}
    assert not any("teacher" in key for key in module.state_dict())


def test_helpers_are_trained_and_not_in_the_student() -> None:
    module, teacher = build()
    inputs = torch.randn(8, 6)
    logits, features = teacher(inputs)
    module(inputs, torch.randint(0, 5, (8,)), 0, logits, features)[0].backward()
    helpers = list(module.objective.parameters())
    assert len(helpers) == 2
    assert all(parameter.grad is not None for parameter in helpers)
    assert not set(module.student.state_dict()) & {"map.weight"}


def test_hooks_leave_and_nothing_outlives_the_step() -> None:
    module, teacher = build()
    inputs = torch.randn(8, 6)
    logits, features = teacher(inputs)
    module(inputs, torch.randint(0, 5, (8,)), 0, logits, features)
    assert not any(layer._forward_hooks for layer in module.student.modules())
    assert teacher.taps.take() == {}
    teacher.close()
    assert not any(layer._forward_hooks for layer in teacher.model.modules())


def test_a_layer_in_two_pairs_is_captured_once_and_served_twice() -> None:
    model = Small(4)
    with Taps(model, ["hidden", "hidden", "fc"]) as taps:
        model(torch.randn(3, 6))
        assert set(taps.take()) == {"hidden", "fc"}


def test_an_unknown_layer_has_a_suggestion() -> None:
    with pytest.raises(ModelError, match="no layer 'hiden' in the student") as caught:
        Taps(Small(4), ["hiden"], "the student")
    assert "did you mean 'hidden'?" in caught.value.fix
