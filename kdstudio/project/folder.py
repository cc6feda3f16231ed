"""A project folder: `project.yaml`, `experiments/*.yaml`, `runs/`, and what the user puts there."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kdstudio.project.errors import InputError, StorageError
from kdstudio.project.migrations import EXPERIMENT_STEPS, PROJECT_STEPS, migrate
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.state import RunStatus
from kdstudio.project.settings_path import config_dir
from kdstudio.project.shipped import sample_projects
from kdstudio.project.spec import SPEC_VERSION, Experiment, ProjectFile, TermBase, suggestion, validate
from kdstudio.project.yaml_io import dump_yaml, read_yaml, storage_error, update_yaml, write_text, write_yaml


class Project:
    """An opened project folder. Holds no state of its own beyond the path: everything is read from disk."""

    def __init__(self, root: Path, file: ProjectFile) -> None:
        self.root = root
        self.file = file

    @classmethod
    def open(cls, path: Path | str) -> Project:
        """Opens a project folder (or the `project.yaml` in it).

        Raises:
            InputError: No such folder, or no project in it.
            SpecError: `project.yaml` has a wrong field.
        """
        root = Path(os.path.realpath(os.path.expanduser(path)))
        if root.name == "project.yaml":
            root = root.parent
        if not os.path.isdir(root):
            raise InputError(
                f"{path}: there is no such folder", fix="check the path, or make a project with: kdstudio new PATH"
            )
        file = root / "project.yaml"
        if not os.path.exists(file):
            raise InputError(
                f"{path}: this folder is no KD Studio project",
                why="it has no project.yaml",
                fix="open another folder, or make a project with: kdstudio new PATH --template digits",
                kind="no-project",
            )
        content = read_yaml(file, "project.yaml")
        data = migrate({} if content is None else content, PROJECT_STEPS, SPEC_VERSION, "project.yaml")
        return cls(root, validate(ProjectFile, data, "project.yaml"))

    @property
    def title(self) -> str:
        return self.file.name

    @property
    def experiments_dir(self) -> Path:
        return self.root / "experiments"

    @property
    def runs_dir(self) -> Path:
        return self.root / "runs"

    def experiment_files(self) -> list[Path]:
        """The experiments' YAML files, by name."""
        if not self.experiments_dir.is_dir():
            return []
        return sorted(
            path
            for path in self.experiments_dir.iterdir()
            if path.suffix in (".yaml", ".yml") and not path.name.startswith(".")
        )

    def experiment_names(self) -> list[str]:
        """The names of the experiments: the stems of their files."""
        return [path.stem for path in self.experiment_files()]

    def default_experiment(self) -> str | None:
        """The experiment that opens first: `default:` of project.yaml, else the only or first one."""
        names = self.experiment_names()
        if self.file.default in names:
            return self.file.default
        return names[0] if names else None

    def path_of(self, name: str) -> Path:
        for path in self.experiment_files():
            if path.stem == name:
                return path
        return self.experiments_dir / f"{name}.yaml"

    def load(self, name: str | Path) -> Experiment:
        """Reads one experiment, by name or by file.

        Raises:
            InputError: No such experiment, or no YAML.
            SpecError: A wrong field.
        """
        path = name if isinstance(name, Path) else self.path_of(name)
        if not path.exists():
            near = suggestion(path.stem, self.experiment_names())
            known = ", ".join(self.experiment_names()) or "none"
            raise InputError(f"there is no experiment '{path.stem}' in {self.root}", fix=near or f"there are: {known}")
        return load_experiment(path, self.shown(path))

    def shown(self, path: Path) -> str:
        """The path as messages show it: relative to the project where it lies inside."""
        with contextlib.suppress(ValueError):
            return path.resolve().relative_to(self.root).as_posix()
        return str(path)

    def save(self, experiment: Experiment, path: Path | None = None) -> Path:
        """Writes an experiment, keeping a person's comments where the file exists. Returns the file."""
        target = path or self.path_of(experiment.name)
        update_yaml(target, compact(experiment), experiment.model_dump(mode="json"))
        return target

    def runs(self, experiment_name: str | None = None) -> list[RunFolder]:
        """The run folders, oldest first within each experiment."""
        if not self.runs_dir.is_dir():
            return []
        names = [experiment_name] if experiment_name else sorted(p.name for p in self.runs_dir.iterdir() if p.is_dir())
        found: list[RunFolder] = []
        for name in names:
            folder = self.runs_dir / name
            if folder.is_dir():
                numbers = [path for path in folder.iterdir() if path.name.isdecimal() and path.is_dir()]
                found.extend(RunFolder(path) for path in sorted(numbers, key=lambda path: int(path.name)))
        return found

    def create_run(self, experiment: Experiment) -> RunFolder:
        """Makes the next numbered run folder with the frozen experiment in it."""
        return create_run(self.runs_dir / experiment.name, self.frozen(experiment))

    def frozen(self, experiment: Experiment) -> Experiment:
        """The experiment with `run:NAME` resolved to one run, so that running it again uses the same weights.

        A name without a finished run is left as it is; the engine says so when it gets there.
        """
        copy = experiment.model_copy(deep=True)
        for network in (copy.teacher, *copy.teachers, *copy.assistants, copy.student):
            if network is not None and network.weights and network.weights.startswith("run:"):
                run = self.run_with_student(network.weights)
                if run is not None:
                    network.weights = f"run:{run.name}"
        return copy

    def run_with_student(self, weights: str) -> RunFolder | None:
        """The run that `run:EXPERIMENT` or `run:EXPERIMENT/NNN` means: the latest finished one, else one that stopped.

        None where no such run has a student.
        """
        name, _, number = weights.removeprefix("run:").partition("/")
        runs = [run for run in self.runs(name) if not number or run.number == int(number)] if name else []
        students = [run for run in reversed(runs) if (run.student_dir / "model.safetensors").exists()]
        for wanted in (RunStatus.FINISHED, RunStatus.STOPPED):
            for run in students:
                if run.status() is wanted:
                    return run
        return None

    @property
    def trusted(self) -> bool:
        """Whether the person said that Python files of this project may run. Kept outside the project."""
        return str(self.root) in _trusted_folders()

    def trust(self, value: bool = True) -> None:
        """Marks the project as trusted, or takes that back."""
        folders = _trusted_folders()
        folders.add(str(self.root)) if value else folders.discard(str(self.root))
        write_text(config_dir() / "trusted.json", json.dumps(sorted(folders), indent=1))


