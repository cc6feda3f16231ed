"""First stages: parts of a term that learn from the teacher alone, before the student is trained (FT's paraphraser)."""

from __future__ import annotations

import logging
import math
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kdstudio.engine.cache import AskingStopped, TeacherCache
from kdstudio.engine.checkpoint import load_checkpoint, save_checkpoint, telling_misfits
from kdstudio.engine.control import Control, Interrupted, Parked
from kdstudio.engine.data import Batches, Preprocess
from kdstudio.engine.device import random_states, restore_random_states
from kdstudio.engine.meter import NOT_FINITE_FIX, NOT_FINITE_WHY
from kdstudio.engine.optim import SGD
from kdstudio.engine.recorder import Recorder
from kdstudio.engine.teacher import Numbers, Teacher
from kdstudio.engine.terms import StepOutputs, TermModule
from kdstudio.project.errors import NotFiniteError
from kdstudio.project.runs.state import FIRST_STAGE

logger = logging.getLogger("kdstudio")

#: A record every so many steps: the loss of this stage is only looked at.
RECORD_STEPS = 10
MOMENTUM = 0.9


class FirstStage:
    """Trains the first parts of one term on the teacher's features; the student does not take part.

    SGD with momentum 0.9 and a cosine schedule, on the training views of the student's own stage. The stage is saved
    at the end of each epoch and when it is parked, and it is recorded under its own name.

    Args:
        term: The term; its parts are on the device.
        teacher: The frozen teacher.
        batches: Training views.
        preprocess: Makes network inputs of them.
        recorder, control: The run folder's two ends.
        checkpoints: Where the stage is kept.
        cache: Keeps what the teacher says.
        name: What it belongs to: the term, or the assistant and the term. The stage's name begins with it.
    """

    def __init__(
        self,
        term: TermModule,
        teacher: Teacher,
        batches: Batches,
        preprocess: Preprocess,
        recorder: Recorder,
        control: Control,
        checkpoints: Path,
        cache: TeacherCache,
        name: str,
    ) -> None:
        self.term = term
        self.parts = term.first_parts()
        wanted = [term.teacher_layers] * term.first_epochs
        self.teacher = cache.wrap(teacher, batches, preprocess, wanted, {}, "no", nullcontext, f"the teacher of {name}")
        self.batches = batches
        self.preprocess = preprocess
        self.recorder = recorder
        self.control = control
        self.name = f"{name}{FIRST_STAGE}"
        self.path = checkpoints / f"{self.name}.pt"
        self.step = self.epoch = self.batch = 0

    def run(self) -> bool:
        """Trains to the end of the stage, from where it was left. False if a stop was asked for.

        Raises:
            Parked, StoppedNow, Interrupted: As asked for; a park and an interrupt save first.
            NotFiniteError: The loss was NaN or infinite.
        """
        epochs = self.term.first_epochs
        parameters = list(self.parts.requires_grad_(True).parameters())
        optimizer = SGD(parameters, lr=self.term.first_lr, momentum=MOMENTUM)
        resumed = self._resume(optimizer)
        if self.epoch < epochs:
            total = epochs * len(self.batches)
            earlier = self.recorder.state.stage
            self.recorder.update(
                phase="training", stage=self.name, step=self.step, total_steps=total, epoch=self.epoch,
                total_epochs=epochs, progress=None, message="",
            )  # fmt: skip
            if resumed:
                self.recorder.event("resume", self.name, self.step - 1, self.epoch)
            else:
                if earlier == self.name:  # killed before its first checkpoint: what it recorded is void
                    self.recorder.event("resume", self.name, -1, 0)
                self.recorder.event("stage", self.name, 0, 0, f"{self.name} starts")
            try:
                while self.epoch < epochs:
                    if not self._epoch(optimizer, total):
                        self._save(optimizer)
                        return False
                    self._save(optimizer)
            except (Parked, Interrupted):
                self._save(optimizer)
                raise
        self.parts.requires_grad_(False).eval()
        return True

    def _epoch(self, optimizer: torch.optim.Optimizer, total: int) -> bool:
        try:
            self.teacher.prepare(self.epoch, self.term.teacher_layers)
        except AskingStopped:
            return False
        self.recorder.position(progress=None)
        self.parts.train()
        for batch in self.batches.epoch(self.epoch, start=self.batch):
            self.control.poll(self._on_hold)
            if self.control.stop_requested:
                return False
            lr = self.term.first_lr * (1 + math.cos(math.pi * self.step / total)) / 2
            for group in optimizer.param_groups:
                group["lr"] = lr
            logits, features = self.teacher(self.preprocess(batch.images), Numbers(batch.indices, batch.here))
            loss = self.term.first_loss(StepOutputs(logits, batch.labels, logits, {}, features))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            if self.step % RECORD_STEPS == 0 or self.step == total - 1:
                self._record(loss.detach(), lr)
            self.step += 1
            self.batch += 1
            self.recorder.state.step, self.recorder.state.epoch = self.step, self.epoch
        self.epoch += 1
        self.batch = 0
        return True

    def _record(self, loss: Tensor, lr: float) -> None:
        value = float(loss)
        if not math.isfinite(value):
            raise NotFiniteError(
                f"the loss of the {self.name} stage is not finite at step {self.step}",
                why=NOT_FINITE_WHY,
                fix=NOT_FINITE_FIX,
            )
        self.recorder.values(self.name, "train", self.step, self.epoch, {"loss": value, "lr": lr})

    def _resume(self, optimizer: torch.optim.Optimizer) -> bool:
        device = next(self.parts.parameters()).device
        content = load_checkpoint(self.path, device)
        if content is None:
            return False
        with telling_misfits(self.path):
            self.parts.load_state_dict(content["parts"])
            optimizer.load_state_dict(content["optimizer"])
            self.step, self.epoch, self.batch = content["step"], content["epoch"], content["batch"]
            restore_random_states(content["random"])
        return True

    def _save(self, optimizer: torch.optim.Optimizer) -> None:
        content: dict[str, Any] = {
            "parts": self.parts.state_dict(),
            "optimizer": optimizer.state_dict(),
            "step": self.step,
            "epoch": self.epoch,
            "batch": self.batch,
            "random": random_states(),
        }
        save_checkpoint(self.path, content)

    def _on_hold(self, begins: bool) -> None:
        self.recorder.event("hold" if begins else "continue", self.name, self.step, self.epoch)
        self.recorder.update(phase="holding" if begins else "training", step=self.step, epoch=self.epoch)
        logger.info("%s: %s at step %d", self.name, "hold" if begins else "continue", self.step)
