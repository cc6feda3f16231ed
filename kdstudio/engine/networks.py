"""Building the networks of an experiment, and checking that they fit before the first step."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from kdstudio.engine.data import ArraySplit, DataBundle, Preprocess
from kdstudio.engine.data.views import fixed_view
from kdstudio.engine.device import seed_everything
from kdstudio.engine.models import build_model, load_weights
from kdstudio.engine.taps import Taps, unknown_layer
from kdstudio.engine.text.blocks import check_block, check_direction, taps_of
from kdstudio.engine.text.build import from_teacher
from kdstudio.engine.text.network import TextNetwork
from kdstudio.engine.text.transfer import load_text_weights
from kdstudio.project.as_run import run_of
from kdstudio.project.errors import ModelError
from kdstudio.project.spec import (
    FROM_TEACHER,
    DecoupledTerm,
    Experiment,
    LayersSpec,
    ModelSpec,
    PairTerm,
    StudentSpec,
    TeacherSpec,
)

Shapes = dict[str, tuple[int, ...]]


def make_network(
    spec: ModelSpec,
    bundle: DataBundle,
    root: Path,
    trusted: bool,
    seed: int,
    deterministic: bool,
    field: str,
    teacher: nn.Module | None = None,
) -> nn.Module:
    """A network with its weights: random by the seed, or those the spec names.

    Args:
        spec: What to build.
        bundle: Says the input's shape and the number of classes.
        root: The project folder.
        trusted: Whether the project's Python files may run.
        seed, deterministic: See `TrainSpec`.
        field: `teacher` or `student`, for messages.
        teacher: What a student from its teacher's layers is made of.

    Raises:
        ModelError: It cannot be built, or the weights do not fit.
    """
    seed_everything(seed, deterministic)
    try:
        if isinstance(spec, StudentSpec) and spec.model == FROM_TEACHER and teacher is not None:
            model: nn.Module = from_teacher(teacher, spec.layers or LayersSpec())
        else:
            model = build_model(spec, bundle.input_shape, bundle.outputs, root, trusted, bundle.text)
        if spec.weights is not None:
            path = weights_path(spec.weights, root, field)
            if isinstance(model, TextNetwork):
                load_text_weights(model, path, field)
            else:
                load_weights(model, path)
    except ModelError as error:
        if error.what.startswith(f"{field}"):
            raise
        named = error.what.split(":")[0].split(".")[0] in ModelSpec.model_fields  # student.args.depth: ...
        what = f"{field}.{error.what}" if named else f"{field}: {error.what}"
        raise ModelError(what, error.why, error.fix, kind=error.kind) from None
    return model


def weights_path(weights: str, root: Path, field: str) -> Path:
    """The file that a spec's `weights` names: a path relative to the project, or `run:EXPERIMENT[/NNN]`.

    Raises:
        ModelError: There is no such file or no finished run.
    """
    if not weights.startswith("run:"):
        path = Path(weights).expanduser()
        path = path if path.is_absolute() else root / path
        if not path.exists():
            raise ModelError(
                f"{field}.weights: there is no file '{weights}'",
                why=f"looked for {path}",
                fix="give a path relative to the project, or run:EXPERIMENT",
                kind="missing-file",
            )
        return path
    return run_of(weights, root, f"{field}.weights").student_dir / "model.safetensors"


def check_wiring(
    experiment: Experiment, teacher: nn.Module | None, student: nn.Module, bundle: DataBundle, preprocess: Preprocess
) -> tuple[Shapes, Shapes]:
    """Checks taps, shapes and class counts on a small batch, before any training.

    Returns:
        Output shapes of the student's and of the teacher's tapped layers, without the batch dimension.

    Raises:
        ModelError: A layer does not exist or gives no tensor, a network's classes are not the data's, the batches are
            too small for it, or a term cannot work with so few classes.
    """
    wanted: dict[str, list[str]] = {"teacher": [], "student": []}
    for index, term in enumerate(experiment.objective):
        if isinstance(term, DecoupledTerm) and term.beta > 0 and bundle.outputs == 2:
            raise ModelError(
                f"objective.{index}.beta: with two classes there is nothing beside the target to learn from",
                why="the second part of decoupled distillation is about the other classes among each other",
                fix="set beta to 0, or use soft targets",
                kind="classes",
            )
        if not isinstance(term, PairTerm):
            continue
        for place, pair in enumerate(term.pairs):
            for side, model in (("teacher", teacher), ("student", student)):
                name = getattr(pair, side)
                assert model is not None
                known = [key for key, _ in model.named_modules() if key]
                if name not in known:
                    spec = experiment.teacher if side == "teacher" else experiment.student
                    owner = spec.model if spec else side
                    error = unknown_layer(name, known, owner)
                    where = f"objective.{index}.pairs.{place}.{side}"
                    raise ModelError(f"{where}: {error.what}", error.why, error.fix, kind="layer")
                wanted[side].append(name)
                if term.parts:
                    check_block(model, name, term, f"objective.{index}.pairs.{place}", side)
                    wanted[side] += taps_of(term, name)
            if term.parts and teacher is not None:
                check_direction(teacher, student, f"objective.{index}.pairs.{place}")
    sample = ArraySplit(bundle.train.images[:2], bundle.train.labels[:2])
    shapes = {}
    for side, model in (("student", student), ("teacher", teacher)):
        if model is not None:
            shapes[side] = _shapes(model, wanted[side], sample, preprocess, bundle.outputs, side)
            spec = experiment.student if side == "student" else experiment.teacher
            given = isinstance(spec, TeacherSpec) and spec.given
            if not given and min(len(bundle.taught(side)), experiment.data.batch_size) == 1:
                _check_single(model, sample, preprocess, side)
    return shapes["student"], shapes.get("teacher", {})


def _shapes(
    model: nn.Module, names: list[str], sample: ArraySplit, preprocess: Preprocess, classes: int, side: str
) -> Shapes:
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    training = model.training
    model.eval()
    preprocess = Preprocess.from_dict(preprocess.to_dict()).to(device)
    try:
        with Taps(model, names, f"the {side}") as taps, torch.no_grad():
            logits = model(fixed_view(preprocess, sample.images.to(device), sample.labels.to(device))[0])
            captured = taps.take()
    except torch.cuda.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, TypeError) as error:
        raise ModelError(
            f"{side}: the network cannot take an input of shape {tuple(sample.images.shape[1:])}",
            why=str(error).splitlines()[0][:300],
            fix="choose a model that suits the size of the data, or data that suit the model",
            kind="shape",
        ) from None
    finally:
        model.train(training)
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2:
        raise ModelError(f"{side}: the network's output is no table of logits (batch, classes)", kind="shape")
    if logits.shape[1] != classes:
        raise ModelError(
            f"{side}: the network tells {logits.shape[1]} classes apart, and the data have {classes}",
            fix="use a network and weights for these classes",
            kind="classes",
        )
    missing = [name for name in names if name not in captured]
    if missing:
        raise ModelError(
            f"{side}: layer '{missing[0]}' gives no tensor in a forward pass",
            fix="choose another layer; kdstudio inspect lists them",
            kind="layer",
        )
    for name, tensor in captured.items():
        if tensor.shape[0] != len(sample):
            raise ModelError(
                f"{side}: layer '{name}' gives a tensor of shape {tuple(tensor.shape)} for {len(sample)} samples",
                why="features are compared sample by sample, so the samples have to be its first dimension",
                fix="choose another layer; kdstudio inspect lists them",
                kind="layer",
            )
    return {name: tuple(tensor.shape[1:]) for name, tensor in captured.items()}


def _check_single(model: nn.Module, sample: ArraySplit, preprocess: Preprocess, side: str) -> None:
    """Trains on one sample for a try: batch normalisation of vectors cannot."""
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    training, state = model.training, {key: value.clone() for key, value in model.state_dict().items()}
    preprocess = Preprocess.from_dict(preprocess.to_dict()).to(device)
    try:
        with torch.no_grad():
            model.train()(preprocess(sample.images[:1].to(device)))
    except ValueError as error:
        raise ModelError(
            f"data.batch_size: the {side} cannot be trained on one sample at a time",
            why=str(error).splitlines()[0][:300],
            fix="set data.batch_size to 2 or more (usual 32 to 512)",
            kind="batch",
        ) from None
    finally:
        model.train(training)
        model.load_state_dict(state)
