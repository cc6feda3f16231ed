"""Which layers of teacher and student a term can pair: the rules, by shapes without the batch dimension."""

from __future__ import annotations

import math
from typing import Literal

Shape = tuple[int, ...]

#: How a term joins two layers: by a `regressor` (`map-regressor`: of maps only), or as they are: `maps` of any size
#: and any number of channels, maps with the same `channels`, `equal` shapes, the same `width` after flattening, `any`.
#: By other parts that learn: a `prediction` or a `connector`, which go where a regressor goes; a `map-connector`, a
#: `fusion` or `factors`, for maps; an `embedding`, for any. Of transformers: `blocks` of attention, blocks whose
#: `scores` are compared head by head, and `states` of tokens that have the same width.
JoinRule = Literal[
    "regressor", "map-regressor", "maps", "channels", "equal", "width", "any",
    "prediction", "connector", "map-connector", "fusion", "factors", "embedding",
    "blocks", "scores", "states",
]  # fmt: skip


def fits(rule: JoinRule, student: Shape, teacher: Shape) -> bool:
    """Whether a student's layer can be paired with a teacher's under a rule."""
    if not student or not teacher:
        return False
    maps = len(student) == len(teacher) == 3
    tokens = len(student) == len(teacher) == 2 and student[0] == teacher[0]
    if rule in ("regressor", "prediction", "connector"):
        vectors = len(student) == len(teacher) == 1
        return maps or vectors or tokens
    if rule in ("maps", "map-regressor", "map-connector", "fusion", "factors"):
        return maps
    if rule == "channels":
        return maps and student[0] == teacher[0]
    if rule in ("blocks", "scores"):
        return tokens
    if rule == "states":
        return tokens and student == teacher
    if rule == "equal":
        return student == teacher
    return rule in ("any", "embedding") or math.prod(student) == math.prod(teacher)
