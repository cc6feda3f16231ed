"""`sweeps/NAME/`: what is searched, and the experiment that it varies, both frozen when the sweep is made.

Its trials are ordinary runs in `runs/NAME`; `trial.json` in each says which values it has. Nothing else is kept, so
what a process knew that died is what the next one finds.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock

from kdstudio.project.errors import InputError, KDStudioError, Problem, SpecError
from kdstudio.project.folder import Project, compact, load_experiment
from kdstudio.project.overrides import with_values
from kdstudio.project.spec import Experiment, suggestion, validate
from kdstudio.project.spec.sweep import SweepField, SweepSpec
from kdstudio.project.yaml_io import dump_yaml, read_yaml, storage_error, write_text

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
MISSING = object()


class Sweep:
    """A sweep of a project.

    Attributes:
        name: Of its folder, and of the folder of its runs.
        spec: What is searched.
        base: The experiment that it varies.
    """

    def __init__(self, project: Project, name: str, spec: SweepSpec, base: Experiment) -> None:
        self.project, self.name, self.spec, self.base = project, name, spec, base
        self.path = folder_of(project, name)

    @classmethod
    def open(cls, project: Project, name: str) -> Sweep:
        """A sweep that there is.

        Raises:
            InputError: There is none, or its files cannot be read.
            SpecError: A wrong field.
        """
        folder = folder_of(project, name)
        if not (folder / "sweep.yaml").exists():
            names = sweep_names(project)
            known = f"there are: {', '.join(names)}" if names else "this project has none yet"
            raise InputError(f"there is no sweep '{name}' in {project.root}", fix=suggestion(name, names) or known)
        shown = f"sweeps/{name}/sweep.yaml"
        spec = validate(SweepSpec, read_yaml(folder / "sweep.yaml", shown) or {}, shown)
        base = load_experiment(folder / "experiment.yaml", f"sweeps/{name}/experiment.yaml")
        return cls(project, name, spec, base)

    @classmethod
    def create(cls, project: Project, name: str, spec: SweepSpec, base: Experiment) -> Sweep:
        """Makes a sweep; one of the same fields and experiment that there is takes the new numbers and goes on.

        Raises:
            InputError: The name is taken by something else.
            SpecError: A field that is not there, or a value that it cannot have.
        """
        if not NAME.fullmatch(name):
            raise InputError(f"'{name}' cannot name a sweep", fix="use letters, digits, dots, dashes and underscores")
        if name in project.experiment_names() or (
            (project.runs_dir / name).exists() and not folder_of(project, name).exists()
        ):
            raise InputError(f"'{name}': an experiment has this name, or its runs", fix="give the sweep another one")
        base = project.frozen(base.model_copy(update={"name": name}))
        sweep = cls(project, name, spec, base)
        sweep.check()
        if (sweep.path / "sweep.yaml").exists():
            sweep._check_same(cls.open(project, name))
        try:
            sweep.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(sweep.path, error) from error
        write_text(sweep.path / "experiment.yaml", dump_yaml(base.model_dump(mode="json")))
        write_text(sweep.path / "sweep.yaml", dump_yaml(spec.model_dump(mode="json", exclude_defaults=True)))
        return sweep

    def _check_same(self, earlier: Sweep) -> None:
        mine, theirs = self.spec, earlier.spec
        same = (mine.fields, mine.search, mine.seed) == (theirs.fields, theirs.search, theirs.seed)
        if not same or compact(self.base) != compact(earlier.base) or not set(mine.seeds) >= set(theirs.seeds):
            raise InputError(
                f"there is a sweep '{self.name}' already, of other fields or of another experiment",
                why="its trials could not be compared with the new ones",
                fix="give the new one another name; only 'trials', 'prune' and further 'seeds' may change",
            )

    def check(self) -> None:
        """Whether each field is there and may have its values.

        Raises:
            SpecError: Names the field of the sweep.
        """
        problems = []
        for place, field in enumerate(self.spec.fields):
            try:
                self._check_field(field)
            except KDStudioError as error:
                problems.append(Problem(f"fields.{place}", error.what, error.fix))
        if problems:
            raise SpecError(problems, f"sweeps/{self.name}/sweep.yaml")

    def _check_field(self, field: SweepField) -> None:
        data = self.base.model_dump(mode="json")
        for path in (field.path, field.rest):
            if path and value_at(data, path) is MISSING:
                raise InputError(f"the experiment has no '{path}'", fix=nearest_path(data, path))
        for value in field.values or [field.candidates()[0], field.candidates()[-1]]:
            with_values(self.base, field.changes(value), f"{field.path} = {value}")

    def experiment(self, values: dict[str, Any], seed: int) -> Experiment:
        """The experiment of one trial: its values, by path, and a seed; without a baseline, and no latency measured."""
        changed: dict[str, Any] = {}
        for field in self.spec.fields:
            changed |= field.changes(values[field.path])
        # what no choice is made by would cost each trial time
        changed |= {"train.seed": seed, "baseline": False, "evaluate.latency": False}
        return with_values(self.base, changed, f"sweep {self.name}")

    @property
    def runs_dir(self) -> Path:
        return self.project.runs_dir / self.name

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Held by one process while it looks which trials there are and makes the next one."""
        with FileLock(self.path / ".lock"):
            yield

    def claim(self, trial: int) -> FileLock:
        """Held by the process that works on a trial."""
        folder = self.path / ".claims"
        folder.mkdir(exist_ok=True)
        return FileLock(folder / f"{trial:05d}.lock")

    # -- stopping, from wherever somebody sees the folder ------------------------------------------------------

    def ask_stop(self) -> None:
        """Asks all processes that work on it to park their runs and end."""
        write_text(self.path / "stop", f"{time.time()}\n")

    def stop_asked(self, since: float) -> bool:
        """Whether a stop was asked for after a moment."""
        try:
            return float((self.path / "stop").read_text(encoding="utf-8")) > since
        except (OSError, ValueError):
            return False


def folder_of(project: Project, name: str) -> Path:
    """Where a sweep lies."""
    return project.root / "sweeps" / name


def sweep_names(project: Project) -> list[str]:
    """The sweeps of a project."""
    return sorted(path.parent.name for path in (project.root / "sweeps").glob("*/sweep.yaml"))


def value_at(data: Any, path: str) -> Any:
    """What stands at a dotted path; `MISSING` where it leads nowhere."""
    for key in path.split("."):
        if isinstance(data, dict) and key in data:
            data = data[key]
        elif isinstance(data, list) and key.isdecimal() and int(key) < len(data):
            data = data[int(key)]
        else:
            return MISSING
    return data


def leaf_paths(data: Any, before: str = "") -> list[str]:
    """The dotted paths of all single values and lists of them."""
    if isinstance(data, dict):
        return [path for key, value in data.items() for path in leaf_paths(value, f"{before}{key}.")]
    if isinstance(data, list) and any(isinstance(item, dict) for item in data):
        return [path for place, item in enumerate(data) for path in leaf_paths(item, f"{before}{place}.")]
    return [before.removesuffix(".")] if before else []


def nearest_path(data: Any, path: str) -> str:
    """Says which path may have been meant."""
    known = leaf_paths(data)
    begun = [name for name in known if name.startswith(path)]
    near = f"did you mean '{begun[0]}'?" if begun else suggestion(path, known)
    last = path.rpartition(".")[2]
    alike = [name for name in known if name.rpartition(".")[2] == last]
    return near or (
        f"there are: {', '.join(alike[:5])}" if alike else "paths look like objective.1.temperature or train.lr"
    )
