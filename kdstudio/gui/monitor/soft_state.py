"""What the views of the soft-targets panel share: the sums at the shown moment, and how they are drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from kdstudio.gui.monitor.soft_data import SoftTargets
from kdstudio.gui.monitor.text_data import TextTargets


@dataclass
class SoftState:
    """`data`, or of language models `text`, is None while there is nothing to show.

    Attributes:
        chosen: Of language models, the text and the token that are looked at.
        listeners: Called when another one is chosen.
    """

    data: SoftTargets | None = None
    text: TextTargets | None = None
    logarithmic: bool = False
    chosen: tuple[int, int] = (0, -1)
    listeners: list[Callable[[], None]] = field(default_factory=list)

    def choose(self, text: int, token: int) -> None:
        """Looks at a token of a text."""
        self.chosen = (text, token)
        self.keep_choice()
        for listener in self.listeners:
            listener()

    def keep_choice(self) -> None:
        """Sees to it that the chosen token is there: at first one that tells something."""
        data = self.text
        if data is None:
            return
        text, token = max(0, min(self.chosen[0], len(data.texts.ids) - 1)), self.chosen[1]
        length = data.length(text)
        if token < 0:
            token = data.first(text)
        self.chosen = (text, max(data.texts.shift, min(token, length - 1)))
