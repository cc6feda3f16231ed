"""A teacher whose answers are kept: asked once about each view of each sample, by whichever run comes first."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import Tensor

from kdstudio.engine.cache.store import ArrayKind, CacheStore
from kdstudio.engine.cache.vocabulary import VocabularyCodec
from kdstudio.engine.counters import mix
from kdstudio.engine.data import Batches, Preprocess
from kdstudio.engine.teacher import Numbers, Teacher
from kdstudio.engine.terms import StandIn
from kdstudio.project.cache import mark_used

logger = logging.getLogger("kdstudio")

LOGITS = "logits"
#: Samples that the teacher is asked about at once. Always as many, since the last bits of its answers depend on it;
#: larger and smaller batches were at most a tenth quicker, and much larger ones slower.
ASKED = 256
#: Arrays are held on the accelerator where they take at most this share of its free memory.
_RESIDENT_SHARE = 0.25
#: The largest share of samples whose likeliest class may change by keeping fewer bits.
CHANGED_LIMIT = 0.002
_DTYPES = {"float16": torch.float16, "uint16": torch.bfloat16, "float32": torch.float32, "int32": torch.int32}
_TYPES = {"fp16": (torch.float16, "float16"), "bf16": (torch.bfloat16, "uint16"), "fp32": (torch.float32, "float32")}


class AskingStopped(Exception):
    """A stop was asked for while the teacher was asked."""


class PrecisionTooLow(Exception):
    """Answers do not survive the type in which they are to be kept."""


class Row:
    """What is kept of a tap or the logits for one sample.

    Attributes:
        shape: With the longest sample.
        tokens: The dimensions that are shorter for shorter texts.
        stand_in: Something smaller that is kept in place of what the layer gives.
    """

    def __init__(self, shape: tuple[int, ...], tokens: tuple[int, ...] = (), stand_in: StandIn | None = None) -> None:
        self.shape = shape
        self.tokens = tokens
        self.stand_in = stand_in

    def array(self, name: str) -> str:
        """How the array of a layer is called in the store."""
        return name if self.stand_in is None else f"{name}~{self.stand_in.name}"

    def of(self, answer: Tensor) -> Tensor:
        """What is kept of an answer (B, ...)."""
        return answer if self.stand_in is None else self.stand_in.make(answer)


class CachedTeacher:
    """A teacher that answers from the cache.

    What it hands out is what the teacher said in eval mode of the very same pixels, in the precision that is kept.
    Without sample numbers (probes, text that the student wrote) the teacher itself is asked.

    Args:
        teacher: The live one.
        batches: The samples and their views.
        preprocess: Makes network inputs; on the device.
        store: Where answers are kept.
        rows: What is kept: `logits` and layers, by name.
        kept: fp16, bf16 or fp32.
        codec: Of language models, what is kept in place of logits; their row is not in `rows` then.
        autocast: Makes the context of the teacher's forward pass.
        tell: Called as `tell(done, total)` while the teacher is asked; raises `AskingStopped` and the like to end it.
    """

    def __init__(
        self,
        teacher: Teacher,
        batches: Batches,
        preprocess: Preprocess,
        store: CacheStore,
        rows: dict[str, Row],
        kept: str,
        codec: VocabularyCodec | None,
        autocast: Callable[[], AbstractContextManager[object]],
        tell: Callable[[int, int], None],
    ) -> None:
        self.live = teacher
        self.batches = batches
        self.preprocess = preprocess
        self.store = store
        self.rows = rows
        self.kept = kept
        self.codec = codec
        self.kinds = {row.array(name): ArrayKind(row.shape, _TYPES[kept][1]) for name, row in rows.items()}
        self.kinds.update(codec.kinds if codec is not None else {})
        self._autocast = autocast
        self._tell = tell
        self._read: dict[str, Tensor] = {}
        self._view: int | None = None
        self._wanted: list[str] = []
        self.largest_error = 0.0
        self.changed = self.compared = 0
        self.asked = 0

    @property
    def model(self) -> torch.nn.Module:
        return self.live.model

    @property
    def answers(self) -> bool:
        """Whether the current epoch is answered from the cache."""
        return self._view is not None

    def close(self) -> None:
        """Lets the arrays go."""
        self._read.clear()
        self._view = None

    def prepare(self, epoch: int, layers: list[str]) -> None:
        """Makes the answers of an epoch ready; asks the teacher for those that nobody has asked for.

        Args:
            epoch: It says which view the samples have.
            layers: What is wanted beside the logits. With one that is not kept the teacher works in this epoch.

        Raises:
            PrecisionTooLow: fp16 cannot hold what the teacher says.
            StorageError: The disk is full or the cache is damaged beyond repair.
        """
        if any(layer not in self.rows for layer in layers):
            self._read.clear()
            self._view = None
            return
        view = self.batches.view(epoch)
        if view != self._view:
            self._read.clear()
        arrays = [array for name in (LOGITS, *layers) for array in self._arrays(name)]
        if not set(arrays) <= self._read.keys():
            self._fill(view, arrays)
        for array in arrays:
            if array not in self._read:
                self._read[array] = self._held(self.store.read(view, array, self.kinds[array]))
        self._view, self._wanted = view, layers
        mark_used(self.store.folder)

    def __call__(self, inputs: Tensor, numbers: Numbers | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits (B, C) and features by layer name, float32, without a gradient.

        Args:
            inputs: What the student is given.
            numbers: The samples' numbers in the split; None for other samples.
        """
        if numbers is None or self._view is None:
            return self.live(inputs)
        answers = {name: self._answer(name, numbers, inputs) for name in self._wanted}
        if self.codec is None:
            return self._answer(LOGITS, numbers, inputs), answers
        return self.codec.logits({array: self._rows_of(array, numbers) for array in self.codec.kinds}), answers

    # -- reading ---------------------------------------------------------------------------------------------

    def _arrays(self, name: str) -> list[str]:
        """The arrays of the logits or of a layer."""
        if name == LOGITS and self.codec is not None:
            return list(self.codec.kinds)
        return [self.rows[name].array(name)]

    def _held(self, array: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(array)
        if array.dtype == np.uint16:
            tensor = tensor.view(torch.bfloat16)
        device = self.batches.device
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            if tensor.nbytes <= free * _RESIDENT_SHARE:
                return tensor.to(device)
        return tensor

    def _answer(self, name: str, numbers: Numbers, inputs: Tensor) -> Tensor:
        rows = self._rows_of(self.rows[name].array(name), numbers)
        for dimension in self.rows[name].tokens:
            rows = rows.narrow(dimension + 1, 0, inputs.shape[1])
        return rows.float()

    def _rows_of(self, array: str, numbers: Numbers) -> Tensor:
        held = self._read[array]
        device = numbers.there.device
        if held.device == device:
            return held.index_select(0, numbers.there)
        rows = held.index_select(0, numbers.here)
        return rows.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else rows.to(device)

    # -- filling ---------------------------------------------------------------------------------------------

    def _fill(self, view: int, arrays: list[str]) -> None:
        """Has all shards of some arrays filled."""
        wanted = {array: self.kinds[array] for array in arrays}
        missing = self.store.missing(view, wanted)
        total, begin = self.store.shards, time.monotonic()
        asked = self.asked
        while missing:
            worked = False
            for shard in list(missing):
                with self.store.claim(view, shard) as mine:
                    if not mine:
                        continue
                    worked = True
                    lacking = self.store.missing(view, wanted).get(shard)  # another process may have been here
                    if lacking:
                        self.store.write(view, shard, self._asked(view, shard, lacking))
                del missing[shard]
                self._tell(total - len(missing), total)
            if missing and not worked:  # others fill what is left: wait for them, and take over if they end
                self._tell(total - len(missing), total)
                time.sleep(0.05)
        seconds = time.monotonic() - begin
        if self.asked > asked:
            count = self.asked - asked
            logger.info("asked the teacher about %d samples in %.1f s; its answers are kept", count, seconds)
            if self.compared:
                share = 100 * self.changed / self.compared
                told = (self.kept, self.largest_error, share)
                logger.info("%s changes its logits by at most %.3g, and the likeliest class of %.2g %%", *told)

    def _asked(self, view: int, shard: int, arrays: list[str]) -> dict[str, np.ndarray]:
        """A shard's answers by the teacher itself."""
        start, end = self.store.span(shard)
        kinds = {array: self.kinds[array] for array in arrays}
        parts = {
            array: torch.zeros(end - start, *kind.shape, dtype=_DTYPES[kind.dtype]) for array, kind in kinds.items()
        }
        place = start
        while place < end:
            after = min(end, place + ASKED)
            batch = self.batches.rows(place, after, view)
            with torch.no_grad(), self._autocast():
                answers = self.live(self.preprocess(batch.images))
            for array, kept in self._kept(*answers, mix(view, place)).items():
                if array in parts:
                    target = parts[array][place - start : after - start]
                    target[tuple(slice(0, size) for size in kept.shape)] = kept
            place = after
        self.asked += end - start
        return {array: _array(part) for array, part in parts.items()}

    def _kept(self, logits: Tensor, features: dict[str, Tensor], seed: int) -> dict[str, Tensor]:
        """What is kept of the answers about some samples, on the CPU; shorter texts give fewer tokens."""
        found = self.codec.kept(logits, seed) if self.codec is not None else {}
        for name, row in self.rows.items():
            answer = logits if name == LOGITS else features.get(name)
            if answer is not None:
                whole = row.of(answer).float().cpu()
                found[row.array(name)] = whole.to(_TYPES[self.kept][0])
                self._check(name, whole, found[row.array(name)])
        return found

    def _check(self, name: str, answer: Tensor, kept: Tensor) -> None:
        """What keeping fewer bits does to the answers is measured, not believed."""
        if self.kept == "fp32":
            return
        back = kept.float()
        if bool(torch.isfinite(answer).all()) and not bool(torch.isfinite(back).all()):
            raise PrecisionTooLow(f"'{name}' has values up to {float(answer.abs().max()):.3g}")
        if name != LOGITS:
            return
        self.largest_error = max(self.largest_error, float((back - answer).abs().max()))
        self.changed += int((back.argmax(1) != answer.argmax(1)).sum())
        self.compared += len(answer)
        if self.compared >= 1024 and self.changed > CHANGED_LIMIT * self.compared:
            raise PrecisionTooLow(f"{100 * self.changed / self.compared:.2g} % of its likeliest classes change")


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.view(torch.int16).numpy().view(np.uint16) if tensor.dtype == torch.bfloat16 else tensor.numpy()