def load_experiment(path: Path, shown: str | None = None) -> Experiment:
    """Reads one experiment file, migrating older versions; the name defaults to the file's."""
    name = shown or str(path)
    data = migrate(read_yaml(path, name), EXPERIMENT_STEPS, SPEC_VERSION, name)
    data.setdefault("name", path.stem)
    return validate(Experiment, data, name)


def compact(experiment: Experiment) -> dict[str, Any]:
    """The experiment as plain data without defaults, but with what tells variants apart (term, source, model)."""
    full = experiment.model_dump(mode="json")
    lean = experiment.model_dump(mode="json", exclude_defaults=True)
    lean["version"] = SPEC_VERSION
    lean["name"] = experiment.name
    lean["data"] = {"source": full["data"]["source"], **lean.get("data", {})}
    lean["objective"] = _terms(experiment.objective)
    for assistant, shown in zip(experiment.assistants, lean.get("assistants", [])):
        if assistant.objective:
            shown["objective"] = _terms(assistant.objective)
    order = [key for key in full if key in lean]
    return {key: lean[key] for key in order}


def _terms(terms: Sequence[TermBase]) -> list[dict[str, Any]]:
    """Terms without defaults, but with what tells them apart, and their weights."""
    full = (term.model_dump(mode="json") for term in terms)
    return [
        {"term": data["term"], "weight": data["weight"], **_without_defaults(term)} for data, term in zip(full, terms)
    ]


def _without_defaults(model: Any) -> dict[str, Any]:
    data = model.model_dump(mode="json", exclude_defaults=True)
    if model.term == "soft":
        data["temperature"] = model.temperature
    return {key: value for key, value in data.items() if key not in ("term", "weight")}


