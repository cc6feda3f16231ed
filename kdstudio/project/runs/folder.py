"""The layout of one run folder and its plain readers."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdstudio.project.errors import InputError
from kdstudio.project.runs.state import RunState, RunStatus, decode_state, encode_state, status_of
from kdstudio.project.yaml_io import storage_error

if TYPE_CHECKING:
    from kdstudio.project.spec import Experiment

#: What every reader of a scorecard counts on.
SCORECARD_KEYS = {"networks", "headline", "reported_split"}


class RunFolder:
    """`runs/<experiment>/<NNN>/`: paths and readers. Cheap to make; reads nothing until asked."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RunFolder) and other.path == self.path

    def __hash__(self) -> int:
        return hash(self.path)

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    @classmethod
    def open(cls, path: Path | str) -> RunFolder:
        """A run folder that exists.

        Raises:
            InputError: There is no run at the path.
        """
        folder = Path(os.path.realpath(os.path.expanduser(path)))
        if not os.path.exists(folder / "experiment.yaml"):
            raise InputError(
                f"{path}: there is no run here",
                why="a run folder holds experiment.yaml and state.json",
                fix="give a folder like projects/digits/runs/soft-targets/001",
                kind="no-run",
            )
        return cls(folder)

    @property
    def experiment_name(self) -> str:
        return self.path.parent.name

    @property
    def number(self) -> int:
        return int(self.path.name) if self.path.name.isdecimal() else 0

    @property
    def name(self) -> str:
        """`<experiment>/<NNN>`, as people call it."""
        return f"{self.experiment_name}/{self.path.name}"

    @property
    def project_root(self) -> Path:
        """The project that the run belongs to: the one that was recorded (`--out`), or the one it lies in.

        A run that has neither is a project of its own.
        """
        try:
            recorded = (self.path / "project.txt").read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            recorded = ""
        home = (self.path / recorded).resolve()  # a relative path moves with the run
        if recorded and home.is_dir():
            return home
        for folder in self.path.parents:
            if (folder / "project.yaml").exists():
                return folder
        return home if recorded else self.path

    @property
    def experiment_path(self) -> Path:
        return self.path / "experiment.yaml"

    @property
    def state_path(self) -> Path:
        return self.path / "state.json"

    @property
    def metrics_path(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def snapshots_dir(self) -> Path:
        return self.path / "snapshots"

    @property
    def control_dir(self) -> Path:
        return self.path / "control"

    @property
    def checkpoints_dir(self) -> Path:
        return self.path / "checkpoints"

    @property
    def student_dir(self) -> Path:
        return self.path / "student"

    def pool_path(self, stage: str) -> Path:
        """What a stage's teacher said of the samples without labels."""
        return self.path / "pool" / f"{stage}.safetensors"

    def derived_dir(self, name: str) -> Path:
        """Where a student lies that was derived from the run's own."""
        return self.path / f"student-{name}"

    def derived(self) -> list[str]:
        """The names of the derived students."""
        return sorted(path.parent.name.removeprefix("student-") for path in self.path.glob("student-*/student.json"))

    def exports_dir(self, derived: str | None = None) -> Path:
        """Where exports go: those of the run's own student, or of a derived one."""
        return self.path / "exports" / (f"student-{derived}" if derived else "")

    @property
    def tracking_dir(self) -> Path:
        """What trackers keep on this machine."""
        return self.path / "tracking"

    @property
    def baseline_dir(self) -> Path:
        return self.path / "baseline"

    @property
    def scorecard_path(self) -> Path:
        return self.path / "scorecard.json"

    @property
    def written_path(self) -> Path:
        """What the networks of a language model's run write from the same beginnings."""
        return self.path / "written.json"

    @property
    def draft_path(self) -> Path:
        """What its student is worth as a draft for the teacher."""
        return self.path / "draft.json"

    @property
    def report_path(self) -> Path:
        return self.path / "report.html"

    @property
    def resources_path(self) -> Path:
        return self.path / "resources.jsonl"

    @property
    def log_path(self) -> Path:
        return self.path / "log.txt"

    @property
    def lock_path(self) -> Path:
        return self.path / ".lock"

    def state(self) -> RunState:
        """The state; a damaged or missing file reads as a run that failed, never as an exception."""
        for attempt in range(3):
            try:
                return decode_state(self.state_path.read_bytes())
            except FileNotFoundError:
                break
            except (OSError, ValueError):
                if attempt < 2:  # Windows may show a file that is being replaced
                    time.sleep(0.01)
        what = f"{self.state_path}: missing or damaged"
        error = {"kind": "damaged", "what": what, "why": "", "fix": "resume the run"}
        return RunState(phase="failed", error=error)

    def status(self) -> RunStatus:
        return status_of(self.state())

    def experiment(self) -> Experiment:
        """The frozen experiment.

        Raises:
            InputError, SpecError: The file is missing or damaged.
        """
        from kdstudio.project.folder import load_experiment

        return load_experiment(self.experiment_path, f"{self.name}/experiment.yaml")

    def scorecard(self) -> dict[str, Any] | None:
        """The scorecard, None while there is none or if its file is damaged."""
        return _object(self.scorecard_path, SCORECARD_KEYS)

    def written(self) -> dict[str, Any] | None:
        """What `written.json` says, None where there is none or it is damaged."""
        return _object(self.written_path, {"samples", "tokens"})

    def draft(self) -> dict[str, Any] | None:
        """What `draft.json` says, None where there is none or it is damaged."""
        return _object(self.draft_path, {"networks", "planned"})

    def write_created(self) -> None:
        """Writes the state of a run that has not started. The engine writes every later state."""
        write_bytes(self.state_path, encode_state(RunState(phase="created", created=time.time())))


def _object(path: Path, keys: set[str]) -> dict[str, Any] | None:
    """A JSON object with the keys that every reader counts on, None where there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.keys() >= keys else None


def write_bytes(path: Path, data: bytes, sync: bool = True) -> None:
    """Replaces a file in one step.

    Raises:
        StorageError: The disk is full, or the folder cannot be written.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                if sync:
                    file.flush()
                    os.fsync(file.fileno())
            with contextlib.suppress(OSError):  # some file systems have no modes
                os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise storage_error(path, error) from error
