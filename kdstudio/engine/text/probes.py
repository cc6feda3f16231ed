"""Probes of language models: what teacher and student say at each place of a few texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from kdstudio.engine.data import DataBundle
from kdstudio.engine.looks import Pair
from kdstudio.engine.probes import Probes
from kdstudio.engine.taps import Taps
from kdstudio.engine.text.facts import IGNORED, TextFacts
from kdstudio.engine.text.families import is_causal
from kdstudio.engine.text.network import TextNetwork
from kdstudio.project.runs.texts import BETAS

#: At most so many tokens of a text, and of all texts together: with 240 bytes a place 61 kB a snapshot.
LONGEST, MOST_TOKENS = 64, 256
#: So many of the most probable words are kept at each place.
TOP = 20
#: Stands for the logarithm of 0 where half precision has no room for it.
LEAST = -1e4
#: CKA compares tokens: so many for each of `monitor.alignment_samples`, because neighbours are alike.
TOKENS_A_SAMPLE = 4


class LanguageProbes(Probes):
    """Snapshots of a language model on a few validation texts, the same at each moment; of masked-lm with the same
    tokens hidden. See `Probes`; a snapshot holds no logits but what `kdstudio.project.runs.texts` describes.
    """

    def _begin(self, bundle: DataBundle, teacher_logits: Tensor | None) -> None:
        assert bundle.text is not None
        assert bundle.tokenizer is not None
        facts = bundle.text
        blocks = probe_blocks(bundle.validation.images, facts, self.spec.probes)
        inputs, targets = facts.fixed_view(blocks, 0)
        hidden = targets != IGNORED
        there = targets if facts.task == "causal-lm" else blocks
        self._texts = inputs.to(self.device)
        self._targets = there.flatten().to(self.device)
        self._said_where = hidden.flatten().to(self.device)
        self._places = tuple(there.shape)
        self._choose_rows(inputs, facts)
        self._teacher_logs: Tensor | None = None
        arrays = {
            "ids": inputs.int().numpy(),
            "targets": there.int().numpy(),
            "hidden": hidden.to(torch.uint8).numpy(),
        }
        count = len(bundle.tokenizer)
        if self.teacher is not None:
            logits, _ = self._look(self.teacher, [])
            self._teacher_logs = log_probabilities(logits)
            self._teacher_top = self._teacher_logs.topk(min(TOP, logits.shape[1]), dim=1).indices
            arrays |= self._spoken("teacher", self._teacher_logs, self._teacher_top)
            count = max(count, logits.shape[1])
        words = bundle.tokenizer.words(range(count))
        self.recorder.texts(arrays, {"task": facts.task, "words": words})

    def _choose_rows(self, inputs: Tensor, facts: TextFacts) -> None:
        """The tokens that CKA compares: no special ones, and of causal networks not the first of a text.

        What a causal network gives for the first token is far larger than the rest and alike for all texts: beside it
        nothing else would be seen.
        """
        kept = torch.ones(inputs.shape, dtype=torch.bool)
        for token in facts.special:
            kept &= inputs != token
        if facts.pad is not None:
            kept &= inputs != facts.pad
        if isinstance(self.teacher, TextNetwork) and is_causal(self.teacher.config):
            kept[:, 0] = False
        places = kept.flatten().nonzero().flatten()
        most = min(len(places), TOKENS_A_SAMPLE * self.spec.alignment_samples)
        chosen = torch.linspace(0, len(places) - 1, most).round().long() if most else places
        self._row_places = places[chosen].to(self.device)
        self.aligned = most
        self.probe_indices = np.arange(len(inputs))

    def _look(self, model: nn.Module, names: list[str]) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits (P, V) at all places, and what the named layers give, (B, ...)."""
        model.eval()
        with torch.no_grad(), Taps(model, names) as taps:
            logits = model(self._texts).float()
            captured = {name: tensor for name, tensor in taps.take().items() if tensor.shape[0] == len(self._texts)}
        # what gives no row a token cannot be compared token by token
        fits = {name: t for name, t in captured.items() if "#" in name or t.shape[1:2] == self._texts.shape[1:]}
        return logits, fits

    def _rows(self, features: Tensor) -> Tensor:
        return features.flatten(0, 1).flatten(1)[self._row_places]

    def _spoken(self, name: str, logs: Tensor, top: Tensor) -> dict[str, np.ndarray]:
        """A network's side: its top words, their log probabilities and that of the word there, and its masses."""
        told = torch.cat([logs.gather(1, top), logs.gather(1, self._targets[:, None])], dim=1)
        kind = np.uint16 if logs.shape[1] <= 2**16 else np.int32
        return {
            f"{name}.ids": top.cpu().numpy().astype(kind).reshape(*self._places, -1),
            f"{name}.logs": self._half(told),
            f"{name}.mass": masses(logs).cpu().numpy().reshape(*self._places, len(BETAS), 2),
        }

    def _half(self, logs: Tensor) -> np.ndarray:
        return logs.half().cpu().numpy().reshape(*self._places, -1)

    def _outputs(self, logits: Tensor) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        logs = log_probabilities(logits)
        top = logs.topk(min(TOP, logs.shape[1]), dim=1).indices
        arrays = self._spoken("student", logs, top)
        losses = -logs.gather(1, self._targets[:, None])[:, 0]
        means = {"nll": float(losses[self._said_where].mean())}
        taught = self._teacher_logs
        if taught is not None:
            arrays["teacher.others"] = self._half(taught.gather(1, top))
            arrays["student.others"] = self._half(logs.gather(1, self._teacher_top))
            divergence = (taught.exp() * (taught - logs)).sum(dim=1).clamp_min(0)
            arrays["kl"] = divergence.cpu().numpy().reshape(self._places)
            means["kl"] = float(divergence.mean())
            means["agreement"] = float((top[:, 0] == self._teacher_top[:, 0]).float().mean())
        return arrays, {"spoken": {key: value if np.isfinite(value) else None for key, value in means.items()}}

    def _keep_looks(
        self, pairs: list[Pair], captured: dict[str, Tensor], arrays: dict[str, np.ndarray], meta: dict[str, Any]
    ) -> None:
        """Only attention: the texts are too few for distances between them."""
        if self._looked is None:
            self._looked = [], []
            self._teacher_features = {}
            self.recorder.teacher_looks(self._teacher_maps)


