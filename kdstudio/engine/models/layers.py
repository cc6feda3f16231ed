"""What a model consists of: layer names for taps, output shapes and parameters."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

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
