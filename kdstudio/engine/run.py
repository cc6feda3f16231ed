"""One experiment, start to scorecard: the stages in their order."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from torch import nn

from kdstudio.engine.arithmetic import laid_out, make_accelerator
from kdstudio.engine.cache import AskingStopped, TeacherCache
from kdstudio.engine.chain import Link, links_of, warn_of_slices
from kdstudio.engine.control import Control, Interrupted, Parked, StoppedNow
from kdstudio.engine.data import Batches, DataBundle, load_data, preprocess_for
from kdstudio.engine.device import device_name, pick_precision, pick_threads, seed_everything, seed_rank
from kdstudio.engine.evaluate import predict
from kdstudio.engine.failures import crash, memory_error
from kdstudio.engine.first_stage import FirstStage
from kdstudio.engine.gradients import GradientShares
from kdstudio.engine.networks import Shapes, check_wiring, make_network
from kdstudio.engine.objective import DistillationModule, Objective
from kdstudio.engine.pool import Pool, gather, label_pool
from kdstudio.engine.probes import Probes
from kdstudio.engine.ranks.group import Ranks
from kdstudio.engine.ranks.join import device_for, ranks_of, shares_weights
from kdstudio.engine.ranks.shardable import check_shardable
from kdstudio.engine.recorder import Recorder
from kdstudio.engine.scorecard import score_run
from kdstudio.engine.student_io import DESCRIPTION, save_student
from kdstudio.engine.teacher import Teacher
from kdstudio.engine.teacher_stage import further_teachers, trained_teacher, untrained_teacher, written_by_teacher
from kdstudio.engine.teacher_store import load_teacher
from kdstudio.engine.terms import Facts, TermModule
from kdstudio.engine.text.check import check_tokenizers
from kdstudio.engine.text.on_policy import OnPolicy
from kdstudio.engine.text.probes import LanguageProbes
from kdstudio.engine.text.tag_probes import TagProbes
from kdstudio.engine.text.validation import LanguageValidation, TagValidation
from kdstudio.engine.tracking import tracked
from kdstudio.engine.trainer import Outcome, Trainer
from kdstudio.engine.validate import Validation
from kdstudio.project.errors import KDStudioError, RunBusyError
from kdstudio.project.folder import Project
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.spec import Experiment, HardTerm, ModelSpec, TrainSpec

logger = logging.getLogger("kdstudio")


class RunResult:
    """How a run ended: the last phase, and the exit code that the command line gives for it."""

    def __init__(self, phase: str, exit_code: int) -> None:
        self.phase = phase
        self.exit_code = exit_code


@dataclass(frozen=True)
class Wishes:
    """What is asked of one process of a run (see `execute`)."""

    until: str = ""
    threads: str = ""
    devices: int | None = None


def execute(run: RunFolder, until: str = "", threads: str = "", devices: int | None = None) -> RunResult:
    """Works on a run folder until it is finished, stopped or parked: starts it, or resumes it.

    Args:
        run: The folder.
        until: With `teacher`, parks when the teacher is trained.
        threads: See `pick_threads`.
        devices: How many share the work, in place of `train.devices`.

    Raises:
        RunBusyError: Another process works on this run.
        KDStudioError: Anything a person can mend; `state.json` says `failed` with the same words by then.
    """
    lock = FileLock(run.lock_path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunBusyError(
            f"{run.path}: another process already works on this run",
            why=f"its process id is {run.state().pid}",
            fix="watch that one, or start a new run",
        ) from None
    except OSError as error:
        from kdstudio.project.yaml_io import storage_error

        raise storage_error(run.path, error) from error
    try:
        with Control(run) as control, Recorder(run) as recorder:
            return _guarded(run, recorder, control, Wishes(until, threads, devices))
    finally:
        lock.release()


def _guarded(run: RunFolder, recorder: Recorder, control: Control, wishes: Wishes) -> RunResult:
    """Runs the stages; whatever happens, the state on disk says it."""
    try:
        result, message = _outcome(run, recorder, control, wishes)
        recorder.flush_snapshots()
        recorder.finish(result.phase, message)
    except KDStudioError as error:
        _fail(recorder, error)
        raise
    except (torch.cuda.OutOfMemoryError, MemoryError) as error:
        raise _fail(recorder, memory_error(error)) from error
    except RuntimeError as error:
        if "allocate memory" in str(error):
            raise _fail(recorder, memory_error(error)) from error
        raise _fail(recorder, crash(run, error)) from error
    except Exception as error:
        raise _fail(recorder, crash(run, error)) from error
    logger.info("%s at step %d", result.phase, recorder.state.step)
    return result


def _outcome(run: RunFolder, recorder: Recorder, control: Control, wishes: Wishes) -> tuple[RunResult, str]:
    """Works until the end or until a request ends it; with a message for the state."""
    experiment = run.experiment()
    spec = experiment.train
    size = wishes.devices or spec.devices
    state = recorder.state
    earlier = state.threads if state.ranks == size else 0
    recorder.update(threads=pick_threads(wishes.threads, earlier, size), ranks=size)
    further = [*(["--until", wishes.until] if wishes.until else []), "--threads", str(state.threads)]

    def hangs(error: KDStudioError) -> None:
        _fail(recorder, error)

    try:
        with (
            ranks_of(run, spec, size, further, hangs) as ranks,
            tracked(recorder, experiment),
            ExitStack() as stack,
        ):
            try:
                return RunResult(Session(run, recorder, control, stack, ranks).work(wishes.until), 0), ""
            except Exception as error:
                if (loss := ranks.blame(error)) is not None:
                    raise loss from error
                raise
    except Parked:
        return RunResult("parked", 130), "saved; the device is free"
    except Interrupted:
        return RunResult("parked", 130), "interrupted and saved"
    except StoppedNow:
        return RunResult("stopped", 130), "stopped at once; the last checkpoint stays"


def _fail(recorder: Recorder, error: KDStudioError) -> KDStudioError:
    logger.error("%s", error)
    try:
        recorder.finish("failed", error.what, error)
    except KDStudioError:  # a full disk takes no state either; the first error is the one to tell
        logger.error("the state could not be written")
    return error


class Session:
    """The work of one process on one run.

    Args:
        run: The folder.
        recorder, control: Its two ends.
        stack: Closes what the session opens.
        ranks: The processes that share the work. All call the same methods in the same order; rank 0 alone writes.
    """

    def __init__(
        self, run: RunFolder, recorder: Recorder, control: Control, stack: ExitStack, ranks: Ranks | None = None
    ) -> None:
        self.ranks = ranks or Ranks()
        self.run = run
        self.recorder = recorder
        self.control = control
        self.stack = stack
        self.experiment: Experiment = run.experiment()
        self.root = run.project_root
        self.trusted = Project.open(self.root).trusted if (self.root / "project.yaml").exists() else False
        self.others: list[nn.Module] = []
        self.pool: Pool | None = None
        self.links = links_of(self.experiment)
        self.shapes: dict[str, tuple[Shapes, Shapes]] = {}
        self.device = device_for(self.experiment.train, self.ranks.place, self.ranks.size)
        for link in self.links:
            pick_precision(link.experiment.train, self.device, link.train_place)
        if self.experiment.teacher is not None:
            pick_precision(self.experiment.teacher.train, self.device, "teacher.train")
        self.shards = self.ranks.size if shares_weights(self.experiment, self.ranks) else 0

    def work(self, until: str = "") -> str:
        """All stages (see `execute`). Returns the last phase, `finished` or `stopped`."""
        experiment = self.experiment
        device = device_name(self.device)
        device = device if self.ranks.alone else f"{self.ranks.size} × {device}"
        self.recorder.update(phase="starting", device=device, message="reading the data")
        self.recorder.usage.watch(self.device)
        logger.info("run %s on %s", self.run.name, device)
        if not self.ranks.alone:
            self.recorder.update(ranks=self.ranks.size)
            warn_of_slices(self.links, self.ranks.size)
        self.bundle = self.ranks.in_turn(lambda: load_data(experiment.data, self.root, self.tell))
        for problem in self.bundle.problems:
            logger.warning("data: %s", problem)
        self.preprocess = preprocess_for(self.bundle).to(self.device)
        check_tokenizers(experiment, self.bundle, self.root)
        self.ranks.first(self.poll)
        teacher_model = self._untrained("teacher") if experiment.teacher else None
        self._check(teacher_model)
        if experiment.teacher is not None and teacher_model is not None:
            found = trained_teacher(self, teacher_model, experiment.teacher)
            others = further_teachers(self) if found is not None else None
            if others is None:
                return "stopped"
            teacher_model, self.others = found, others
        if until == "teacher":
            raise Parked
        if teacher_model is not None and experiment.written is not None:
            self.bundle.extra["student"] = written_by_teacher(self, teacher_model, experiment.written)
        outcome: Outcome | None = None
        origin = teacher_model
        before: list[nn.Module] = []
        for link in self.links:
            if link.dense:
                self.others = [*before]
            if teacher_model is not None:
                before.append(teacher_model)
            if teacher_model is not None and self.ranks.decide(partial(self._kept, link)):
                teacher_model = load_teacher(self.run.path / link.stage, self.trusted).to(self.device)
                continue
            origin = teacher_model
            model, outcome = self._distil(link, teacher_model)
            if outcome is None or (outcome is Outcome.STOPPED and link.stage != "student"):
                return "stopped"
            teacher_model = model
        assert outcome is not None
        if outcome is Outcome.FINISHED and experiment.baseline:
            outcome = self._baseline(origin)
        self.ranks.first(self._evaluate)
        return outcome.value

    def tell(self, label: str, done: int, total: int) -> None:
        self.recorder.progress(label, done, total)
        self.poll()

    def _asking(self, done: int, total: int) -> None:
        """As `tell`, while all ranks ask a teacher at the same time."""
        self.tell("asking the teacher", done, total)
        if self.control.stop_requested if self.ranks.main else self.ranks.ending:
            raise AskingStopped

    def poll(self) -> None:
        """Answers requests between the stages; a trainer has its own way. Rank 0 tells the others how it ends."""
        if not self.ranks.main:
            return
        phase = self.recorder.state.phase
        self.control.poll(lambda begins: self.recorder.update(phase="holding" if begins else phase))

    def _facts(self, teacher: nn.Module | None, stage: str = "student") -> Facts:
        return Facts(self.bundle.taught(stage).labels, self.bundle.outputs, teacher, self._peer)

    def _peer(self, spec: ModelSpec, seed: int) -> nn.Module:
        train = self.experiment.train
        return make_network(spec, self.bundle, self.root, self.trusted, seed, train.deterministic, "peers")

    def _objective(self, link: Link, facts: Facts | None = None) -> Objective:
        about = link.experiment.objective, link.experiment.train.epochs
        return Objective(*about, *self.shapes[link.stage], facts, link.dense, link.experiment.guided_drop)

    def _untrained(self, side: str, link: Link | None = None, teacher: nn.Module | None = None) -> nn.Module:
        experiment = link.experiment if link is not None else self.experiment
        spec: ModelSpec | None = experiment.teacher if side == "teacher" else experiment.student
        assert spec is not None
        train = spec.train if side == "teacher" else experiment.train  # type: ignore[attr-defined]
        seeds = train.seed, train.deterministic
        model = make_network(spec, self.bundle, self.root, self.trusted, *seeds, side, teacher)
        return model.to(self.device)

    def _check(self, teacher: nn.Module | None) -> None:
        """Says now, not after the teacher's training, that a network cannot be built or two layers not be joined."""
        for link in self.links:
            with link.telling_place():
                student = self._untrained("student", link, teacher)
                if self.shards:
                    check_shardable(student, link.stage)
                shapes = check_wiring(link.experiment, teacher, student, self.bundle, self.preprocess)
                self.shapes[link.stage] = shapes
                self._objective(link, self._facts(teacher))
            teacher = student
        for place in range(len(self.experiment.teachers)):
            untrained_teacher(self, place)

    # -- stages ----------------------------------------------------------------------------------------------

    def _kept(self, link: Link) -> bool:
        """Whether it is an assistant that an earlier process has finished."""
        return link.stage != "student" and (self.run.path / link.stage / DESCRIPTION).exists()

    def _distil(self, link: Link, teacher_model: nn.Module | None) -> tuple[nn.Module, Outcome | None]:
        """Trains the student or an assistant. No outcome if a stop was asked for before its first step."""
        experiment, stage = link.experiment, link.stage
        if teacher_model is not None:
            laid_out(teacher_model)
        if self.experiment.unlabelled is not None and teacher_model is not None:
            self._learn_from_pool(stage, teacher_model)
        student = self._untrained("student", link, teacher_model)
        objective = self._objective(link, self._facts(teacher_model, stage)).to(self.device)
        logits = None
        teacher = None
        if teacher_model is not None:
            teacher = Teacher(teacher_model, objective.layers("teacher"))
            self.stack.callback(teacher.close)
            if not self.bundle.is_language and self.ranks.main:
                logits = predict(teacher_model, self.preprocess, self.bundle.validation, self.device)
            if not self._first_stages(link, objective, teacher):
                return student, None
        probes = None
        if stage == "student" and self.ranks.main:
            place = self.preprocess, self.recorder, self.device
            probes = self._probes_kind()(experiment.monitor, self.bundle, *place, teacher_model, logits)
        others = [Teacher(model, []) for model in self.others]
        trainer = self.trainer(stage, student, objective, teacher, experiment.train, logits, probes, others)
        outcome = trainer.run()
        trainer.load_best()
        if teacher is not None:
            teacher.close()  # a later link may ask the same network, and wants none of these layers
        meta = {"role": stage.partition("-")[0], "run": self.run.name, "best_epoch": trainer.progress.best_epoch}
        if outcome is Outcome.FINISHED or stage == "student":
            self.keep(self.run.path / stage, student, experiment.student, meta)
        return student, outcome

    def _probes_kind(self) -> type[Probes]:
        """What is looked at while the student trains."""
        if self.bundle.text is None or not self.bundle.is_language:
            return Probes
        return TagProbes if self.bundle.text.is_tagger else LanguageProbes

    def _learn_from_pool(self, stage: str, teacher: nn.Module) -> None:
        """Has the teacher of a stage label the pool."""
        if self.pool is None:
            self.pool = self.ranks.in_turn(lambda: gather(self.experiment, self.bundle, self.root, self.tell))
        about = self.experiment, self.bundle, self.pool, self.preprocess, self.device, self.tell
        found = self.ranks.in_turn(partial(label_pool, self.run, stage, teacher, *about))
        self.bundle.extra[stage] = found
        logger.info("%s: learns from %d samples, %d of them labelled", stage, len(found), len(self.bundle.transfer))

    def _first_stages(self, link: Link, objective: Objective, teacher: Teacher) -> bool:
        """Trains what terms want trained before the student. False if a stop was asked for."""
        for term in objective.term_modules():
            if term.first_epochs:
                if not self.ranks.decide(partial(self._first_stage, link, term, teacher)):
                    return False
                self.ranks.share(term)
        return True

    def _first_stage(self, link: Link, term: TermModule, teacher: Teacher) -> bool:
        """Trains what one term wants trained; on one rank alone, since it takes little."""
        spec, data = link.experiment.train, self.experiment.data
        seed_everything(spec.seed, spec.deterministic)
        samples = self.bundle.taught(link.stage)
        batches = Batches(samples, data.batch_size, spec.seed, self.device, data, self.bundle.text)
        name = f"{'' if link.stage == 'student' else f'{link.stage}-'}{term.name}"
        folder = self.run.checkpoints_dir
        cache = TeacherCache(self.root, self.experiment.cache, self._asking)  # of one rank: the others wait
        self.stack.callback(cache.close)
        place = self.recorder, self.control, folder, cache, name
        return FirstStage(term, teacher, batches, self.preprocess, *place).run()

    def _baseline(self, teacher: nn.Module | None) -> Outcome:
        """The same student from hard labels alone: same initial weights, same views, same budget.

        Args:
            teacher: What a student from its teacher's layers begins as.
        """
        experiment = self.experiment
        model = self._untrained("student", teacher=teacher)
        objective = Objective([HardTerm()], experiment.train.epochs).to(self.device)
        trainer = self.trainer("baseline", model, objective, None, experiment.train, None, None)
        outcome = trainer.run()
        trainer.load_best()
        if outcome is Outcome.FINISHED:
            self.keep(self.run.baseline_dir, model, experiment.student, {"role": "baseline", "run": self.run.name})
        return outcome

    def _evaluate(self) -> None:
        self.recorder.update(phase="evaluating", message="")
        score_run(self.run, self.bundle, self.device, trusted=self.trusted, progress=self.tell)

    # -- parts -----------------------------------------------------------------------------------------------

    def trainer(
        self,
        stage: str,
        model: nn.Module,
        objective: Objective,
        teacher: Teacher | None,
        spec: TrainSpec,
        teacher_logits: torch.Tensor | None,
        probes: Probes | None,
        others: Sequence[Teacher] = (),
    ) -> Trainer:
        """A trainer for a stage, at its last checkpoint where there is one."""
        shares = None
        if len(objective.terms) > 1:
            shares = GradientShares(self.bundle.taught(stage), self.preprocess, self.device, teacher, others)
        batch = min(self.experiment.data.batch_size, len(self.bundle.taught(stage)))
        accelerator = make_accelerator(self.device, spec, model, (batch, *self.bundle.input_shape), self.shards)
        cache = TeacherCache(self.root, self.experiment.cache, self._asking, self.ranks)
        self.stack.callback(cache.close)
        # after the stages before it, so that a stage's dropout does not depend on whether they ran in this process
        seed_everything(spec.seed, spec.deterministic)
        seed_rank(spec.seed, self.ranks.rank)
        trainer = Trainer(
            stage=stage,
            module=DistillationModule(model, objective),
            teacher=teacher,
            bundle=self.bundle,
            data=self.experiment.data,
            preprocess=self.preprocess,
            spec=spec,
            recorder=self.recorder,
            control=self.control,
            checkpoints=self.run.checkpoints_dir,
            accelerator=accelerator,
            validation=self._validation(teacher, teacher_logits, others),
            probes=probes,
            others=others,
            shares=shares,
            on_policy=self._on_policy(stage),
            cache=cache,
            ranks=self.ranks,
        )
        if not trainer.resume():
            if self.recorder.state.stage == stage:  # killed before its first checkpoint: what it recorded is void
                self.recorder.event("resume", stage, -1, 0)
            self.recorder.event("stage", stage, 0, 0, f"{stage} starts")
        return trainer

    def _on_policy(self, stage: str) -> OnPolicy | None:
        spec = self.experiment.on_policy
        if spec is None or stage != "student":
            return None
        return OnPolicy(spec, self.experiment.train.seed, self.ranks.rank)

    def _validation(
        self, teacher: Teacher | None, teacher_logits: torch.Tensor | None, others: Sequence[Teacher]
    ) -> Validation:
        split = self.bundle.validation
        if self.bundle.text is not None and self.bundle.is_language:
            model = teacher.model if teacher is not None else None
            kind = TagValidation if self.bundle.text.is_tagger else LanguageValidation
            return kind(split, self.preprocess, self.device, self.bundle.text, model)
        said = self._said(others) if self.ranks.main else []
        return Validation(split, self.preprocess, self.device, teacher_logits, said)

    def _said(self, teachers: Sequence[Teacher]) -> list[torch.Tensor]:
        """What further teachers say of the validation samples."""
        return [predict(each.model, self.preprocess, self.bundle.validation, self.device) for each in teachers]

    def keep(self, folder: Path, model: nn.Module, spec: ModelSpec, meta: dict[str, object]) -> None:
        """Writes a trained network; all ranks go on when it is there."""
        self.ranks.first(partial(self._keep, folder, model, spec, meta))

    def _keep(self, folder: Path, model: nn.Module, spec: ModelSpec, meta: dict[str, object]) -> None:
        save_student(
            folder,
            model,
            spec,
            self.bundle.input_shape,
            self.bundle.classes,
            self.preprocess.to_dict(),
            {**meta, "data": self.bundle.origin()},
            root=self.root,
            tokenizer=self.bundle.tokenizer,
        )


def data_of(run: RunFolder) -> DataBundle:
    """The data of a run, read again."""
    return load_data(run.experiment().data, run.project_root)
