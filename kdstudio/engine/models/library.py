"""Models of timm and torchvision, fitted to the data: number of classes, channels and, where it matters, image size."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from kdstudio.engine.models.probe import check_output
from kdstudio.project.errors import ModelError
from kdstudio.project.spec import ModelSpec, suggestion

_CLIENTS = ("huggingface_hub", "httpx", "httpcore", "requests", "urllib3")
_SIZE_ARGUMENTS = ("img_size", "image_size", "input_size")


def build_timm(spec: ModelSpec, name: str, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """`timm.create_model` with the head and the first layer made for the data."""
    import timm

    _need_images(spec.model, input_shape)
    if not name.startswith(("hf-hub:", "hf_hub:")) and not timm.is_model(name.split(".")[0]):
        near = suggestion(name, timm.list_models())
        raise ModelError(
            f"model: timm has no model '{name}'", "", near or "Search its names with timm.list_models('*part*')."
        )

    def create(extra: dict[str, Any]) -> nn.Module:
        return timm.create_model(
            name, pretrained=spec.pretrained, num_classes=num_classes, in_chans=input_shape[0], **{**spec.args, **extra}
        )

    return _fitted(spec, create, "img_size", input_shape, num_classes)


def build_torchvision(spec: ModelSpec, name: str, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """A torchvision classifier; its head and first layer are replaced where the data asks for it."""
    import torchvision

    _need_images(spec.model, input_shape)
    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        near = suggestion(name, known)
        raise ModelError(
            f"model: torchvision has no classifier '{name}'", "", near or "Its names are those of torchvision.models."
        )
    # These two return extra outputs while training unless told not to.
    extra_outputs = {"aux_logits": False, "init_weights": True} if name in ("googlenet", "inception_v3") else {}

    def create(extra: dict[str, Any]) -> nn.Module:
        arguments = {**extra, **spec.args}
        if spec.pretrained:
            model = torchvision.models.get_model(name, weights="DEFAULT", **arguments)
            model = _without_extra_outputs(model) if extra_outputs else model
        else:
            model = torchvision.models.get_model(name, weights=None, **{**extra_outputs, **arguments})
        _replace_head(model, num_classes, spec.model)
        if input_shape[0] != 3:
            _replace_first(model, input_shape[0], spec)
        return model

    size_argument = "input_size" if name.startswith("maxvit") else "image_size"
    return _fitted(spec, create, size_argument, input_shape, num_classes)


def _need_images(model: str, input_shape: tuple[int, ...]) -> None:
    if len(input_shape) != 3:
        raise ModelError(
            f"model: {model} takes images, and the data has features of {input_shape[0]} numbers",
            "",
            "Choose 'mlp', or a function of your own.",
        )


def _fitted(
    spec: ModelSpec,
    create: Callable[[dict[str, Any]], nn.Module],
    size_argument: str,
    input_shape: tuple[int, ...],
    num_classes: int,
) -> nn.Module:
    """Builds, tries one sample, and if that fails builds again for the image size of the data."""
    model = _create(spec, create, {})
    try:
        check_output(model, spec.model, input_shape, num_classes)
        return model
    except ModelError as error:
        first = error
    height, width = input_shape[1:]
    if not any(name in spec.args for name in _SIZE_ARGUMENTS):
        size = (height, width) if size_argument != "image_size" else height
        try:
            model = _create(spec, create, {size_argument: size})
            check_output(model, spec.model, input_shape, num_classes)
            return model
        except ModelError:
            pass
    raise ModelError(
        f"model: {spec.model} does not work on images of {height} x {width} pixels",
        first.why,
        "Choose a smaller model, larger images (data.image_size), or set args such as "
        f"{{{size_argument}: {height}, patch_size: 4}} where the model has them.",
    )


def _create(spec: ModelSpec, create: Callable[[dict[str, Any]], nn.Module], extra: dict[str, Any]) -> nn.Module:
    try:
        return create(extra)
    except ModelError:
        raise
    except Exception as error:
        # The libraries fetch with several clients, whose errors have no base in common.
        if isinstance(error, OSError) or type(error).__module__.split(".")[0] in _CLIENTS:
            raise ModelError(
                f"model: the published weights of {spec.model} could not be fetched",
                _first_line(error),
                "Check the network, or set pretrained to false and give the file in 'weights'.",
                kind="download",
            ) from None
        arguments = ", ".join(f"{key}={value!r}" for key, value in {**spec.args, **extra}.items())
        if spec.pretrained and "pretrained" in str(error).lower():
            fix = "Set pretrained to false, or choose a variant that has published weights."
        else:
            fix = "Check 'args'; they are passed to the model as they are." if spec.args else "Choose another model."
        raise ModelError(
            f"model: {spec.model} could not be built" + (f" with {arguments}" if arguments else ""),
            f"{type(error).__name__}: {_first_line(error)}",
            fix,
        ) from None


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _without_extra_outputs(model: nn.Module) -> nn.Module:
    for name in [name for name, _ in model.named_children()]:
        if name.lower().startswith("aux"):
            setattr(model, name, None)
    if hasattr(model, "aux_logits"):
        model.aux_logits = False  # type: ignore[assignment]
    return model


def _replace(model: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, layer)


def _replace_head(model: nn.Module, num_classes: int, shown: str) -> None:
    """The last layer that maps to the published classes: linear in all nets but SqueezeNet, where it is 1 x 1."""
    layers = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, (nn.Linear, nn.Conv2d))]
    for name, layer in reversed(layers):
        if isinstance(layer, nn.Linear):
            if layer.out_features != num_classes:
                _replace(model, name, nn.Linear(layer.in_features, num_classes, bias=layer.bias is not None))
            return
        if layer.out_channels == 1000 and layer.kernel_size == (1, 1):
            _replace(model, name, nn.Conv2d(layer.in_channels, num_classes, 1, bias=layer.bias is not None))
            return
    raise ModelError(f"model: no head was found in {shown}", "", "Build it in a file of your own: models.py:build.")


def _replace_first(model: nn.Module, channels: int, spec: ModelSpec) -> None:
    """The first convolution, for another number of channels.

    For one channel its kernels are summed over the three colours: the same as copying the grey image into all three, at
    a third of the cost.
    """
    name, layer = next((name, layer) for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d))
    if channels != 1 and spec.pretrained:
        raise ModelError(
            f"model: the published weights of {spec.model} are for 3 channels, and the images have {channels}",
            "",
            "Set pretrained to false.",
        )
    arguments = {
        key: getattr(layer, key)
        for key in inspect.signature(nn.Conv2d).parameters
        if key not in ("in_channels", "bias", "device", "dtype")
    }
    fresh = nn.Conv2d(channels, bias=layer.bias is not None, **arguments)
    if channels == 1:
        with torch.no_grad():
            fresh.weight.copy_(layer.weight.sum(1, keepdim=True))
            if fresh.bias is not None and layer.bias is not None:
                fresh.bias.copy_(layer.bias)
    _replace(model, name, fresh)
