"""Which of its teacher's layers a student keeps."""

from __future__ import annotations

import numpy as np

from kdstudio.project.errors import ModelError
from kdstudio.project.spec import LayersSpec


def chosen_layers(layers: LayersSpec, total: int) -> list[int]:
    """The numbers of the teacher's layers that a student keeps, rising.

    Raises:
        ModelError: There are not so many.
    """
    if layers.keep is not None:
        wrong = [number for number in layers.keep if number >= total]
        if wrong:
            raise ModelError(
                f"layers.keep: there is no layer {wrong[0]}; the teacher's layers are 0 to {total - 1}",
                fix="choose among these",
            )
        return list(layers.keep)
    count = layers.count or max(1, total // 2)
    if count > total:
        raise ModelError(f"layers.count: {count} layers, and the teacher has {total}", fix=f"set it to {total} or less")
    if layers.rule == "first":
        return list(range(count))
    if layers.rule == "last":
        return list(range(total - count, total))
    if layers.rule == "every-other":
        found = list(range(0, total, 2))[:count]
        if len(found) < count:
            raise ModelError(
                f"layers.count: every other of {total} layers are {len(found)}, not {count}",
                fix="set layers.rule to spread",
            )
        return found
    return [int(place) for place in np.linspace(0, total - 1, count).round()]
