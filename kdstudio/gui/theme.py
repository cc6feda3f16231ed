"""Colours as tokens, the palette and the style sheet made from them, light or dark."""

from __future__ import annotations

import json
import string
from dataclasses import asdict, dataclass

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication

from kdstudio.project.shipped import resource

#: Size of plain text; the style sheet's larger sizes are relative to it.
POINTS = 10.0


@dataclass(frozen=True)
class Tokens:
    """One theme. Curve colours are Okabe and Ito's, darkened for light grounds; roles keep theirs in every panel."""

    window: str
    panel: str
    field: str
    raised: str
    line: str
    ink: str
    soft: str
    faint: str
    accent: str
    accent_ink: str
    selection: str
    check: str
    good: str
    warn: str
    bad: str
    teacher: str
    student: str
    baseline: str
    total: str
    curve1: str
    curve2: str
    curve3: str
    curve4: str
    curve5: str


def load_tokens(name: str) -> Tokens:
    """The tokens of `resources/themes/NAME.json`."""
    return Tokens(**json.loads(resource(f"themes/{name}.json").read_text(encoding="utf-8")))


DARK = load_tokens("dark")
LIGHT = load_tokens("light")


class Theme(QObject):
    """The theme in force. `system` follows the desktop's scheme, also when it changes while the window is open."""

    changed = Signal()

    def __init__(self, application: QApplication, choice: str = "system") -> None:
        super().__init__(application)
        self._application = application
        self.choice = choice
        self.tokens = DARK
        application.setStyleSheet("")  # a new style below one costs a look at all widgets for each of the two
        application.setStyle("Fusion")
        application.styleHints().colorSchemeChanged.connect(self._scheme_changed)
        self.apply(choice)

    @property
    def dark(self) -> bool:
        return self.tokens is DARK

    def apply(self, choice: str) -> None:
        """Switches to `light`, `dark` or `system`."""
        self.choice = choice if choice in ("light", "dark", "system") else "system"
        if self.choice == "system":
            dark = self._application.styleHints().colorScheme() != Qt.ColorScheme.Light
        else:
            dark = self.choice == "dark"
        self.tokens = DARK if dark else LIGHT
        self._application.setPalette(palette(self.tokens))
        icons = resource("icons").as_posix()
        template = string.Template(resource("themes/window.qss").read_text(encoding="utf-8"))
        points = self._application.font().pointSizeF()
        shares = {"small_points": 0.88, "title_points": 1.5, "figure_points": 2.0}
        sizes = {name: f"{share * points:.1f}" for name, share in shares.items()}
        self._application.setStyleSheet(template.substitute(asdict(self.tokens), icons=icons, **sizes))
        self.changed.emit()

    def scale(self, steps: int) -> None:
        """Sets all text `steps` points larger (or smaller) than at first."""
        font = self._application.font()
        font.setPointSizeF(POINTS + steps)
        self._application.setFont(font)
        self.apply(self.choice)

    def shut_down(self) -> None:
        """Stops to follow the desktop."""
        self._application.styleHints().colorSchemeChanged.disconnect(self._scheme_changed)
        self.deleteLater()

    def _scheme_changed(self) -> None:
        if self.choice == "system":
            self.apply("system")


def palette(tokens: Tokens) -> QPalette:
    """A Fusion palette for the tokens."""
    roles = QPalette.ColorRole
    colours = {
        roles.Window: tokens.window, roles.WindowText: tokens.ink, roles.Base: tokens.field, roles.Text: tokens.ink,
        roles.AlternateBase: tokens.raised, roles.Button: tokens.raised, roles.ButtonText: tokens.ink,
        roles.ToolTipBase: tokens.raised, roles.ToolTipText: tokens.ink, roles.PlaceholderText: tokens.faint,
        roles.Highlight: tokens.selection, roles.HighlightedText: tokens.ink, roles.Link: tokens.accent,
        roles.Mid: tokens.line, roles.Dark: tokens.line, roles.Light: tokens.raised, roles.Midlight: tokens.raised,
        roles.BrightText: tokens.bad, roles.Accent: tokens.accent,
    }  # fmt: skip
    result = QPalette()
    for role, colour in colours.items():
        result.setColor(role, QColor(colour))
    for role in (roles.Text, roles.WindowText, roles.ButtonText):
        result.setColor(QPalette.ColorGroup.Disabled, role, QColor(tokens.faint))
    return result


def term_colour(tokens: Tokens, index: int) -> str:
    """The colour of the n-th term of an objective."""
    return [tokens.curve1, tokens.curve2, tokens.curve3, tokens.curve4, tokens.curve5][index % 5]
