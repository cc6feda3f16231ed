"""Which layers of two networks are worth pairing, from what `kdstudio inspect` reports of them."""

from __future__ import annotations

from typing import Any

from kdstudio.project.spec import JoinRule, fits

Shape = tuple[int, ...]
#: Rules of terms that are meant for every stage of a network.
EVERY_STAGE: tuple[JoinRule, ...] = (
    "maps", "map-regressor", "channels", "prediction", "connector", "map-connector", "fusion",
)  # fmt: skip


def shapes_of(report: dict[str, Any] | None) -> dict[str, Shape]:
    """Output shapes by name of all that can be tapped, from the engine's report of a network; empty for none."""
    return {layer["name"]: tuple(layer["output_shape"]) for layer in modules_of(report)}


def modules_of(report: dict[str, Any] | None) -> list[dict[str, Any]]:
    """All that can be tapped, in the network's order."""
    return (report.get("parts") or report["layers"]) if report is not None else []


def suggestions(
    teacher: dict[str, Any], student: dict[str, Any], rule: JoinRule = "regressor"
) -> list[tuple[str, str]]:
    """Pairs worth a try, from the engine's reports: of the usual layers, else of any module.

    A term that needs shapes that agree may find the outputs alone.
    """
    found = suggested(teacher["layers"], student["layers"], rule)
    found = found or suggested(modules_of(teacher), modules_of(student), rule)
    if not found and rule in ("equal", "width"):
        last = [report["layers"][-1] for report in (teacher, student) if report["layers"]]
        if len(last) == 2 and fits(rule, tuple(last[1]["output_shape"]), tuple(last[0]["output_shape"])):
            return [(last[0]["name"], last[1]["name"])]
    return found


def first_pairs(teacher: dict[str, Any], student: dict[str, Any], rule: JoinRule) -> list[tuple[str, str]]:
    """What a new term begins with: a hint with the middle, terms on stages with every one, others with the last one."""
    pairs = suggestions(teacher, student, rule)
    if rule == "regressor":
        chosen = middle(pairs)
        return [chosen] if chosen else []
    return pairs if rule in EVERY_STAGE else pairs[-1:]


def suggested(
    teacher: list[dict[str, Any]], student: list[dict[str, Any]], rule: JoinRule = "regressor"
) -> list[tuple[str, str]]:
    """Pairs of layers at the same stage: of the same name, else the last ones at each size of map.

    Args:
        teacher, student: Layers with `name` and `output_shape`, in the order of the network. The last one is taken
            for the classifier, which soft targets are for.
    """
    shapes = {
        side: {layer["name"]: tuple(layer["output_shape"]) for layer in layers[:-1]}
        for side, layers in (("teacher", teacher), ("student", student))
    }
    tops = [name for name in shapes["teacher"] if "." not in name and name in shapes["student"]]
    stages = [name for name in tops if name.rstrip("0123456789") != name]
    pairs = [(name, name) for name in stages if _joins(shapes, name, name, rule)]
    named = [name for name, _ in pairs if name.startswith(("layer", "stage", "hidden", "block"))]
    if named:
        return [(name, name) for name in named]
    if pairs:
        return pairs
    last: dict[str, dict[Shape, str]] = {"teacher": {}, "student": {}}
    for side, layers in shapes.items():
        for name, shape in layers.items():
            last[side][shape[1:]] = name
    both = [size for size in last["teacher"] if size in last["student"]]
    return [
        (last["teacher"][size], last["student"][size])
        for size in both
        if _joins(shapes, last["teacher"][size], last["student"][size], rule)
    ]


def _joins(shapes: dict[str, dict[str, Shape]], teacher: str, student: str, rule: JoinRule) -> bool:
    return fits(rule, shapes["student"][student], shapes["teacher"][teacher])


def middle(pairs: list[tuple[str, str]]) -> tuple[str, str] | None:
    """The pair in the middle of the network: what FitNets took."""
    return pairs[(len(pairs) - 1) // 2] if pairs else None
