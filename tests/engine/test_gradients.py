"""Shares of the gradient: they are what they say, and measuring them disturbs nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from kdstudio.engine.data import ArraySplit, Preprocess
from kdstudio.engine.gradients import GradientShares
from kdstudio.engine.objective import Objective
from kdstudio.engine.teacher import Teacher
from kdstudio.project.spec import HardTerm, HintTerm, LayerPair, SoftTerm

LIVELY: dict[str, Any] = {
    "data": {"source": "digits", "batch_size": 32, "train_limit": 160},
    "teacher": {"model": "cnn", "widths": [4, 6], "train": {"epochs": 1, "lr": 0.1}},
    "student": {"model": "cnn", "widths": [4, 6], "dropout": 0.2},
    "objective": [
        {"term": "hard", "weight": 0.2},
        {"term": "soft", "weight": 0.8},
        {"term": "variational", "pairs": [{"teacher": "stage2", "student": "stage2"}]},
        {"term": "contrastive", "pairs": [{"teacher": "avgpool", "student": "avgpool"}], "until_epoch": 2},
    ],
}


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Dropout(0.5), nn.Linear(7, 3))


def test_shares_are_norms_of_the_terms_alone() -> None:
    torch.manual_seed(0)
    student, teacher = network(), network()
    student[3] = nn.Identity()  # nothing random, so that it can be done again
    pairs = [LayerPair(teacher="0", student="0")]
    terms = [HardTerm(weight=0.5), SoftTerm(weight=2, temperature=3), HintTerm(pairs=pairs), SoftTerm(weight=0)]
    objective = Objective(terms, 1, {"0": (7,)}, {"0": (7,)})
    split = ArraySplit(torch.randn(10, 5), torch.arange(10) % 3)
    preprocess = Preprocess([0.0] * 5, [1.0] * 5, (5,))
    measured = GradientShares(split, preprocess, torch.device("cpu"), Teacher(teacher, ["0"])).measure(
        student, objective, 0, Accelerator(cpu=True)
    )
    student.train()
    norms = []
    for index in range(3):
        student.zero_grad()
        own = nn.Sequential(*list(student)[:1])(split.images)
        logits = nn.Sequential(*list(student)[1:])(own)
        with torch.no_grad():
            hidden = teacher.eval()[0](split.images)
            said = teacher(split.images)
        if index == 0:
            loss = 0.5 * nn.functional.cross_entropy(logits, split.labels)
        elif index == 1:
            sides = (logits / 3).log_softmax(1), (said / 3).softmax(1)
            loss = 2 * 9 * nn.functional.kl_div(*sides, reduction="batchmean")
        else:
            module: Any = objective.term_modules()[2]
            loss = (module.regressors[0](own) - hidden).square().mean()
        loss.backward()
        squares = [parameter.grad.square().sum() for parameter in student.parameters() if parameter.grad is not None]
        norms.append(float(torch.stack(squares).sum().sqrt()))
    expected = [norm / sum(norms) for norm in norms]
    assert list(measured) == ["hard", "soft", "hint"]
    assert list(measured.values()) == pytest.approx(expected, rel=1e-4)


def test_it_disturbs_nothing(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdstudio.engine.gradients.BUDGET", 1e9)  # after every epoch
    watched = lab.run(**LIVELY)
    monkeypatch.setattr(GradientShares, "due", lambda self: False)
    alone = lab.run(**LIVELY)
    assert lab.same(lab.module(watched), lab.module(alone))
    metrics = lab.metrics(watched)
    steps = {
        name: metrics.series("student", "gradient", f"term.{name}").steps.tolist() for name in ("hard", "contrastive")
    }
    assert steps == {"hard": [4, 9, 14], "contrastive": [4, 9]}
    last = [
        metrics.series("student", "gradient", f"term.{name}").values[-1] for name in ("hard", "soft", "variational")
    ]
    assert sum(last) == pytest.approx(1)
    assert ("student", "gradient", "term.hard") not in [*lab.metrics(alone).keys()]


def test_it_keeps_to_its_budget() -> None:
    student = network()
    split = ArraySplit(torch.randn(10, 5), torch.arange(10) % 3)
    shares = GradientShares(split, Preprocess([0.0] * 5, [1.0] * 5, (5,)), torch.device("cpu"), None)
    assert shares.due()
    shares.measure(student, Objective([HardTerm(), HardTerm(label_smoothing=0.1)], 1), 0, Accelerator(cpu=True))
    assert not shares.due()
