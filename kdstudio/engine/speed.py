"""Speed: latency and throughput of several networks, measured side by side in one run."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from kdstudio.engine.text.network import TextNetwork

WARMUP = 3


def measure_speed(
    models: Mapping[str, nn.Module], input_shape: tuple[int, ...], device: torch.device, batch: int, repeats: int
) -> dict[str, dict[str, Any]]:
    """Times the forward pass of each network, in eval mode and float32.

    The networks take turns in random order, so that a machine that slows down slows all of them.

    Args:
        models: Networks by name, on the device.
        input_shape: Shape of one input.
        device: Where they are; CUDA is synchronised around each timing.
        batch: Samples at once for the throughput; the latency is that of one sample.
        repeats: Timed repetitions of each.

    Returns:
        By name: `latency_ms` {median, low, high} of one sample, `throughput` {median, low, high} in samples a second
        (low and high are the quartiles), `batch`, `repeats`, `threads`, `device`.
    """
    first = next(iter(models.values()))
    inputs = {
        kind: first.dummy(size, input_shape[0], device)
        if isinstance(first, TextNetwork)
        else torch.randn(size, *input_shape, device=device)
        for kind, size in (("latency_ms", 1), ("throughput", batch))
    }
    jobs = [(name, kind) for name in models for kind in inputs]
    seconds: dict[tuple[str, str], list[float]] = {job: [] for job in jobs}
    order = random.Random(0)
    with torch.no_grad():
        for model in models.values():
            model.eval()
        for name, kind in jobs * WARMUP:
            models[name](inputs[kind])
        for _ in range(repeats):
            order.shuffle(jobs)
            for name, kind in jobs:
                _synchronize(device)
                begin = time.perf_counter()
                models[name](inputs[kind])
                _synchronize(device)
                seconds[name, kind].append(time.perf_counter() - begin)
    results: dict[str, dict[str, Any]] = {}
    for name in models:
        results[name] = {
            "latency_ms": _spread([1000 * value for value in seconds[name, "latency_ms"]]),
            "throughput": _spread([batch / value for value in seconds[name, "throughput"]]),
            "batch": batch,
            "repeats": repeats,
            "threads": torch.get_num_threads(),
            "device": device.type,
        }
    return results


def _spread(values: list[float]) -> dict[str, float]:
    low, median, high = np.percentile(values, [25, 50, 75])
    return {"median": float(median), "low": float(low), "high": float(high)}


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
