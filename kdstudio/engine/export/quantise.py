"""int8: an ONNX file with its matrices in eight bits, and what that costs in quality."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from kdstudio.engine.export.texts import copy_tokenizer
from kdstudio.engine.student_io import Student

#: Quantised files differ by design; what is checked is that they run, and what is told is what they lose.
QUANTISED = ("onnx-int8",)


def quantise(source: Path, target: Path) -> None:
    """Dynamic quantisation by onnxruntime: weights of matrix products in int8, activations when they are met."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as scratch:
        prepared = Path(scratch) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantize_dynamic(str(prepared), str(target), weight_type=QuantType.QInt8)


def write_onnx_int8(student: Student, source: Path, folder: Path, metadata: dict[str, Any]) -> str:
    """The ONNX file of the student, quantised. Labels and preprocessing lie in its metadata, as before."""
    import onnx

    from kdstudio.engine.export.formats import write_onnx

    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch)
        name = write_onnx(student, source, whole, metadata)
        quantise(whole / name, folder / "model-int8.onnx")
        metadata["float_bytes"] = (whole / name).stat().st_size
    if student.text is not None:
        copy_tokenizer(source, folder)
    path = folder / "model-int8.onnx"
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in metadata.items()})
    onnx.save(model, path)
    return path.name
