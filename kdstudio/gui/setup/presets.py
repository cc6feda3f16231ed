"""Presets: published settings, and a quick try. Each changes the fields that it names, as one edit."""

from __future__ import annotations

import functools
from typing import Any

from PySide6.QtWidgets import QMenu, QPushButton

from kdstudio.gui.language import mark, tr
from kdstudio.gui.setup.context import Context
from kdstudio.gui.setup.facts import Facts
from kdstudio.gui.setup.preset import ANY, PICTURES, Changes, Preset, hard, paired, soft
from kdstudio.gui.setup.schema import complete
from kdstudio.gui.setup.text_presets import TEXT_PRESETS, task_of
from kdstudio.project.assistants import between, born_again
from kdstudio.project.spec import (
    AssistantSpec,
    BoundaryTerm,
    FactorTerm,
    FlowTerm,
    HintTerm,
    ModelSpec,
    StudentSpec,
    TeacherSpec,
)

#: FitNets in the benchmarks that train hint and labels together (1910.10699).
JOINT_HINT_WEIGHT = 100.0


def _hint(weight: float, value: dict[str, Any], facts: Facts, **more: Any) -> dict[str, Any]:
    """A hint over the pairs that a hint has; else over the pair in the middle, where the layers are known."""
    return paired(HintTerm, value, facts, weight=weight, **more)


def _epochs(value: dict[str, Any]) -> int:
    train = value.get("train")
    epochs = train.get("epochs") if isinstance(train, dict) else None
    return epochs if isinstance(epochs, int) else 10


def _soft_targets(value: dict[str, Any], facts: Facts) -> Changes:
    return {"objective": [hard(0.1), soft(0.9, 4.0)]}


def _hinton_mnist(value: dict[str, Any], facts: Facts) -> Changes:
    teacher = {"model": "mlp", "widths": [1200, 1200], "dropout": 0.5, "input_dropout": 0.2}
    before = value.get("teacher") if isinstance(value.get("teacher"), dict) else {}
    kept = {key: item for key, item in (before or {}).items() if key not in ModelSpec.model_fields}
    changes: Changes = {
        "objective": [hard(0.1), soft(0.9, 20.0)],
        "teacher": complete(TeacherSpec, {**kept, **teacher}),
        "student": complete(StudentSpec, {"model": "mlp", "widths": [800, 800]}),
    }
    data = value.get("data")
    if isinstance(data, dict) and len((facts.data.known or {}).get("input_shape", (1, 1, 1))) == 3:
        changes |= {"data.augment": ["jitter"], "data.jitter_pixels": 2}
    return changes


def _two_stage(value: dict[str, Any], facts: Facts) -> Changes:
    first = _first_stage(value)
    return {"objective": [_hint(1.0, value, facts, until_epoch=first), *_soft_after(first)]}


