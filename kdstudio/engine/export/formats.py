"""The formats: how each is written, and how each is loaded and run."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kdstudio.engine.export.deploy import Deployed, example
from kdstudio.engine.student_io import DESCRIPTION, WEIGHTS, Student, load_student

BATCH = 256
Runner = Callable[[np.ndarray], np.ndarray]
"""Raw samples (B, *input_shape) float32 to logits (B, C) float32."""


def write_safetensors(student: Student, source: Path, folder: Path, metadata: dict[str, Any]) -> str:
    """Weights and the spec that rebuilds the network: a copy of the student folder."""
    import shutil

    for file in source.rglob("*"):
        if file.is_file():
            (folder / file.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, folder / file.relative_to(source))
    return WEIGHTS


def write_torch_export(student: Student, source: Path, folder: Path, metadata: dict[str, Any]) -> str:
    """A `torch.export` program with a dynamic batch; needs PyTorch and none of our code to run."""
    batch = torch.export.Dim("batch", min=1, max=65536)
    with _quiet():
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
        batch = torch.export.Dim("batch", min=1, max=65536)
        torch.onnx.export(
            Deployed(student),
            (example(student.input_shape),),
            path,
            input_names=["samples"],
            output_names=["logits"],
            dynamic_shapes={"samples": {0: batch}},
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in metadata.items()})
    onnx.save(model, path)
    return path.name


def run_safetensors(folder: Path, trusted: bool) -> Runner:
    """Rebuilds the network from its spec."""
    model = Deployed(load_student(folder, trusted))
    return lambda samples: _torch(model, samples)


def run_torch_export(folder: Path, trusted: bool) -> Runner:
    model = torch.export.load(folder / "model.pt2").module()
    return lambda samples: _torch(model, samples)


def run_onnx(folder: Path, trusted: bool) -> Runner:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        str(folder / "model.onnx"), sess_options=options, providers=["CPUExecutionProvider"]
    )
    return lambda samples: session.run(["logits"], {"samples": samples})[0]


def _torch(model: Any, samples: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return model(torch.from_numpy(samples)).float().numpy()


def run_in_batches(runner: Runner, samples: np.ndarray) -> np.ndarray:
    """Logits (N, C) of raw samples (N, ...). The last batch is smaller, so a dynamic batch is tried as well."""
    parts = [runner(samples[at : at + BATCH].astype(np.float32)) for at in range(0, len(samples), BATCH)]
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


SNIPPETS = {
    "safetensors": f"""from pathlib import Path

import torch
from kdstudio.engine.student_io import load_student  # pip install kdstudio

student = load_student(Path("."))  # {WEIGHTS} + {DESCRIPTION}
samples = torch.zeros(1, *student.input_shape)  # pictures: 0..255
with torch.no_grad():
    logits = student.model(student.preprocess(samples))
print(student.classes[int(logits.argmax())])
""",
    "torch-export": """import json

import torch

extra = {"metadata.json": ""}
model = torch.export.load("model.pt2", extra_files=extra).module()
metadata = json.loads(extra["metadata.json"])
samples = torch.zeros(1, *metadata["input_shape"])  # pictures: 0..255, float32
logits = model(samples)
print(metadata["labels"][int(logits.argmax())])
""",
    "onnx": """import json

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
metadata = {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
samples = np.zeros((1, *metadata["input_shape"]), np.float32)  # pictures: 0..255
(logits,) = session.run(["logits"], {"samples": samples})
print(metadata["labels"][int(logits.argmax())])
""",
}

WRITERS = {"safetensors": write_safetensors, "torch-export": write_torch_export, "onnx": write_onnx}
RUNNERS = {"safetensors": run_safetensors, "torch-export": run_torch_export, "onnx": run_onnx}
FORMATS = tuple(WRITERS)


def sync(path: Path) -> None:
    """Makes a file reach the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
