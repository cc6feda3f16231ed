"""`kdstudio inspect --serve`: a process that answers the window's questions, so that the window needs no PyTorch.

Questions come as JSON lines, one object each, and are answered one after the other:

    {"id": 1, "ask": "data", "root": DIR, "data": {...}, "examples": 6, "download": false}
    {"id": 2, "ask": "model", "root": DIR, "side": "teacher", "spec": {...}, "input_shape": [1, 8, 8], "classes": 10}
    {"id": 3, "ask": "teacher-logits", "root": DIR, "data": {...}, "teacher": {...}, "samples": 24}
    {"id": 4, "ask": "names"}
    {"id": 5, "ask": "gradient-shares", "root": DIR, "data": {...}, "experiment": {...}}
    {"id": 6, "ask": "likeness", "root": DIR, "data": {...}, "experiment": {...}}
    {"id": 7, "ask": "methods", "root": DIR, "experiment": {...}, "epochs": 10}
    {"cancel": 2}

and so are the answers, each with the question's id and one of

    {"progress": {"label": TEXT, "done": N, "total": N}}, {"answer": {...}}, {"error": {kind, what, why, fix}},
    {"cancelled": true}

Whether a project's own Python files may run is read from the person's settings, never from a question.
"""

from __future__ import annotations

import base64
import json
import os
import queue
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from pydantic import TypeAdapter, ValidationError

from kdstudio.commands.inspect import data_report, model_report, png_of
from kdstudio.project.as_run import as_built
from kdstudio.project.errors import InputError, KDStudioError
from kdstudio.project.folder import Project
from kdstudio.project.spec import (
    DataBase,
    DataSpec,
    Experiment,
    ModelSpec,
    StudentSpec,
    TeacherSpec,
    TextData,
    validate,
)
from kdstudio.project.spec.text_data import lent_tokenizer

if TYPE_CHECKING:
    from torch import Tensor

    from kdstudio.engine.data import DataBundle
    from kdstudio.project.pool import AskedPool

THUMBNAIL = 64
#: Pictures of all classes together; of many classes fewer pictures of each are sent.
MOST_EXAMPLES = 240
NICE = 10


class Cancelled(Exception):
    """The question is no longer of interest."""


def serve_process() -> int:
    """Serves standard input and output until the input ends, behind everything else on this computer."""
    if hasattr(os, "nice"):
        os.nice(NICE)
    # A model file of the user's may print; only answers may go to the real output.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    # The window is gone when the input ends, and nobody waits for what is being computed.
    Server(sys.stdin, answers, lambda: os._exit(0)).serve()
    return 0


