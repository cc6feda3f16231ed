"""The templates of published settings: every experiment loads, and its networks and terms fit data of its shape."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kdstudio.engine.data import ArraySplit, DataBundle, Preprocess
from kdstudio.engine.data.splits import left_out
from kdstudio.engine.models import build_model
from kdstudio.engine.networks import check_wiring
from kdstudio.engine.objective import DistillationModule, Objective
from kdstudio.engine.taps import Taps
from kdstudio.engine.terms import Facts
from kdstudio.project.folder import Project, templates
from kdstudio.project.spec import ContrastiveTerm, Experiment, HardTerm, KnownImages

#: Shape of a sample, and the number of classes.
SETS = {
    "mnist": ((1, 28, 28), 10),
    "fashion-mnist": ((1, 28, 28), 10),
    "cifar10": ((3, 32, 32), 10),
    "cifar100": ((3, 32, 32), 100),
}
EVERY = [
    (project, name)
    for project, path in templates().items()
    if project not in ("digits", "email", "tiny-lm")  # these bring their data with them
    for name in Project.open(path).experiment_names()
]


def made_up(experiment: Experiment) -> DataBundle:
    """A few samples in the shape of the set, two of each class."""
    assert isinstance(experiment.data, KnownImages)
    shape, classes = SETS[experiment.data.source]
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(2 * classes) % classes
    images = torch.randint(0, 256, (len(labels), *shape), generator=generator, dtype=torch.uint8)
    split = ArraySplit(images, labels)
    names = [str(number) for number in range(classes)]
    bundle = DataBundle("made up", split, split, split, names, shape, [0.5] * shape[0], [0.25] * shape[0])
    bundle.left_out = left_out(experiment.data, "made up", names)
    return bundle


@pytest.mark.parametrize(("project", "name"), EVERY, ids=lambda part: part)
def test_networks_and_terms_fit(project: str, name: str) -> None:
    experiment = Project.open(templates()[project]).load(name)
    bundle = made_up(experiment)
    preprocess = Preprocess(bundle.mean, bundle.std, bundle.input_shape)
    torch.manual_seed(0)

    def network(spec: object) -> torch.nn.Module:
        return build_model(spec, bundle.input_shape, len(bundle.classes), Path(), False)  # type: ignore[arg-type]

    student = network(experiment.student)
    teacher = network(experiment.teacher) if experiment.teacher is not None else None
    shapes = check_wiring(experiment, teacher, student, bundle, preprocess)
    facts = Facts(bundle.transfer.labels, len(bundle.classes), teacher)
    objective = Objective(experiment.objective, experiment.train.epochs, *shapes, facts)
    module = DistillationModule(student, objective)
    chosen = bundle.transfer.select(torch.arange(4))
    inputs = preprocess(chosen.images)
    for epoch in (0, experiment.train.epochs - 1):
        logits, features = None, {}
        if teacher is not None:
            with torch.no_grad(), Taps(teacher, objective.layers("teacher"), "the teacher") as taps:
                logits = teacher.eval()(inputs)
                features = taps.take()
        loss, _, _ = module(inputs, chosen.labels, epoch, logits, features, torch.arange(4))
        loss.backward()
        assert torch.isfinite(loss)
        assert loss > 0
    assert all(torch.isfinite(each.grad).all() for each in student.parameters() if each.grad is not None)


@pytest.mark.parametrize("project", ["hinton-mnist", "fitnets", "cifar100"])
def test_every_experiment_says_what_it_repeats(project: str) -> None:
    opened = Project.open(templates()[project])
    assert opened.default_experiment() == opened.file.default
    for path in opened.experiment_files():
        comment = path.read_text(encoding="utf-8").partition("version:")[0]
        assert any(word in comment for word in ("aper", "benchmark", "1412.6550")), path


def test_the_benchmark_has_one_budget() -> None:
    opened = Project.open(templates()["cifar100"])
    experiments = [opened.load(name) for name in opened.experiment_names()]
    budget = experiments[0].train
    assert (budget.epochs, budget.lr, budget.momentum, budget.weight_decay) == (240, 0.05, 0.9, 5e-4)
    assert (budget.schedule, budget.milestones, budget.gamma) == ("multistep", [150, 180, 210], 0.1)
    teachers = [each.teacher for each in experiments if each.teacher is not None]
    assert all(each.train == budget for each in (*experiments, *teachers))
    assert all(each.data == experiments[0].data for each in experiments), "so that one teacher is kept for all"
    assert (experiments[0].data.batch_size, experiments[0].data.augment) == (64, ["crop", "flip"])


def test_published_weights() -> None:
    opened = Project.open(templates()["cifar100"])
    found = {}
    for name in opened.experiment_names():
        terms = opened.load(name).objective
        found[name] = [term.weight for term in terms if not isinstance(term, HardTerm)]
        hard = [term.weight for term in terms if isinstance(term, HardTerm)]
        assert hard == [0.1 if name == "kd" else 1.0]
    assert found == {
        "hard-labels": [],
        "kd": [0.9],
        "fitnet": [100],
        "at": [1000],
        "sp": [3000],
        "cc": [0.02],
        "vid": [1],
        "rkd": [25, 50],
        "pkt": [30000],
        "ft": [200],
        "nst": [50],
        "crd": [0.8],
        "crd-kd": [1, 0.8],
        "dkd": [1, 1],
        "review": [0.6],
    }
    contrastive = opened.load("crd").objective[1]
    assert isinstance(contrastive, ContrastiveTerm)
    assert (contrastive.negatives, contrastive.temperature, contrastive.dimensions) == (16384, 0.07, 128)


def test_hinton_s_students_learn_from_the_run_of_the_teacher() -> None:
    opened = Project.open(templates()["hinton-mnist"])
    for name in set(opened.experiment_names()) - {"teacher", "hard-labels"}:
        experiment = opened.load(name)
        assert experiment.teacher is not None
        assert experiment.teacher.weights == "run:teacher"
        assert experiment.teacher.widths == opened.load("teacher").student.widths
        assert experiment.data.augment == [], "the student has no regularisation but soft targets"
    assert opened.load("left-out-3").data.leave_out == ["3"]
    assert len(opened.load("only-7-and-8").data.leave_out) == 8
