"""The meter: per-step metrics stay on the device and are copied out a few times a second."""

from __future__ import annotations

import math
import time
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from kdstudio.engine.ranks.group import Ranks
from kdstudio.engine.recorder import Recorder
from kdstudio.project.errors import NotFiniteError
from kdstudio.project.runs.metrics import MetricRecord

#: Who watches sees a step within a tenth of a second; where nobody does, a small network is spared some of the work.
FLUSH_SECONDS, WATCHED_SECONDS = 0.25, 0.025
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


class Row(NamedTuple):
    """What one step measured.

    Attributes:
        step, epoch, lr, time: Where the training stands; seconds since 1970.
        loss: The total, a scalar without a gradient.
        parts: (2, terms), see `Objective.forward`.
        told: What `told` made of the outputs.
        targets: (B) the right classes; -100 where there is none.
        norm: The gradient's norm, if it was taken.
        share: Of several ranks, the part of the batch that these values are of; 0 for values that do not count.
    """

    step: int
    epoch: int
    lr: float
    time: float
    loss: Tensor
    parts: Tensor
    told: Tensor
    targets: Tensor
    norm: Tensor | None = None
    share: float = 1.0


class _Sent(NamedTuple):
    """Steps whose values are on their way to the processor: how many targets each has, where they arrive, and when."""

    rows: list[Row]
    sizes: np.ndarray
    values: Tensor
    arrived: torch.cuda.Event | None = None


class Piece(NamedTuple):
    """What a micro-batch gave: its share of the batch, its loss and parts, what is kept of its logits, its targets."""

    share: float
    loss: Tensor
    parts: Tensor
    told: Tensor
    targets: Tensor


def told(logits: Tensor) -> Tensor:
    """What is kept of outputs (B, C) until their accuracy is counted: themselves, or the classes (B) that they say."""
    return logits.detach() if logits.shape[1] <= KEPT_CLASSES else logits.argmax(dim=1)


