"""Random inputs for the losses, and plain helpers of the slow references. Nothing here is shared with the losses."""

from __future__ import annotations

import math
from typing import Any

import torch


def numbers(*shape: int, seed: int = 0, scale: float = 1.0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(*shape, generator=generator, dtype=torch.float64) * scale).to(dtype)


def softmax(row: list[float], temperature: float = 1.0) -> list[float]:
    weights = [math.exp(value / temperature) for value in row]
    return [weight / sum(weights) for weight in weights]


def kl(p: list[float], q: list[float]) -> float:
    return sum(one * math.log(one / other) for one, other in zip(p, q))


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b))


def norm(a: list[float]) -> float:
    return math.sqrt(dot(a, a))


def minus(a: list[float], b: list[float]) -> list[float]:
    return [x - y for x, y in zip(a, b)]


def huber(difference: float) -> float:
    """Smooth L1 with delta 1."""
    return 0.5 * difference**2 if abs(difference) < 1 else abs(difference) - 0.5


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def average_pool(image: list[list[float]], height: int, width: int) -> list[list[float]]:
    """Average pooling to a size, each cell over all pixels that it touches."""
    rows, columns = len(image), len(image[0])
    pooled = []
    for y in range(height):
        line = []
        for x in range(width):
            ys = range(y * rows // height, -(-(y + 1) * rows // height))
            xs = range(x * columns // width, -(-(x + 1) * columns // width))
            line.append(mean([image[i][j] for i in ys for j in xs]))
        pooled.append(line)
    return pooled


def flat(nested: Any) -> list[float]:
    return [number for part in nested for number in flat(part)] if isinstance(nested, list) else [nested]
