"""What is said of a wrong spec: the file, the field, what is wrong with it, and how to mend it."""

from __future__ import annotations

from typing import Any

import pytest

from kdstudio.project.errors import SpecError
from kdstudio.project.spec import Experiment, ModelSpec, suggestion, validate

FILE = "experiments/a.yaml"
MLP = {"model": "mlp"}
QUOTES = "; put it in quotes if it looks like a number, a date, yes or no"
SOURCES = "choose one of: digits, mnist, fashion-mnist, cifar10, cifar100, folder, npz, table, tagged, corpus, hub"
KEYS = (
    "batch_size, validation_fraction, split_seed, train_limit, labelled, leave_out, "
    "views, augment, crop_padding, jitter_pixels"
)


def accept(**fields: Any) -> Experiment:
    """A small experiment without a teacher."""
    plain = {"name": "a", "student": MLP, "objective": [{"term": "hard"}], **fields}
    return validate(Experiment, plain, FILE)


def refuse(**fields: Any) -> str:
    """The one line that is said of a spec that is wrong in one place."""
    with pytest.raises(SpecError) as caught:
        accept(**fields)
    assert len(caught.value.problems) == 1
    assert caught.value.exit_code == 2
    line = str(caught.value)
    assert line.startswith(f"{FILE}: ")
    assert "\n" not in line
    return line.removeprefix(f"{FILE}: ")


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        # keys
        ({"studnet": 1}, "studnet: unknown key 'studnet'; did you mean 'student'?"),
        ({"train": {"epoch": 1}}, "train.epoch: unknown key 'epoch'; did you mean 'epochs'?"),
        (
            {"monitor": {"xyz": 1}},
            "monitor.xyz: unknown key 'xyz'; "
            "the keys here are: every_seconds, probes, pool, alignment_samples, max_layers",
        ),
        (
            {"student": {}},
            "student.model: a required key is missing; add it: mlp, cnn, resnet20 (CIFAR), "
            "wrn-DEPTH-WIDTH, timm:NAME, torchvision:NAME, transformers:ID or FILE.py:FUNCTION.",
        ),
        # types
        ({"train": {"epochs": "many"}}, "train.epochs: should be a whole number (it is 'many'); for example 10"),
        ({"train": {"epochs": 1.5}}, "train.epochs: should be a whole number (it is 1.5); for example 10"),
        ({"train": {"lr": "fast"}}, "train.lr: should be a number (it is 'fast'); for example 0.05"),
        ({"train": {"lr": [1]}}, "train.lr: should be a number (it is [1]); for example 0.05"),
        ({"baseline": "maybe"}, "baseline: should be true or false (it is 'maybe'); write true or false"),
        (
            {"notes": 2024},
            "notes: should be text (it is 2024)" + QUOTES,
        ),
        ({"notes": None}, "notes: should be text (it is empty); remove the key to get what is usual"),
        ({"train": None}, "train: should be keys and values (it is empty); remove the key to get what is usual"),
        ({"train": 5}, "train: should be keys and values (it is 5); write {optimizer: sgd}"),
        ({"student": "mlp"}, "student: should be keys and values (it is 'mlp'); write {model: ...}"),
        ({"data": "digits"}, "data: should be keys and values (it is 'digits'); write {source: digits}"),
        ({"objective": ["hard"]}, "objective.0: should be keys and values (it is 'hard'); write {term: hard}"),
        (
            {"objective": {"term": "hard"}},
            "objective: should be a list (it is {'term': 'hard'}); "
            "begin each item with a dash, or write [first, second]",
        ),
        ({"objective": []}, "objective: should have at least 1 item, not 0 (it is []); add one"),
        (
            {"student": {"model": "mlp", "args": [1]}},
            "student.args: should be keys and values (it is [1]); write {key: value}",
        ),
        (
            {"student": {"model": "mlp", "args": {1: 2}}},
            "student.args.1: should be text (it is 1)" + QUOTES,
        ),
        ({"student": {"model": "mlp", "widths": [8, "x"]}}, "student.widths.1: should be a whole number (it is 'x')"),
        # bounds
        ({"train": {"epochs": 0}}, "train.epochs: should be greater than or equal to 1 (it is 0); for example 10"),
        ({"train": {"lr": 0}}, "train.lr: should be greater than 0 (it is 0); for example 0.05"),
        ({"train": {"momentum": 1}}, "train.momentum: should be less than 1 (it is 1); for example 0.9"),
        (
            {"train": {"clip_norm": -1}},
            "train.clip_norm: should be greater than 0 (it is -1); it is for: Gradients with a larger norm are scaled "
            "down to it (empty: no clipping; usual 1 to 5).",
        ),
        ({"train": {"lr": float("nan")}}, "train.lr: should be a number with an end (it is nan); for example 0.05"),
        (
            {"data": {"source": "digits", "validation_fraction": 0.9}},
            "data.validation_fraction: should be less than 0.9 (it is 0.9); for example 0.1",
        ),
        (
            {"data": {"source": "digits", "validation_fraction": 0.4, "test_fraction": 0.6}},
            "data: validation_fraction (0.4) and test_fraction (0.6) must be less than 1 together; "
            "for example 0.1 and 0.15",
        ),
        (
            {"data": {"source": "mnist", "test_fraction": 0.2}},
            "data.test_fraction: unknown key 'test_fraction'; did you mean 'validation_fraction'?",
        ),
        (
            {"objective": [{"term": "hard", "weight": float("inf")}]},
            "objective.0.weight: should be a number with an end (it is inf); for example 1.0",
        ),
        # choices
        ({"train": {"optimizer": "sdg"}}, "train.optimizer: 'sdg' is not a choice; did you mean 'sgd'?"),
        (
            {"train": {"precision": "half"}},
            "train.precision: 'half' is not a choice; choose one of: auto, fp32, bf16, fp16",
        ),
        ({"train": {"device": "gpu"}}, "train.device: 'gpu' is not a choice; write auto, cpu, cuda, cuda:1 or mps."),
        (
            {"data": {"source": "digits", "augment": ["flop"]}},
            "data.augment.0: 'flop' is not a choice; did you mean 'flip'?",
        ),
        ({"version": 2}, "version: 2 is not a choice; choose one of: 1"),
        ({"version": "1"}, "version: '1' is not a choice; write 1 without quotes"),
        # unions
        ({"data": {"source": "digit"}}, "data: unknown source 'digit'; did you mean 'digits'?"),
        (
            {"data": {"source": "xyz"}},
            "data: unknown source 'xyz'; " + SOURCES,
        ),
        (
            {"data": {}},
            "data: the key 'source' is missing; " + SOURCES,
        ),
        # `folder` is a source and a key of another source
        (
            {"data": {"source": "folder"}},
            "data.path: a required key is missing; add it: The folder, relative to the project.",
        ),
        ({"data": {"source": "mnist", "folder": 3}}, "data.folder: should be text (it is 3)" + QUOTES),
        (
            {"data": {"source": "folder", "path": "a", "folder": "b"}},
            f"data.folder: unknown key 'folder'; the keys here are: {KEYS}, test_fraction, source, path, "
            "image_size, grayscale, unreadable, keep_in",
        ),
        ({"objective": [{"term": "herd"}]}, "objective.0: unknown term 'herd'; did you mean 'hard'?"),
        (
            {"objective": [{"weight": 1}]},
            "objective.0: the key 'term' is missing; choose one of: hard, soft, reverse-kl, jsd, decoupled, "
            "correlation, logits, ensemble, mutual, hint, context, attention, selectivity, "
            "flow, cosine, distance, angle, similarity, "
            "probabilistic, congruence, variational, contrastive, review, overhaul, factor, boundary, "
            "attention-relation, attention-score, patient",
        ),
        (
            {"objective": [{"term": "hard", "temperature": 2}]},
            "objective.0.temperature: unknown key 'temperature'; "
            "the keys here are: weight, from_epoch, until_epoch, schedule, term, label_smoothing",
        ),
        # deep paths
        (
            {
                "teacher": MLP,
                "objective": [
                    {"term": "hard"},
                    {"term": "soft"},
                    {"term": "hint", "pairs": [{"teacher": "a", "studnet": "b", "student": "c"}]},
                ],
            },
            "objective.2.pairs.0.studnet: unknown key 'studnet'; did you mean 'student'?",
        ),
        (
            {"teacher": MLP, "objective": [{"term": "hint", "pairs": [{"teacher": "a"}]}]},
            "objective.0.pairs.0.student: a required key is missing; add it: Name of the student's layer.",
        ),
        (
            {"teacher": MLP, "objective": [{"term": "hint"}]},
            "objective.0.pairs: a required key is missing; add it: The layer pairs; each gets a regressor of its own.",
        ),
        (
            {"objective": [{"term": "hard", "schedule": {"kind": "lin"}}]},
            "objective.0.schedule.kind: 'lin' is not a choice; did you mean 'linear'?",
        ),
        (
            {"teacher": {"model": "mlp", "train": {"epochs": 0}}},
            "teacher.train.epochs: should be greater than or equal to 1 (it is 0); for example 10",
        ),
    ],
)
def test_what_is_said_of_a_wrong_field(fields: dict[str, Any], line: str) -> None:
    assert refuse(**fields) == line


