"""Language models measured on blocks of text: perplexity, next-token accuracy, and agreement with a teacher."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdstudio.engine.evaluate import classification_metrics, fidelity
from kdstudio.engine.text.facts import IGNORED, TextFacts
from kdstudio.engine.text.tagging import tag_scores

#: So many positions are scored at once: with 50,000 words each network's logits take 200 MB.
POSITIONS = 1024
Progress = Callable[[int, int], None]


def views(
    blocks: Tensor,
    facts: TextFacts,
    device: torch.device,
    progress: Progress | None = None,
    labels: Tensor | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs (B, S) and targets (P) of all blocks, in batches of about `POSITIONS` positions; always the same ones."""
    size = max(1, POSITIONS // facts.max_tokens)
    for start in range(0, len(blocks), size):
        # what is hidden is drawn on the CPU, so that each device scores the same
        inputs, targets = facts.fixed_view(
            blocks[start : start + size].long(), start, None if labels is None else labels[start : start + size]
        )
        yield inputs.to(device), targets.to(device).flatten()
        if progress is not None:
            progress(min(start + size, len(blocks)), len(blocks))


class Tally:
    """Sums over positions, on the device, in float64."""

    def __init__(self, device: torch.device) -> None:
        self.sums: dict[str, Tensor] = {}
        self.device = device

    def add(self, name: str, value: Tensor) -> None:
        total = value.double().sum()
        self.sums[name] = self.sums[name] + total if name in self.sums else total

    def values(self) -> dict[str, float]:
        """All sums; a device is waited for once."""
        if not self.sums:
            return {}
        return dict(zip(self.sums, torch.stack(list(self.sums.values())).tolist()))


def tally(logits: Tensor, targets: Tensor, teacher_logits: Tensor | None, sums: Tally) -> None:
    """Adds what a batch of positions says.

    Args:
        logits: (P, V) of the network.
        targets: (P), with `IGNORED` where there is none.
        teacher_logits: (P, V), None without a teacher.
        sums: Where to add.
    """
    there = targets != IGNORED
    logits = logits.float()
    losses = functional.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="none")
    sums.add("targets", there)
    sums.add("nll", losses)
    sums.add("right", (logits.argmax(dim=1) == targets) & there)
    sums.add("right5", (logits.topk(min(5, logits.shape[1]), dim=1).indices == targets[:, None]).any(1) & there)
    if teacher_logits is None:
        return
    teacher_logits = teacher_logits.float()
    log_student, log_teacher = functional.log_softmax(logits, 1), functional.log_softmax(teacher_logits, 1)
    sums.add("positions", torch.ones_like(targets))
    sums.add("kl", (log_teacher.exp() * (log_teacher - log_student)).sum(dim=1))
    sums.add("agree", logits.argmax(dim=1) == teacher_logits.argmax(dim=1))
    # 1 - TVD: the chance that a token drafted by the student is taken by the teacher (2211.17192, theorem 3.5)
    sums.add("accept", torch.minimum(log_student.exp(), log_teacher.exp()).sum(dim=1))


def at_targets(facts: TextFacts, targets: Tensor, *logits: Tensor | None) -> tuple[Tensor, list[Tensor | None]]:
    """Of a tagger's outputs (P, C) and targets (P) the rows of words; of language models all rows."""
    if not facts.is_tagger:
        return targets, list(logits)
    kept = targets != IGNORED
    return targets[kept], [None if each is None else each[kept] for each in logits]


def metrics(sums: dict[str, float]) -> dict[str, Any]:
    """Figures from sums.

    Returns:
        `count` (targets), `accuracy`, `top5`, `nll` (nats a token), `perplexity`, and with a teacher `fidelity`:
        `agreement`, `kl` (teacher || student, nats a token, T = 1) and `acceptance` (mean of 1 - TVD).
    """
    count = max(1.0, sums["targets"])
    nll = sums["nll"] / count
    found: dict[str, Any] = {
        "count": int(sums["targets"]),
        "accuracy": sums["right"] / count,
        "top5": sums["right5"] / count,
        "nll": nll,
        "perplexity": float(torch.tensor(nll, dtype=torch.float64).exp()),
    }
    if "positions" in sums:
        every = max(1.0, sums["positions"])
        found["fidelity"] = {
            "agreement": sums["agree"] / every,
            "kl": sums["kl"] / every,
            "acceptance": sums["accept"] / every,
        }
    return found


class Answers:
    """What a tagger answers, sentence by sentence; of other networks nothing is kept.

    Args:
        facts: The text task.
    """

    def __init__(self, facts: TextFacts) -> None:
        self.facts = facts
        self._said: list[Tensor] = []
        self._wanted: list[Tensor] = []

    def add(self, logits: Tensor, targets: Tensor, samples: int) -> None:
        """Keeps the tags of a batch of sentences, (B * S, C) and (B * S)."""
        if self.facts.is_tagger:
            self._said.append(logits.argmax(dim=1).view(samples, -1).cpu())
            self._wanted.append(targets.view(samples, -1).cpu())

    def told(self, found: dict[str, Any]) -> dict[str, Any]:
        """Figures with those of a tagger in the place of a perplexity."""
        if not self.facts.is_tagger:
            return found
        found.get("fidelity", {}).pop("acceptance", None)  # a tagger drafts nothing
        scores = tag_scores(torch.cat(self._said), torch.cat(self._wanted), self.facts.tags)
        return {**{key: value for key, value in found.items() if key != "perplexity"}, **scores}


def language_metrics(
    model: nn.Module,
    teacher: nn.Module | None,
    blocks: Tensor,
    facts: TextFacts,
    device: torch.device,
    progress: Progress | None = None,
    labels: Tensor | None = None,
) -> dict[str, Any]:
    """Scores a language model on blocks int (N, S); see `metrics`. Both networks are left in eval mode.

    A tagger is scored at the words, by `labels` (N, S), and has what `tag_scores` says in the place of a perplexity.
    As classifiers it has `confusion`, `per_class`, `ece` and `reliability`, with words as samples and tags as classes.
    """
    model.eval()
    if teacher is not None:
        teacher.eval()
    sums, answers = Tally(device), Answers(facts)
    words: list[tuple[Tensor, Tensor, Tensor | None]] = []
    with torch.no_grad():
        for inputs, targets in views(blocks, facts, device, progress, labels):
            logits = model(inputs)
            answers.add(logits, targets, len(inputs))
            there, (ours, theirs) = at_targets(facts, targets, logits, teacher(inputs) if teacher is not None else None)
            assert ours is not None
            tally(ours, there, theirs, sums)
            if facts.is_tagger:
                words.append((ours.float().cpu(), there.cpu(), None if theirs is None else theirs.float().cpu()))
    found = answers.told(metrics(sums.values()))
    if words:
        _add_words(found, words, facts)
    return found


def _add_words(found: dict[str, Any], words: list[tuple[Tensor, Tensor, Tensor | None]], facts: TextFacts) -> None:
    """Adds what is counted tag by tag: logits (P, C) of the network, tags (P) and logits of the teacher, in parts."""
    ours, targets = torch.cat([part[0] for part in words]), torch.cat([part[1] for part in words])
    theirs = [part[2] for part in words if part[2] is not None]
    counted = classification_metrics(ours, targets, list(facts.tags))
    for name in ("confusion", "per_class", "ece", "reliability", "not_finite"):
        found[name] = counted[name]
    if theirs:
        found["fidelity"]["confusion"] = fidelity(ours, torch.cat(theirs))["confusion"]
