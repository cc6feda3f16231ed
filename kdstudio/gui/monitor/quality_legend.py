"""The line above views of the quality panel: the networks in their colours with a figure each, and the samples."""

from __future__ import annotations

import html
from collections.abc import Mapping

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QSizePolicy

from kdstudio.gui.monitor.quality_state import Facts, colour_of
from kdstudio.gui.theme import Theme
from kdstudio.gui.words import network_word


class NetworkLegend(QLabel):
    """Words about the facts that a view shows."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self._shown: tuple[Facts, dict[str, str]] | None = None
        self.setTextFormat(Qt.TextFormat.RichText)
        self.setWordWrap(True)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def show_facts(self, facts: Facts, figures: Mapping[str, str]) -> None:
        """Names each network that has a figure, and what samples these are."""
        self._shown = (facts, dict(figures))
        tokens = self.theme.tokens
        parts = [
            f'<span style="color:{colour_of(name, tokens)}">■</span>&nbsp;{network_word(name)}&nbsp;'
            f"<b>{html.escape(figure)}</b>"
            for name, figure in figures.items()
        ]
        words = html.escape(facts.words)
        self.setText(" &nbsp; ".join([*parts, f'<span style="color:{tokens.soft}">{words}</span>']))

    def recolour(self) -> None:
        if self._shown is not None:
            self.show_facts(*self._shown)