class Server:
    """Answers questions in their order; what was cancelled is skipped.

    Args:
        questions, answers: Where the lines come from and go to.
        ended: Called in the reader's thread when the input ends.
    """

    def __init__(self, questions: TextIO, answers: TextIO, ended: Callable[[], None] = lambda: None) -> None:
        self._questions = questions
        self._answers = answers
        self._ended = ended
        self._queue: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._cancelled: set[int] = set()
        self._bundle: tuple[str, DataBundle] | None = None
        self._kinds: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "data": self._data,
            "model": self._model,
            "teacher-logits": self._teacher_logits,
            "names": self._names,
            "gradient-shares": self._gradient_shares,
            "likeness": self._likeness,
            "methods": self._methods,
            "pool": self._pool,
        }

    def serve(self) -> None:
        """Works until the input ends."""
        reader = threading.Thread(target=self._read, name="kdstudio questions", daemon=True)
        reader.start()
        while (question := self._queue.get()) is not None:
            self._say(question["id"], self._result(question))
        reader.join()

    def _read(self) -> None:
        for line in self._questions:
            try:
                message = json.loads(line)
                if "cancel" in message:
                    self._cancelled.add(int(message["cancel"]))
                else:
                    self._queue.put({**message, "id": int(message["id"])})
            except (ValueError, TypeError, KeyError):
                continue  # a line that is no question has no id to answer to
        self._queue.put(None)
        self._ended()

    def _say(self, number: int, content: dict[str, Any]) -> None:
        self._answers.write(json.dumps({"id": number, **content}) + "\n")
        self._answers.flush()

    def _result(self, question: dict[str, Any]) -> dict[str, Any]:
        try:
            self._check(question)
            answer = self._kinds[str(question.get("ask"))](question)
            self._check(question)
            return {"answer": answer}
        except Cancelled:
            return {"cancelled": True}
        except KDStudioError as error:
            return {"error": error.as_dict()}
        except Exception as error:  # the window lives on and says what happened
            first = (str(error).splitlines() or [""])[0][:300]
            unexpected = KDStudioError(
                f"the engine could not answer: {type(error).__name__}: {first}",
                "this is a mistake in KD Studio or in a model file of yours",
                "kdstudio inspect EXPERIMENT shows the same question in a terminal",
                kind="crash",
            )
            return {"error": unexpected.as_dict()}

    def _check(self, question: dict[str, Any]) -> None:
        if question["id"] in self._cancelled:
            self._cancelled.discard(question["id"])
            raise Cancelled

    def _progress(self, question: dict[str, Any]) -> Callable[[str, int, int], None]:
        """Tells how far a question is, and gives it up when it is cancelled."""

        def progress(label: str, done: int, total: int) -> None:
            self._check(question)
            self._say(question["id"], {"progress": {"label": label, "done": done, "total": total}})

        return progress

    # -- the questions -----------------------------------------------------------------------------------------

    def _data(self, question: dict[str, Any]) -> dict[str, Any]:
        _, bundle = self._read_data(question)
        each = max(1, min(int(question.get("examples", 0)), MOST_EXAMPLES // max(1, len(bundle.classes))))
        return data_report(bundle, each, THUMBNAIL)

    def _model(self, question: dict[str, Any]) -> dict[str, Any]:
        from kdstudio.engine.networks import weights_path

        root, trusted = _surroundings(question)
        spec = validate(StudentSpec if question["side"] == "student" else ModelSpec, question["spec"])
        teacher = validate(ModelSpec, question["teacher"]) if question.get("teacher") else None
        spec = as_built(spec, root)
        if spec.weights is not None:  # also `run:NAME`: is there such a run, and does it fit
            found = weights_path(spec.weights, root, str(question["side"]))
            spec = spec.model_copy(update={"weights": str(found)})
        shape, outputs, facts = tuple(question["input_shape"]), int(question["classes"]), question.get("text")
        return model_report(spec, shape, outputs, root, trusted, parts=True, facts=facts, teacher=teacher)

    def _teacher_logits(self, question: dict[str, Any]) -> dict[str, Any]:
        """The trained teacher's logits of a few validation samples, and of the pool that they begin: float32, row by
        row, in base64, because it may be a million numbers. `{"trained": false}` where there is no trained one yet."""
        from kdstudio.engine.first_look import teacher_answers

        root, trusted = _surroundings(question)
        data, bundle = self._read_data(question)
        spec = validate(TeacherSpec, question["teacher"])
        progress = self._progress(question)
        found = teacher_answers(
            spec, data, bundle, root, trusted, lambda done, total: progress("asking the teacher", done, total)
        )
        if found is None:
            return {"trained": False}
        count = int(question["samples"])
        images = found.split.images[:count]
        return {
            "trained": True,
            "classes": bundle.classes,
            "labels": found.split.labels[:count].tolist(),
            "logits": found.logits[:count].tolist(),
            "texts": _texts(bundle, images),
            "pool": base64.b64encode(found.logits.numpy().astype("<f4").tobytes()).decode(),
            "pictures": [png_of(image, THUMBNAIL) for image in images] if images.ndim == 4 else [],
            "validation_accuracy": found.score,
        }

    def _gradient_shares(self, question: dict[str, Any]) -> dict[str, Any]:
        """What each term does to the untrained student; the teachers have to be trained."""
        from kdstudio.engine.first_look import shares_at_start

        root, trusted = _surroundings(question)
        experiment = validate(Experiment, question["experiment"])
        _, bundle = self._read_data(question)
        self._check(question)
        found = shares_at_start(experiment, bundle, root, trusted)
        return {"shares": found.shares, "weights": found.weights}

    def _likeness(self, question: dict[str, Any]) -> dict[str, Any]:
        """CKA of the teacher's layers with those of the untrained student."""
        from kdstudio.engine.first_look import likeness_at_start

        root, trusted = _surroundings(question)
        experiment = validate(Experiment, {**question["experiment"], "objective": [{"term": "hard"}]})
        _, bundle = self._read_data(question)
        self._check(question)
        found = likeness_at_start(experiment, bundle, root, trusted)
        return {"teacher": list(found.teacher), "student": list(found.student), "table": found.table}

    def _pool(self, question: dict[str, Any]) -> dict[str, Any]:
        """What the trained teacher says of samples without labels: arrays in base64, and samples to look at."""
        from kdstudio.engine.first_look import asked_of_kept_teacher

        root, trusted = _surroundings(question)
        experiment = validate(Experiment, question["experiment"])
        _, bundle = self._read_data(question)
        self._check(question)
        found = asked_of_kept_teacher(experiment, bundle, root, trusted)
        arrays = {
            "confidence": (found.confidence, "<f4"),
            "predicted": (found.predicted, "<i4"),
            "truth": (found.truth, "<i4"),
        }
        answer: dict[str, Any] = {"classes": found.classes}
        for name, (array, kind) in arrays.items():
            answer[name] = base64.b64encode(array.astype(kind).tobytes()).decode()
        for side, places in (("least", found.least), ("most", found.most)):
            answer[side] = [pool_sample(found, side, place, int(at)) for place, at in enumerate(places)]
        return answer

    def _methods(self, question: dict[str, Any]) -> dict[str, Any]:
        """The methods of a comparison that do not fit the two networks."""
        from kdstudio.commands.bench_methods import objectives
        from kdstudio.project.methods import BY_NAME

        root, _ = _surroundings(question)
        experiment = validate(Experiment, {**question["experiment"], "objective": [{"term": "hard"}]})
        found = objectives(Project.open(root), experiment, list(BY_NAME), int(question["epochs"]))
        return {"unfit": [name for name, objective in found.items() if objective is None]}

    def _names(self, question: dict[str, Any]) -> dict[str, Any]:
        """The models of the libraries."""
        import timm
        import torchvision

        return {
            "timm": timm.list_models(),
            "torchvision": torchvision.models.list_models(module=torchvision.models),
        }

    def _read_data(self, question: dict[str, Any]) -> tuple[DataBase, DataBundle]:
        """The data, read once for as long as the same is asked for. Without `download` nothing is fetched."""
        from kdstudio.engine.data import load_data

        root, _ = _surroundings(question)
        try:
            spec: DataBase = TypeAdapter(DataSpec).validate_python(question["data"])
        except ValidationError as error:
            raise InputError(f"data: {error.errors()[0]['msg']}") from None
        _lend_tokenizer(spec, question)
        key = json.dumps([str(root), {**spec.model_dump(mode="json"), "batch_size": 0}], sort_keys=True)
        if self._bundle is not None and self._bundle[0] == key:
            return spec, self._bundle[1]

        self._bundle = None  # never two sets in memory
        wanted = spec
        if hasattr(spec, "download") and not question.get("download", False):
            wanted = spec.model_copy(update={"download": False})
        bundle = load_data(wanted, root, self._progress(question))
        self._bundle = (key, bundle)
        return spec, bundle


def _lend_tokenizer(spec: DataBase, question: dict[str, Any]) -> None:
    """Texts that name no tokenizer take that of the networks in the question."""
    if not isinstance(spec, TextData) or spec.tokenizer is not None:
        return
    experiment = question.get("experiment") or {}
    networks = [question.get("teacher"), experiment.get("teacher"), experiment.get("student")]
    named = [each for each in networks if isinstance(each, dict)]
    lent = [ModelSpec.model_construct(model=str(each.get("model")), weights=each.get("weights")) for each in named]
    spec.tokenizer = next((source for source in map(lent_tokenizer, lent) if source), None)


def pool_sample(pool: AskedPool, side: str, place: int, position: int) -> dict[str, Any]:
    """One of the samples that a teacher is least or most sure of."""
    sample = {
        "label": pool.classes[int(pool.predicted[position])],
        "confidence": float(pool.confidence[position]),
    }
    if side in pool.images:
        import torch

        sample["png"] = png_of(torch.from_numpy(pool.images[side][place]).permute(2, 0, 1), THUMBNAIL)
    elif side in pool.texts:
        sample["text"] = " ".join(pool.texts[side][place].split())[:300]
    return sample


def _texts(bundle: DataBundle, samples: Tensor) -> list[str]:
    """What samples say, of texts; empty for others."""
    return [] if bundle.tokenizer is None else [bundle.tokenizer.text(ids) for ids in samples.tolist()]


def _surroundings(question: dict[str, Any]) -> tuple[Path, bool]:
    """The project's folder, and whether its Python files may run."""
    project = Project.open(Path(question["root"]))
    return project.root, project.trusted
