"""The loop: one network, one objective, one budget. The same loop trains teacher, baseline and student."""

from __future__ import annotations

import enum
import logging
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor

from kdstudio.engine.arithmetic import channels_last, laid_out, suits_channels_last
from kdstudio.engine.cache import AskingStopped, PlannedTeacher, TeacherCache
from kdstudio.engine.checkpoint import save_checkpoint
from kdstudio.engine.compiling import compile_stage
from kdstudio.engine.control import Control, Interrupted, Parked
from kdstudio.engine.data import Batch, Batches, DataBundle, Preprocess
from kdstudio.engine.data.views import sharers
from kdstudio.engine.device import memory_in_use
from kdstudio.engine.gradients import GradientShares
from kdstudio.engine.keep import load_best, resume, save_last
from kdstudio.engine.means import means_of
from kdstudio.engine.meter import Meter, Piece, Row, told
from kdstudio.engine.objective import DistillationModule
from kdstudio.engine.probes import Probes
from kdstudio.engine.ranks.group import Ranks
from kdstudio.engine.recorder import Recorder
from kdstudio.engine.teacher import Numbers, Teacher
from kdstudio.engine.text.on_policy import OnPolicy
from kdstudio.engine.train_eval import TrainEval
from kdstudio.engine.validate import Validation
from kdstudio.engine.weights import weights_of
from kdstudio.project.schedules import learning_rate
from kdstudio.project.spec import DataBase, TrainSpec
from kdstudio.project.train_eval import SPLIT

logger = logging.getLogger("kdstudio")


class Outcome(enum.Enum):
    """How a stage ended."""

    FINISHED = "finished"
    STOPPED = "stopped"


