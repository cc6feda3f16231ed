"""Specs: what is accepted, and what forms and documents are made of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from kdstudio.project.spec import (
    KNOWN,
    DataSpec,
    Digits,
    Experiment,
    HintTerm,
    ImageFolder,
    KnownImages,
    NumpyFile,
    ProjectFile,
    SoftTerm,
    Term,
    TrainSpec,
    needs_labels,
    needs_teacher,
    validate,
)
from kdstudio.project.spec.walk import models_in, walk_location

FILE = "experiments/a.yaml"
MLP = {"model": "mlp"}


def plain(**fields: Any) -> dict[str, Any]:
    """A small experiment without a teacher."""
    return {"name": "a", "student": MLP, "objective": [{"term": "hard"}], **fields}


def accept(**fields: Any) -> Experiment:
    return validate(Experiment, plain(**fields), FILE)


def every_model(model: type[BaseModel], seen: set[type[BaseModel]] | None = None) -> set[type[BaseModel]]:
    """The model and all models inside it."""
    seen = set() if seen is None else seen
    if model not in seen:
        seen.add(model)
        for field in model.model_fields.values():
            inner = [field.annotation, *get_args(field.annotation)]
            for found in (found for annotation in inner for found in models_in(annotation)):
                every_model(found, seen)
    return seen


ALL_MODELS = sorted(every_model(Experiment) | every_model(ProjectFile), key=lambda model: model.__name__)


# -- what is accepted ----------------------------------------------------------------------------------------------


def test_the_smallest_experiment_has_defaults() -> None:
    experiment = validate(Experiment, {"name": "a", "student": MLP, "teacher": MLP})
    assert isinstance(experiment.data, Digits)
    assert [(term.term, term.weight) for term in experiment.objective] == [("hard", 0.1), ("soft", 0.9)]
    assert experiment.train == TrainSpec()
    assert experiment.version == 1
    assert not experiment.baseline


def test_defaults_are_not_shared() -> None:
    first, second = accept(), accept()
    first.data.augment.append("crop")
    first.objective.append(SoftTerm())
    assert second.data.augment == []
    assert len(second.objective) == 1


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ({"source": "digits"}, Digits),
        *[({"source": name}, KnownImages) for name in ("mnist", "fashion-mnist", "cifar10", "cifar100")],
        ({"source": "folder", "path": "pictures"}, ImageFolder),
        ({"source": "npz", "path": "data.npz", "classes": ["cat", "dog"]}, NumpyFile),
    ],
)
def test_each_source(data: dict[str, Any], kind: type) -> None:
    found = accept(data=data).data
    assert type(found) is kind
    assert found.source == data["source"]  # type: ignore[attr-defined]


def test_each_term() -> None:
    terms = [
        {"term": "hard", "weight": 0.1, "label_smoothing": 0.1, "from_epoch": 1, "until_epoch": 3},
        {"term": "soft", "weight": 0.9, "temperature": 2.5, "schedule": {"kind": "cosine", "start": 0.5, "end": 1}},
        {"term": "hint", "pairs": [{"teacher": "layer2", "student": "layer1"}]},
    ]
    found = accept(teacher=MLP, objective=terms).objective
    assert [type(term).__name__ for term in found] == ["HardTerm", "SoftTerm", "HintTerm"]
    assert isinstance(found[2], HintTerm)
    assert found[2].pairs[0].teacher == "layer2"
    assert needs_teacher(found)
    assert needs_labels(found)
    assert not needs_teacher(found[:1])
    assert not needs_labels(found[1:])


@pytest.mark.parametrize(
    "model", [*KNOWN, "wrn-22-4", "timm:resnet18", "torchvision:vgg11", "models.py:build", "my nets/deep.py:make_it"]
)
def test_each_form_of_a_model_name(model: str) -> None:
    assert accept(student={"model": model}).student.model == model


@pytest.mark.parametrize("weights", ["a.safetensors", "../weights/b.pt", "run:soft-targets", "run:soft-targets/001"])
def test_weights(weights: str) -> None:
    assert accept(student={"model": "mlp", "weights": weights}).student.weights == weights


def test_numbers_that_are_written_as_yaml_words_are_numbers() -> None:
    assert accept(train={"lr": "1e-3"}).train.lr == 1e-3
    assert accept(objective=[{"term": "hard", "weight": 1}]).objective[0].weight == 1.0


def test_an_assignment_is_checked_like_a_file() -> None:
    experiment = accept()
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        experiment.train.epochs = 0
    with pytest.raises(ValueError, match="no attribute"):
        experiment.train.epoch = 3  # type: ignore[attr-defined]


def test_a_long_training_is_checked_at_once() -> None:
    """The check for epochs without a term looks at the terms' ends, not at each of the epochs."""
    terms = [{"term": "hard", "until_epoch": 99_999}, {"term": "hard", "from_epoch": 99_999}]
    assert accept(train={"epochs": 100_000}, objective=terms).train.epochs == 100_000


