"""Models: built from a spec, described, and filled with weights. `FAMILIES` is the registry."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from torch import nn

from kdstudio.engine.models.cifar import CifarResNet, WideResNet
from kdstudio.engine.models.flops import count_flops
from kdstudio.engine.models.layers import LayerInfo, count_parameters, describe, layer_names
from kdstudio.engine.models.library import build_timm, build_torchvision
from kdstudio.engine.models.simple import CNN, MLP
from kdstudio.engine.models.user_file import build_from_file
from kdstudio.engine.models.weights import load_weights
from kdstudio.engine.text.build import build_transformers
from kdstudio.engine.text.facts import TextFacts
from kdstudio.project.as_run import as_built
from kdstudio.project.errors import ModelError
from kdstudio.project.spec import FROM_TEACHER, HUB_PREFIX, ModelSpec, suggestion

Shape = tuple[int, ...]


def _mlp(spec: ModelSpec, shape: Shape, num_classes: int) -> nn.Module:
    _only(spec, ())
    inputs = 1
    for size in shape:
        inputs *= size
    return MLP(inputs, spec.widths or [256, 256], num_classes, spec.dropout, spec.input_dropout)


def _cnn(spec: ModelSpec, shape: Shape, num_classes: int) -> nn.Module:
    _only(spec, ())
    return CNN(_channels(spec, shape), spec.widths or [32, 64], num_classes, spec.dropout)


def _resnet(spec: ModelSpec, shape: Shape, num_classes: int) -> nn.Module:
    _only(spec, ("shortcut",))
    shortcut = spec.args.get("shortcut", "B")
    if shortcut not in ("A", "B"):
        raise ModelError(
            f"args.shortcut: {shortcut!r} is not a choice",
            "",
            "Choose B (1 x 1 convolution) or A (zero padding, no parameters).",
        )
    depth = int(spec.model.removeprefix("resnet"))
    return CifarResNet(depth, _channels(spec, shape), num_classes, shortcut)


def _wide_resnet(spec: ModelSpec, shape: Shape, num_classes: int) -> nn.Module:
    _only(spec, ())
    depth, width = (int(number) for number in spec.model.split("-")[1:])
    return WideResNet(depth, width, _channels(spec, shape), num_classes, spec.dropout)


FAMILIES: dict[str, Callable[[ModelSpec, Shape, int], nn.Module]] = {
    r"mlp": _mlp,
    r"cnn": _cnn,
    r"resnet\d+": _resnet,
    r"wrn-\d+-\d+": _wide_resnet,
    r"timm:.+": lambda spec, shape, classes: build_timm(spec, spec.model.removeprefix("timm:"), shape, classes),
    r"torchvision:.+": lambda spec, shape, classes: build_torchvision(
        spec, spec.model.removeprefix("torchvision:"), shape, classes
    ),
}


def build_model(
    spec: ModelSpec, input_shape: Shape, num_classes: int, root: Path, trusted: bool, text: TextFacts | None = None
) -> nn.Module:
    """A fresh network that maps float32 [B, *input_shape] to logits [B, num_classes].

    Initial weights come from torch's global random state, or are the published ones where `spec.pretrained` asks for
    them. A file in `spec.weights` is not read here: resolve it and call `load_weights`.

    Args:
        spec: What to build.
        input_shape: (C, H, W) or (D,), of one sample.
        num_classes: Width of the output.
        root: The project folder; a user's file is relative to it.
        trusted: Whether Python files of the project may run.
        text: The text task, where samples are token ids; inputs are int64 then.

    Raises:
        ModelError: It cannot be built for such data; of kind "untrusted" where the project's own code may not run.
    """
    spec = as_built(spec, Path(root))
    if spec.model.startswith(HUB_PREFIX):
        return build_transformers(spec, text, num_classes, Path(root))
    if spec.model == FROM_TEACHER:
        raise ModelError("model: a student from its teacher's layers cannot be built without the teacher")
    if text is not None:
        raise ModelError(
            f"model: {spec.model} takes numbers, and the data are texts",
            fix="choose a model of the transformers library: transformers:ID, or a folder or kind in place of the id",
        )
    for pattern, build in FAMILIES.items():
        if re.fullmatch(pattern, spec.model):
            return build(spec, tuple(input_shape), num_classes)
    return build_from_file(spec, tuple(input_shape), num_classes, Path(root), trusted)


def _only(spec: ModelSpec, known: tuple[str, ...]) -> None:
    """Refuses arguments that a family does not have."""
    for name in spec.args:
        if name not in known:
            fix = suggestion(name, known) or (f"it has: {', '.join(known)}" if known else "remove it")
            raise ModelError(f"args.{name}: {spec.model} has no such argument", "", fix)


def _channels(spec: ModelSpec, shape: Shape) -> int:
    if len(shape) != 3:
        raise ModelError(
            f"model: {spec.model} takes images, and the data has features of {shape[0]} numbers",
            "",
            "Choose 'mlp', or a function of your own.",
        )
    return shape[0]


__all__ = [
    "FAMILIES",
    "LayerInfo",
    "build_model",
    "count_flops",
    "count_parameters",
    "describe",
    "layer_names",
    "load_weights",
]
