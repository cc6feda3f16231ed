"""Which layers can be joined by a hint, and which pairs are worth a try. The engine's regressor has the same rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kdstudio.gui.language import mark, tr

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Join:
    """Whether two layers can be joined, and how, in words."""

    possible: bool
    text: str


def shape_text(shape: Sequence[int]) -> str:
    """A shape for people: 64 × 8 × 8."""
    return " × ".join(str(size) for size in shape) or "1"


def join(student: Shape, teacher: Shape) -> Join:
    """How a regressor would map a student's layer to a teacher's; shapes are without the batch dimension."""
    if len(student) == len(teacher) == 3:
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
        return Join(True, tr(words, before=student[0], after=teacher[0], size=size, wanted=wanted))
    if len(student) == len(teacher) == 1:
        return Join(True, tr("a linear map, {before} to {after} numbers", before=student[0], after=teacher[0]))
    if len(student) == len(teacher) == 2 and student[0] == teacher[0]:
        words = mark("a linear map for each of {tokens} tokens, {before} to {after} numbers")
        return Join(True, tr(words, tokens=student[0], before=student[1], after=teacher[1]))
    words = mark(
        "{teacher} of the teacher and {student} of the student cannot be joined: "
        "vectors go with vectors, maps with maps, tokens with as many tokens"
    )
    return Join(False, tr(words, teacher=_kind(teacher), student=_kind(student)))


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


def suggestions(teacher: dict[str, Any], student: dict[str, Any]) -> list[tuple[str, str]]:
    """Pairs worth a try, from the engine's reports: of the usual layers, else of any module."""
    return suggested(teacher["layers"], student["layers"]) or suggested(modules_of(teacher), modules_of(student))


def suggested(teacher: list[dict[str, Any]], student: list[dict[str, Any]]) -> list[tuple[str, str]]:
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
    pairs = [(name, name) for name in stages if _joins(shapes, name, name)]
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
        if _joins(shapes, last["teacher"][size], last["student"][size])
    ]


def _joins(shapes: dict[str, dict[str, Shape]], teacher: str, student: str) -> bool:
    return join(shapes["student"][student], shapes["teacher"][teacher]).possible


def middle(pairs: list[tuple[str, str]]) -> tuple[str, str] | None:
    """The pair in the middle of the network: what FitNets took."""
    return pairs[(len(pairs) - 1) // 2] if pairs else None
