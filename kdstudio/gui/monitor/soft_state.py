"""What the views of the soft-targets panel share: the sums at the shown moment, and how they are drawn."""

from __future__ import annotations

from dataclasses import dataclass

from kdstudio.gui.monitor.soft_data import SoftTargets


@dataclass
class SoftState:
    """`data` is None while there is nothing to show."""

    data: SoftTargets | None = None
    logarithmic: bool = False
