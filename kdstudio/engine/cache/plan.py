"""Whether a stage's teacher answers from the cache, and what is kept of it."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from kdstudio.engine.cache.key import cache_key
from kdstudio.engine.cache.store import CacheStore
from kdstudio.engine.cache.teacher import LOGITS, CachedTeacher, PrecisionTooLow, Row
from kdstudio.engine.cache.vocabulary import VocabularyCodec
from kdstudio.engine.data import Batches, Preprocess
from kdstudio.engine.taps import Taps
from kdstudio.engine.teacher import Numbers, Teacher
from kdstudio.engine.terms import StandIn
from kdstudio.engine.text.network import TextNetwork
from kdstudio.project.amounts import size_text
from kdstudio.project.cache import CACHE_DIR, make_room
from kdstudio.project.errors import StorageError
from kdstudio.project.spec import CacheSpec

if TYPE_CHECKING:
    from kdstudio.engine.ranks.group import Ranks

logger = logging.getLogger("kdstudio")

_BYTES = {"fp16": 2, "bf16": 2, "fp32": 4}
#: With `auto`, answers that one run sees once only are kept for other runs where they take this share of the limit.
_ONCE_SHARE = 0.02
#: Of the space that is left on the disk the cache takes at most this share.
_DISK_SHARE = 0.5


class TeacherCache:
    """Makes the teachers of one run answer from the project's cache, where that is asked for and worth it.

    Args:
        root: The project.
        spec: What is to be kept.
        tell: Called as `tell(done, total)` while a teacher is asked; may raise to end it.
        ranks: The processes that share the work: they ask side by side, and all decide alike. None for one alone.
    """

    def __init__(
        self, root: Path, spec: CacheSpec, tell: Callable[[int, int], None], ranks: Ranks | None = None
    ) -> None:
        self.ranks = ranks
        self.root = root
        self.spec = spec
        self.tell = tell
        self._made: list[PlannedTeacher] = []

    def wrap(
        self,
        teacher: Teacher,
        batches: Batches,
        preprocess: Preprocess,
        layers: Sequence[list[str]],
        stand_ins: Mapping[str, StandIn],
        precision: str,
        autocast: Callable[[], AbstractContextManager[object]],
        name: str = "the teacher",
    ) -> PlannedTeacher:
        """A teacher for the epochs of a stage.

        Args:
            teacher: The live one.
            batches, preprocess: The samples of the stage.
            layers: The layers that are wanted, for each epoch.
            stand_ins: What may be kept of layers in place of what they give.
            precision, autocast: The arithmetic of its forward pass.
            name: How it is called in the log.
        """
        planned = PlannedTeacher(teacher, name, self.ranks)
        self._made.append(planned)
        why, codec = self._against(batches), None
        if not why:
            rows = rows_of(teacher, batches, preprocess, autocast, stand_ins)
            codec = self._codec(rows, batches)
            wanted, why = self._affordable(rows, batches, layers)
        if why:
            logger.info("%s works at each step: %s", name, why)
            planned.why = why
            return planned
        chosen = {each: rows[each] for each in wanted if each != LOGITS or codec is None}
        planned.bytes = sum(self._bytes(each, rows, codec, len(batches.split), wanted[each]) for each in wanted)

        def made(kept: str) -> CachedTeacher:
            way = kept if codec is None else f"{kept}, {codec.how} {codec.count}"
            key = cache_key(teacher.model, batches, preprocess, precision, way)
            folder = self.root / CACHE_DIR / key
            if self.ranks is None or self.ranks.main:
                make_room(self.root, planned.bytes, self._limit, folder)
            about = {"teacher": type(teacher.model).__name__, "precision": kept, "arithmetic": precision}
            store = CacheStore(folder, len(batches.split), about)
            return CachedTeacher(teacher, batches, preprocess, store, chosen, kept, codec, autocast, self.tell)

        planned.choices = [partial(made, kept) for kept in self._precisions()]
        return planned

    def close(self) -> None:
        """Lets go the arrays that are mapped: a disk with them cannot be taken off."""
        for planned in self._made:
            if planned.cached is not None:
                planned.cached.close()

    def _against(self, batches: Batches) -> str:
        """Why nothing is kept, whatever it would take; empty where something may be."""
        if self.spec.use == "off":
            return "cache.use is off"
        text = batches.text
        if text is not None and text.is_tagger:
            return "it says something at each word of a text"
        if text is not None and text.is_language_model and self.spec.vocabulary == "off":
            return "it says something of all words at each token (cache.vocabulary keeps a part of it)"
        return ""

    def _codec(self, rows: dict[str, Row], batches: Batches) -> VocabularyCodec | None:
        """What stands for the logits of a language model."""
        if batches.text is None or not batches.text.is_language_model:
            return None
        positions, vocabulary = rows[LOGITS].shape
        count = min(self.spec.per_token, vocabulary) if self.spec.vocabulary == "top-k" else self.spec.per_token
        return VocabularyCodec(self.spec.vocabulary, count, positions, vocabulary)

    @property
    def _limit(self) -> int:
        return int(self.spec.limit_gb * 1e9)

    def _free(self) -> int:
        return int(shutil.disk_usage(self.root).free * _DISK_SHARE)

    def _precisions(self) -> list[str]:
        return ["fp16", "fp32"] if self.spec.precision == "auto" else [self.spec.precision]

    def _bytes(self, name: str, rows: dict[str, Row], codec: VocabularyCodec | None, samples: int, views: int) -> int:
        """What the logits or a layer take on the disk."""
        if name == LOGITS and codec is not None:
            each = sum(kind.row_bytes for kind in codec.kinds.values())
        else:
            each = math.prod(rows[name].shape) * _BYTES[self._precisions()[0]]
        return each * samples * views

    def _affordable(
        self, rows: dict[str, Row], batches: Batches, layers: Sequence[list[str]]
    ) -> tuple[dict[str, int], str]:
        """What is kept, with the number of its views; or why nothing is."""
        free = self._free() if self.ranks is None else self.ranks.decide(self._free)
        budget, samples = min(self._limit, free), len(batches.split)
        seen = [batches.view(epoch) for epoch in range(len(layers))]
        views = len(set(seen))
        codec = self._codec(rows, batches)
        cost = self._bytes(LOGITS, rows, codec, samples, views)
        if cost > budget:
            return {}, f"its answers would take {size_text(cost)} of the {size_text(budget)} that there are"
        once = views == len(seen) and views > 1
        if once and self.spec.use == "auto" and cost > _ONCE_SHARE * self._limit:
            return {}, "each epoch has new views, so that nothing would be read twice (data.views makes them few)"
        wanted, left = {LOGITS: views}, budget - cost
        for layer in dict.fromkeys(name for each in layers for name in each):
            here = [view for view, names in zip(seen, layers) if layer in names]
            count = len(set(here))
            cost = self._bytes(layer, rows, codec, samples, count)
            if not self.spec.features:
                why = "cache.features is off"
            elif cost > left:
                why = f"it would take {size_text(cost)} of the {size_text(left)} that are left"
            elif self.spec.use == "auto" and count == len(here) and count > 1:
                why = "each epoch has new views"
            else:
                wanted[layer] = count
                left -= cost
                continue
            logger.info("what the teacher's layer '%s' gives is not kept: %s", layer, why)
        if layers and all(set(names) - wanted.keys() for names in layers):
            return {}, "no epoch can do without a layer that is not kept"
        return wanted, ""


class PlannedTeacher:
    """The teacher of a stage: live, or answering from the cache while that goes well.

    Attributes:
        why: Why it is live, empty where it answers from the cache.
        bytes: What its answers take on the disk, when all are there.
        choices: What makes the cached forms, in order: the next one is used where a type cannot hold the answers.
        cached: The form in use; None while the teacher itself is asked.
        shards: The ranks that its weights are shared out over; 0 where each has them whole.
    """

    def __init__(self, teacher: Teacher, name: str, ranks: Ranks | None = None) -> None:
        self.ranks = ranks
        self.live = teacher
        self.name = name
        self.why = ""
        self.bytes = 0
        self.choices: list[Callable[[], CachedTeacher]] = []
        self.cached: CachedTeacher | None = None
        self.shards = 0

    @property
    def model(self) -> torch.nn.Module:
        return self.live.model

    @property
    def taps(self) -> Taps:
        return self.live.taps

    @property
    def live_one(self) -> Teacher | None:
        """The teacher itself, where it works at each step of the whole stage."""
        return None if self.choices else self.live

    def means(self) -> str:
        """Where its answers come from, in a few words."""
        if self.cached is None or not self.cached.answers:
            how = "works at each step" if self.live.compiled is None else "works at each step, compiled"
            how += f", 1/{self.shards} of it on each rank" if self.shards else ""
            return f"{how}: {self.why}" if self.why else how
        return f"answers are kept ({self.cached.kept}, {size_text(self.bytes)})"

    def prepare(self, epoch: int, layers: list[str]) -> None:
        """Makes an epoch's answers ready (see `CachedTeacher.prepare`). What fails makes it live, and is told."""
        while self.choices:
            before = len(self.choices)
            work = partial(self._tried, epoch, layers)
            left = work() if self.ranks is None else self.ranks.least(work)
            if left == before:
                return
            self.choices = self.choices[len(self.choices) - left :]  # what fails on one rank is left by all
            self.cached = None
        self.why = self.why or "its answers cannot be kept"

    def _tried(self, epoch: int, layers: list[str]) -> int:
        """Makes answers ready in the first of the forms that are left. Returns how many are left then."""
        try:
            if self.cached is None:
                self.cached = self.choices[0]()
            self.cached.prepare(epoch, layers)
        except PrecisionTooLow as error:
            kept = self.cached.kept if self.cached is not None else ""
            self.choices.pop(0)
            follows = "more bits are kept" if self.choices else "it works at each step"
            logger.warning("%s cannot hold what %s says (%s): %s", kept, self.name, error, follows)
        except StorageError as error:
            self.choices.clear()
            logger.warning("%s works at each step: its answers cannot be kept: %s", self.name, error.what)
        return len(self.choices)

    def __call__(
        self, inputs: torch.Tensor, numbers: Numbers | None = None
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Logits (B, C) and features by layer name; see `CachedTeacher`."""
        return self.live(inputs) if self.cached is None else self.cached(inputs, numbers)


def rows_of(
    teacher: Teacher,
    batches: Batches,
    preprocess: Preprocess,
    autocast: Callable[[], AbstractContextManager[object]],
    stand_ins: Mapping[str, StandIn],
) -> dict[str, Row]:
    """What is kept for a sample of the logits and the tapped layers, found with two samples."""
    with torch.no_grad(), autocast():
        if batches.text is None:
            logits, features = teacher(preprocess(batches.rows(0, min(2, batches.count), 0).images))
            found = {LOGITS: logits, **features}
            rows = {}
            for name, each in found.items():
                stand_in = stand_ins.get(name)
                kept = each if stand_in is None else stand_in.make(each)
                rows[name] = Row(tuple(kept.shape[1:]), stand_in=stand_in)
            return rows
        # texts of the full length, and a little shorter ones: what differs are tokens
        assert isinstance(teacher.model, TextNetwork)
        length, shapes = batches.split.images.shape[1], []
        for size in (length, max(1, length - 1)):
            logits, features = teacher(teacher.model.dummy(2, size, batches.device))
            if len(logits) != 2:  # a row for each token
                logits = logits.unflatten(0, (2, -1))
            shapes.append({name: tuple(each.shape[1:]) for name, each in {LOGITS: logits, **features}.items()})
    rows = {}
    for name, shape in shapes[0].items():
        other = shapes[1][name]
        rows[name] = Row(shape, tuple(place for place, size in enumerate(shape) if size != other[place]))
    return rows
