"""A network from the project's own Python file. That file is a program: it runs only in a project that is trusted."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from kdstudio.engine.models.probe import check_output
from kdstudio.project.errors import ModelError
from kdstudio.project.spec import ModelSpec, suggestion


def build_from_file(
    spec: ModelSpec, input_shape: tuple[int, ...], num_classes: int, root: Path, trusted: bool
) -> nn.Module:
    """Calls `build(input_shape=..., num_classes=..., **args)` of the user's file.

    Raises:
        ModelError: The project is not trusted (kind "untrusted"), or the file fails; then it names file and line.
    """
    name, _, function_name = spec.model.rpartition(":")
    path = (root / name).resolve()
    if not trusted:
        raise ModelError(
            f"model: {spec.model} is a Python file of this project, and the project is not trusted",
            "A model file is a program: it can do on this computer whatever you can do.",
            f"Read {path}; if you trust it, trust the project: in the window, or with kdstudio trust PROJECT.",
            kind="untrusted",
        )
    if not path.is_file():
        raise ModelError(f"model: the file {name} does not exist", f"It was looked for at {path}.", "Check 'model'.")
    module = _load(path, name)
    function = getattr(module, function_name, None)
    if not callable(function):
        own = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        near = suggestion(function_name, own)
        raise ModelError(f"model: {name} has no function '{function_name}'", "", near or f"It has: {', '.join(own)}.")
    try:
        model = function(input_shape=tuple(input_shape), num_classes=num_classes, **spec.args)
    except (Exception, SystemExit) as error:
        raise _blamed(error, path, name, f"{function_name}() failed") from None
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"model: {spec.model} returned a {type(model).__name__}, not a network",
            "",
            "Return a torch.nn.Module.",
        )
    try:
        check_output(model, spec.model, input_shape, num_classes)
    except ModelError as error:
        if error.__cause__ is not None:
            failed = f"the network fails on a sample of shape {tuple(input_shape)}"
            raise _blamed(error.__cause__, path, name, failed) from None
        raise
    return model


def _load(path: Path, name: str) -> ModuleType:
    module_name = f"kdstudio_user_{path.stem}"
    module_spec = importlib.util.spec_from_file_location(module_name, path)
    if module_spec is None or module_spec.loader is None:
        raise ModelError(f"model: {name} is not a Python file", "", "Give a file that ends in .py.")
    module = importlib.util.module_from_spec(module_spec)
    # Registered while it runs: dataclasses and pickling look their module up there.
    sys.modules[module_name] = module
    before = set(sys.modules)
    # Its neighbours can be imported, as when the file is run by itself.
    sys.path.insert(0, str(path.parent))
    try:
        module_spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[module_name]
        raise _blamed(error, path, name, "the file cannot be imported") from None
    finally:
        sys.path.remove(str(path.parent))
        _forget_neighbours(path.parent, set(sys.modules) - before)
    return module


def _forget_neighbours(folder: Path, names: set[str]) -> None:
    """A file of the same name in another folder, as of an older student, must not get these."""
    for name in names:
        file = Path(getattr(sys.modules[name], "__file__", None) or sys.executable)
        # a project may hold its own virtual environment; libraries stay
        if folder in file.parents and not {"site-packages", "dist-packages"} & set(file.parts):
            del sys.modules[name]


def _blamed(error: BaseException, path: Path, name: str, what: str) -> ModelError:
    """An error that names the line of the user's file, in place of a traceback."""
    line: Any = None
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).resolve() == path:
        line = error.lineno
    else:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path]
        line = frames[-1].lineno if frames else None
    where = f"{name}, line {line}" if line else name
    reason = error.msg if isinstance(error, SyntaxError) else (str(error).strip().splitlines() or [""])[0]
    fix = "Correct that line." if line else "Correct the file."
    if isinstance(error, TypeError) and "unexpected keyword argument" in reason:
        fix = "Let the function take input_shape, num_classes and the names in 'args'."
    return ModelError(f"model: {where}: {what}", f"{type(error).__name__}: {reason}", fix)
