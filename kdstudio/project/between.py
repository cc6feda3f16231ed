"""Which network stands between two others: what an assistant begins with."""

from __future__ import annotations

import math
import re
from typing import Any

from kdstudio.project.spec.models import RESNETS

RESNET = re.compile(r"resnet(\d+)")


def between(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """A network about halfway, by the geometric mean of their sizes, where they are of one family.

    Args:
        before: The larger network, as the spec has it: the teacher or an assistant.
        after: The smaller one.

    Returns:
        `model`, and `widths` or `args` where it has some; like `after` where no size lies between.
    """
    like = {key: after[key] for key in ("model", "widths", "args") if after.get(key)}
    large, small = (RESNET.fullmatch(str(network.get("model"))) for network in (before, after))
    if large and small:
        ends = sorted((int(large[1]), int(small[1])))
        inside = [depth for depth in map(_depth, RESNETS) if ends[0] < depth < ends[1]]
        middle = math.sqrt(ends[0] * ends[1])
        return {**like, "model": f"resnet{min(inside, key=lambda depth: abs(depth - middle))}"} if inside else like
    widths = [network.get("widths") for network in (before, after)]
    if before.get("model") == after.get("model") and all(_whole(each) for each in widths):
        count = (len(widths[0]) + len(widths[1]) + 1) // 2  # type: ignore[arg-type]
        pairs = [[each[min(place, len(each) - 1)] for each in widths] for place in range(count)]  # type: ignore[index,arg-type]
        return {**like, "widths": [round(math.sqrt(one * other)) for one, other in pairs]}
    return like


def _depth(name: str) -> int:
    return int(name.removeprefix("resnet"))


def _whole(widths: Any) -> bool:
    return isinstance(widths, list) and bool(widths) and all(isinstance(width, int) and width > 0 for width in widths)