def _first_stage(value: dict[str, Any]) -> int:
    """Epochs of a first stage: a quarter."""
    return max(1, _epochs(value) // 4)


def _soft_after(first: int) -> list[dict[str, Any]]:
    return [hard(0.1, from_epoch=first), soft(0.9, 4.0, from_epoch=first)]


def _boundaries(value: dict[str, Any], facts: Facts) -> Changes:
    first = _first_stage(value)
    return {"objective": [paired(BoundaryTerm, value, facts, until_epoch=first), *_soft_after(first)]}


def _flow(value: dict[str, Any], facts: Facts) -> Changes:
    first = _first_stage(value)
    return {"objective": [paired(FlowTerm, value, facts, until_epoch=first), hard(1.0, from_epoch=first)]}


def _factors(value: dict[str, Any], facts: Facts) -> Changes:
    return {"objective": [hard(1.0), paired(FactorTerm, value, facts)]}


def _joint(value: dict[str, Any], facts: Facts) -> Changes:
    return {"objective": [hard(1.0), _hint(JOINT_HINT_WEIGHT, value, facts)]}


def _assistant(value: dict[str, Any], facts: Facts) -> Changes:
    teacher, student = value.get("teacher"), value.get("student")
    if not isinstance(teacher, dict) or not isinstance(student, dict):
        return {}
    return {"assistants": [complete(AssistantSpec, between(teacher, student))]}


def _born_again(value: dict[str, Any], facts: Facts) -> Changes:
    """Every network is like the teacher, and starts from a seed of its own."""
    teacher = value.get("teacher") or {**(value.get("student") or {}), "train": {"seed": 0}}
    found = born_again(teacher)
    seed = (teacher.get("train") or {}).get("seed")
    changes: Changes = {
        "assistants": [complete(AssistantSpec, network) for network in found["assistants"]],
        "student": complete(StudentSpec, found["student"]),
        "objective": [hard(1.0), soft(1.0, 1.0)],
        "train.seed": seed + 1 if isinstance(seed, int) else 1,
    }
    return changes if value.get("teacher") else {**changes, "teacher": complete(TeacherSpec, teacher)}


def _hard_only(value: dict[str, Any], facts: Facts) -> Changes:
    return {"objective": [hard(1.0)]}


def _cifar(value: dict[str, Any], facts: Facts) -> Changes:
    train = {
        "epochs": 240, "optimizer": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4, "schedule": "multistep",
        "milestones": [150, 180, 210], "gamma": 0.1, "warmup_epochs": 0.0,
    }  # fmt: skip
    changes: Changes = {f"train.{name}": item for name, item in train.items()}
    changes["data.batch_size"] = 64
    if len((facts.data.known or {}).get("input_shape", (1, 1, 1))) == 3:
        changes |= {"data.augment": ["crop", "flip"], "data.crop_padding": 4}
    return changes


def _quick(value: dict[str, Any], facts: Facts) -> Changes:
    classes = len((facts.data.known or {}).get("classes", ()))
    changes: Changes = {"data.train_limit": max(1000, classes), "evaluate.latency": False, "baseline": False}
    sides = ("train", "teacher.train") if isinstance(value.get("teacher"), dict) else ("train",)
    for side in sides:
        changes |= {f"{side}.epochs": 2, f"{side}.warmup_epochs": 0.0}
    return changes


PRESETS = (
    Preset(
        mark("Hinton soft targets"), mark("0.1 hard + 0.9 soft, T = 4"), mark("Sets the objective."), _soft_targets, ANY
    ),
    Preset(
        mark("Hinton MNIST study"),
        mark("1200-1200 to 800-800, T = 20"),
        mark(
            "The nets of Hinton 2015, section 3. Sets teacher, student, objective, and for pictures jitter of 2 pixels."
        ),
        _hinton_mnist,
    ),
    Preset(
        mark("FitNets, two stages"),
        mark("first the hint, then 0.1 hard + 0.9 soft"),
        mark("As published (1412.6550): a quarter of the epochs for the hint alone. Sets the objective."),
        _two_stage,
    ),
    Preset(
        mark("FitNets, trained jointly"),
        mark("1 hard + 100 hint"),
        mark("As in later benchmarks: the hint beside the labels all the time. Sets the objective."),
        _joint,
    ),
    Preset(
        mark("Activation boundaries, two stages"),
        mark("first the boundaries, then 0.1 hard + 0.9 soft"),
        mark("As published (1811.03233): a quarter of the epochs for which neurons are active. Sets the objective."),
        _boundaries,
    ),
    Preset(
        mark("Flow of the solution, two stages"),
        mark("first the flow, then hard labels"),
        mark("As published (FSP, CVPR 2017): a quarter of the epochs for the flow alone. Sets the objective."),
        _flow,
    ),
    Preset(
        mark("Factor transfer, two stages"),
        mark("first the paraphraser, then 1 hard + 200 factor"),
        mark("As published (1802.04977): 30 epochs for the paraphraser, before the student's own. Sets the objective."),
        _factors,
    ),
    Preset(
        mark("One assistant between"),
        mark("teacher, assistant, student"),
        mark("As published (TAKD, 1902.03393): a network of a size between the two. Sets the assistants."),
        _assistant,
    ),
    Preset(
        mark("Born-again networks"),
        mark("three networks alike, 1 hard + 1 soft, T = 1"),
        mark("As published (1805.04770): each generation learns from the one before. Sets networks, objective, seed."),
        _born_again,
    ),
    Preset(
        mark("Hard labels only"),
        mark("1 hard"),
        mark("What the student learns without a teacher. Sets the objective."),
        _hard_only,
        ANY,
    ),
    Preset(
        mark("CIFAR benchmark schedule"),
        mark("240 epochs, × 0.1 at 150, 180, 210"),
        mark(
            "SGD 0.05, momentum 0.9, weight decay 5e-4, batches of 64, crop and flip. Sets training, batches and views."
        ),
        _cifar,
    ),
    Preset(
        mark("Quick try"),
        mark("2 epochs, at most 1000 samples"),
        mark("To see whether all fits. Sets all epochs and the training samples; no latency, no baseline."),
        _quick,
        ANY,
    ),
)


def apply_preset(context: Context, preset: Preset) -> None:
    """Changes what the preset names."""
    document = context.document
    document.edit(tr("Preset: {name}", name=tr(preset.name)), preset.changes(document.value, context.facts))


def preset_button(context: Context) -> QPushButton:
    """The button with the menu of presets."""
    button = QPushButton(tr("Presets"))
    button.setObjectName("menu")
    button.setToolTip(tr("Published settings; each changes only what it names, and can be undone"))
    menu = QMenu(button)
    menu.setToolTipsVisible(True)
    offered = []
    for preset in (*TEXT_PRESETS, *PRESETS):
        action = menu.addAction(f"{tr(preset.name)}\t{tr(preset.words)}")
        action.setToolTip(tr(preset.tip))
        action.triggered.connect(functools.partial(_triggered, context, preset))
        offered.append((action, preset))

    def fit() -> None:
        """Those for the experiment's data."""
        task = task_of(context.document.value) or PICTURES
        for action, preset in offered:
            action.setVisible(task in preset.tasks)

    menu.aboutToShow.connect(fit)
    button.setMenu(menu)
    return button


def _triggered(context: Context, preset: Preset, checked: bool = False) -> None:
    apply_preset(context, preset)
