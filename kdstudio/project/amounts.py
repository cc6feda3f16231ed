"""Large numbers for people."""

from __future__ import annotations


def amount(number: float) -> str:
    """1,234,000 as `1.23 M`."""
    for letter, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {letter}"
    return f"{number:g}"


def size_text(count: float) -> str:
    """Bytes for people: 9,944 as `9.94 kB`."""
    return f"{amount(count)}B" if count >= 1000 else f"{count:g} B"
