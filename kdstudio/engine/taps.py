"""Taps: the outputs of named layers, captured by hooks that leave with their context."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from kdstudio.project.errors import ModelError
from kdstudio.project.spec import suggestion


class Taps:
    """Captures the outputs of named layers of a module.

    Use as a context manager; the hooks are removed on leaving. `take()` hands the captured tensors over and forgets
    them, so no activation outlives its step. A name may stand in several pairs: each layer is captured once.

    Args:
        model: The network.
        names: Dotted module names, for example ``layer2.0.conv1``; with ``#query``, ``#key`` or ``#value`` behind the
            name of a transformer's block, the (B, heads, S, d) of its attention.
        owner: How the network is called in messages.

    Raises:
        ModelError: There is no such layer.
    """

    def __init__(self, model: nn.Module, names: Iterable[str], owner: str = "the model") -> None:
        self.names = list(dict.fromkeys(names))
        self._modules: dict[str, nn.Module] = {}
        known = dict(model.named_modules())
        self._picks: dict[str, Callable[[Any], Tensor]] = {}
        for name in self.names:
            part = getattr(model, "tap_part", None)
            if "#" in name and part is not None and name.partition("#")[0] in known:
                self._modules[name], self._picks[name] = part(name)
                continue
            if not name or name not in known:
                raise unknown_layer(name, [key for key in known if key], owner)
            self._modules[name] = known[name]
        self._captured: dict[str, Tensor] = {}
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> Taps:
        for name, module in self._modules.items():
            self._handles.append(module.register_forward_hook(self._hook(name)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Removes the hooks and forgets what they caught."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._captured.clear()

    def take(self) -> dict[str, Tensor]:
        """The tensors of the last forward pass by layer name; they are forgotten here."""
        captured, self._captured = self._captured, {}
        return captured

    def _hook(self, name: str) -> Any:
        pick = self._picks.get(name)

        def keep(module: nn.Module, inputs: Any, output: Any) -> None:
            tensor = first_tensor(output) if pick is None else pick(output)
            if tensor is not None:
                self._captured[name] = tensor

        return keep


def first_tensor(output: Any) -> Tensor | None:
    """The tensor that stands for a layer's output: itself, or the first one of a tuple or mapping."""
    if isinstance(output, Tensor):
        return output
    items = output.values() if isinstance(output, dict) else output if isinstance(output, (tuple, list)) else ()
    for item in items:
        found = first_tensor(item)
        if found is not None:
            return found
    return None


def unknown_layer(name: str, known: list[str], owner: str) -> ModelError:
    """The error for a layer that does not exist, with the nearest one that does."""
    near = suggestion(name, known)
    some = ", ".join(key for key in known if "." not in key)
    return ModelError(f"no layer '{name}' in {owner}", fix=near or f"its top layers are: {some}", kind="layer")
