"""Which fields of an experiment can vary, and over which values they usually do."""

from __future__ import annotations

import re
from typing import Any

from kdstudio.gui.language import tr
from kdstudio.gui.setup.words import label_inside, path_text, term_words
from kdstudio.project.spec import Experiment
from kdstudio.project.spec.sweep import FIXED
from kdstudio.project.sweeps.folder import leaf_paths, value_at

#: What says nothing about how the student learns.
OUT = re.compile(r"(data\.(source|download|path|folder|unreadable|workers)|"
                 r"train\.(device|devices|sharing|checkpoint_seconds)|(monitor|evaluate)\..*|"
                 r".*\.(term|source|version|weights)|notes|name|version|baseline)$")  # fmt: skip
#: By the last word of the path: what is usually tried, and whether logarithmically.
USUAL = {
    "temperature": ("1, 2, 4, 8, 16", False),
    "lr": ("0.001..0.1", True),
    "weight_decay": ("1e-5..1e-2", True),
    "batch_size": ("32, 64, 128, 256", False),
    "schedule": ("constant, cosine", False),
    "optimizer": ("sgd, adamw", False),
}


def field_title(experiment: Experiment, path: str) -> str:
    """What a field is called: `objective.1.temperature` by the name of its term."""
    group, _, rest = path.partition(".")
    if group == "train" and rest:
        return path_text(rest)
    place, _, name = rest.partition(".")
    if group == "objective" and name and place.isdecimal() and int(place) < len(experiment.objective):
        term, _ = term_words(experiment.objective[int(place)].term, "")
        return tr("{group}: {field}", group=term, field=label_inside(name))
    return path_text(path)


def sweepable(experiment: Experiment) -> list[str]:
    """The paths of fields that hold a single number, word or switch, or a list of numbers as widths."""
    data = experiment.model_dump(mode="json")
    found = []
    for path in leaf_paths(data):
        value = value_at(data, path)
        plain = isinstance(value, (bool, int, float, str)) or (
            isinstance(value, list) and value and all(isinstance(item, int) for item in value)
        )
        if plain and path not in FIXED and not OUT.search(path) and not path.startswith("teacher"):
            found.append(path)
    order = {"objective": 0, "train": 1, "student": 2, "data": 3}
    return sorted(found, key=lambda path: order.get(path.split(".")[0], 4))


def usual_values(experiment: Experiment, path: str) -> tuple[str, bool]:
    """Values to begin with, as they are typed; and whether they are spread logarithmically."""
    value = value_at(experiment.model_dump(mode="json"), path)
    last = path.rpartition(".")[2]
    if last in USUAL:
        return USUAL[last]
    if last == "weight" and partners_of(experiment, path):
        return "0.1, 0.3, 0.5, 0.7, 0.9", False
    if isinstance(value, bool):
        return "true, false", False
    if isinstance(value, list):
        halves = [max(1, item // 2) for item in value]
        return f"{[halves, value, [2 * item for item in value]]}", False
    if isinstance(value, (int, float)) and value > 0:
        steps = [value / 4, value / 2, value, value * 2, value * 4]
        whole = isinstance(value, int)
        return ", ".join(f"{step:g}" for step in dict.fromkeys(max(1, round(s)) if whole else s for s in steps)), False
    return _plain(value), False


def partners_of(experiment: Experiment, path: str) -> list[str]:
    """Weights that may get the rest to 1: of a weight in the objective, those of the others there."""
    found = re.fullmatch(r"objective\.(\d+)\.weight", path)
    if found is None:
        return []
    terms = experiment.objective
    others = [f"objective.{place}.weight" for place in range(len(terms)) if place != int(found[1])]
    mine = terms[int(found[1])] if int(found[1]) < len(terms) else None
    if mine is None or len(terms) != 2 or abs(sum(term.weight for term in terms) - 1) > 1e-6:
        return []
    return others


def _plain(value: Any) -> str:
    return "0, 0.1, 0.2" if isinstance(value, (int, float)) else str(value)
