"""What a new network in a list begins with: it is like one that there is, and starts from another seed."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from kdstudio.gui.setup.document import Document
from kdstudio.gui.setup.schema import complete

SHAPE = ("model", "widths", "args")


def first_item(model: type[BaseModel], document: Document, number: int, like: str = "student") -> Any:
    """A new item of a list of models, as plain data; only the defaults where it is no network.

    Args:
        model: What the list holds.
        document: The experiment.
        number: Its place, from 1 on: networks before it have other seeds.
        like: The path of the network that it resembles.
    """
    fields, other = model.model_fields, document.get(like)
    if "model" not in fields or not isinstance(other, dict):
        return complete(model, {})
    first: dict[str, Any] = {key: other[key] for key in SHAPE if other.get(key)}
    if "seed" in fields:
        first["seed"] = number
    elif "train" in fields:
        train = other.get("train") if like == "teacher" else None
        first["train"] = {**(train if isinstance(train, dict) else {}), "seed": number}
    return complete(model, first)