# -- the specs themselves ------------------------------------------------------------------------------------------


def test_all_models_are_found() -> None:
    assert {"Experiment", "ProjectFile", "LayerPair", "WeightSchedule", "NumpyFile", "TeacherSpec"} <= {
        model.__name__ for model in ALL_MODELS
    }


@pytest.mark.parametrize("model", ALL_MODELS, ids=lambda model: model.__name__)
def test_every_field_has_a_description(model: type[BaseModel]) -> None:
    """Forms, tooltips, help and the schema are made of them."""
    assert model.__doc__
    for name, field in model.model_fields.items():
        description = field.description or ""
        assert description.endswith("."), f"{model.__name__}.{name}: {description!r}"
        assert description[0].isupper() or description.startswith(("mlp", "sgd", "auto", "scikit")), (
            f"{model.__name__}.{name}"
        )


@pytest.mark.parametrize("model", ALL_MODELS, ids=lambda model: model.__name__)
def test_every_model_refuses_unknown_keys_and_endless_numbers(model: type[BaseModel]) -> None:
    assert model.model_config.get("extra") == "forbid"
    assert model.model_config.get("validate_assignment")
    assert model.model_config.get("allow_inf_nan") is False


def _descriptions(schema: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, definition in schema.get("$defs", {}).items():
        for key, field in definition.get("properties", {}).items():
            yield f"{name}.{key}", field
    for key, field in schema.get("properties", {}).items():
        yield key, field


@pytest.mark.parametrize("model", [Experiment, ProjectFile])
def test_the_json_schema(model: type[BaseModel]) -> None:
    schema = json.loads(json.dumps(model.model_json_schema()))
    assert schema["additionalProperties"] is False
    for name, field in _descriptions(schema):
        assert field.get("description"), name
    if model is Experiment:
        assert schema["properties"]["data"]["discriminator"]["propertyName"] == "source"
        assert schema["properties"]["objective"]["items"]["discriminator"]["propertyName"] == "term"


def test_variants_share_no_tag() -> None:
    for union, key in ((DataSpec, "source"), (Term, "term")):
        tags = [tag for model in models_in(union) for tag in get_args(model.model_fields[key].annotation)]
        assert len(tags) == len(set(tags)) > 2


@pytest.mark.parametrize(
    ("location", "path", "owner"),
    [
        ([], "", None),
        (["train", "epochs"], "train.epochs", "TrainSpec"),
        (["data", "folder", "path"], "data.path", "ImageFolder"),
        (["data", "mnist", "folder"], "data.folder", "KnownImages"),
        (["objective", 2, "hint", "pairs", 0, "student"], "objective.2.pairs.0.student", "LayerPair"),
        (["teacher", "train", "milestones", 1], "teacher.train.milestones.1", "TrainSpec"),
        (["student", "args", "depth", "[key]"], "student.args.depth", None),
    ],
)
def test_paths_are_those_of_the_file(location: list[Any], path: str, owner: str | None) -> None:
    place = walk_location(Experiment, location)
    assert place.path == path
    assert (place.owner.__name__ if place.owner else None) == owner
