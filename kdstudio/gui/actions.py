"""The one registry of actions: menus, tool bar, shortcuts and palette are made from it; names are the CLI's verbs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QObject
from PySide6.QtGui import QAction, QKeySequence

from kdstudio.gui.language import mark, tr


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


FILE, EDIT, RUN, VIEW, HELP = mark("&File"), mark("&Edit"), mark("&Run"), mark("&View"), mark("&Help")
SPECS = (
    ActionSpec("new", mark("&New project..."), FILE, mark("Make a project from a template"), "Ctrl+Shift+N"),
    ActionSpec(
        "open", mark("&Open project..."), FILE, mark("Open a project folder; or drop one on the window"), "Ctrl+O"
    ),
    ActionSpec(
        "images",
        mark("Your &images..."),
        FILE,
        mark("Make a project from a folder with a sub-folder of images per class"),
    ),
    ActionSpec(
        "texts",
        mark("Your &texts..."),
        FILE,
        mark("Make a project from a table of texts with labels, words with tags, or a plain text"),
    ),
    ActionSpec("close-project", mark("&Close project"), FILE, mark("Back to the welcome page; runs go on"), "Ctrl+W"),
    ActionSpec(
        "new-experiment", mark("New &experiment..."), FILE, mark("Add an experiment"), "Ctrl+N", "plus", gap=True
    ),
    ActionSpec(
        "duplicate", mark("&Duplicate experiment..."), FILE, mark("Copy the open experiment"), "Ctrl+D", "duplicate"
    ),
    ActionSpec("save", mark("&Save experiment"), FILE, mark("Write the experiment to its file"), "Ctrl+S", "save"),
    ActionSpec("revert", mark("Re&vert to the file"), FILE, mark("Drop the changes that were not saved")),
    ActionSpec("quit", mark("&Quit"), FILE, mark("Close the window"), "Ctrl+Q", gap=True),
    ActionSpec("undo", mark("&Undo"), EDIT, mark("Take the last change back"), "Ctrl+Z"),
    ActionSpec("redo", mark("&Redo"), EDIT, mark("Make it again"), "Ctrl+Shift+Z"),
    ActionSpec("rename", mark("Re&name experiment..."), EDIT, mark("Give the experiment another name"), "F2", gap=True),
    ActionSpec("delete", mark("&Delete"), EDIT, mark("Move the chosen run or experiment to the trash"), "Del", "trash"),
    ActionSpec("run", mark("&Run"), RUN, mark("Save and run the open experiment"), "Ctrl+R", "play", True),
    ActionSpec(
        "enqueue",
        mark("Add to the &queue"),
        RUN,
        mark("Save the open experiment; a run of it waits its turn"),
        "Ctrl+E",
    ),
    ActionSpec("resume", mark("Res&ume"), RUN, mark("Go on from the last checkpoint"), "Ctrl+Shift+R", "refresh", True),
    ActionSpec(
        "hold", mark("&Hold"), RUN, mark("Pause the run and keep its memory"), "Ctrl+H", "pause", True, gap=True
    ),
    ActionSpec("continue", mark("&Continue"), RUN, mark("Go on after a hold"), "Ctrl+Shift+H", "play", True),
    ActionSpec(
        "park", mark("&Park"), RUN, mark("Save the run and free the device; resume later"), "Ctrl+P", "park", True
    ),
    ActionSpec("stop", mark("&Stop"), RUN, mark("Finish the step, evaluate and save"), "Ctrl+.", "stop", True),
    ActionSpec(
        "stop-now", mark("Stop &now"), RUN, mark("End at once; the last checkpoint stays"), "Ctrl+Shift+.", "stop-now"
    ),
    ActionSpec(
        "train-teacher",
        mark("Train the &teacher"),
        RUN,
        mark("Run until the teacher is trained, then park"),
        "",
        gap=True,
    ),
    ActionSpec(
        "methods",
        mark("Co&mpare methods..."),
        RUN,
        mark("Train the open experiment's student by many methods, with several seeds, and see which differ"),
    ),
    ActionSpec(
        "sweep",
        mark("S&weeps..."),
        RUN,
        mark("Try many values of a few fields of the open experiment, and see which are best"),
    ),
    ActionSpec(
        "spare-core",
        mark("Leave the window a &core"),
        RUN,
        mark("Runs started from here use one processor core less, so that the window stays quick; off uses all"),
    ),
    ActionSpec("advice", mark("&Advice"), RUN, mark("What the shown run's figures suggest to try"), "", "bulb"),
    ActionSpec("evaluate", mark("&Evaluate again"), RUN, mark("Measure the shown run's networks again")),
    ActionSpec(
        "report", mark("Open the re&port"), RUN, mark("Open the shown run's report in the browser"), "", "report"
    ),
    ActionSpec(
        "difference",
        mark("Diff&erence of two runs..."),
        RUN,
        mark("Where the two runs that are ticked on the Runs page differ: specs, and what the students say"),
    ),
    ActionSpec(
        "save-table",
        mark("Save the table of runs..."),
        RUN,
        mark("Mean and spread over seeds, as CSV, Markdown or HTML"),
    ),
    ActionSpec("marks", mark("Star, tags and &note..."), RUN, mark("Mark the shown run, so that it is found again")),
    ActionSpec("open-folder", mark("Open the run's &folder"), RUN, mark("Show the run's files"), "", "folder"),
    ActionSpec("page-setup", mark("&Setup"), VIEW, mark("Describe the experiment"), "Ctrl+1"),
    ActionSpec("page-monitor", mark("&Monitor"), VIEW, mark("Watch the run"), "Ctrl+2"),
    ActionSpec("page-runs", mark("R&uns"), VIEW, mark("All runs of the project"), "Ctrl+3"),
    ActionSpec("page-export", mark("&Export"), VIEW, mark("Ship the student"), "Ctrl+4"),
    ActionSpec(
        "palette", mark("&Find an action..."), VIEW, mark("Find any action, experiment or run"), "Ctrl+K", gap=True
    ),
    ActionSpec("reset-layout", mark("Default &layout"), VIEW, mark("Put the panels back to where they were at first")),
    ActionSpec("text-larger", mark("&Larger text"), VIEW, mark("Make all text larger"), "Ctrl++", gap=True),
    ActionSpec("text-smaller", mark("Sm&aller text"), VIEW, mark("Make all text smaller"), "Ctrl+-"),
    ActionSpec("text-normal", mark("&Normal text"), VIEW, mark("Text at its first size"), "Ctrl+0"),
    ActionSpec(
        "theme-system", mark("Theme of the s&ystem"), VIEW, mark("Follow the desktop's light or dark scheme"), gap=True
    ),
    ActionSpec("theme-light", mark("L&ight theme"), VIEW, mark("Always light")),
    ActionSpec("theme-dark", mark("&Dark theme"), VIEW, mark("Always dark")),
    ActionSpec("welcome", mark("&Welcome page"), HELP, mark("Samples, new project, recent projects")),
    ActionSpec("tour", mark("&Tour"), HELP, mark("Five steps through the window")),
    ActionSpec("glossary", mark("&Glossary"), HELP, mark("The words of distillation"), "F1"),
    ActionSpec("about", mark("&About KD Studio"), HELP, mark("Version and licence"), gap=True),
)


def build_actions(parent: QObject, handlers: dict[str, Callable[[], None]]) -> dict[str, QAction]:
    """All actions, connected. Every spec needs a handler."""
    actions: dict[str, QAction] = {}
    for spec in SPECS:
        action = QAction(tr(spec.text), parent)
        action.setObjectName(spec.name)
        shortcut = f" ({QKeySequence(spec.shortcut).toString()})" if spec.shortcut else ""
        action.setToolTip(tr(spec.tip) + shortcut)
        if spec.shortcut:
            action.setShortcut(QKeySequence(spec.shortcut))
        action.triggered.connect(lambda checked=False, handler=handlers[spec.name]: handler())
        actions[spec.name] = action
    return actions