class Meter:
    """Collects one row a step and writes them in batches, one record a step.

    A step only hands its tensors over; they are put together when a batch is written. On small networks each tensor
    operation that a step is spared is half a percent of its time.

    Args:
        recorder: Where the records go.
        stage: Name of the stage.
        terms: Names of the terms.
        device: Where the values are.
        partial: Whether some positions have no target, as in language models; they count in no accuracy.
        ranks: The processes whose values are brought together; of several, all call `flush` at the same step.
    """

    def __init__(
        self,
        recorder: Recorder,
        stage: str,
        terms: list[str],
        device: torch.device,
        partial: bool = False,
        ranks: Ranks | None = None,
    ) -> None:
        self.ranks = ranks or Ranks()
        self.partial = partial
        self.recorder = recorder
        self.stage = stage
        self.terms = terms
        self.keys = ["loss", "accuracy", *(f"term.{n}" for n in terms), *(f"term.{n}.weighted" for n in terms)]
        self.device = device
        self._rows: list[Row] = []
        self._sent: _Sent | None = None
        self._next_flush = 0.0

    def add(self, row: Row) -> None:
        """Takes one step's values. Nothing here waits for the device: what it has yet to work out is written the next
        time.
        """
        self._rows.append(row)
        if self.ranks.alone and (len(self._rows) == CAPACITY or row.time >= self._next_flush):
            self._write_sent()
            self._sent = self._send()
            if self.device.type != "cuda":
                self._write_sent()

    def _send(self) -> _Sent:
        """Puts the values of the steps so far together and on their way to the processor."""
        rows, self._rows = self._rows, []
        told, sizes = torch.cat([row.told for row in rows]), np.array([len(row.targets) for row in rows])
        targets = torch.cat([row.targets for row in rows])
        right = (told.argmax(dim=1) if told.ndim == 2 else told) == targets
        losses, parts = torch.stack([row.loss for row in rows]).float(), torch.stack([row.parts for row in rows])
        # one tensor, so that a device is asked once
        there = [(targets >= 0).float()] if self.partial else []
        norms = (
            [torch.stack([row.norm for row in rows if row.norm is not None]).float()]
            if rows[0].norm is not None
            else []
        )
        flat = torch.cat([losses, parts.flatten().float(), right.float(), *there, *norms])
        if self.device.type != "cuda":
            return _Sent(rows, sizes, flat.cpu())
        home = torch.empty(flat.shape, dtype=flat.dtype, pin_memory=True)
        home.copy_(flat, non_blocking=True)
        arrived = torch.cuda.Event()
        arrived.record()
        return _Sent(rows, sizes, home, arrived)

    def _write_sent(self) -> None:
        """Writes what was sent, when it has arrived."""
        if self._sent is None:
            return
        sent, self._sent = self._sent, None
        if sent.arrived is not None:
            sent.arrived.synchronize()
        flat, sizes, rows = sent.values.numpy(), sent.sizes, sent.rows
        steps, width = len(rows), rows[0].parts.numel()
        table = np.empty((steps, 2 + width), np.float32)
        table[:, 0] = flat[:steps]
        # an epoch's last batch is smaller
        starts, begin = np.cumsum(sizes) - sizes, steps + steps * width
        end = begin + sizes.sum()
        counts = np.add.reduceat(flat[end : end + sizes.sum()], starts) if self.partial else sizes
        # a step without a target has no accuracy
        table[:, 1] = np.add.reduceat(flat[begin:end], starts) / np.where(counts, counts, np.nan)
        table[:, 2:] = flat[steps : steps + steps * width].reshape(steps, width)
        taken = sum(row.norm is not None for row in rows)
        norms = flat[len(flat) - taken :].tolist()
        self._write(rows, shortest(table), norms)

    def _shared_table(self) -> np.ndarray:
        """The same of the whole batches of all ranks: means weighted by the ranks' samples."""
        rows = self._rows
        shares = np.array([row.share for row in rows])
        losses = torch.stack([row.loss for row in rows]).double()
        parts = torch.stack([row.parts.flatten() for row in rows]).double()
        said = [row.told.argmax(dim=1) if row.told.ndim == 2 else row.told for row in rows]
        right = torch.stack([(each == row.targets).sum() for each, row in zip(said, rows)]).double()
        there = torch.stack([(row.targets >= 0).sum() for row in rows]).double()
        flat = torch.cat([losses[:, None], parts, right[:, None], there[:, None]], dim=1).cpu().numpy()
        counts = shares[:, None] > 0
        weights = np.concatenate([np.repeat(shares[:, None], flat.shape[1] - 2, axis=1), counts, counts], axis=1)
        with np.errstate(invalid="ignore"):
            total = self.ranks.total(np.where(counts, flat * weights, 0.0))
            accuracy = total[:, -2] / np.where(total[:, -1], total[:, -1], np.nan)
        return shortest(np.concatenate([total[:, :1], accuracy[:, None], total[:, 1:-2]], axis=1).astype(np.float32))

    def flush(self) -> None:
        """Writes what was collected.

        Raises:
            NotFiniteError: A loss that counts was NaN or infinite.
            StorageError: The records could not be written.
        """
        self._write_sent()
        if not self._rows:
            return
        if self.ranks.alone:
            self._sent = self._send()
            self._write_sent()
            return
        table, rows = self._shared_table(), self._rows
        self._rows = []
        norms = [float(row.norm) for row in rows if row.norm is not None]
        self._write(rows, table, norms)

    def _write(self, rows: list[Row], table: np.ndarray, norms: list[float]) -> None:
        """Writes a record for each step; norms are of the steps where one was taken."""
        left = iter(norms)
        whole = bool(np.isfinite(table).all())
        records, broken = [], None
        for about, row in zip(rows, table.tolist()):
            values: dict[str, float | None] = dict(zip(self.keys, row))
            if not whole:
                values = {key: value for key, value in zip(self.keys, row) if math.isfinite(value)}
                if "loss" not in values:
                    values["loss"] = None
                    broken = broken or (about.step, row)
            values["lr"] = about.lr
            if about.norm is not None:
                values["grad_norm"] = next(left)
            records.append(
                MetricRecord(
                    stage=self.stage,
                    split="train",
                    step=about.step,
                    epoch=about.epoch,
                    time=about.time,
                    values=values,
                )
            )
        self.recorder.metrics(records)
        self._next_flush = time.time() + (WATCHED_SECONDS if self.recorder.watched else FLUSH_SECONDS)
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
