"""The formats: how each is written, and how each is loaded and run."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kdstudio.engine.export import texts
from kdstudio.engine.export.deploy import Deployed, example
from kdstudio.engine.export.quantise import write_onnx_int8
from kdstudio.engine.student_io import DESCRIPTION, WEIGHTS, Student, load_student
from kdstudio.engine.text.facts import TextFacts

BATCH = 256
Runner = Callable[[np.ndarray], np.ndarray]
"""Raw samples (B, *input_shape) float32 to logits (B, C) float32."""


@dataclass
class Loaded:
    """An artifact that was loaded.

    Attributes:
        run: Runs it.
        metadata: What it says of itself; the keys of `verify.DESCRIBED` at least, if it is sound.
    """

    run: Runner
    metadata: dict[str, Any]


def write_safetensors(student: Student, source: Path, folder: Path, metadata: dict[str, Any]) -> str:
    """Weights and the spec that rebuilds the network: a copy of the student folder."""
    shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    path = folder / DESCRIPTION
    description = json.loads(path.read_text(encoding="utf-8"))
    if description["meta"].get("data", metadata["origin"]["data"]) != metadata["origin"]["data"]:
        description["meta"]["data"] = metadata["origin"]["data"]  # earlier versions wrote the whole path
        path.write_text(json.dumps(description, indent=1), encoding="utf-8")
    return WEIGHTS


def write_torch_export(student: Student, source: Path, folder: Path, metadata: dict[str, Any]) -> str:
    """A `torch.export` program with a dynamic batch; needs PyTorch and none of our code to run."""
    batch = torch.export.Dim("batch", min=1, max=65536)
    with _quiet():
        if student.text is not None:
            shapes = texts.dynamic_shapes(student)
            program = torch.export.export(texts.DeployedText(student), texts.example(student), dynamic_shapes=shapes)
            texts.copy_tokenizer(source, folder)
        else:
            program = torch.export.export(
                Deployed(student), (example(student.input_shape),), dynamic_shapes={"samples": {0: batch}}
            )
        torch.export.save(program, folder / "model.pt2", extra_files={"metadata.json": json.dumps(metadata)})
    return "model.pt2"


def write_onnx(student: Student, source: Path, folder: Path, metadata: dict[str, Any]) -> str:
    """ONNX with a dynamic batch; labels, input shape and preprocessing lie in its metadata."""
    import onnx

    path = folder / "model.onnx"
    with _quiet():
        model: torch.nn.Module = Deployed(student)
        inputs: tuple[torch.Tensor, ...] = (example(student.input_shape),)
        shapes: dict[str, Any] = {"samples": {0: torch.export.Dim("batch", min=1, max=65536)}}
        if student.text is not None:
            model, inputs = texts.DeployedText(student), texts.example(student)
            shapes = texts.dynamic_shapes(student)
            texts.copy_tokenizer(source, folder)
        torch.onnx.export(
            model,
            inputs,
            path,
            input_names=list(shapes),
            output_names=["logits"],
            dynamic_shapes=shapes,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    written = onnx.load(path)
    onnx.helper.set_model_props(written, {key: json.dumps(value) for key, value in metadata.items()})
    onnx.save(written, path)
    return path.name


def load_safetensors(folder: Path, trusted: bool) -> Loaded:
    """Rebuilds the network from its spec."""
    student = load_student(folder, trusted)
    model = student.model if student.text is not None else Deployed(student)
    return Loaded(lambda samples: _torch(model, samples), facts(student))


def load_transformers(folder: Path, trusted: bool) -> Loaded:
    """What the transformers library makes of the folder, without our code in between."""
    model, said = texts.load_transformers(folder)
    task = TextFacts.from_dict(said["preprocessing"]["text"])

    def run(ids: np.ndarray) -> np.ndarray:
        given = torch.from_numpy(ids), torch.from_numpy(texts.mask_of(ids, task))
        with torch.no_grad():
            found = model(input_ids=given[0], attention_mask=given[1]).logits.float().numpy()
        return texts.flat(found, task)

    return Loaded(run, said)


def load_torch_export(folder: Path, trusted: bool) -> Loaded:
    extra = {"metadata.json": ""}
    model = torch.export.load(folder / "model.pt2", extra_files=extra).module()
    said = json.loads(extra["metadata.json"] or "{}")
    task = _task(said)
    if task is None:
        return Loaded(lambda samples: _torch(model, samples), said)

    def run(ids: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            found = model(torch.from_numpy(ids), torch.from_numpy(texts.mask_of(ids, task))).float().numpy()
        return texts.flat(found, task)

    return Loaded(run, said)


def _task(metadata: dict[str, Any]) -> TextFacts | None:
    """The text task that metadata speak of, None for samples that are no texts."""
    said = metadata.get("preprocessing", {})
    return TextFacts.from_dict(said["text"]) if "text" in said else None


def load_onnx(folder: Path, trusted: bool) -> Loaded:
    return _session(folder / "model.onnx")


def load_onnx_int8(folder: Path, trusted: bool) -> Loaded:
    return _session(folder / "model-int8.onnx")


def _session(path: Path) -> Loaded:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), sess_options=options, providers=["CPUExecutionProvider"])
    said = session.get_modelmeta().custom_metadata_map
    metadata = {key: json.loads(value) for key, value in said.items()}
    task = _task(metadata)
    if task is None:
        return Loaded(lambda samples: session.run(["logits"], {"samples": samples})[0], metadata)

    def run(ids: np.ndarray) -> np.ndarray:
        given = {"input_ids": ids, "attention_mask": texts.mask_of(ids, task)}
        return texts.flat(session.run(["logits"], given)[0], task)

    return Loaded(run, metadata)


def facts(student: Student) -> dict[str, Any]:
    """What every artifact has to say of itself."""
    return {
        "labels": student.classes,
        "input_shape": list(student.input_shape),
        "preprocessing": student.preprocess.to_dict(),
    }


def _torch(model: Any, samples: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return model(torch.from_numpy(samples)).float().numpy()


def run_in_batches(runner: Runner, samples: np.ndarray) -> np.ndarray:
    """Logits (N, C) of raw samples (N, ...). The first one goes alone, so single samples and batches are both tried."""
    starts = [0, *range(1, len(samples), BATCH)]
    kind = np.int64 if np.issubdtype(samples.dtype, np.signedinteger) else np.float32  # token ids, or numbers
    parts = [runner(samples[at:end].astype(kind)) for at, end in zip(starts, [*starts[1:], len(samples)])]
    return np.concatenate(parts)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporters print progress and warn about things that are not ours."""
    sink = io.StringIO()
    level = logging.root.manager.disable
    with warnings.catch_warnings(), contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(level)


Writer = Callable[[Student, Path, Path, dict[str, Any]], str]
WRITERS: dict[str, Writer] = {
    "safetensors": write_safetensors,
    "torch-export": write_torch_export,
    "onnx": write_onnx,
    "onnx-int8": write_onnx_int8,
    "transformers": texts.write_transformers,
}
LOADERS = {
    "safetensors": load_safetensors,
    "torch-export": load_torch_export,
    "onnx": load_onnx,
    "onnx-int8": load_onnx_int8,
    "transformers": load_transformers,
}
FORMATS = tuple(WRITERS)
ARTIFACTS = (WEIGHTS, "model.pt2", "model.onnx", "model-int8.onnx")


def sync(path: Path) -> None:
    """Makes a file reach the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
