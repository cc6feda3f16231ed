"""The one registry of actions: menus, tool bar, shortcuts and palette are made from it; names are the CLI's verbs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QObject
from PySide6.QtGui import QAction, QKeySequence


@dataclass(frozen=True)
class ActionSpec:
    """An action: its verb, what it is called, where it stands, how it is reached.

    Attributes:
        menu: Title of its menu; an empty one keeps it out of the menus.
        gap: Whether a line stands above it in its menu.
    """

    name: str
    text: str
    menu: str
    tip: str
    shortcut: str = ""
    icon: str = ""
    toolbar: bool = False
    gap: bool = False


FILE, EDIT, RUN, VIEW, HELP = "&File", "&Edit", "&Run", "&View", "&Help"
SPECS = (
    ActionSpec("new", "&New project...", FILE, "Make a project from a template", "Ctrl+Shift+N"),
    ActionSpec("open", "&Open project...", FILE, "Open a project folder; or drop one on the window", "Ctrl+O"),
    ActionSpec("close-project", "&Close project", FILE, "Back to the welcome page; runs go on", "Ctrl+W"),
    ActionSpec("new-experiment", "New &experiment...", FILE, "Add an experiment", "Ctrl+N", "plus", gap=True),
    ActionSpec("duplicate", "&Duplicate experiment...", FILE, "Copy the open experiment", "Ctrl+D", "duplicate"),
    ActionSpec("save", "&Save experiment", FILE, "Write the experiment to its file", "Ctrl+S", "save"),
    ActionSpec("revert", "Re&vert to the file", FILE, "Drop the changes that were not saved"),
    ActionSpec("quit", "&Quit", FILE, "Close the window", "Ctrl+Q", gap=True),
    ActionSpec("undo", "&Undo", EDIT, "Take the last change back", "Ctrl+Z"),
    ActionSpec("redo", "&Redo", EDIT, "Make it again", "Ctrl+Shift+Z"),
    ActionSpec("rename", "Re&name experiment...", EDIT, "Give the experiment another name", "F2", gap=True),
    ActionSpec("delete", "&Delete", EDIT, "Move the chosen run or experiment to the trash", "Del", "trash"),
    ActionSpec("run", "&Run", RUN, "Save and run the open experiment", "Ctrl+R", "play", True),
    ActionSpec("resume", "Res&ume", RUN, "Go on from the last checkpoint", "Ctrl+Shift+R", "refresh", True),
    ActionSpec("hold", "&Hold", RUN, "Pause the run and keep its memory", "Ctrl+H", "pause", True, gap=True),
    ActionSpec("continue", "&Continue", RUN, "Go on after a hold", "Ctrl+Shift+H", "play", True),
    ActionSpec("park", "&Park", RUN, "Save the run and free the device; resume later", "Ctrl+P", "park", True),
    ActionSpec("stop", "&Stop", RUN, "Finish the step, evaluate and save", "Ctrl+.", "stop", True),
    ActionSpec("stop-now", "Stop &now", RUN, "End at once; the last checkpoint stays", "Ctrl+Shift+.", "stop-now"),
    ActionSpec("train-teacher", "Train the &teacher", RUN, "Run until the teacher is trained, then park", "", gap=True),
    ActionSpec("evaluate", "&Evaluate again", RUN, "Measure the shown run's networks again"),
    ActionSpec("report", "Open the re&port", RUN, "Open the shown run's report in the browser", "", "report"),
    ActionSpec("open-folder", "Open the run's &folder", RUN, "Show the run's files", "", "folder"),
    ActionSpec("page-setup", "&Setup", VIEW, "Describe the experiment", "Ctrl+1"),
    ActionSpec("page-monitor", "&Monitor", VIEW, "Watch the run", "Ctrl+2"),
    ActionSpec("page-runs", "R&uns", VIEW, "All runs of the project", "Ctrl+3"),
    ActionSpec("page-export", "&Export", VIEW, "Ship the student", "Ctrl+4"),
    ActionSpec("palette", "&Find an action...", VIEW, "Find any action, experiment or run", "Ctrl+K", gap=True),
    ActionSpec("reset-layout", "Default &layout", VIEW, "Put the panels back to where they were at first"),
    ActionSpec("text-larger", "&Larger text", VIEW, "Make all text larger", "Ctrl++", gap=True),
    ActionSpec("text-smaller", "Sm&aller text", VIEW, "Make all text smaller", "Ctrl+-"),
    ActionSpec("text-normal", "&Normal text", VIEW, "Text at its first size", "Ctrl+0"),
    ActionSpec("theme-system", "Theme of the s&ystem", VIEW, "Follow the desktop's light or dark scheme", gap=True),
    ActionSpec("theme-light", "L&ight theme", VIEW, "Always light"),
    ActionSpec("theme-dark", "&Dark theme", VIEW, "Always dark"),
    ActionSpec("welcome", "&Welcome page", HELP, "Samples, new project, recent projects"),
    ActionSpec("tour", "&Tour", HELP, "Five steps through the window"),
    ActionSpec("glossary", "&Glossary", HELP, "The words of distillation", "F1"),
    ActionSpec("about", "&About KD Studio", HELP, "Version and licence", gap=True),
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
