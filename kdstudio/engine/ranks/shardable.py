"""Which networks' weights can be shared out over the ranks, and in which blocks. Needs no torch.distributed."""

from __future__ import annotations

from collections import Counter

from torch import nn

from kdstudio.project.errors import InputError

#: What a layer is made of has no blocks of its own.
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
_FIX = "set train.sharing to ddp; to save memory lower data.batch_size or set train.accumulate"


def block_classes(network: nn.Module) -> list[str]:
    """The names of the classes of a network's blocks: the outermost parts with parts of their own of which there are
    several, as the layers of a transformer, the blocks of a residual network or the stages of a plain one.

    Returns:
        Sorted; empty where there are none, and the whole network is one block.
    """
    counts = Counter(type(part) for part in network.modules())
    found: set[str] = set()
    waiting = list(network.children())
    while waiting:
        part = waiting.pop()
        inside = list(part.children())
        if inside and counts[type(part)] > 1 and not isinstance(part, _CONTAINERS):
            found.add(type(part).__name__)
        else:
            waiting += inside
    return sorted(found)


def check_shardable(network: nn.Module, owner: str) -> None:
    """Checks that the weights of a network can be shared out.

    Args:
        network: On any device.
        owner: How it is called in messages.

    Raises:
        InputError: A weight is a single number, its weights that learn have several types, or it does not say what
            its weights belong to.
    """
    named = list(network.named_parameters())
    single = [name for name, parameter in named if parameter.ndim == 0]
    kinds = sorted({str(parameter.dtype).removeprefix("torch.") for _, parameter in named if parameter.requires_grad})
    inner = getattr(network, "inner", None)
    loose = [name for name, _ in inner.named_parameters(recurse=False)] if isinstance(inner, nn.Module) else []
    if single:
        why = f"'{single[0]}' is a single number, of which no rank can hold a part"
    elif len(kinds) > 1:
        why = f"its weights are of several types: {', '.join(kinds)}"
    elif loose:
        why = f"'{loose[0]}' belongs to no layer of it"
    else:
        return
    raise InputError(
        f"train.sharing: the weights of the {owner} cannot be shared out over devices", why=why, fix=_FIX, kind="device"
    )


def can_rest_in_shards(network: nn.Module) -> bool:
    """Whether a frozen network can be shared out: its weights are of one floating-point type, and none is a
    single number."""
    inner = getattr(network, "inner", None)
    loose = isinstance(inner, nn.Module) and any(True for _ in inner.parameters(recurse=False))
    kinds = {parameter.dtype for parameter in network.parameters()}
    fit = all(parameter.ndim and parameter.is_floating_point() for parameter in network.parameters())
    return fit and len(kinds) == 1 and not loose


def not_sharded(owner: str, error: Exception) -> InputError:
    """What is told where PyTorch refuses a network."""
    lines = str(error).splitlines() or [type(error).__name__]
    return InputError(
        f"train.sharing: the weights of the {owner} cannot be shared out over devices",
        why=f"PyTorch's fully_shard says: {lines[0][:200]}",
        fix=_FIX,
        kind="device",
    )
