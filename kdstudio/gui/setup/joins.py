"""Which layers a term can pair, how, in words, and which pairs are worth a try. The engine has the same rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kdstudio.gui.language import mark, tr
from kdstudio.project.spec import JoinRule, fits

Shape = tuple[int, ...]
#: What a term asks of two layers, by its rule: where they do not fit.
WANTED: dict[JoinRule, str] = {
    "regressor": mark("vectors go with vectors, maps with maps, tokens with as many tokens"),
    "map-regressor": mark("this term takes maps"),
    "maps": mark("this term takes maps"),
    "channels": mark("this term takes maps with as many channels on both sides"),
    "equal": mark("this term has no regressor and takes layers of the same shape"),
    "width": mark("this term has no regressor and takes layers of the same width"),
    "any": mark("this term takes layers that give more than one number"),
}


@dataclass(frozen=True)
class Join:
    """Whether two layers can be joined, and how, in words."""

    possible: bool
    text: str


def shape_text(shape: Sequence[int]) -> str:
    """A shape for people: 64 × 8 × 8."""
    return " × ".join(str(size) for size in shape) or "1"


def join(student: Shape, teacher: Shape, rule: JoinRule = "regressor") -> Join:
    """How a term would join a student's layer with a teacher's; shapes are without the batch dimension."""
    if not fits(rule, student, teacher):
        words = mark("{teacher} of the teacher and {student} of the student cannot be joined: {reason}")
        return Join(False, tr(words, teacher=_kind(teacher), student=_kind(student), reason=tr(WANTED[rule])))
    if rule in ("regressor", "map-regressor"):
        return Join(True, _regressor(student, teacher))
    if rule in ("maps", "channels"):
        return Join(True, _maps(student, teacher, rule))
    if rule == "any":
        return Join(True, tr("by relations between samples; the sizes need not agree"))
    return Join(True, tr("number by number, {shape}", shape=shape_text(student)))


def _maps(student: Shape, teacher: Shape, rule: JoinRule) -> str:
    """How maps are compared that have no regressor."""
    if rule == "channels":
        return tr("{channels} channels on both sides; the sizes need not agree", channels=student[0])
    if student[1:] == teacher[1:]:
        return tr("maps of {size} on both sides; channels need not agree", size=shape_text(student[1:]))
    size = shape_text([min(sides) for sides in zip(student[1:], teacher[1:])])
    return tr("the larger map is averaged down to {size}; channels need not agree", size=size)


def _regressor(student: Shape, teacher: Shape) -> str:
    """How a regressor maps a student's layer to a teacher's."""
    if len(student) == 3:
        size, wanted = shape_text(student[1:]), shape_text(teacher[1:])
        if student[1:] == teacher[1:]:
            words = mark("1 × 1 convolution, {before} to {after} channels")
        elif student[1] >= teacher[1] and student[2] >= teacher[2]:
            words = mark(
                "1 × 1 convolution, {before} to {after} channels; "
                "the student's map is averaged down from {size} to {wanted}"
            )
        else:
            words = mark(
                "1 × 1 convolution, {before} to {after} channels; the student's map is enlarged from {size} to {wanted}"
            )
        return tr(words, before=student[0], after=teacher[0], size=size, wanted=wanted)
    if len(student) == 1:
        return tr("a linear map, {before} to {after} numbers", before=student[0], after=teacher[0])
    words = mark("a linear map for each of {tokens} tokens, {before} to {after} numbers")
    return tr(words, tokens=student[0], before=student[1], after=teacher[1])


def _kind(shape: Shape) -> str:
    kinds = {1: mark("a vector ({shape})"), 2: mark("tokens ({shape})"), 3: mark("a map ({shape})")}
    kind = kinds.get(len(shape), mark("an output ({shape})"))
    return tr(kind, shape=shape_text(shape))


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
    """What a new term begins with: a hint with the middle, terms on maps with every stage, others with the last one."""
    pairs = suggestions(teacher, student, rule)
    if rule == "regressor":
        chosen = middle(pairs)
        return [chosen] if chosen else []
    return pairs if rule in ("maps", "map-regressor", "channels") else pairs[-1:]


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
