"""What `kdstudio inspect` found, for people: tables of layers, classes and costs."""

from __future__ import annotations

from typing import Any

from kdstudio.commands.inspect_text import text_lines
from kdstudio.project.errors import KDStudioError


def as_text(report: dict[str, Any]) -> str:
    """The answer for people."""
    if report["kind"] == "model":
        return _model_text(report)
    if report["kind"] == "data":
        return _data_text(report)
    parts = [f"Experiment {report['name']}  ({report['file']})"]
    if report["data"]:
        parts.append("Data: " + _data_text(report["data"]))
    between = [part for part in report if part.startswith(("teacher-", "assistant-"))]
    for part in ("teacher", *between, "student"):
        if report[part]:
            parts.append(f"{part.capitalize()}: {_model_text(report[part])}")
    teacher, student = report["teacher"], report["student"]
    if teacher and student:
        parts.append(
            f"The student has {_share(student['parameters'], teacher['parameters'])} of the teacher's parameters and "
            f"takes {_share(student['flops'], teacher['flops'])} of its FLOPs."
        )
    for error in report["errors"]:
        text = KDStudioError(error["what"], error["why"], error["fix"])
        parts.append(f"The {error['part']} cannot be used. {text}")
    return "\n\n".join(parts)


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.3g} %" if whole else "none"


def _model_text(report: dict[str, Any]) -> str:
    rows: list[tuple[str, ...]] = [("layer", "kind", "output", "parameters")]
    rows += [
        (layer["name"], layer["kind"], " x ".join(map(str, layer["output_shape"])) or "1", f"{layer['parameters']:,}")
        for layer in report["layers"]
    ]
    shape = " x ".join(map(str, report["input_shape"]))
    head = f"{report['model']} for samples of {shape} and {report['num_classes']} classes"
    if "kept" in report:
        head += f", of the teacher's layers {', '.join(map(str, report['kept']))}"
    costs = f"{report['parameters']:,} parameters, {_amount(report['flops'])}FLOPs per sample"
    return f"{head}\n{_table(rows, right=(3,))}\n{costs}"


def _data_text(report: dict[str, Any]) -> str:
    splits = list(report["counts"])
    rows = [("class", *splits)]
    for number, label in enumerate(report["classes"]):
        rows.append((label, *(f"{report['counts'][split][number]:,}" for split in splits)))
    rows.append(("all", *(f"{report['samples'][split]:,}" for split in splits)))
    shape = " x ".join(map(str, report["input_shape"]))
    lines = [f"{report['name']}, samples of {shape}, {len(report['classes'])} classes"]
    if "text" in report:
        lines = [report["name"], *text_lines(report)]
    if "stored" in report:
        sizes = [" x ".join(map(str, report["stored"][which])) for which in ("smallest", "largest")]
        kind = "grey pictures" if report["stored"]["grey"] else "pictures"
        shown = " to ".join(dict.fromkeys(sizes))
        read = "as grey" if report["input_shape"][0] == 1 else "in colour"
        lines.append(f"{kind} of {shown} pixels on disk, read {read} and resized")
    lines.append(_table(rows, right=range(1, len(splits) + 1)))
    if report["left_out"]["classes"]:
        names, samples = ", ".join(report["left_out"]["classes"]), report["left_out"]["samples"]
        lines.append(f"Left out for the student, not for a teacher: {names} ({samples:,} training samples).")
    lines += [f"Problem: {problem}" for problem in report["problems"]] or ["No problems were found."]
    return "\n".join(lines)


def _amount(number: int) -> str:
    """1,234,000 as '1.23 M' (with the letter, so that the unit follows)."""
    for letter, size in (("T", 10**12), ("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.3g} {letter}"
    return f"{number} "


def _table(rows: list[tuple[str, ...]], right: Any = ()) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        ]
        lines.append("  " + "  ".join(cells).rstrip())
    lines.insert(1, "  " + "  ".join("-" * width for width in widths))
    return "\n".join(lines)
