"""Probes of taggers: what teacher and student say of each word of a few sentences."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kdstudio.engine.data import DataBundle
from kdstudio.engine.text.facts import IGNORED, TextFacts
from kdstudio.engine.text.network import token_mask_of
from kdstudio.engine.text.probes import LONGEST, LanguageProbes, log_probabilities

#: At most so many tokens of all sentences together, and so many bytes of probabilities of one network.
MOST_TOKENS, MOST_BYTES = 512, 60_000
#: Among so many times as many sentences those to look at are found: in most there is nothing but the usual tag.
LOOKED_THROUGH = 16
#: What a token is: padding, one that the tokenizer has put there, or a part of a word.
PADDING, SPECIAL, PART = 0, 1, 2


class TagProbes(LanguageProbes):
    """Snapshots of a tagger on a few validation sentences. Tags are few, so that all their probabilities are kept."""

    def _begin(self, bundle: DataBundle, teacher_logits: Tensor | None) -> None:
        assert bundle.text is not None
        assert bundle.tokenizer is not None
        facts, split = bundle.text, bundle.validation
        ids, labels = probe_sentences(split.images, split.labels, facts, self.spec.probes)
        begins = labels != IGNORED
        self._texts = ids.to(self.device)
        self._targets = labels.clamp_min(0).flatten().to(self.device)
        self._said_where = begins.flatten().to(self.device)
        self._places = tuple(ids.shape)
        self._choose_rows(ids, facts)
        self._teacher_logs: Tensor | None = None
        arrays = {
            "ids": ids.int().numpy(),
            "targets": torch.where(begins, labels, -1).int().numpy(),
            "hidden": begins.to(torch.uint8).numpy(),
            "kinds": token_kinds(ids, facts).numpy(),
        }
        if self.teacher is not None:
            logits, _ = self._look(self.teacher, [])
            self._teacher_logs = log_probabilities(logits)
            arrays["teacher.tags"] = self._half(self._teacher_logs)
        words = bundle.tokenizer.words(range(len(bundle.tokenizer)))
        self.recorder.texts(arrays, {"task": facts.task, "words": words, "tags": list(facts.tags)})

    def _look(self, model: nn.Module, names: list[str]) -> tuple[Tensor, dict[str, Tensor]]:
        self._mask = token_mask_of(model, self._texts)
        return super()._look(model, names)

    def _outputs(self, logits: Tensor) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        logs, there = log_probabilities(logits), self._said_where
        arrays = {"student.tags": self._half(logs)}
        means = {"nll": float(-logs.gather(1, self._targets[:, None])[:, 0][there].mean())}
        taught = self._teacher_logs
        if taught is not None:
            divergence = (taught.exp() * (taught - logs)).sum(dim=1).clamp_min(0)
            arrays["kl"] = torch.where(there, divergence, torch.nan).cpu().numpy().reshape(self._places)
            means["kl"] = float(divergence[there].mean())
            means["agreement"] = float((logs.argmax(1) == taught.argmax(1))[there].float().mean())
        return arrays, {"spoken": {key: value if np.isfinite(value) else None for key, value in means.items()}}


def probe_sentences(ids: Tensor, labels: Tensor, facts: TextFacts, most: int) -> tuple[Tensor, Tensor]:
    """A few sentences with their tags, int64 (B, S) each: evenly over the split those that have several tags, if any.

    Args:
        ids: int (N, S), the sentences of a split.
        labels: int64 (N, S), a tag where a word begins, `IGNORED` elsewhere.
        facts: The text task.
        most: So many at most.
    """
    places = torch.linspace(0, len(ids) - 1, min(len(ids), LOOKED_THROUGH * most)).round().long()
    near, marks = ids[places, :LONGEST].long(), labels[places, :LONGEST].long()
    several = [len(row[row != IGNORED].unique()) > 1 for row in marks]
    some = [place for place, each in enumerate(several) if each]
    some = some or [place for place, row in enumerate(marks) if bool((row != IGNORED).any())] or [0]
    length = max(1, int((token_kinds(near[some], facts) != PADDING).sum(dim=1).max()))
    room = min(MOST_TOKENS // length, MOST_BYTES // (2 * length * facts.outputs))
    count = max(1, min(most, len(some), room))
    chosen = [some[int(place)] for place in torch.linspace(0, len(some) - 1, count).round()]
    return near[chosen, :length], marks[chosen, :length]


def token_kinds(ids: Tensor, facts: TextFacts) -> Tensor:
    """What each token is, uint8 in the form of the ids."""
    special = torch.isin(ids, torch.tensor(facts.special, dtype=ids.dtype))
    kinds = torch.where(special, SPECIAL, PART)
    return (kinds if facts.pad is None else torch.where(ids == facts.pad, PADDING, kinds)).to(torch.uint8)
