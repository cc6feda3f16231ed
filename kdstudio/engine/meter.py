"""The meter: per-step metrics stay on the device and are copied out a few times a second."""

from __future__ import annotations

import math
import time

import numpy as np
import torch
from torch import Tensor

from kdstudio.engine.recorder import Recorder
from kdstudio.project.errors import NotFiniteError
from kdstudio.project.runs.metrics import MetricRecord

#: Whoever watches sees a step within a tenth of a second; more often would cost a small network too much.
FLUSH_SECONDS = 0.05
#: Up to so many classes the outputs of a step are kept until the batch is written; of more only what they say is.
KEPT_CLASSES = 256
CAPACITY = 512
NOT_FINITE_WHY = "a learning rate or weight that is too large, fp16 overflow, or broken inputs"
NOT_FINITE_FIX = (
    "lower train.lr (try a tenth), add train.clip_norm: 1 or warmup_epochs, lower the term's weight, "
    "or use precision fp32; the last checkpoint is from before this step"
)


#: 10**n for which a double is exact.
_POWERS = np.array([float(f"1e{n}") for n in range(23)])


class Meter:
    """Collects one row a step and writes them in batches, one record a step.

    A step only hands its tensors over; they are put together when a batch is written. On small networks each tensor
    operation that a step is spared is half a percent of its time.

    Args:
        recorder: Where the records go.
        stage: Name of the stage.
        terms: Names of the terms.
        device: Where the values are.
    """

    def __init__(self, recorder: Recorder, stage: str, terms: list[str], device: torch.device) -> None:
        self.recorder = recorder
        self.stage = stage
        self.terms = terms
        self.keys = ["loss", "accuracy", *(f"term.{n}" for n in terms), *(f"term.{n}.weighted" for n in terms)]
        self.device = device
        self._host: list[tuple[int, int, float, float]] = []
        self._rows: list[tuple[Tensor, Tensor]] = []
        self._told: list[Tensor] = []
        self._targets: list[Tensor] = []
        self._sizes: list[int] = []
        self._norms: list[Tensor | None] = []
        self._next_flush = 0.0

    def add(
        self,
        step: int,
        epoch: int,
        lr: float,
        loss: Tensor,
        outputs: list[tuple[Tensor, Tensor]],
        parts: Tensor,
        norm: Tensor | None,
    ) -> None:
        """Takes one step's values. Nothing here waits for the device.

        Args:
            step, epoch, lr: Where the training stands.
            loss: The total, a scalar without a gradient.
            outputs: Of each micro-batch its logits (B, C) and the targets (B); how many are right is the accuracy.
            parts: (2, terms), see `Objective.forward`.
            norm: The gradient's norm, if it was taken.
        """
        for logits, targets in outputs:
            self._told.append(logits.detach() if logits.shape[1] <= KEPT_CLASSES else logits.argmax(dim=1))
            self._targets.append(targets)
        self._rows.append((loss, parts))
        self._sizes.append(sum(len(targets) for _, targets in outputs))
        self._host.append((step, epoch, lr, time.time()))
        self._norms.append(norm)
        if len(self._host) == CAPACITY or time.monotonic() >= self._next_flush:
            self.flush()

    def _table(self) -> np.ndarray:
        """(steps, keys) the values of the steps so far in the order of `keys`; they are forgotten here."""
        losses, parts = zip(*self._rows)
        told, sizes = torch.cat(self._told), np.array(self._sizes)
        right = (told.argmax(dim=1) if told.ndim == 2 else told) == torch.cat(self._targets)
        steps, width = len(losses), parts[0].numel()
        # one tensor, so that a device is waited for once
        flat = torch.cat([torch.stack(losses), torch.stack(parts).flatten(), right.to(losses[0].dtype)]).cpu().numpy()
        for kept in (self._rows, self._told, self._targets, self._sizes):
            kept.clear()
        table = np.empty((steps, 2 + width), np.float32)
        table[:, 0] = flat[:steps]
        # an epoch's last batch is smaller
        table[:, 1] = np.add.reduceat(flat[steps + steps * width :], np.cumsum(sizes) - sizes) / sizes
        table[:, 2:] = flat[steps : steps + steps * width].reshape(steps, width)
        return shortest(table)

    def flush(self) -> None:
        """Writes what was collected.

        Raises:
            NotFiniteError: A loss that counts was NaN or infinite.
            StorageError: The records could not be written.
        """
        if not self._host:
            return
        table = self._table()
        whole = bool(np.isfinite(table).all())
        records, broken = [], None
        for (step, epoch, lr, moment), row, norm in zip(self._host, table.tolist(), self._norms):
            values: dict[str, float | None] = dict(zip(self.keys, row))
            if not whole:
                values = {key: value for key, value in zip(self.keys, row) if math.isfinite(value)}
                if "loss" not in values:
                    values["loss"] = None
                    broken = broken or (step, row)
            values["lr"] = lr
            if norm is not None:
                values["grad_norm"] = float(norm)
            records.append(
                MetricRecord(stage=self.stage, split="train", step=step, epoch=epoch, time=moment, values=values)
            )
        self._host.clear()
        self._norms.clear()
        self.recorder.metrics(records)
        self._next_flush = time.monotonic() + FLUSH_SECONDS
        if broken:
            raise self._not_finite(*broken)

    def _not_finite(self, step: int, row: list[float]) -> NotFiniteError:
        values = dict(zip(self.keys, row))
        culprits = [name for name in self.terms if abs(values[f"term.{name}.weighted"]) == float("inf")]
        if not culprits:
            # A term that does not count is NaN too; the total's own NaN comes from one that does
            active = [name for name in self.terms if values[f"term.{name}"] != values[f"term.{name}"]]
            culprits = [name for name in active if name in self._counting]
        quoted = ", ".join(f"'{name}'" for name in culprits)
        named = f"term {quoted}" if culprits else "the sum of the terms"
        return NotFiniteError(
            f"the loss of the {self.stage} is not finite at step {step}: {named}",
            why=NOT_FINITE_WHY,
            fix=NOT_FINITE_FIX,
        )

    _counting: frozenset[str] = frozenset()

    def count(self, names: list[str]) -> None:
        """Says which terms count in the epoch, so that a message can name the right one."""
        self._counting = frozenset(names)


def shortest(values: np.ndarray) -> np.ndarray:
    """Single-precision numbers as doubles of nine digits: every one of them can be told by so many, and a double that
    has more takes twice the text, the disk and the time to read.

    Args:
        values: float32, any shape.

    Returns:
        float64 of the same shape; cast to float32 they are `values` again.
    """
    wide = values.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        digits = 8 - np.floor(np.log10(np.abs(wide)))
        fits = (digits >= 0) & (digits < len(_POWERS))  # not: zero, NaN, the infinite, the very large and small
        scale = _POWERS[np.where(fits, digits, 0).astype(np.int64)]
        return np.where(fits, np.rint(wide * scale) / scale, wide)
