"""Arithmetic that suits the device: precision, memory layout, and the optimizer's form."""

from __future__ import annotations

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState, GradientState, PartialState
from torch import Tensor, nn

from kdstudio.engine.device import pick_precision
from kdstudio.engine.models import count_flops
from kdstudio.project.spec import TrainSpec

#: FLOPs of a batch's forward pass from which bf16 pays on a processor: below, casting costs more than it saves
#: (measured with networks of one width: 3e7 is slower, 7e7 quicker).
BF16_FLOPS = 6e7


def make_accelerator(
    device: torch.device,
    spec: TrainSpec,
    model: nn.Module | None = None,
    batch_shape: tuple[int, ...] = (),
    shards: int = 0,
) -> Accelerator:
    """accelerate's view of the device and precision. Its state is global, so what an earlier stage set is dropped.

    Args:
        device, spec: What is trained where.
        model, batch_shape: The network and the shape of its batches, samples first: they decide `precision: auto` on a
            processor that has bf16. Without them it is fp32 there.
        shards: The ranks that the weights of the model are shared out over; 0 where each has them whole.
    """
    for state in (AcceleratorState, PartialState, GradientState):
        state._reset_state()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    precision = pick_precision(spec, device)
    undecided = spec.precision == "auto" and precision == "no" and processor_has_bf16(device)
    if undecided and model is not None and count_flops(model, batch_shape[1:]) * batch_shape[0] >= BF16_FLOPS:
        precision = "bf16"
    if shards and model is not None:
        from kdstudio.engine.shards import sharding_accelerator  # takes a while to load, and torch.distributed

        return sharding_accelerator(device, precision, model, shards)
    # a term or a layer may rest in an epoch: DDP is not to wait for its gradients
    handlers = [DistributedDataParallelKwargs(find_unused_parameters=True)]
    return Accelerator(cpu=device.type == "cpu", mixed_precision=precision, kwargs_handlers=handlers)


def processor_has_bf16(device: torch.device) -> bool:
    """Whether the device is a processor with instructions for bf16 (AVX512-BF16 or AMX)."""
    asks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return device.type == "cpu" and any(getattr(torch.cpu, name, bool)() for name in asks)


def suits_channels_last(model: nn.Module, device: torch.device) -> bool:
    """Whether a network of pictures is quicker with its channels last in memory: kernels take them so."""
    return device.type in ("cpu", "cuda") and any(isinstance(part, nn.Conv2d) for part in model.modules())


def laid_out(model: nn.Module) -> nn.Module:
    """The network, its weights in the order in memory that suits it, wherever it comes from: the bits of its answers
    depend on that order, so a network that was read from a file has to be like one that was just trained.
    """
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    if suits_channels_last(model, device):
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def channels_last(value: Tensor) -> Tensor:
    """(B, C, H, W) with the channels last in memory; the same numbers in the same places of the tensor."""
    return value.contiguous(memory_format=torch.channels_last) if value.ndim == 4 else value
