"""The stages in which teachers are made, or found among those that are kept."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout
from torch import nn

from kdstudio.engine.control import StoppedNow
from kdstudio.engine.data import ArraySplit
from kdstudio.engine.device import pick_precision
from kdstudio.engine.networks import make_network
from kdstudio.engine.objective import Objective
from kdstudio.engine.teacher_store import load_teacher, teacher_folder, teacher_key
from kdstudio.engine.text.sequence import taught_by_teacher
from kdstudio.engine.trainer import Outcome
from kdstudio.project.runs.folder import write_bytes
from kdstudio.project.spec import HardTerm, TeacherSpec
from kdstudio.project.spec.language import WrittenSpec

if TYPE_CHECKING:
    from kdstudio.engine.run import Session

logger = logging.getLogger("kdstudio")


def untrained_teacher(session: Session, place: int) -> nn.Module:
    """The network of a further teacher, by its place in the spec.

    Raises:
        ModelError: It cannot be built, or its weights do not fit.
        InputError: It is to be trained in an arithmetic that the device has not.
    """
    spec, field = session.experiment.teachers[place], f"teachers.{place}"
    pick_precision(spec.train, session.device, f"{field}.train")
    seeds = spec.train.seed, spec.train.deterministic
    model = make_network(spec, session.bundle, session.root, session.trusted, *seeds, field)
    return model.to(session.device)


def further_teachers(session: Session) -> list[nn.Module] | None:
    """The teachers beside the first one, each a stage of its own. None if a stop was asked for."""
    found: list[nn.Module] = []
    for place, spec in enumerate(session.experiment.teachers):
        model = untrained_teacher(session, place)
        teacher = trained_teacher(session, model, spec, f"teacher-{place + 2}")
        if teacher is None:
            return None
        found.append(teacher)
    return found


def trained_teacher(session: Session, model: nn.Module, spec: TeacherSpec, stage: str = "teacher") -> nn.Module | None:
    """A trained teacher, from the store, from its weights or trained now. None if a stop was asked for."""
    key = teacher_key(spec, session.experiment.data, session.bundle, session.root)
    folder = teacher_folder(session.root, spec, key)
    ranks = session.ranks
    with _lock(session, folder):
        if ranks.decide((folder / "student.json").exists):
            logger.info("%s: found %s", stage, folder.name)
            model = load_teacher(folder, session.trusted).to(session.device)
        elif spec.given:
            session.keep(folder, model, spec, {"role": "teacher", "weights": spec.weights or "pretrained"})
        else:
            logger.info("%s: training %s first", stage, spec.model)
            objective = Objective([HardTerm()], spec.train.epochs).to(session.device)
            trainer = session.trainer(stage, model, objective, None, spec.train, None, None)
            if trainer.run() is Outcome.STOPPED:
                return None
            trainer.load_best()
            meta = {"role": "teacher", "validation_accuracy": trainer.progress.best, "seed": spec.train.seed}
            session.keep(folder, model, spec, meta)
    if ranks.main:
        reference = f'{{"folder": "{os.path.relpath(folder, session.run.path)}"}}\n'
        write_bytes(session.run.path / f"{stage}.json", reference.encode())
    return model


def written_by_teacher(session: Session, teacher: nn.Module, spec: WrittenSpec) -> ArraySplit:
    """What the student learns from where the teacher writes a share of it; what it wrote is kept beside it."""
    owner = session.experiment.teacher
    assert owner is not None
    key = teacher_key(owner, session.experiment.data, session.bundle, session.root)
    folder = teacher_folder(session.root, owner, key)
    work = partial(taught_by_teacher, teacher, folder, session.bundle, spec, session.device, session.tell)
    with _lock(session, folder):
        found = session.ranks.in_turn(work)
    logger.info("student: of its %d training blocks the teacher wrote a share of %g", len(found), spec.share)
    return found


@contextmanager
def _lock(session: Session, folder: Path) -> Iterator[None]:
    """One run trains a teacher; others that want the same one wait for it and can still be stopped."""
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    session.ranks.first(partial(_acquire, session, lock, folder))
    try:
        yield
    finally:
        lock.release()


def _acquire(session: Session, lock: FileLock, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    waiting = False
    while True:
        try:
            lock.acquire(timeout=0)
            break
        except Timeout:
            if not waiting:
                session.recorder.update(message="waiting for another run that trains the same teacher")
                waiting = True
            session.poll()
            if session.control.stop_requested:
                raise StoppedNow from None
            time.sleep(0.2)