@pytest.mark.parametrize(
    ("fields", "where", "message", "fix"),
    [
        ({"train": {"schedule": "multistep"}}, "train", "needs 'milestones'", "for example [15, 25]"),
        ({"train": {"milestones": [25, 15]}}, "train", "milestones must rise", "for example [15, 25]"),
        ({"train": {"milestones": [15, 15]}}, "train", "milestones must rise", "for example [15, 25]"),
        ({"train": {"milestones": [0, 15]}}, "train", "from 1 on", "for example [15, 25]"),
        (
            {"train": {"epochs": 3, "warmup_epochs": 4}},
            "train",
            "longer than the whole training",
            "smaller than epochs",
        ),
        (
            {"objective": [{"term": "hard", "from_epoch": 3, "until_epoch": 3}]},
            "objective.0",
            "until_epoch 3 is not after from_epoch 3",
            "make it larger",
        ),
        (
            {"objective": [{"term": "hard", "from_epoch": 2}]},
            "",
            "no term of the objective counts in epoch 0",
            "from_epoch",
        ),
        ({"objective": [{"term": "hard", "until_epoch": 4}]}, "", "counts in epoch 4", "until_epoch"),
        (
            {"objective": [{"term": "hard", "until_epoch": 2}, {"term": "hard", "from_epoch": 5}]},
            "",
            "counts in epoch 2",
            "until_epoch",
        ),
        (
            {"objective": [{"term": "hard", "until_epoch": 2}, {"term": "hard", "weight": 0}]},
            "",
            "counts in epoch 2",
            "until_epoch",
        ),
        ({"objective": [{"term": "hard", "weight": 0}]}, "", "weight 0", "above 0"),
        ({"objective": [{"term": "hard"}, {"term": "soft"}]}, "", "need a teacher (soft)", "add 'teacher'"),
        ({"name": "a b"}, "name", "'a b' cannot name a folder", "letters, digits"),
        ({"name": "../up"}, "name", "cannot name a folder", "letters, digits"),
        ({"name": ".hidden"}, "name", "cannot name a folder", "letters, digits"),
        ({"name": "line\n"}, "name", r"'line\n' cannot name a folder", "letters, digits"),
        ({"student": {"model": "mpl"}}, "student.model", "unknown model 'mpl'", "did you mean 'mlp'?"),
        ({"student": {"model": "xyz"}}, "student.model", "unknown model 'xyz'", "choose one of mlp, cnn"),
        ({"student": {"model": "resnet21"}}, "student.model", "depth is 6 n + 2", "resnet20"),
        ({"student": {"model": "wrn-17-2"}}, "student.model", "depth is 6 n + 4", "wrn-16-2"),
        ({"student": {"model": "wrn-4-1"}}, "student.model", "at least 10", "wrn-16-2"),
        ({"student": {"model": "wrn-16-0"}}, "student.model", "at least 1 wide", "wrn-16-2"),
        ({"student": {"model": "timm:"}}, "student.model", "unknown model 'timm:'", "timm:NAME"),
        ({"student": {"model": "models.py:build\n"}}, "student.model", "unknown model", "FILE.py:FUNCTION"),
        ({"student": {"model": "mlp", "widths": []}}, "student.widths", "at least 1", "[64, 64]"),
        ({"student": {"model": "mlp", "widths": [8, 0]}}, "student.widths", "at least 1", "[64, 64]"),
        ({"student": {"model": "resnet20", "widths": [8]}}, "student", "'widths' is for mlp and cnn", "remove it"),
        ({"student": {"model": "mlp", "pretrained": True}}, "student", "'pretrained' is for timm", "remove it"),
        (
            {"student": {"model": "timm:x", "pretrained": True, "weights": "a.pt"}},
            "student",
            "both given",
            "keep one",
        ),
        ({"student": {"model": "mlp", "weights": "run:"}}, "student.weights", "names no run", "run:EXPERIMENT"),
        ({"student": {"model": "mlp", "weights": "run:../x"}}, "student.weights", "names no run", "run:EXPERIMENT"),
        ({"student": {"model": "mlp", "weights": "run:a/b"}}, "student.weights", "names no run", "run:EXPERIMENT"),
        ({"student": {"model": "mlp", "weights": " "}}, "student.weights", "weights are empty", "remove the key"),
    ],
)
def test_validators(fields: dict[str, Any], where: str, message: str, fix: str) -> None:
    with pytest.raises(SpecError) as caught:
        accept(**fields)
    (problem,) = caught.value.problems
    assert problem.path == where
    assert message in problem.message
    assert fix in problem.fix
    place = f"{FILE}: {where}" if where else FILE
    assert str(caught.value) == f"{place}: {problem.message}; {problem.fix}"


def test_every_wrong_field_is_told_at_once() -> None:
    with pytest.raises(SpecError) as caught:
        accept(train={"epochs": 0, "lr": "x"}, extra=1)
    assert [problem.path for problem in caught.value.problems] == ["train.epochs", "train.lr", "extra"]
    assert all(line.startswith(f"{FILE}: ") for line in str(caught.value).splitlines())


def test_a_huge_value_is_shortened() -> None:
    line = refuse(train={"epochs": "9" * 5 + "x" * 500})
    assert len(line) < 200


def test_a_problem_without_a_file() -> None:
    with pytest.raises(SpecError) as caught:
        validate(ModelSpec, {"model": "mlp", "dropout": 1})
    assert str(caught.value) == "dropout: should be less than 1 (it is 1); for example 0.0"


def test_suggestion() -> None:
    assert suggestion("sotf", ["hard", "soft"]) == "did you mean 'soft'?"
    assert suggestion("zzz", ["hard", "soft"]) == ""
    assert suggestion("soft", []) == ""