def probe_blocks(blocks: Tensor, facts: TextFacts, most: int) -> Tensor:
    """A few blocks, evenly over the validation text, int64 (B, S); long ones are cut.

    An encoder's block keeps the token that ends it.
    """
    length = min(blocks.shape[1], LONGEST)
    count = max(1, min(most, len(blocks), MOST_TOKENS // length))
    chosen = blocks[torch.linspace(0, len(blocks) - 1, count).round().long()].long()
    cut = chosen[:, :length].clone()
    if facts.task == "masked-lm" and facts.end is not None and bool((chosen[:, -1] == facts.end).all()):
        cut[:, -1] = facts.end
    return cut


def log_probabilities(logits: Tensor) -> Tensor:
    """log softmax in float32; finite, so that products with 0 are 0."""
    return functional.log_softmax(logits.float(), dim=1).clamp_min(LEAST)


def masses(logs: Tensor) -> Tensor:
    """Of distributions (P, V) given by their logarithms: L and its slope at each of `BETAS`, (P, len(BETAS), 2)."""
    found = []
    for part in logs.split(64):  # an intermediate result is as large as the logits
        columns = []
        for beta in BETAS:
            scaled = beta * part
            value = scaled.logsumexp(dim=1)
            slope = ((scaled - value[:, None]).exp() * part).sum(dim=1)
            columns.append(torch.stack([value, slope], dim=1))
        found.append(torch.stack(columns, dim=1))
    return torch.cat(found)
