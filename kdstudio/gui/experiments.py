"""Experiments as files: new, copy, rename, delete, each with its question."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QInputDialog, QWidget

from kdstudio.gui.language import tr
from kdstudio.project.errors import InputError, KDStudioError
from kdstudio.project.folder import Project
from kdstudio.project.spec import Experiment, HardTerm, SoftTerm, StudentSpec, TeacherSpec, validate


def free_name(project: Project, base: str) -> str:
    """The name itself, or with a number if there is one like it."""
    names = set(project.experiment_names())
    name, number = base, 2
    while name in names:
        name, number = f"{base}-{number}", number + 1
    return name


def ask_name(parent: QWidget, project: Project, title: str, suggestion: str) -> str:
    """Asks for the name of an experiment until it can be one; empty if the person changed their mind."""
    name, problem = suggestion, ""
    while True:
        letters = tr("Name (letters, digits, dots, dashes, underscores)")
        label = f"{problem}\n\n{tr('Name')}" if problem else letters
        name, accepted = QInputDialog.getText(parent, title, label, text=name)
        name = name.strip()
        if not accepted:
            return ""
        try:
            check_name(project, name)
        except KDStudioError as error:
            problem = error.what
            continue
        return name


def check_name(project: Project, name: str) -> None:
    """Whether a new experiment may be called so.

    Raises:
        InputError: It may not: wrong letters, or there is one already.
    """
    validate(Experiment, {"name": name, "student": {"model": "mlp"}, "objective": [{"term": "hard"}]})
    if name in project.experiment_names():
        raise InputError(tr("There is already an experiment '{name}'.", name=name), fix=tr("choose another name"))


def new_experiment(project: Project, name: str) -> Path:
    """Adds an experiment with a small teacher and student, soft targets, and a baseline that shows what they bring."""
    experiment = Experiment(
        name=name,
        teacher=TeacherSpec(model="mlp", widths=[256, 256]),
        student=StudentSpec(model="mlp", widths=[32]),
        objective=[HardTerm(weight=0.1), SoftTerm(weight=0.9)],
        baseline=True,
    )
    return project.save(experiment, project.experiments_dir / f"{name}.yaml")


def duplicate_experiment(project: Project, source: Path, name: str) -> Path:
    """Copies an experiment's file, comments included, under another name."""
    text = source.read_text(encoding="utf-8")
    target = project.experiments_dir / f"{name}.yaml"
    target.write_text(text, encoding="utf-8")
    data = project.load(target).model_copy(update={"name": name})
    project.save(data, target)
    return target


def rename_experiment(project: Project, source: Path, name: str) -> Path:
    """Renames an experiment's file and the folder of its runs.

    Raises:
        InputError: One of its runs is going.
    """
    old = source.stem
    if any(run.status().active for run in project.runs(old)):
        raise InputError(tr("{old}: one of its runs is going", old=old), fix=tr("stop or park it first"))
    target = project.experiments_dir / f"{name}.yaml"
    experiment = project.load(source).model_copy(update={"name": name})
    source.rename(target)
    project.save(experiment, target)
    if (project.runs_dir / old).is_dir():
        (project.runs_dir / old).rename(project.runs_dir / name)
    return target
