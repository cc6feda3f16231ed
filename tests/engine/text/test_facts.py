"""What language models are given, and what they are to say."""

from __future__ import annotations

import torch

from kdstudio.engine.counters import view_keys
from kdstudio.engine.text.facts import IGNORED, TextFacts

FACTS = TextFacts(
    task="masked-lm",
    vocabulary=1000,
    max_tokens=64,
    pad=None,
    filler=0,
    mask=4,
    special=(0, 1, 2, 3, 4),
    begin=1,
    end=2,
)


def ids(rows: int = 512) -> torch.Tensor:
    found = torch.randint(5, 1000, (rows, 64), generator=torch.Generator().manual_seed(1))
    found[:, 0], found[:, -1] = 1, 2
    return found


def view(facts: TextFacts, tokens: torch.Tensor, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    return facts.view(tokens, view_keys(torch.arange(len(tokens)), seed))


def test_shares_of_what_is_hidden() -> None:
    tokens = ids()
    inputs, targets = view(FACTS, tokens)
    chosen = targets != IGNORED
    assert torch.equal(targets[chosen], tokens[chosen])
    assert torch.equal(inputs[~chosen], tokens[~chosen])
    share = chosen.float().sum() / (512 * 62)
    assert abs(share - 0.15) < 0.01
    masked = (inputs == 4) & chosen
    same = (inputs == tokens) & chosen
    assert abs(masked.sum() / chosen.sum() - 0.8) < 0.02
    assert abs(same.sum() / chosen.sum() - 0.1) < 0.02


def test_special_tokens_are_never_hidden_and_every_block_has_a_target() -> None:
    few = TextFacts(**{**FACTS.to_dict(), "special": FACTS.special, "mask_share": 1e-6})
    inputs, targets = view(few, ids())
    assert bool((targets != IGNORED).any(dim=1).all())
    assert bool((targets[:, [0, -1]] == IGNORED).all())
    assert torch.equal(inputs[:, [0, -1]], ids()[:, [0, -1]])


def test_views_repeat_by_their_seed() -> None:
    first, again, other = view(FACTS, ids(), 5), view(FACTS, ids(), 5), view(FACTS, ids(), 6)
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[0], other[0])
    assert torch.equal(FACTS.fixed_view(ids(), 8)[1], FACTS.fixed_view(ids(), 8)[1])


def test_a_block_of_nothing_but_special_tokens_has_no_target() -> None:
    inputs, targets = view(FACTS, torch.ones(2, 64, dtype=torch.int64))
    assert bool((targets == IGNORED).all())
    assert bool((inputs == 1).all())


def test_next_tokens() -> None:
    facts = TextFacts(**{**FACTS.to_dict(), "special": FACTS.special, "task": "causal-lm"})
    tokens = ids(3)
    inputs, targets = view(facts, tokens)
    assert torch.equal(inputs, tokens)
    assert torch.equal(targets, tokens[:, 1:])


def test_there_and_back() -> None:
    assert TextFacts.from_dict(FACTS.to_dict()) == FACTS
