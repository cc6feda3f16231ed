"""What a model consists of: layer names for taps, output shapes, parameters and FLOPs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from kdstudio.engine.models.probe import dummy, evaluating
from kdstudio.engine.taps import first_tensor

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
_NOT_TAPS = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.Flatten)


@dataclass(frozen=True)
class LayerInfo:
    """One layer.

    Attributes:
        name: Dotted module name; what a tap is called.
        kind: Class of the module.
        output_shape: Of one sample, without the batch dimension.
        parameters: Trainable and frozen numbers in it, its parts included.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int


def layer_names(model: nn.Module) -> list[str]:
    """The layers worth tapping, in the order of the model: stages, blocks and what stands beside them.

    It goes down to repeated blocks (a residual block, a transformer layer) and to the members of plain sequences, and
    not into them; dropout, identities and shared activations are left out. Any other module name can be tapped too.
    """
    found: list[str] = []
    _collect(model, "", found)
    return found


def _collect(parent: nn.Module, prefix: str, found: list[str]) -> None:
    children = list(parent.named_children())
    in_sequence = isinstance(parent, nn.Sequential)
    for name, child in children:
        full = f"{prefix}{name}"
        if isinstance(child, _NOT_TAPS):
            continue
        # Outside a sequence one activation object often serves many places, so its output is ambiguous.
        if not in_sequence and type(child).__module__ == "torch.nn.modules.activation" and not list(child.parameters()):
            continue
        called = not isinstance(child, (nn.ModuleList, nn.ModuleDict)) or type(child).forward is not nn.Module.forward
        wrapped = len(children) == 1 and prefix and isinstance(child, _CONTAINERS)
        if called and not wrapped:
            found.append(full)
        if isinstance(child, _CONTAINERS) or _holds_repeats(child):
            _collect(child, f"{full}.", found)


def _holds_repeats(module: nn.Module) -> bool:
    """Whether some composite class, such as a block, occurs at least twice in it."""
    seen: set[type] = set()
    for part in module.modules():
        if part is module or isinstance(part, _CONTAINERS):
            continue
        if not any(next(child.parameters(), None) is not None for child in part.children()):
            continue
        if type(part) in seen:
            return True
        seen.add(type(part))
    return False


def count_parameters(model: nn.Module) -> int:
    """Numbers in all parameters; shared ones count once."""
    return sum(parameter.numel() for parameter in model.parameters())


Size = tuple[int, ...]


def _attention_flops(query: Size, key: Size, value: Size, *rest: Any, **named: Any) -> int:
    """Both products of attention: (.., L, E) with (.., S, E), and its (.., L, S) with (.., S, V). Masks skip none."""
    return 2 * math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _recurrent_flops(inputs: Size, *rest: Any, **named: Any) -> int:
    """Each matrix of the layer meets each step of each sequence once."""
    weights = rest[0] if isinstance(rest[0], list) else rest[:4]
    return 2 * math.prod(inputs[:-1]) * sum(math.prod(size) for size in weights if len(size) == 2)


#: Fused kernels that PyTorch's counter lacks. Which of them runs depends on device and release, the work does not; so
#: the ones it knows are counted by the same formula.
_FUSED = {
    getattr(torch.ops.aten, name): formula
    for formula, names in {
        _attention_flops: (
            "_scaled_dot_product_flash_attention_for_cpu",
            "_scaled_dot_product_flash_attention",
            "_scaled_dot_product_efficient_attention",
            "_scaled_dot_product_cudnn_attention",
            "_scaled_dot_product_fused_attention_overrideable",
            "_scaled_dot_product_attention_math_for_mps",
        ),
        _recurrent_flops: ("mkldnn_rnn_layer", "_cudnn_rnn", "miopen_rnn"),
    }.items()
    for name in names
    if hasattr(torch.ops.aten, name)
}


def count_flops(model: nn.Module, input_shape: tuple[int, ...]) -> int:
    """FLOPs of one sample's forward pass: two per multiply-add, in convolutions, matrix products and attention."""
    with evaluating(model), FlopCounterMode(display=False, custom_mapping=_FUSED) as counter:
        model(dummy(model, input_shape))
    return int(counter.get_total_flops())


def describe(model: nn.Module, input_shape: tuple[int, ...], every: bool = False) -> list[LayerInfo]:
    """The layers of `layer_names` that give a tensor when one dummy sample passes, with its shape.

    Args:
        model: The network.
        input_shape: Of one sample.
        every: Describe every module, not only those of `layer_names`.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    handles = []

    def keep(name: str):  # type: ignore[no-untyped-def]
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            tensor = first_tensor(output)
            if isinstance(tensor, Tensor):
                shapes[name] = tuple(tensor.shape[1:])

        return hook

    names = [name for name, _ in model.named_modules() if name] if every else layer_names(model)
    try:
        for name in names:
            handles.append(model.get_submodule(name).register_forward_hook(keep(name)))
        with evaluating(model):
            model(dummy(model, input_shape))
    finally:
        for handle in handles:
            handle.remove()
    return [
        LayerInfo(name, type(module).__name__, shapes[name], count_parameters(module))
        for name in names
        if name in shapes
        for module in (model.get_submodule(name),)
    ]