def create_run(experiment_runs: Path, experiment: Experiment) -> RunFolder:
    """Makes `<experiment_runs>/<NNN>` with the next free number.

    Raises:
        StorageError: The folder cannot be written.
    """
    try:
        experiment_runs.mkdir(parents=True, exist_ok=True)
        number = 1 + max((int(p.name) for p in experiment_runs.iterdir() if p.name.isdecimal()), default=0)
        while True:
            path = experiment_runs / f"{number:03d}"
            try:
                path.mkdir()
                break
            except FileExistsError:  # another process took the number
                number += 1
    except OSError as error:
        raise storage_error(experiment_runs, error) from error
    try:
        return init_run(path, experiment)
    except StorageError:  # half a run is no run
        shutil.rmtree(path, ignore_errors=True)
        raise


def init_run(path: Path, experiment: Experiment) -> RunFolder:
    """Fills an empty folder as a run that has not started."""
    run = RunFolder(path)
    try:
        for folder in (run.snapshots_dir, run.control_dir, run.checkpoints_dir):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(path, error) from error
    write_text(run.experiment_path, dump_yaml(experiment.model_dump(mode="json")))
    run.write_created()
    return run


def find_project(path: Path) -> Path | None:
    """The nearest folder at or above `path` that has a project.yaml."""
    for folder in (path, *path.parents):
        if os.path.exists(folder / "project.yaml"):
            return folder
    return None


#: The quickest first.
TEMPLATE_ORDER = ("digits", "fashion-mnist", "email", "tiny-lm", "hinton-mnist", "fitnets", "cifar100")


def templates() -> dict[str, Path]:
    """The sample projects by name, the quickest first."""
    folder = sample_projects()
    if not folder.is_dir():
        return {}
    found = {path.name: path for path in sorted(folder.iterdir()) if (path / "project.yaml").exists()}
    first = [name for name in TEMPLATE_ORDER if name in found]
    return {name: found[name] for name in [*first, *(name for name in found if name not in TEMPLATE_ORDER)]}


def create_project(path: Path | str, template: str = "digits") -> Project:
    """Makes a project folder from a template.

    Raises:
        InputError: No such template, or the folder exists and is not empty.
        StorageError: The folder cannot be written.
    """
    target = Path(os.path.realpath(os.path.expanduser(path)))
    fresh = not os.path.exists(target)
    known = templates()
    if template not in known and template != "empty":
        names = [*known, "empty"]
        raise InputError(
            f"there is no template '{template}'", fix=suggestion(template, names) or f"there are: {', '.join(names)}"
        )
    try:
        if not fresh and (not target.is_dir() or any(target.iterdir())):
            raise InputError(f"{target}: already exists and is not empty", fix="choose a new folder")
        if template == "empty":
            adopt_folder(target)
        else:
            _copy_template(known[template], target)
    except (OSError, StorageError) as error:
        if fresh:  # half a project would be in the way of the next try
            shutil.rmtree(target, ignore_errors=True)
        if isinstance(error, StorageError):
            raise
        raise storage_error(target, error) from error
    return Project.open(target)


def adopt_folder(path: Path | str) -> Project:
    """Makes a folder a project, whatever is in it: that stays as it is.

    Raises:
        StorageError: The folder cannot be written.
    """
    target = Path(os.path.realpath(os.path.expanduser(path)))
    try:
        (target / "experiments").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(target, error) from error
    if not os.path.exists(target / "project.yaml"):
        write_yaml(target / "project.yaml", {"version": SPEC_VERSION, "name": target.name[:120] or "Untitled"})
    return Project.open(target)


def _copy_template(source: Path, target: Path) -> None:
    """Copies the files, not their modes: the wheel's may be read-only."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        if path.name in ("runs", "teachers", "__pycache__", ".kdstudio"):
            continue
        if path.is_dir():
            _copy_template(path, target / path.name)
        else:
            shutil.copyfile(path, target / path.name)


def _trusted_folders() -> set[str]:
    try:
        found = json.loads((config_dir() / "trusted.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    return {folder for folder in found if isinstance(folder, str)} if isinstance(found, list) else set()
