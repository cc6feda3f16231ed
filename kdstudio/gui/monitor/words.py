"""Figures as people say them: lengths of time, sizes, rates, losses."""

from __future__ import annotations

import math

from kdstudio.gui.language import tr, trn


def duration(seconds: float) -> str:
    """A length of time: 85 ms, 4.2 s, 42 s, 3 min 05 s, 2 h 10 min."""
    if seconds < 0:
        return f"−{duration(-seconds)}"
    if seconds < 1:
        return f"{1000 * seconds:.3g} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return tr("{minutes} min {seconds:02d} s", minutes=whole // 60, seconds=whole % 60)
    return tr("{hours} h {minutes:02d} min", hours=whole // 3600, minutes=whole % 3600 // 60)


def remaining(seconds: float) -> str:
    """How long something will still take, no more exact than it is known."""
    if seconds < 8:
        return tr("a few seconds")
    if seconds < 50:
        return trn("about {count} second", "about {count} seconds", 5 * math.ceil(seconds / 5))
    if seconds < 100:
        return tr("about a minute")
    minutes = round(seconds / 60)
    if minutes < 60:
        return trn("about a minute", "about {count} minutes", minutes if minutes < 10 else 5 * round(minutes / 5))
    if minutes < 75:
        return tr("about an hour")
    if minutes < 600:
        return tr("about {hours:g} hours", hours=round(minutes / 30) / 2)
    return trn("about an hour", "about {count} hours", round(minutes / 60))


def size(count: float) -> str:
    """Bytes: 816 MB, 1.24 GB."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.3g} {unit}" if count < 100 * factor else f"{count / factor:,.0f} {unit}"
    return tr("{count:.0f} bytes", count=count)


def figure(value: float) -> str:
    """A loss or another plain figure, with four digits that count."""
    if not math.isfinite(value):
        return "–"
    text = f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}" if abs(value) < 1e9 else f"{value:.3e}"
    return text.replace("-", "−")


def percent(share: float) -> str:
    """A share: 95.4 %."""
    return f"{100 * share:.1f} %" if math.isfinite(share) else "–"
