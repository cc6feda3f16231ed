"""The errors that a person may see, in every room.

A message has three parts: what happened, why, and what to do. Each error carries a `kind` (a short machine-readable
word that lands in `state.json` and lets the window choose its advice) and an exit code for the command line.
"""

from __future__ import annotations


class KDStudioError(Exception):
    """Base of every error that is shown to a person without a traceback.

    Args:
        what: What happened, in one sentence, naming the file and the field.
        why: The reason, where it is known.
        fix: What the person can do about it.
        kind: A short stable word for programs, for example ``"spec"`` or ``"disk-full"``.
    """

    exit_code = 1
    default_kind = "failed"

    def __init__(self, what: str, why: str = "", fix: str = "", kind: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix
        self.kind = kind or self.default_kind

    def __str__(self) -> str:
        parts = [self.what]
        if self.why:
            parts.append(f"Why: {self.why}")
        if self.fix:
            parts.append(f"What to do: {self.fix}")
        return "\n".join(parts)

    def as_dict(self) -> dict[str, str]:
        """The form that is stored in ``state.json`` under ``error``."""
        return {"kind": self.kind, "what": self.what, "why": self.why, "fix": self.fix}


class InputError(KDStudioError):
    """What the person gave is wrong: a spec, a file, a folder, an argument. Exit code 2."""

    exit_code = 2
    default_kind = "input"


class SpecError(InputError):
    """A YAML file says something that cannot be. One `Problem` for each wrong field."""

    default_kind = "spec"

    def __init__(self, problems: list[Problem], file: str = "") -> None:
        self.problems = problems
        self.file = file
        lines = [problem.text(file) for problem in problems]
        super().__init__("\n".join(lines))


class DataError(InputError):
    """The data cannot be used: missing files, corrupt images, labels out of range."""

    default_kind = "data"


class ModelError(InputError):
    """A model cannot be built, its weights cannot be loaded, or two models do not fit together."""

    default_kind = "model"


class RunBusyError(InputError):
    """Another process already works on this run."""

    default_kind = "busy"


class StorageError(KDStudioError):
    """The disk is full, or the folder cannot be written."""

    default_kind = "storage"


class NotFiniteError(KDStudioError):
    """A loss became NaN or infinite; training was stopped before it could spoil the weights."""

    default_kind = "not-finite"


class OutOfMemoryError(KDStudioError):
    """The device ran out of memory."""

    default_kind = "out-of-memory"


class ParityError(KDStudioError):
    """An exported artifact does not compute what the student computes."""

    default_kind = "parity"


class Problem:
    """One wrong field of a spec: where it is (dotted path), what is wrong, and how to mend it."""

    def __init__(self, path: str, message: str, fix: str = "") -> None:
        self.path = path
        self.message = message
        self.fix = fix

    def text(self, file: str = "") -> str:
        where = ": ".join(part for part in (file, self.path) if part)
        line = f"{where}: {self.message}" if where else self.message
        return f"{line}; {self.fix}" if self.fix else line

    def __repr__(self) -> str:
        return f"Problem({self.text()!r})"
