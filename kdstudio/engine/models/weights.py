"""Weights from a file into a model; pickles that could run code are refused."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kdstudio.project.errors import ModelError

_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "weights", "student")
# Batch normalisation's counter: old checkpoints lack it, and it only matters for a momentum of None.
_COUNTER = "num_batches_tracked"
_PREFIXES = ("module.", "_orig_mod.")


def load_weights(model: nn.Module, path: Path | str) -> None:
    """Copies the weights of a file into `model`, all of them or none.

    Takes .safetensors, a state dict saved by torch.save (read with weights_only, so no code of the file ever runs), a
    checkpoint that has such a dict under `state_dict` or `model`, or a folder with model.safetensors.

    Raises:
        ModelError: The file is missing, damaged or unsafe, or its names and shapes are not those of the model.
    """
    state = read_weights(path)
    compare(model.state_dict(), state, Path(path))
    model.load_state_dict(state, strict=False)


def read_weights(path: Path | str) -> dict[str, torch.Tensor]:
    """The weights of a file by name; see `load_weights`.

    Raises:
        ModelError: The file is missing, damaged or unsafe, or has numbers that are not finite.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "model.safetensors"
    if not path.is_file():
        raise ModelError(f"weights: {path} does not exist", "", "Check 'weights'; a path is relative to the project.")
    state = _without_prefixes(_read(path))
    spoiled = [name for name, value in state.items() if value.is_floating_point() and not torch.isfinite(value).all()]
    if spoiled:
        raise ModelError(
            f"weights: {path.name} has NaN or infinite numbers in {listed(spoiled)}",
            "The training that made it had diverged.",
            "Take an earlier checkpoint.",
        )
    return state


def _read(path: Path) -> dict[str, torch.Tensor]:
    again = "Copy or save it again."
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except (SafetensorError, OSError, ValueError) as error:
            raise ModelError(f"weights: {path} is not a sound safetensors file", str(error), again) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of foreign pickles, and then refuses them
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "weights_only" in str(error).lower() or "unsupported" in str(error).lower():
            raise ModelError(
                f"weights: {path} holds Python objects besides tensors, and was not loaded",
                "Such a file can run any program when it is read.",
                "If you made it yourself, save only the weights: torch.save(model.state_dict(), path), or a "
                ".safetensors file.",
                kind="unsafe",
            ) from None
        raise ModelError(f"weights: {path} is damaged", _line(error), again) from None
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ModelError(f"weights: {path} cannot be read", _line(error), again) from None
    state = _state_dict(content)
    if state is None:
        raise ModelError(
            f"weights: {path} holds no state dict",
            f"It holds a {type(content).__name__}.",
            "Save the weights with torch.save(model.state_dict(), path).",
        )
    return state


def _state_dict(content: Any) -> dict[str, torch.Tensor] | None:
    if not isinstance(content, Mapping):
        return None
    if content and all(isinstance(value, torch.Tensor) for value in content.values()):
        return {str(name): value for name, value in content.items()}
    for key in _WRAPPERS:
        found = _state_dict(content.get(key))
        if found is not None:
            return found
    return None


def _without_prefixes(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Drops what DataParallel and torch.compile put before every name."""
    for prefix in (*_PREFIXES, *_PREFIXES):
        if state and all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def compare(own: dict[str, torch.Tensor], state: dict[str, torch.Tensor], path: Path) -> None:
    """Whether weights of a file are those of a model, by names and shapes.

    Raises:
        ModelError: They are not; the message says which.
    """
    missing = [name for name in own if name not in state and not name.endswith(_COUNTER)]
    unexpected = [name for name in state if name not in own and not name.endswith(_COUNTER)]
    shaped = [
        f"{name} is {tuple(state[name].shape)} in the file and {tuple(own[name].shape)} in the model"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    if not (missing or unexpected or shaped):
        return
    reasons = []
    if missing:
        reasons.append(f"not in the file: {listed(missing)}")
    if unexpected:
        reasons.append(f"not in the model: {listed(unexpected)}")
    if shaped:
        reasons.append(f"another shape: {listed(shaped)}")
    head = shaped and not missing and not unexpected and len(shaped) <= 2
    fix = (
        "The last layer differs: the weights are for another number of classes than the data has."
        if head
        else "Give the model the same family, widths and options as the one the weights were saved from."
    )
    raise ModelError(f"weights: {path.name} does not fit the model", "; ".join(reasons) + ".", fix, kind="weights")


def listed(names: list[str], most: int = 4) -> str:
    """The first names, for messages."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
