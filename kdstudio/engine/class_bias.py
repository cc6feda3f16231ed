"""Derived students: the same network with shifted biases in its last layer."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kdstudio.engine.student_io import Student, save_student
from kdstudio.project.class_bias import check_name
from kdstudio.project.errors import InputError, ModelError
from kdstudio.project.runs.folder import RunFolder

#: Samples on which the shifted network is checked against the shifted outputs.
CHECKED = 4


def shifted(student: Student, shift: np.ndarray) -> Student:
    """A copy of the student whose logits are those of the student plus `shift` (C).

    Raises:
        ModelError: Its last layer is no linear layer with a bias.
    """
    model = copy.deepcopy(student.model).eval()
    inputs = torch.randn(CHECKED, *student.input_shape, generator=torch.Generator().manual_seed(0))
    given: list[tuple[nn.Linear, Any]] = []
    hooks = [
        module.register_forward_hook(lambda layer, _, output: given.append((layer, output)))  # type: ignore[arg-type]
        for module in model.modules()
        if isinstance(module, nn.Linear)
    ]
    with torch.no_grad():
        try:
            before: Tensor = model(inputs)
        finally:
            for hook in hooks:
                hook.remove()
        last = next((layer for layer, output in reversed(given) if _same(output, before)), None)
        if last is None or last.bias is None:
            raise ModelError(
                f"{student.spec.model}: the student's last layer has no bias to shift",
                why="the shift is added to the bias of the linear layer that gives the logits, and there is none here",
                fix="choose a student that ends in a linear layer with a bias, or add the shift to the logits yourself",
                kind="bias",
            )
        amount = torch.as_tensor(shift, dtype=torch.float64)
        last.bias.copy_((last.bias.double() + amount).to(last.bias.dtype))
        if not torch.allclose(model(inputs).double(), before.double() + amount, rtol=1e-4, atol=1e-4):
            raise ModelError(
                f"{student.spec.model}: a shifted bias does not shift the logits alone",
                why="the layer that gives the logits is used elsewhere in the network too",
                fix="choose another student, or add the shift to the logits yourself",
                kind="bias",
            )
    return Student(model, student.preprocess, student.spec, student.classes, student.input_shape, student.meta)


def _same(output: object, logits: Tensor) -> bool:
    return isinstance(output, Tensor) and output.shape == logits.shape and torch.equal(output, logits)


def save_derived(run: RunFolder, name: str, student: Student, shift: np.ndarray, about: dict[str, Any]) -> Path:
    """Writes `student-NAME/` in a run folder and returns it. The run's own student stays as it is.

    Args:
        run: With a finished student.
        name: Of the new student.
        student: The run's student.
        shift: (C) added to its logits.
        about: What is told of the shift in the description, beside the shift itself.

    Raises:
        InputError: The name cannot be used, or there is a student of that name.
        ModelError: See `shifted`.
        StorageError: The folder cannot be written.
    """
    check_name(name)
    folder = run.derived_dir(name)
    if folder.exists():
        raise InputError(
            f"{run.name}: there is a student '{name}' already", why=f"{folder} exists", fix="choose another name"
        )
    derived = shifted(student, shift)
    moved = {label: round(float(amount), 6) for label, amount in zip(student.classes, shift) if amount}
    meta = {**student.meta, "derived": {"from": "student", "by": "class bias", "shift": moved, **about}}
    save_student(
        folder,
        derived.model,
        student.spec,
        student.input_shape,
        student.classes,
        student.preprocess.to_dict(),
        meta,
        root=run.student_dir,
    )
    return folder
