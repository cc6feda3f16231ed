"""Which layers of teacher and student a term can pair: the rules, by shapes without the batch dimension."""

from __future__ import annotations

import math
from typing import Literal

Shape = tuple[int, ...]

#: How a term joins two layers: by a `regressor` (`map-regressor`: of maps only), or as they are: `maps` of any size
#: and any number of channels, maps with the same `channels`, `equal` shapes, the same `width` after flattening, `any`.
JoinRule = Literal["regressor", "map-regressor", "maps", "channels", "equal", "width", "any"]


def fits(rule: JoinRule, student: Shape, teacher: Shape) -> bool:
    """Whether a student's layer can be paired with a teacher's under a rule."""
    if not student or not teacher:
        return False
    maps = len(student) == len(teacher) == 3
    if rule == "regressor":
        vectors = len(student) == len(teacher) == 1
        tokens = len(student) == len(teacher) == 2 and student[0] == teacher[0]
        return maps or vectors or tokens
    if rule in ("maps", "map-regressor"):
        return maps
    if rule == "channels":
        return maps and student[0] == teacher[0]
    if rule == "equal":
        return student == teacher
    return rule == "any" or math.prod(student) == math.prod(teacher)
