"""`kdstudio inspect EXPERIMENT --pairs WAY`: layers of teacher and student that are worth pairing, as YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kdstudio.commands.run import project_and_experiment
from kdstudio.project.errors import InputError
from kdstudio.project.folder import Project
from kdstudio.project.pairing import at_resolutions, by_likeness, likeness_of_run, shapes_of, suggestions
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.spec import JOIN_RULES, Experiment, ModelSpec, suggestion

Found = list[tuple[str, str, float | None]]


def describe_pairs(target: Path, way: str, term: str) -> dict[str, Any]:
    """Suggested pairs as plain data; `kind` is "pairs".

    Args:
        target: The experiment.
        way: `stage`, `resolution`, `cka` (of the untrained student) or `run:EXPERIMENT/NNN`.
        term: The kind of term that is to take them.

    Raises:
        KDStudioError: The way or the term is none, there is no teacher, or something cannot be read.
    """
    if term not in JOIN_RULES:
        near = suggestion(term, JOIN_RULES)
        raise InputError(
            f"--term {term}: no term on pairs of layers", fix=near or f"there are: {', '.join(JOIN_RULES)}"
        )
    project, experiment = project_and_experiment(target, [])
    if project is None:
        raise InputError(f"{target}: this file belongs to no project", fix="put it into experiments/ of a project")
    pairs = _found(project, experiment, way, term)
    return {
        "kind": "pairs",
        "way": way,
        "term": term,
        "pairs": [{"teacher": one, "student": other, "cka": value} for one, other, value in pairs],
    }


def _found(project: Project, experiment: Experiment, way: str, term: str) -> Found:
    from kdstudio.engine.data import load_data

    if experiment.teacher is None:
        raise InputError(f"{experiment.name}: there is no teacher to pair with", fix="add 'teacher' to the experiment")
    rule = JOIN_RULES[term]
    bundle = load_data(experiment.data, project.root)
    sides = (experiment.teacher, experiment.student)
    teacher, student = (_report(spec, bundle, project) for spec in sides)
    if way == "stage":
        return [(one, other, None) for one, other in suggestions(teacher, student, rule)]
    if way == "resolution":
        return [(one, other, None) for one, other in at_resolutions(teacher["layers"], student["layers"], rule)]
    if way == "cka":
        from kdstudio.engine.first_look import likeness_at_start

        likeness = likeness_at_start(experiment, bundle, project.root, project.trusted)
    elif way.startswith("run:"):
        run = RunFolder.open(project.runs_dir / way.removeprefix("run:"))
        found = likeness_of_run(run)
        if found is None:
            raise InputError(f"{run.name}: this run has no map of its layers", fix="use another run, or --pairs cka")
        likeness = found
    else:
        raise InputError(f"--pairs {way}: no way to find pairs", fix="use stage, resolution, cka or run:EXPERIMENT/NNN")
    return [*by_likeness(likeness, shapes_of(teacher), shapes_of(student), rule)]


def _report(spec: ModelSpec, bundle: Any, project: Project) -> dict[str, Any]:
    from kdstudio.commands.inspect import model_report

    plain = spec.model_copy(update={"weights": None})
    shape, classes = bundle.input_shape, len(bundle.classes)
    return model_report(plain, shape, classes, project.root, project.trusted, parts=True)


def pairs_text(report: dict[str, Any]) -> str:
    """The pairs as YAML that can stand in an experiment."""
    if not report["pairs"]:
        return f"no layers were found that way which '{report['term']}' can pair"
    lines = [f"- term: {report['term']}", "  pairs:"]
    for pair in report["pairs"]:
        note = f"  # CKA {pair['cka']:.2f}" if pair["cka"] is not None else ""
        lines.append(f"    - {{teacher: {pair['teacher']}, student: {pair['student']}}}{note}")
    return "\n".join(lines)
