"""What the assistants of a chain begin with: a size between two networks, or generations of one network."""

from __future__ import annotations

import math
import re
from typing import Any

from kdstudio.project.spec.models import RESNETS, ModelSpec

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


def born_again(teacher: dict[str, Any], generations: int = 2) -> dict[str, Any]:
    """Born-again networks: a chain whose teacher, assistants and student are one architecture.

    Equation:
        generation k: L = CE(labels) + T^2 KL(p_(k-1) || p_k) with T = 1, where p_(k-1) is the generation before it; the
        teacher is generation 0, and learns from the labels alone

    When it helps:
        Where the student need not be smaller: a second network of the same size, taught by the first, is often a little
        better than the first. Most of the gain comes with the first generation or two.

    Usual weights:
        1 hard + 1 soft, T = 1; one to three generations, each with the whole budget.

    Traps:
        The generations must not start from the same weights: an assistant without settings of its own takes the
        student's seed plus its place, and the teacher has a seed of its own, so keep that one different (the preset
        does). The gain is often smaller than the spread over seeds: compare several, and with an ensemble.

    Paper:
        Furlanello, Lipton, Tschannen, Itti and Anandkumar 2018, Born-Again Neural Networks (1805.04770).

    Args:
        teacher: Generation 0, as the spec has it.
        generations: How many come after it; the last one is the student.

    Returns:
        `assistants` and `student`: networks like the teacher, without weights.
    """
    network = {key: item for key, item in teacher.items() if key in ModelSpec.model_fields}
    network |= {"weights": None, "pretrained": False}
    return {"assistants": [dict(network) for _ in range(generations - 1)], "student": network}


def _depth(name: str) -> int:
    return int(name.removeprefix("resnet"))


def _whole(widths: Any) -> bool:
    return isinstance(widths, list) and bool(widths) and all(isinstance(width, int) and width > 0 for width in widths)
