"""What can be said before any training: the untrained student against the kept teacher."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from kdstudio.engine.arithmetic import make_accelerator
from kdstudio.engine.cka import cka_matrix, gram
from kdstudio.engine.data import ArraySplit, DataBundle, preprocess_for
from kdstudio.engine.device import pick_device
from kdstudio.engine.evaluate import predict
from kdstudio.engine.gradients import GradientShares
from kdstudio.engine.models import layer_names
from kdstudio.engine.networks import check_wiring, make_network
from kdstudio.engine.objective import Objective
from kdstudio.engine.pool import ask, gather, write_pool
from kdstudio.engine.probes import balanced_order, spread
from kdstudio.engine.student_io import load_student
from kdstudio.engine.taps import Taps
from kdstudio.engine.teacher import Teacher
from kdstudio.engine.teacher_store import load_teacher, teacher_folder, teacher_key
from kdstudio.engine.terms import Facts
from kdstudio.engine.text.facts import IGNORED, TextFacts
from kdstudio.engine.text.language_eval import views
from kdstudio.project.errors import InputError
from kdstudio.project.pairing import Likeness
from kdstudio.project.pool import AskedPool, read_pool
from kdstudio.project.spec import DataBase, Experiment, TeacherSpec
from kdstudio.project.weight_balance import Shares

ON_START = "the untrained student"
#: What the unbiased CKA needs.
LEAST_ALIGNED = 4
#: So many validation samples a teacher is asked about, where there are as many.
POOL = 1024
ASKED = 128
#: So many numbers a teacher may answer with where each token has logits: 80 MB.
MOST_LOGITS = 20_000_000


@dataclass(frozen=True)
class TeacherAnswers:
    """What a trained teacher says of validation samples, classes in turn; of taggers samples are words, tags classes.

    Attributes:
        split: The samples, at most `POOL`; of a word its sentence and its tag.
        logits: (N, C) float32.
        score: Its accuracy on the validation split, where it is known.
    """

    split: ArraySplit
    logits: Tensor
    score: float | None


def teacher_answers(
    spec: TeacherSpec,
    data: DataBase,
    bundle: DataBundle,
    root: Path,
    trusted: bool,
    progress: Callable[[int, int], None] | None = None,
) -> TeacherAnswers | None:
    """Asks a teacher; None where it is not trained yet. `progress(done, total)` may raise to give up.

    Raises:
        ModelError: The network cannot be built or read.
    """
    folder = teacher_folder(root, spec, teacher_key(spec, data, bundle, root))
    score: float | None = None
    if (folder / "student.json").exists():
        kept = load_student(folder, trusted)
        model, preprocess, score = kept.model, kept.preprocess, kept.meta.get("validation_accuracy")
    elif spec.given:
        model = make_network(spec, bundle, root, trusted, spec.train.seed, False, "teacher")
        preprocess = preprocess_for(bundle)
    else:
        return None
    split = bundle.validation.select(_in_turn(bundle.validation, _most_asked(bundle)))
    if bundle.text is not None and bundle.text.is_tagger:
        return TeacherAnswers(*_words(model, split, bundle.text, progress), score)
    return TeacherAnswers(split, predict(model, preprocess, split, "cpu", ASKED, progress), score)


def _most_asked(bundle: DataBundle) -> int:
    """How many samples a teacher is asked about: where each token has logits, no more than fit into memory."""
    if bundle.text is None or not bundle.is_language:
        return POOL
    return max(1, min(POOL, MOST_LOGITS // (bundle.text.max_tokens * bundle.outputs)))


def _in_turn(split: ArraySplit, most: int) -> Tensor:
    """Places of samples with classes in turn; sentences, which have a tag for each word, evenly over the split."""
    if split.labels.ndim == 1:
        return torch.from_numpy(balanced_order(split.labels.numpy())[:most])
    return torch.linspace(0, len(split) - 1, min(most, len(split))).round().long()


def _words(
    model: nn.Module, split: ArraySplit, facts: TextFacts, progress: Callable[[int, int], None] | None
) -> tuple[ArraySplit, Tensor]:
    """At most `POOL` words of sentences, tags in turn, and a tagger's logits (P, C) of them."""
    said, marks = [], []
    model.eval()
    with torch.no_grad():
        for inputs, targets in views(split.images, facts, torch.device("cpu"), progress, split.labels):
            said.append(model(inputs).float())
            marks.append(targets)
    tags = torch.cat(marks)
    places = (tags != IGNORED).nonzero().flatten()
    places = places[torch.from_numpy(balanced_order(tags[places].numpy())[:POOL])]
    return ArraySplit(split.images[places // split.images.shape[1]], tags[places]), torch.cat(said)[places]


def shares_at_start(experiment: Experiment, bundle: DataBundle, root: Path, trusted: bool) -> Shares:
    """The shares of the terms that count in the first epoch, at the student's first weights.

    Args:
        experiment: Its teachers have to be trained already.
        bundle: Its data.
        root, trusted: The project's folder, and whether its Python files may run.

    Raises:
        InputError: A teacher is not trained yet, or fewer than two terms count in the first epoch.
        ModelError: A network cannot be built, or a pair does not fit.
    """
    device = pick_device(experiment.train.device)
    preprocess = preprocess_for(bundle).to(device)
    specs = [spec for spec in (experiment.teacher, *experiment.teachers) if spec is not None]
    teachers = [kept_teacher(spec, experiment, bundle, root, trusted).to(device) for spec in specs]
    train = experiment.train

    def peer(spec: object, seed: int) -> nn.Module:
        return make_network(spec, bundle, root, trusted, seed, train.deterministic, "peers")  # type: ignore[arg-type]

    first = teachers[0] if teachers else None
    seeds = train.seed, train.deterministic
    student = make_network(experiment.student, bundle, root, trusted, *seeds, "student", first).to(device)
    shapes = check_wiring(experiment, first, student, bundle, preprocess)
    facts = Facts(bundle.transfer.labels, len(bundle.classes), first, peer)
    objective = Objective(experiment.objective, train.epochs, *shapes, facts).to(device)
    teacher = Teacher(first, objective.layers("teacher")) if first is not None else None
    others = [Teacher(model, []) for model in teachers[1:]]
    try:
        shares = GradientShares(bundle.transfer, preprocess, device, teacher, others)
        found = shares.measure(student, objective, 0, make_accelerator(device, train))
    finally:
        for each in (teacher, *others):
            if each is not None:
                each.close()
    if not found:
        raise InputError(
            "there is nothing to balance: fewer than two terms count in the first epoch",
            fix="give two terms a weight above 0 from the first epoch on; or run it, and balance by the run",
        )
    weights = {name: term.weight for name, term in zip(objective.names, experiment.objective)}
    return Shares(found, {name: weights[name] for name in found}, 0, ON_START)


def likeness_at_start(experiment: Experiment, bundle: DataBundle, root: Path, trusted: bool) -> Likeness:
    """CKA of each layer of the trained teacher with each layer of the untrained student, on validation samples.

    Raises:
        InputError: There is no teacher, it is not trained yet, or there are too few validation samples.
        ModelError: A network cannot be built.
    """
    if experiment.teacher is None:
        raise InputError("there is no teacher to be like", fix="add one")
    device = pick_device(experiment.train.device)
    preprocess = preprocess_for(bundle).to(device)
    chosen = _in_turn(bundle.validation, experiment.monitor.alignment_samples)
    if len(chosen) < LEAST_ALIGNED:
        raise InputError(f"{len(chosen)} validation samples are too few to compare layers", fix="use four or more")
    inputs = preprocess(bundle.validation.select(chosen).images.to(device))
    train = experiment.train
    teacher = kept_teacher(experiment.teacher, experiment, bundle, root, trusted)
    seeds = train.seed, train.deterministic
    student = make_network(experiment.student, bundle, root, trusted, *seeds, "student", teacher)
    sides = []
    for model in (teacher.to(device).eval(), student.to(device).eval()):
        names = spread(layer_names(model), experiment.monitor.max_layers, [])
        with Taps(model, names) as taps, torch.no_grad():
            model(inputs)
            captured = {name: tensor for name, tensor in taps.take().items() if tensor.shape[0] == len(chosen)}
        kept = [name for name in names if name in captured]
        sides.append((kept, [gram(captured[name]) for name in kept]))
    table = cka_matrix(sides[0][1], sides[1][1]).float().cpu().tolist()
    return Likeness(sides[0][0], sides[1][0], table, ON_START)


def kept_teacher(spec: TeacherSpec, experiment: Experiment, bundle: DataBundle, root: Path, trusted: bool) -> nn.Module:
    """The trained network of a teacher.

    Raises:
        InputError: It has not been trained yet.
    """
    folder = teacher_folder(root, spec, teacher_key(spec, experiment.data, bundle, root))
    if (folder / "student.json").exists():
        return load_teacher(folder, trusted)
    if spec.given:
        return make_network(spec, bundle, root, trusted, spec.train.seed, False, "teacher")
    raise InputError(
        "the teacher is not trained yet, and what terms do to the student depends on it",
        fix="train it first: Run > Train the teacher, or kdstudio run EXPERIMENT --until teacher",
        kind="no-teacher",
    )


def asked_of_kept_teacher(experiment: Experiment, bundle: DataBundle, root: Path, trusted: bool) -> AskedPool:
    """What the trained teacher of an experiment says of its pool, before any student is trained.

    Raises:
        InputError: The teacher is not trained yet.
        DataError: There are no samples without labels.
    """
    assert experiment.teacher is not None
    device = pick_device(experiment.train.device)
    teacher = kept_teacher(experiment.teacher, experiment, bundle, root, trusted).to(device)
    pool = gather(experiment, bundle, root, lambda label, done, total: None)
    confidence, predicted = ask(teacher, pool, preprocess_for(bundle).to(device), device)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "pool.safetensors"
        write_pool(path, pool, confidence, predicted, bundle)
        return read_pool(path)
