"""What goes with the choice of another model: fields that it does not have go, widths become its own."""

from __future__ import annotations

import re
from typing import Any

from kdstudio.gui.setup.schema import plain
from kdstudio.gui.setup.words import is_relevant
from kdstudio.project.errors import SpecError
from kdstudio.project.spec import AS_RUN, FROM_TEACHER, ModelSpec, validate

#: Fields that only some models have.
OWN = ("widths", "dropout", "input_dropout", "args", "pretrained")
#: Widths to begin with: a teacher is large, a student small.
WIDTHS: dict[str, dict[str, list[int]]] = {
    "TeacherSpec": {"mlp": [256, 256], "cnn": [32, 64]},
    "AssistantSpec": {"mlp": [128], "cnn": [24, 48]},
    "StudentSpec": {"mlp": [64], "cnn": [16, 32]},
}


def is_model(word: Any) -> bool:
    """Whether the spec takes this for a model; not so while its name is being typed."""
    if word in (AS_RUN, FROM_TEACHER):
        return True
    try:
        validate(ModelSpec, {"model": word})
    except SpecError:
        return False
    return True


def fitting(values: dict[str, Any], owner: str, before: str, word: str) -> dict[str, Any]:
    """The fields that change when `word` becomes the model in place of `before`.

    Args:
        values: The network as it is described now.
        owner: Name of its spec model.
    """
    found: dict[str, Any] = {}
    for name in OWN:
        field = ModelSpec.model_fields[name]
        default = plain(field.get_default(call_default_factory=True, validated_data={}))
        kept = is_relevant(name, {**values, "model": word}) and (name != "args" or _family(before) == _family(word))
        if not kept and values.get(name, default) != default:
            found[name] = default
    if values.get("layers") is not None and word != FROM_TEACHER:
        found["layers"] = None
    if word in WIDTHS.get(owner, {}):
        found["widths"] = WIDTHS[owner][word]
    return found


def _family(word: str) -> str:
    """resnet of resnet20, timm of timm:NAME."""
    return re.split(r"[:\d-]", word)[0]
