"""The work of a network: FLOPs of one sample's forward pass."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, shape_wrapper

from kdstudio.engine.models.probe import dummy, evaluating

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
    getattr(torch.ops.aten, name): shape_wrapper(formula)
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


class _Counter(TorchDispatchMode):
    """Adds up what operations cost by PyTorch's formulas, as its FlopCounterMode does.

    That one loads PyTorch's compiler when it starts, which takes longer than the rest of a short evaluation.
    """

    supports_higher_order_operators = True  # they are run, and what they cost is not known

    def __init__(self) -> None:
        super().__init__()
        self.total = 0
        self._formulas: dict[Any, Callable[..., int]] = {**flop_registry, **_FUSED}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # PyTorch would load the compiler in order to tell it so

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        formula = self._formulas.get(getattr(func, "_overloadpacket", None))
        if formula is None and isinstance(func, torch._ops.OpOverload):
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        answer = func(*args, **kwargs)
        if formula is not None:
            self.total += formula(*args, **kwargs, out_val=answer)
        return answer


def count_flops(model: nn.Module, input_shape: tuple[int, ...]) -> int:
    """FLOPs of one sample's forward pass: two per multiply-add, in convolutions, matrix products and attention."""
    with evaluating(model), _Counter() as counter:
        model(dummy(model, input_shape))
    return counter.total
