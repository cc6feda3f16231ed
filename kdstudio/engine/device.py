"""Devices, precision and seeds."""

from __future__ import annotations

import os
import random
import re
from typing import Any

import numpy as np
import torch

from kdstudio.engine.counters import mix
from kdstudio.project.errors import InputError
from kdstudio.project.spec import TrainSpec


def pick_threads(asked: str, earlier: int = 0, ranks: int = 1) -> int:
    """Sets how many threads PyTorch uses on the processor.

    Args:
        asked: A number; `spare` for one core less than there are, so that a window stays quick; or nothing.
        earlier: What an earlier part of the same run used. It goes first: sums in another order end in other bits.
        ranks: Processes that share the processor, each with as many threads.

    Returns:
        The number.
    """
    usual = torch.get_num_threads()
    if earlier:
        threads = earlier
    elif asked == "spare":
        threads = max(1, min(usual, (os.cpu_count() or 1) - 1) // ranks)
    else:
        threads = int(asked) if asked else max(1, usual // ranks)
    if threads != usual:
        torch.set_num_threads(threads)
    return threads


def pick_device(name: str, field: str = "train.device") -> torch.device:
    """The device of that name.

    Args:
        name: auto, cpu, cuda, cuda:1 or mps.
        field: Where the name stands, for messages.

    Raises:
        InputError: There is no such device here, or anywhere.
    """
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,3})?", name):
        raise InputError(f"{field}: '{name}' is no device", fix="use auto, cpu, cuda, cuda:1 or mps", kind="device")
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("cpu")
    device = torch.device(name)
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise InputError(
                f"{field}: there is no device '{name}' here",
                why=f"PyTorch sees {count} CUDA devices",
                fix="use auto or cpu; kdstudio doctor lists the devices",
                kind="device",
            )
        return torch.device("cuda", device.index or 0)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise InputError(f"{field}: there is no device 'mps' here", fix="use auto or cpu", kind="device")
    return device


def device_name(device: torch.device) -> str:
    """The device in people's words."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} ({device})"
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"CPU ({threads} thread{'s' * (threads > 1)})"
    return str(device)


def pick_precision(spec: TrainSpec, device: torch.device, field: str = "train") -> str:
    """accelerate's word for the arithmetic: `no`, `bf16` or `fp16`.

    Args:
        spec, device: What is trained, and where.
        field: Where the spec stands, for messages.

    Raises:
        InputError: fp16 is asked for where only CUDA has it.
    """
    if spec.precision == "auto":
        return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "no"
    if spec.precision == "fp16" and device.type != "cuda":
        raise InputError(
            f"{field}.precision: fp16 needs a CUDA device, and this run uses {device.type}",
            fix="use auto, fp32 or bf16",
            kind="device",
        )
    return {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}[spec.precision]


def seed_everything(seed: int, deterministic: bool) -> None:
    """Seeds Python, NumPy and PyTorch, and asks for deterministic kernels where wanted."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # warns where a kernel has no deterministic form; use_deterministic_algorithms says the same and loads a compiler
    torch.set_deterministic_debug_mode("warn" if deterministic else "default")
    torch.backends.cudnn.benchmark = not deterministic


def seed_rank(seed: int, rank: int, step: int = 0) -> None:
    """Gives a rank random numbers of its own, a function of the seed and the step; rank 0 keeps those it has."""
    if not rank:
        return
    own = mix(seed, rank, step) >> 1
    random.seed(own)
    np.random.seed(own % 2**32)
    torch.manual_seed(own)


def random_states() -> dict[str, Any]:
    """All random states, in a form that `torch.load(weights_only=True)` reads back."""
    version, numbers, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state()
    numbers_of = torch.from_numpy(np.asarray(keys).astype(np.int64))
    return {
        "python": [version, list(numbers), gauss],
        "numpy": [str(name), numbers_of, int(position), int(has_gauss), float(cached)],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_states(states: dict[str, Any]) -> None:
    """Undoes `random_states`. A checkpoint's reader may have put them on a device; they belong on the CPU."""
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(states["torch"].cpu())
    cuda = states["cuda"]
    if torch.cuda.is_available() and cuda:
        torch.cuda.set_rng_state_all([state.cpu() for state in cuda])


def memory_in_use(device: torch.device) -> int:
    """Bytes that PyTorch holds on the device; 0 on the CPU, whose memory is the process's."""
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
