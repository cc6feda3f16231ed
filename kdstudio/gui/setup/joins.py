"""Whether and how a term pairs two layers, in words. The engine has the same rules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kdstudio.gui.language import mark, tr
from kdstudio.project.spec import JoinRule, fits

Shape = tuple[int, ...]
#: The parts between two maps, by the rule.
PARTS: dict[str, str] = {
    "prediction": mark("three 1 × 1 convolutions, {before} to {after} channels, and a variance for each"),
    "connector": mark("1 × 1 convolution and batch normalisation, {before} to {after} channels"),
    "map-connector": mark("1 × 1 convolution and batch normalisation, {before} to {after} channels"),
    "fusion": mark("{before} channels, fused with those of later layers, then a 3 × 3 convolution to {after} channels"),
    "factors": mark("factors of the teacher's {after} channels, and a translator of the student's {before}"),
}
#: What a term asks of two layers, by its rule: where they do not fit.
WANTED: dict[JoinRule, str] = {
    "regressor": mark("vectors go with vectors, maps with maps, tokens with as many tokens"),
    "map-regressor": mark("this term takes maps"),
    "maps": mark("this term takes maps"),
    "channels": mark("this term takes maps with as many channels on both sides"),
    "equal": mark("this term has no regressor and takes layers of the same shape"),
    "width": mark("this term has no regressor and takes layers of the same width"),
    "any": mark("this term takes layers that give more than one number"),
    "prediction": mark("vectors go with vectors, maps with maps, tokens with as many tokens"),
    "connector": mark("vectors go with vectors, maps with maps, tokens with as many tokens"),
    "map-connector": mark("this term takes maps"),
    "fusion": mark("this term takes maps"),
    "factors": mark("this term takes maps"),
    "embedding": mark("this term takes layers that give more than one number"),
    "blocks": mark("this term takes attention blocks over the same tokens"),
    "scores": mark("this term takes attention blocks over the same tokens"),
    "states": mark("this term has no regressor and takes tokens of the same width"),
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
    if rule == "embedding":
        words = mark("a linear map on each side, from {before} and {after} numbers, to one width")
        return Join(True, tr(words, before=math.prod(student), after=math.prod(teacher)))
    if rule in PARTS:
        return Join(True, _parts(student, teacher, rule))
    if rule in ("blocks", "scores"):
        words = mark("by their attention, {tokens} × {tokens} in each head; the widths need not agree")
        return Join(True, tr(words, tokens=student[0]))
    if rule == "states":
        return Join(True, tr("the direction of one token's state, {width} numbers", width=student[1]))
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


def _parts(student: Shape, teacher: Shape, rule: JoinRule) -> str:
    """What of a term's own stands between two layers."""
    if len(student) != 3:
        how = _regressor(student, teacher)
        return tr("{how}, and a variance for each", how=how) if rule == "prediction" else how
    how = tr(PARTS[rule], before=student[0], after=teacher[0])
    if student[1:] == teacher[1:]:
        return how
    words = mark("{how}; the student's side goes from {size} to {wanted}")
    return tr(words, how=how, size=shape_text(student[1:]), wanted=shape_text(teacher[1:]))


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
