"""The one registry of actions: menus, toolbar and shortcuts are made from it, and names are those of the CLI verbs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QObject
from PySide6.QtGui import QAction, QKeySequence


@dataclass(frozen=True)
class ActionSpec:
    """An action: its verb, what it is called, where it stands, how it is reached."""

    name: str
    text: str
    menu: str
    tip: str
    shortcut: str = ""
    icon: str = ""
    toolbar: bool = False


SPECS = (
    ActionSpec("open", "&Open project...", "&File", "Open a project folder", "Ctrl+O"),
    ActionSpec("new", "&New project...", "&File", "Make a project from a template", "Ctrl+N"),
    ActionSpec("save", "&Save experiment", "&File", "Write the experiment to its file", "Ctrl+S"),
    ActionSpec("quit", "&Quit", "&File", "Close the window", "Ctrl+Q"),
    ActionSpec("run", "&Run", "&Run", "Run the experiment", "Ctrl+R", "run", True),
    ActionSpec(
        "resume", "Res&ume", "&Run", "Go on with the shown run from its last checkpoint", "Ctrl+Shift+R", "", True
    ),
    ActionSpec("hold", "&Hold", "&Run", "Pause the run and keep its memory", "Ctrl+H", "hold", True),
    ActionSpec("continue", "&Continue", "&Run", "Go on after a hold", "Ctrl+Shift+H", "run", True),
    ActionSpec("park", "&Park", "&Run", "Save the run and free the device; resume later", "Ctrl+P", "park", True),
    ActionSpec("stop", "&Stop", "&Run", "Finish the step, evaluate and save", "Ctrl+.", "stop", True),
    ActionSpec("stop-now", "Stop &now", "&Run", "End at once; the last checkpoint stays", "Ctrl+Shift+."),
    ActionSpec("page-setup", "&Setup", "&View", "Describe the experiment", "Ctrl+1"),
    ActionSpec("page-monitor", "&Monitor", "&View", "Watch the run", "Ctrl+2"),
    ActionSpec("page-runs", "R&uns", "&View", "All runs of the project", "Ctrl+3"),
    ActionSpec("page-export", "&Export", "&View", "Ship the student", "Ctrl+4"),
    ActionSpec("theme-system", "Theme of the s&ystem", "&View", "Follow the desktop's light or dark scheme"),
    ActionSpec("theme-light", "&Light theme", "&View", "Always light"),
    ActionSpec("theme-dark", "&Dark theme", "&View", "Always dark"),
    ActionSpec("report", "Open the &report", "&Help", "Open the shown run's report in the browser"),
    ActionSpec("about", "&About KD Studio", "&Help", "Version and licence"),
)


def build_actions(parent: QObject, handlers: dict[str, Callable[[], None]]) -> dict[str, QAction]:
    """All actions, connected. Every spec needs a handler."""
    actions: dict[str, QAction] = {}
    for spec in SPECS:
        action = QAction(spec.text, parent)
        action.setObjectName(spec.name)
        shortcut = f" ({QKeySequence(spec.shortcut).toString()})" if spec.shortcut else ""
        action.setToolTip(spec.tip + shortcut)
        action.setStatusTip(spec.tip)
        if spec.shortcut:
            action.setShortcut(QKeySequence(spec.shortcut))
        action.triggered.connect(lambda checked=False, handler=handlers[spec.name]: handler())
        actions[spec.name] = action
    return actions