@dataclass
class Progress:
    """Where the stage stands: everything that a checkpoint holds beside tensors."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    best: float = float("-inf")
    best_epoch: int = -1
    stale_epochs: int = 0
    done: bool = False


class Trainer:
    """Trains one network.

    Args:
        stage: `teacher`, `baseline` or `student`.
        module: The network with its objective.
        teacher: The frozen teacher, None where no term asks for one.
        bundle, data: The samples, and how training views are made of them.
        preprocess: Makes network inputs of stored samples; on the device.
        spec: The budget.
        recorder, control: The run folder's two ends.
        checkpoints: Where `last` and `best` lie.
        accelerator: Devices, precision and the gradient scaler.
        validation: Scores the network at the end of each epoch.
        probes: Snapshots for the panels, None for stages that show none.
        others: Further teachers.
        shares: Measures what each term does to the student, None for stages that show none.
        on_policy: Has the student write some of the batches, None for stages that learn from the data alone.
        cache: Keeps what the teachers say, None where they work at each step.
        ranks: The processes that share the work.
    """

    def __init__(
        self,
        *,
        stage: str,
        module: DistillationModule,
        teacher: Teacher | None,
        bundle: DataBundle,
        data: DataBase,
        preprocess: Preprocess,
        spec: TrainSpec,
        recorder: Recorder,
        control: Control,
        checkpoints: Path,
        accelerator: Accelerator,
        validation: Validation,
        probes: Probes | None = None,
        others: Sequence[Teacher] = (),
        shares: GradientShares | None = None,
        on_policy: OnPolicy | None = None,
        cache: TeacherCache | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        self.stage = stage
        self.ranks = ranks or Ranks()
        self._meeting = 0
        self._exact = accelerator.mixed_precision == "no"
        self.spec = spec
        self.recorder = recorder
        self.control = control
        self.accelerator = accelerator
        self.validation = validation
        self.probes = probes
        self.shares = shares
        self.on_policy = on_policy
        self.preprocess = preprocess
        # of several ranks accelerate calls the processor cpu:0, where no checkpoint can be read to
        self.device = torch.device("cpu") if accelerator.device.type == "cpu" else accelerator.device
        self.train_eval: TrainEval | None = None
        if teacher is not None and not bundle.is_language:
            self.train_eval = TrainEval(bundle, preprocess, self.device, teacher, spec.epochs)
        anew = stage.startswith("teacher")  # few views are for those who learn from it
        samples, place = bundle.taught(stage), self.ranks.place
        self.batches = Batches(samples, data.batch_size, spec.seed, self.device, data, bundle.text, anew, place)
        asked = [teacher] if teacher is not None else []
        sources = self._sources(module, [*asked, *others], cache)
        self.teacher = sources[0] if asked else None
        self.others = sources[len(asked) :]
        self.steps_per_epoch = len(self.batches)
        self.total_steps = self.steps_per_epoch * spec.epochs
        self.raw = module.to(self.device)
        self.channels_last = len(bundle.input_shape) == 3 and suits_channels_last(module.student, self.device)
        laid_out(self.raw)
        partial = bundle.is_language or stage in bundle.extra
        for term in module.objective.term_modules():
            term.partial = partial
        self.weights = weights_of(self.raw, spec, accelerator, self.ranks)
        self.module, self.optimizer = self.weights.module, self.weights.optimizer
        self.weights.share_teachers(sources)
        #: Whether the stage shows snapshots, which all ranks have to know where each has a part of the weights.
        self.shows = probes is not None
        if self.weights.sharded:
            self.shows = self.ranks.decide(lambda: probes is not None)
        self.meter = Meter(recorder, stage, module.objective.names, self.device, partial, self.ranks)
        prefix = "" if stage == "student" else f"{stage}-"
        self.last_path = checkpoints / f"{prefix}last.pt"
        self.best_path = checkpoints / f"{prefix}best.pt"
        self.progress = Progress()
        self._saved_at = time.monotonic()
        self._rate_began, self._samples = time.monotonic(), 0
        self.uncompiled = ""

    def _sources(
        self, module: DistillationModule, teachers: Sequence[Teacher], cache: TeacherCache | None
    ) -> list[Teacher | PlannedTeacher]:
        """The teachers, the first one with its layers, as they answer in the steps."""
        if cache is None:
            return list(teachers)
        epochs = [epoch for epoch in range(self.spec.epochs) if module.objective.needs_teacher(epoch)]
        layers = [module.objective.layers("teacher", epoch) for epoch in epochs]
        stand_ins = module.objective.stand_ins()
        found: list[Teacher | PlannedTeacher] = []
        for place, teacher in enumerate(teachers):
            wanted = layers if place == 0 else [[] for _ in epochs]
            name = f"the teacher of the {self.stage}" if place == 0 else f"teacher {place + 1}"
            arithmetic = self.accelerator.mixed_precision, self.accelerator.autocast
            found.append(cache.wrap(teacher, self.batches, self.preprocess, wanted, stand_ins, *arithmetic, name))
        return found

    # -- checkpoints -----------------------------------------------------------------------------------------

    def resume(self) -> bool:
        """Goes back to the last checkpoint of this stage. False where there is none."""
        return resume(self)

    def save_last(self) -> None:
        """Writes the state between two steps. Losses and weights are checked first: no checkpoint of a broken step."""
        self.meter.flush()
        with self.weights.whole():
            self.weights.check(self.stage, self.progress.step)
            save_last(self)
        self._saved_at = time.monotonic()

    def load_best(self) -> None:
        """Puts the best epoch's weights into the network (the last ones where no epoch was scored)."""
        load_best(self)

    # -- the loop --------------------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """Trains to the end of the budget, an early stop or a request.

        Raises:
            Parked, StoppedNow, Interrupted: As asked for; a park and an interrupt save first.
            NotFiniteError: A loss was NaN or infinite.
            StorageError: The disk is full.
        """
        progress = self.progress
        self.recorder.update(
            phase="training",
            stage=self.stage,
            step=progress.step,
            total_steps=self.total_steps,
            epoch=progress.epoch,
            total_epochs=self.spec.epochs,
            progress=None,
            message="",
        )
        if progress.done:
            return Outcome.FINISHED
        self.uncompiled = compile_stage(self)
        try:
            self._snapshot()
            while progress.epoch < self.spec.epochs and not progress.done:
                stopped = self._epoch()
                if stopped:
                    return self._stop()
        except (Parked, Interrupted):
            self.save_last()
            self._snapshot()
            raise
        self._snapshot()
        return Outcome.FINISHED

    def _stop(self) -> Outcome:
        with self.weights.whole(teachers=True):
            self.save_last()
            stale = self.progress.stale_epochs
            self._score()  # the part of an epoch counts too: its weights may be the best
            self.progress.stale_epochs = min(stale, self.progress.stale_epochs)
            self.save_last()
            self._snapshot()
        self.recorder.event("stop", self.stage, self.progress.step, self.progress.epoch)
        return Outcome.STOPPED

    def _epoch(self) -> bool:
        """Trains to the end of the current epoch. True if a stop was asked for."""
        progress = self.progress
        objective = self.raw.objective
        weights = objective.weights(progress.epoch)
        try:
            self._ask_teachers()
        except AskingStopped:
            return True
        self.meter.count([name for name, weight in zip(objective.names, weights) if weight])
        self.module.train()
        for batch in self.batches.epoch(progress.epoch, start=progress.batch):
            self._meet()
            if self.control.stop_requested:
                return True
            if self.on_policy is not None:
                batch = self.on_policy.batch(batch, self.raw, progress.step, progress.epoch)
            self._step(batch)
            progress.step += 1
            progress.batch += 1
            if not self.weights.sharded and self._snapshot_is_due():
                self._snapshot()
            if self.ranks.alone and self._save_is_due():
                self.save_last()
            self._report(batch.whole or len(batch.labels))
        self._meet(at_once=True)
        progress.epoch += 1
        progress.batch = 0
        with self.weights.whole(teachers=True):
            self._score()
            patience = self.spec.early_stop
            early = patience is not None and progress.stale_epochs >= patience
            progress.done = early or progress.epoch >= self.spec.epochs
            if early:
                text = f"no better validation score for {patience} epochs"
                self.recorder.event("early-stop", self.stage, progress.step, progress.epoch, text)
                logger.info("%s: stopped early, %s", self.stage, text)
            self.save_last()
        return False

    def _snapshot_is_due(self) -> bool:
        return self.probes is not None and self.probes.due()

    def _save_is_due(self) -> bool:
        return time.monotonic() - self._saved_at > self.spec.checkpoint_seconds

    def _meet(self, at_once: bool = False) -> None:
        """Answers requests. Several ranks do so at the same step, a few times a second; they then bring their metrics
        together, and rank 0 saves if it is time to. Where each has a part of the weights, all of them take part in what
        rank 0 finds due: the snapshots, too.
        """
        if self.ranks.alone:
            self.control.poll(self._on_hold)
            return
        step = self.progress.step
        if step < self._meeting and not at_once:
            return
        self.meter.flush()
        due = bool(step) and self._save_is_due(), self._snapshot_is_due()
        steps, agreed = self.ranks.meet(self.control, self._on_hold, step, due)
        self._meeting = step + (steps if self.spec.checkpoint_seconds else 1)
        save, show = agreed
        if not self.weights.sharded:
            save, show = self.ranks.main and save, False
        if save or show:
            with self.weights.whole(teachers=show):
                if save:
                    self.save_last()
                if show:
                    self._snapshot()

    def _ask_teachers(self) -> None:
        """Has the teachers' answers of the current epoch ready, where they are kept."""
        objective, epoch = self.raw.objective, self.progress.epoch
        wanted = (self.teacher, objective.needs_teacher(epoch), objective.layers("teacher", epoch))
        for source, needed, layers in (wanted, *((other, objective.needs_others(epoch), []) for other in self.others)):
            if needed and isinstance(source, PlannedTeacher):
                source.prepare(epoch, layers)
        means = means_of(self)
        if means != self.recorder.state.means:
            logger.info("%s: %s", self.stage, ", ".join(f"{key} {said}" for key, said in means.items()))
        self.recorder.position(progress=None, means=means)
        self._rate_began, self._samples = time.monotonic(), 0

    def _step(self, batch: Batch) -> None:
        """One optimizer step, in as many micro-batches as the spec says. The mean is over the whole batch."""
        progress, labels = self.progress, batch.labels
        lr = learning_rate(self.spec, progress.step, self.steps_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        objective = self.raw.objective
        asks_teacher = objective.needs_teacher(progress.epoch)
        # ranks' gradients are averaged, each as one of `size`: what counts is how many samples it has
        scale = batch.share * self.ranks.size
        pieces = self.pieces(batch)
        count = len(pieces)
        measured: list[Piece] = []
        for index, (part, targets, indices, here) in enumerate(pieces):
            share = len(targets) / len(labels)
            # what the student wrote nobody has asked a teacher about
            known = None if batch.prompt else Numbers(indices, here)
            inputs = self.inputs(part)
            if targets.ndim == 2:  # of language models and taggers a row for each position
                targets = targets[:, : inputs.shape[1]].flatten()
            last = index == len(pieces) - 1
            with nullcontext() if self._exact else self.accelerator.autocast():
                logits: Tensor | None = None
                features: dict[str, Tensor] = {}
                if asks_teacher and self.teacher is not None:
                    logits, features = self.teacher(inputs, known)
                others: list[Tensor] = []
                if self.others and objective.needs_others(progress.epoch):
                    others = [other(inputs, known)[0] for other in self.others]
                with nullcontext() if last else self.accelerator.no_sync(self.module):
                    loss, parts, outputs = self.module(
                        inputs, targets, progress.epoch, logits, features, indices, others, batch.prompt
                    )
            weight = scale if count == 1 else scale * share
            loss_of_step = loss if weight == 1 else loss * weight
            if self.accelerator.scaler is None:
                loss_of_step.backward()  # accelerate would divide it by 1 first
            else:
                self.accelerator.backward(loss_of_step)
            measured.append(Piece(share, loss.detach(), parts, told(outputs), targets))
        norm = None
        if self.spec.clip_norm is not None:
            norm = self.weights.norm(self.accelerator.clip_grad_norm_(self.module.parameters(), self.spec.clip_norm))
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._measure(lr, measured, norm, batch.share)

    def pieces(self, batch: Batch) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """The micro-batches of a batch: images, labels, sample numbers there and on the CPU."""
        # no piece of a single sample: batch normalisation cannot work on one
        whole = batch.whole or len(batch.labels)
        least = whole // sharers(whole, self.ranks.size)  # as many pieces on all ranks
        count = max(1, min(self.spec.accumulate, least // 2))
        parts = (batch.images, batch.labels, batch.indices, batch.here)
        if count == 1:
            return [parts]
        return list(zip(*(each.tensor_split(count) for each in parts)))

    def inputs(self, part: Tensor) -> Tensor:
        """What the networks are given of stored samples."""
        inputs = self.preprocess(part)
        return channels_last(inputs) if self.channels_last else inputs

    def _measure(self, lr: float, pieces: list[Piece], norm: Tensor | None, rank_share: float) -> None:
        """Hands a step's values to the meter."""
        _, loss, parts, answer, targets = pieces[0]
        if len(pieces) > 1:
            loss = torch.stack([piece.share * piece.loss for piece in pieces]).sum()
            parts = torch.stack([piece.share * piece.parts for piece in pieces]).sum(dim=0)
            answer, targets = (
                torch.cat([piece.told for piece in pieces]),
                torch.cat([piece.targets for piece in pieces]),
            )
        progress = self.progress
        now = time.time()
        self.meter.add(Row(progress.step, progress.epoch, lr, now, loss, parts, answer, targets, norm, rank_share))

    def _score(self) -> None:
        """Validates, and keeps the weights if they are the best so far. The network is in train mode afterwards."""
        self.meter.flush()
        self.weights.check(self.stage, self.progress.step)
        progress = self.progress
        step = max(0, progress.step - 1)
        values = self.ranks.decide(lambda: self.validation.score(self.raw, self.accelerator))
        if self.ranks.main and self.train_eval is not None and self.train_eval.due(progress.epoch):
            found = self.train_eval.measure(self.raw.student, self.accelerator)
            self.recorder.values(self.stage, SPLIT, step, max(0, progress.epoch - 1), found)
        self.module.train()
        self.recorder.values(self.stage, "validation", step, max(0, progress.epoch - 1), values)
        text = ", ".join(f"{key} {value:.4f}" for key, value in values.items() if "." not in key)
        logger.info("%s: epoch %d of %d: validation %s", self.stage, progress.epoch, self.spec.epochs, text)
        self._measure_shares(step, max(0, progress.epoch - 1))
        if self.validation.better(values, progress.best):
            progress.best = self.validation.criterion(values)
            progress.best_epoch = progress.epoch
            progress.stale_epochs = 0
            metric = self.validation.metric
            score = values[metric]
            if self.ranks.main:
                content = {"module": self.raw.state_dict(), "epoch": progress.epoch, "score": score}
                save_checkpoint(self.best_path, content)
            self.recorder.event("best", self.stage, step, progress.epoch, f"{score:.4f}")
            if self.stage == "student":
                self.recorder.position(best=score, best_epoch=progress.epoch, best_metric=metric)
        elif self.raw.objective.trains_outputs(max(0, progress.epoch - 1)):
            progress.stale_epochs += 1

    def _measure_shares(self, step: int, epoch: int) -> None:
        """Records and logs what each term does to the student, as often as its budget allows."""
        if not self.ranks.main or self.shares is None or not self.shares.due():
            return
        found = self.shares.measure(self.raw.student, self.raw.objective, epoch, self.accelerator)
        if found:
            values = {f"term.{name}": share for name, share in found.items()}
            self.recorder.values(self.stage, "gradient", step, epoch, values)
            text = ", ".join(f"{name} {100 * share:.1f} %" for name, share in found.items())
            logger.info("%s: shares of the gradient: %s", self.stage, text)

    def _snapshot(self) -> None:
        """Takes a snapshot, of a stage that shows any."""
        if not self.shows:
            return
        begin, progress = time.monotonic(), self.progress
        with self.weights.whole(teachers=True):
            spent = time.monotonic() - begin if self.weights.sharded else 0.0
            if self.probes is not None:
                student, objective = self.raw.student, self.raw.objective
                self.probes.take(student, objective, self.stage, progress.step, progress.epoch, spent)

    def _report(self, samples: int) -> None:
        """Position and speed for `state.json`, which the heartbeat writes."""
        state, progress = self.recorder.state, self.progress
        state.step, state.epoch = progress.step, progress.epoch
        self._samples += samples
        now = time.monotonic()
        if now - self._rate_began > 1.0:
            speed = self._samples / (now - self._rate_began)
            self.recorder.position(samples_per_second=speed, device_memory_bytes=memory_in_use(self.device))
            self._rate_began, self._samples = now, 0

    def _on_hold(self, begins: bool) -> None:
        progress = self.progress
        name = "hold" if begins else "continue"
        self.meter.flush()
        self.recorder.event(name, self.stage, progress.step, progress.epoch)
        self.recorder.update(phase="holding" if begins else "training", step=progress.step, epoch=progress.epoch)
        logger.info("%s: %s at step %d", self.stage, name, progress.step)
        self._rate_began, self._samples = time.monotonic(), 0
