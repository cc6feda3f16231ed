"""Which layers of two networks are worth pairing, from what `kdstudio inspect` reports of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.snapshots import in_force, list_snapshots, read_cka
from kdstudio.project.spec import JoinRule, fits

Shape = tuple[int, ...]
#: Rules of terms that are meant for every stage of a network.
EVERY_STAGE: tuple[JoinRule, ...] = (
    "maps", "map-regressor", "channels", "prediction", "connector", "map-connector", "fusion", "scores", "states",
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
    blocks = at_blocks(teacher, student, rule)
    if blocks:
        return blocks
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


def at_blocks(
    teacher: list[dict[str, Any]], student: list[dict[str, Any]], rule: JoinRule = "regressor"
) -> list[tuple[str, str]]:
    """Pairs of the blocks of two transformers by a uniform map: block m of M with block m N / M of N (TinyBERT,
    1909.10351, section 4.2; counted from 1), so that the last goes with the last.

    Args:
        teacher, student: Layers with `name` and `output_shape`, in the order of the network.
    """
    sides = [
        {layer["name"]: tuple(layer["output_shape"]) for layer in layers if _is_block(layer)}
        for layers in (teacher, student)
    ]
    theirs, ours = list(sides[0]), list(sides[1])
    if not theirs or not ours:
        return []
    # A student with more blocks takes the teacher's first one several times
    places = [max(1, round(at * len(theirs) / len(ours))) for at in range(1, len(ours) + 1)]
    found = [(theirs[place - 1], name) for place, name in zip(places, ours)]
    return [pair for pair in found if fits(rule, sides[1][pair[1]], sides[0][pair[0]])]


def _is_block(layer: dict[str, Any]) -> bool:
    """A numbered layer of a list that gives tokens."""
    return len(layer["output_shape"]) == 2 and layer["name"].rpartition(".")[2].isdigit()


def _joins(shapes: dict[str, dict[str, Shape]], teacher: str, student: str, rule: JoinRule) -> bool:
    return fits(rule, shapes["student"][student], shapes["teacher"][teacher])


def middle(pairs: list[tuple[str, str]]) -> tuple[str, str] | None:
    """The pair in the middle of the network: what FitNets took."""
    return pairs[(len(pairs) - 1) // 2] if pairs else None


def at_resolutions(
    teacher: list[dict[str, Any]], student: list[dict[str, Any]], rule: JoinRule = "regressor"
) -> list[tuple[str, str]]:
    """Pairs of layers by the size of their maps, the last ones of each size, whatever they are called.

    Args:
        teacher, student: Layers with `name` and `output_shape`, in the order of the network; the last is left out.
    """
    sides = []
    for layers in (teacher, student):
        last: dict[Shape, tuple[str, Shape]] = {}
        for layer in layers[:-1]:
            shape = tuple(layer["output_shape"])
            if len(shape) == 3 and not _is_point(shape):
                last[shape[1:]] = (layer["name"], shape)
        sides.append(last)
    both = [(sides[0][size], sides[1][size]) for size in sides[0] if size in sides[1]]
    return [(one[0], other[0]) for one, other in both if fits(rule, other[1], one[1])]


@dataclass(frozen=True)
class Likeness:
    """How alike each layer of the teacher and each of the student are.

    Attributes:
        teacher, student: Names of the layers, in the order of the networks.
        table: CKA, a row for each layer of the teacher.
        source: What it was measured on, for people.
    """

    teacher: Sequence[str]
    student: Sequence[str]
    table: Sequence[Sequence[float]]
    source: str = ""


def by_likeness(
    likeness: Likeness, teacher: dict[str, Shape], student: dict[str, Shape], rule: JoinRule = "regressor"
) -> list[tuple[str, str, float]]:
    """The pairs that are most alike: at most one a stage of either network, and none that cross.

    Args:
        likeness: CKA, layer by layer.
        teacher, student: Output shapes by name; pairs that the rule does not join are left out. The last layer of
            either network is left out too.

    Returns:
        Teacher's layer, student's layer and their CKA, in the order of the network.
    """
    found = []
    for row, one in enumerate(likeness.teacher[:-1]):
        for column, other in enumerate(likeness.student[:-1]):
            there = one in teacher and other in student
            if not there or _is_point(teacher[one]) or _is_point(student[other]):
                continue
            if fits(rule, student[other], teacher[one]):
                found.append((float(likeness.table[row][column]), row, column))
    chosen: list[tuple[int, int, float]] = []
    for value, row, column in sorted(found, reverse=True):
        stages = (_stage(likeness.teacher[row]), _stage(likeness.student[column]))
        clash = any(
            stages[0] == _stage(likeness.teacher[r])
            or stages[1] == _stage(likeness.student[c])
            or (r - row) * (c - column) <= 0
            for r, c, _ in chosen
        )
        if not clash and value == value:  # a layer that says nothing has no CKA
            chosen.append((row, column, value))
    return [(likeness.teacher[row], likeness.student[column], value) for row, column, value in sorted(chosen)]


def _is_point(shape: Shape) -> bool:
    """Whether it is a map of one pixel, which says nothing of places."""
    return len(shape) == 3 and shape[1:] == (1, 1)


def _stage(name: str) -> str:
    return name.partition(".")[0]


def likeness_of_run(run: RunFolder) -> Likeness | None:
    """How alike the layers were at the end of a run; None where it has no map of them."""
    infos = [info for info in in_force(list_snapshots(run)) if info.teacher_layers]
    table = read_cka(infos[-1]) if infos else None
    if table is None:
        return None
    return Likeness(infos[-1].teacher_layers, infos[-1].student_layers, table.tolist(), run.name)
