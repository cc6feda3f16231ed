"""Random numbers that are a function of what they are for: of a sample and one of its views, not of what came before.

A generator's stream depends on all that was drawn earlier, so the pixels of a sample would depend on its batch. Numbers
that are hashes of a counter (as in Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") can be had again
for any sample, in any order, batch and process: the teacher's stored answer belongs to the very pixels that it saw.
"""

from __future__ import annotations

import torch
from torch import Tensor

_WORD = 2**64 - 1


def splitmix64(value: int) -> int:
    """One step of the splitmix64 hash: 64 bits in, 64 well-mixed bits out."""
    value = (value + 0x9E3779B97F4A7C15) & _WORD
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _WORD
    return value ^ (value >> 31)


def mix(*parts: int) -> int:
    """A 64-bit key from several whole numbers; the order matters."""
    key = 0
    for part in parts:
        key = splitmix64(key ^ (part & _WORD))
    return key


def view_keys(samples: Tensor, view: int) -> Tensor:
    """int64 (N): a key for each sample (int64 (N), its number) in a view; on the samples' device."""
    return _hash(samples + _signed(mix(view)))


def whole_numbers(keys: Tensor, purpose: int, low: int, high: int) -> Tensor:
    """int64 of the keys' shape, uniform in low..high.

    Args:
        keys: int64, any shape.
        purpose: Numbers for different purposes are independent.
        low, high: Both ends belong to it; high - low < 2^31.
    """
    return low + (_hash(keys + _signed(mix(purpose))) & 0x7FFFFFFF) % (high - low + 1)


def shares(keys: Tensor, purpose: int) -> Tensor:
    """float32 of the keys' shape, uniform in 0 <= x < 1, in steps of 2^-24."""
    return (_hash(keys + _signed(mix(purpose))) & 0xFFFFFF).float() * 2.0**-24


def token_keys(keys: Tensor, length: int) -> Tensor:
    """int64 (B, length): a key for each place of each sample, of the samples' keys (B)."""
    return _hash(keys[:, None] + torch.arange(length, device=keys.device))


def _hash(value: Tensor) -> Tensor:
    """splitmix64's last step on 64 bits; int64 arithmetic wraps as unsigned arithmetic does."""
    value = (value ^ _shifted(value, 30)) * _signed(0xBF58476D1CE4E5B9)
    value = (value ^ _shifted(value, 27)) * _signed(0x94D049BB133111EB)
    return value ^ _shifted(value, 31)


def _shifted(value: Tensor, bits: int) -> Tensor:
    # int64 shifts its sign in from the left, which is masked out
    return (value >> bits) & ((1 << (64 - bits)) - 1)


def _signed(number: int) -> int:
    return number - 2**64 if number >= 2**63 else number
