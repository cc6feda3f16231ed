"""Counter-based random numbers: the same on every machine, even, and independent of each other."""

from __future__ import annotations

import numpy as np
import torch

from kdstudio.engine.counters import shares, splitmix64, token_keys, view_keys, whole_numbers
from kdstudio.engine.data.splits import sort_keys

#: Kept answers of earlier releases would not fit their pixels.
KNOWN_KEYS = [5197578548964807871, -1547715641947990325, -6532078698267662205]
KNOWN_NUMBERS = [-1, 4, 4, -4, -2, -1, 4, -4]
KEYS = view_keys(torch.arange(60_000), 7)


def test_they_are_splitmix64() -> None:
    mixed = [splitmix64(number - 0x9E3779B97F4A7C15) for number in (0, 1, 2**63, 2**64 - 1, 123456789)]
    from kdstudio.engine.counters import _hash, _signed

    given = torch.tensor([_signed(number) for number in (0, 1, 2**63, 2**64 - 1, 123456789)])
    assert [int(value) % 2**64 for value in _hash(given)] == mixed
    assert sort_keys(3, 5).dtype == np.uint64


def test_they_do_not_change_between_releases() -> None:
    assert view_keys(torch.arange(3), 0).tolist() == KNOWN_KEYS
    assert whole_numbers(KEYS[:8], 21, -4, 4).tolist() == KNOWN_NUMBERS


def test_whole_numbers_are_even_and_reach_both_ends() -> None:
    counts = torch.bincount(whole_numbers(KEYS, 21, -4, 4) + 4, minlength=9).double()
    expected = len(KEYS) / 9
    assert float(((counts - expected) ** 2 / expected).sum()) < 26.1  # chi-square, 8 degrees of freedom, p = 0.001


def test_shares_are_even() -> None:
    values = shares(KEYS, 31)
    assert float(values.min()) >= 0
    assert float(values.max()) < 1
    counts = torch.histc(values, 20, 0, 1).double()
    expected = len(KEYS) / 20
    assert float(((counts - expected) ** 2 / expected).sum()) < 43.8  # 19 degrees of freedom


def test_samples_views_and_purposes_are_independent() -> None:
    base = shares(KEYS, 31)
    others = [shares(KEYS, 32), shares(view_keys(torch.arange(60_000), 8), 31), base.roll(1)]
    for other in others:
        together = torch.corrcoef(torch.stack([base, other]))[0, 1]
        assert abs(float(together)) < 0.015


def test_places_of_a_text_differ() -> None:
    places = token_keys(KEYS[:100], 64)
    assert places.shape == (100, 64)
    assert len(places.unique()) == 6400
