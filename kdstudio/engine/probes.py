"""Probes: what the panels get while training goes on, off the hot path."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kdstudio.engine.cka import cka_matrix, gram
from kdstudio.engine.data import ArraySplit, DataBundle, Preprocess
from kdstudio.engine.looks import MOST_PROBES, Pair, attention_of, looked_at, relations_of
from kdstudio.engine.objective import Objective
from kdstudio.engine.recorder import Recorder
from kdstudio.engine.taps import Taps
from kdstudio.engine.terms import PairModule, StepOutputs
from kdstudio.engine.text.attention_maps import AttentionMaps
from kdstudio.engine.text.hidden import layers_of, mean_cosine, mean_of_real
from kdstudio.engine.text.network import TextNetwork, token_mask_of
from kdstudio.project.spec import MonitorSpec

#: Snapshots may take at most this share of the training time.
BUDGET = 0.005
#: The first snapshots come this many times as often: a student changes most at its start, and short runs are few.
EARLY, QUICKER = 24, 8
#: After this many snapshots the interval starts to grow, so a long run does not fill the disk.
DENSE = 150


class Probes:
    """Takes snapshots of the student on fixed validation samples.

    A snapshot holds the student's logits on the probe samples and on the pool, and, with a teacher, linear CKA for
    each pair and layer by layer. It uses no random numbers and leaves the student in the mode it found, so a run
    with probes and one without end in the same weights.

    Args:
        spec: Sizes and interval.
        bundle: The data; samples come from its validation split.
        preprocess: Makes network inputs of stored samples.
        recorder: Where snapshots go.
        device: Where the networks are.
        teacher: The teacher's network, if there is one.
        teacher_logits: (N, C), the teacher's outputs on the validation split where they are known already.
    """

    def __init__(
        self,
        spec: MonitorSpec,
        bundle: DataBundle,
        preprocess: Preprocess,
        recorder: Recorder,
        device: torch.device,
        teacher: nn.Module | None,
        teacher_logits: Tensor | None = None,
    ) -> None:
        self.spec = spec
        self.recorder = recorder
        self.device = device
        self.preprocess = preprocess
        self.teacher = teacher
        self.is_text = bundle.text is not None
        self._next = 0.0
        self._cost = 0.0
        self._taken = 0
        self._teacher_layers: list[str] = []
        self._teacher_grams: list[Tensor] = []
        self._teacher_pair_features: dict[str, Tensor] = {}
        self._teacher_features: dict[str, Tensor] = {}
        self._looked: tuple[list[Pair], list[Pair]] | None = None
        #: Of text networks, what is kept of their attention.
        self._attention: AttentionMaps | None = None
        self._teacher_maps: dict[str, np.ndarray] = {}
        #: Which tokens of the aligned samples are real, (B, S); None where all are, or samples are no texts.
        self._mask: Tensor | None = None
        self.aligned = 0
        self._begin(bundle, teacher_logits)

    def _begin(self, bundle: DataBundle, teacher_logits: Tensor | None) -> None:
        """Chooses the samples and writes them."""
        split = bundle.validation
        order = balanced_order(split.labels.numpy())
        self.probe_indices = order[: self.spec.probes]
        # Probes and aligned samples are the first of the pool, so it is as large as the largest of them
        self.pool_indices = order[: max(self.spec.pool, self.spec.probes, self.spec.alignment_samples)]
        # The unbiased CKA needs four samples; a smaller validation split gets no alignment
        self.aligned = min(self.spec.alignment_samples, len(self.pool_indices))
        self._pool = split.select(torch.from_numpy(self.pool_indices))
        self._write_probes(bundle, split, teacher_logits)

    @property
    def _align(self) -> bool:
        return self.teacher is not None and self.aligned >= 4

    def _write_probes(self, bundle: DataBundle, split: ArraySplit, teacher_logits: Tensor | None) -> None:
        probes = split.select(torch.from_numpy(self.probe_indices))
        arrays: dict[str, np.ndarray] = {
            "labels": probes.labels.numpy(),
            "indices": self.probe_indices,
            "pool_labels": self._pool.labels.numpy(),
        }
        words: dict[str, Any] = {}
        if probes.images.ndim == 4:
            arrays["images"] = probes.images.permute(0, 2, 3, 1).numpy()
        if bundle.text is not None and bundle.tokenizer is not None:
            real = [row[row != bundle.text.pad].tolist() for row in probes.images]
            words["tokens"] = [bundle.tokenizer.words(row) for row in real]
            words["texts"] = [bundle.tokenizer.text(row) for row in real]
        if self.teacher is not None:
            if teacher_logits is None:
                logits, _ = self._look(self.teacher, [])
            else:
                logits = teacher_logits[torch.from_numpy(self.pool_indices)]
            arrays["pool_teacher_logits"] = logits.cpu().numpy()
            arrays["teacher_logits"] = logits[: len(self.probe_indices)].cpu().numpy()
        self.recorder.probes(arrays, bundle.classes, words)

    def _look(self, model: nn.Module, names: list[str]) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits on the pool, and what the named layers give for its first `aligned` samples, in one pass."""
        model.eval()
        head, rest = self._pool.images[: self.aligned], self._pool.images[self.aligned :]
        with torch.no_grad():
            inputs = self._inputs(head)
            self._mask = token_mask_of(model, inputs)
            with Taps(model, names) as taps:
                logits = [model(inputs).float()]
                captured = {name: tensor for name, tensor in taps.take().items() if tensor.shape[0] == len(head)}
            logits += [model(self._inputs(part)).float() for part in rest.split(128) if len(part)]
        return torch.cat(logits), captured

    def _inputs(self, images: Tensor) -> Tensor:
        return self.preprocess(images.to(self.device))

    def _outputs(self, logits: Tensor) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """What a snapshot keeps of the student's outputs."""
        arrays = {
            "student_logits": logits[: len(self.probe_indices)].cpu().numpy(),
            "pool_student_logits": logits.half().clamp(-65504, 65504).cpu().numpy(),
        }
        return arrays, {}

    def _rows(self, features: Tensor) -> Tensor:
        """The rows that CKA compares, (n, D)."""
        return mean_of_real(features, self._mask)

    def _watch_teacher(self, student: nn.Module, terms: list[PairModule]) -> None:
        """The teacher does not change: its Gram matrices are computed once."""
        assert self.teacher is not None
        tapped = list(dict.fromkeys(layer for term in terms for layer in term.teacher_layers))
        if isinstance(self.teacher, TextNetwork):
            longest = max(1, int(self.preprocess.input_shape[0]))
            self._attention = AttentionMaps(self.teacher, student, _pairs_of(terms), longest)
        chosen = spread(layers_of(self.teacher), self.spec.max_layers, _layers(tapped))
        looked = self._attention.taps("teacher") if self._attention is not None else []
        _, captured = self._look(self.teacher, list(dict.fromkeys([*chosen, *tapped, *looked])))
        self._teacher_layers = [name for name in chosen if name in captured]
        self._teacher_grams = [gram(self._rows(captured[name])) for name in self._teacher_layers]
        self._teacher_pair_features = {name: captured[name] for name in tapped if name in captured}
        self._teacher_features = {name: self._looked_rows(captured[name]) for name in self._teacher_layers}
        if self._attention is not None:
            self._teacher_maps = self._attention.maps(captured, "teacher", self._mask)

    def _looked_rows(self, features: Tensor) -> Tensor:
        """Features of the probes that are looked at one by one."""
        count = min(len(self.probe_indices), self.aligned, MOST_PROBES)
        return (self._rows(features) if self.is_text else features)[:count]

    def due(self) -> bool:
        """Whether it is time for a snapshot. Cheap: asks the clock."""
        return time.monotonic() >= self._next

    def take(
        self, student: nn.Module, objective: Objective, stage: str, step: int, epoch: int, spent: float = 0.0
    ) -> None:
        """Takes a snapshot now and sets the time of the next one.

        Args:
            student, objective: Whole.
            stage, step, epoch: Where the training stands.
            spent: Seconds that bringing the weights together has taken.
        """
        begin = time.monotonic() - spent
        if self.recorder.snapshots_waiting > 4:  # a disk that cannot follow must not fill the memory
            self._next = begin + self.spec.every_seconds
            return
        modes = [(module, module.training) for module in (student, objective)]
        try:
            objective.eval()  # what its terms have learned stays as it is
            arrays, meta = self._measure(student, objective)
        finally:
            for module, training in modes:
                module.train(training)
        self.recorder.snapshot(arrays, step, epoch, stage, meta)
        now = time.monotonic()
        self._taken += 1
        # The first one carries one-off costs (the teacher's side, memory) and tells nothing of those to come
        if self._taken <= 2:
            self._cost = now - begin if self._taken == 2 else 0.0
        else:
            self._cost = 0.7 * self._cost + 0.3 * (now - begin)
        interval = self.spec.every_seconds * max(1.0, self._taken / DENSE)
        if self._taken <= EARLY:
            interval /= QUICKER
        self._next = now + max(interval, self._cost / BUDGET)

    def _measure(self, student: nn.Module, objective: Objective) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        terms = objective.pair_terms() if self._align else []
        tapped = list(dict.fromkeys(layer for term in terms for layer in term.student_layers))
        chosen: list[str] = []
        if self._align:
            chosen = spread(layers_of(student), self.spec.max_layers, _layers(tapped))
            if not self._teacher_grams:
                self._watch_teacher(student, terms)
        looked = self._attention.taps("student") if self._attention is not None else []
        logits, captured = self._look(student, list(dict.fromkeys([*chosen, *tapped, *looked])))
        arrays, meta = self._outputs(logits)
        if not self._align:
            return arrays, meta
        layers = [name for name in chosen if name in captured]
        grams = [gram(self._rows(captured[name])) for name in layers]
        table = cka_matrix(self._teacher_grams, grams).float().cpu().numpy()
        arrays["cka_map"] = table
        meta |= {"teacher_layers": self._teacher_layers, "student_layers": layers}
        meta |= {"pair_cka": {}, "pair_error": {}, "pair_cosine": {}}
        for term in terms:
            outputs = StepOutputs(logits, logits, None, captured, self._teacher_pair_features, token_mask=self._mask)
            errors = _pair_errors(term, outputs)
            for place, pair in enumerate(term.spec.pairs):
                name = f"{pair.teacher} → {pair.student}"
                if len(errors) == len(term.spec.pairs):  # not of a term on what lies between its pairs
                    meta["pair_error"].setdefault(name, errors[place])  # of several terms on a pair, the first's
                if pair.teacher in self._teacher_layers and pair.student in layers:
                    row, column = self._teacher_layers.index(pair.teacher), layers.index(pair.student)
                    meta["pair_cka"][name] = float(table[row, column])
            with torch.no_grad():
                sides = term.features(outputs)
            for pair, (own, other) in zip(term.spec.pairs, sides):
                name = f"{pair.teacher} → {pair.student}"
                if own.shape == other.shape and name not in meta["pair_cosine"]:
                    meta["pair_cosine"][name] = mean_cosine(own, other, self._mask, self.is_text)
        self._keep_looks(_pairs_of(terms), {name: captured[name] for name in layers}, arrays, meta)
        self._keep_attention(captured, arrays, meta)
        return arrays, meta

    def _keep_looks(
        self, pairs: list[Pair], captured: dict[str, Tensor], arrays: dict[str, np.ndarray], meta: dict[str, Any]
    ) -> None:
        """Adds the student's attention maps and distances; the teacher's are written once."""
        shown = {name: self._looked_rows(features) for name, features in captured.items()}
        if self._looked is None:
            self._looked = looked_at(pairs, self._teacher_features, shown)
            maps, related = self._looked
            once = {f"attention.{name}": attention_of(self._teacher_features[name]) for name, _ in maps}
            once |= {f"relations.{name}": relations_of(self._teacher_features[name]) for name, _ in related}
            self.recorder.teacher_looks(once | self._teacher_maps)
            self._teacher_features = {}
        maps, related = self._looked
        for _, name in maps:
            arrays[f"attention.{name}"] = attention_of(shown[name])
        for _, name in related:
            arrays[f"relations.{name}"] = relations_of(shown[name])
        meta["attention_pairs"] = maps
        meta["relation_pairs"] = related

    def _keep_attention(self, captured: dict[str, Tensor], arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
        """Adds which token the student's blocks look at, of text networks."""
        if self._attention is not None:
            arrays |= self._attention.maps(captured, "student", self._mask)
            meta["attention_pairs"] = self._attention.pairs
            meta["attention_why"] = self._attention.why


def _pairs_of(terms: list[PairModule]) -> list[Pair]:
    """All pairs of the terms, the teacher's layer first."""
    return [(pair.teacher, pair.student) for term in terms for pair in term.spec.pairs]


def _layers(tapped: list[str]) -> list[str]:
    """Those taps that are whole layers: parts of attention are no features to compare with layers."""
    return [name for name in tapped if "#" not in name]


def _pair_errors(term: PairModule, outputs: StepOutputs) -> list[float]:
    """The loss of each pair. The term is in eval mode for it: its statistics stay as they are."""
    training = term.training
    term.eval()
    try:
        with torch.no_grad():
            return [float(error) for error in term.pair_losses(outputs)]
    finally:
        term.train(training)


def balanced_order(labels: np.ndarray) -> np.ndarray:
    """An order of all samples that takes the classes in turn, so that every prefix is balanced.

    Args:
        labels: (N) integers.

    Returns:
        (N) int64 positions.
    """
    rank = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        rank[places] = np.arange(len(places))
    return np.lexsort((labels, rank)).astype(np.int64)


def spread(names: list[str], most: int, needed: list[str]) -> list[str]:
    """At most `most` names, evenly over the list, in its order; the needed ones are always among them."""
    if len(names) <= most:
        chosen = set(names)
    else:
        chosen = {names[int(position)] for position in np.linspace(0, len(names) - 1, most).round()}
    chosen |= set(needed)
    order = {name: index for index, name in enumerate(names)}
    return sorted(chosen, key=lambda name: order.get(name, len(order)))
