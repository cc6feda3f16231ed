"""Help: welcome page, tour, glossary, palette, about."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QMessageBox, QToolBar, QWidget

from kdstudio import __version__
from kdstudio.gui.actions import SPECS
from kdstudio.gui.language import tr
from kdstudio.gui.words import status_words

if TYPE_CHECKING:
    from kdstudio.gui.main_window import MainWindow
    from kdstudio.gui.welcome.tour import Step, Tour


class HelpActions:
    """What teaches, and what finds."""

    def __init__(self, window: MainWindow) -> None:
        self.window = window
        self.current_tour: Tour | None = None

    def handlers(self) -> dict[str, Callable[[], None]]:
        return {
            "welcome": self.welcome,
            "tour": self.tour,
            "glossary": self.glossary,
            "palette": self.palette,
            "about": self.about,
        }

    def welcome(self) -> None:
        """Shows the welcome page; a project that is open stays open behind it."""
        body = self.window.body
        body.setCurrentIndex(0 if body.currentIndex() == 1 or self.window.project is None else 1)

    def glossary(self) -> None:
        from kdstudio.gui.dialogs.glossary import GlossaryDialog

        dialog = GlossaryDialog(self.window)
        dialog.exec()
        dialog.deleteLater()

    def palette(self) -> None:
        """Opens the palette over every action that can be done now, experiments, runs and settings."""
        from kdstudio.gui.dialogs.palette import CommandPalette, Entry

        window = self.window
        entries = []
        for spec in SPECS:
            action = window.actions_by_name[spec.name]
            if action.isEnabled() and action.isVisible() and spec.name != "palette":
                text, menu = action.text().replace("&", "").rstrip("."), tr(spec.menu).replace("&", "")
                entries.append(Entry(text, menu, spec.shortcut, action.trigger))
        if window.project is not None:
            for path in window.project.experiment_files():
                entries.append(Entry(path.stem, tr("experiment"), "", partial(window._experiment_chosen, path)))
            for summary in reversed(window.control.summaries):
                text = status_words(summary.status, summary.state)
                entries.append(Entry(summary.run.name, tr("run"), text, partial(window._run_chosen, summary.run)))
            for label, section, field in window.setup_page.settings():
                entries.append(Entry(label, tr("setting"), tr(section), partial(self._setting, field)))
        dialog = CommandPalette(entries, window)
        dialog.exec()
        dialog.deleteLater()

    def _setting(self, path: str) -> None:
        self.window.show_page("setup")
        self.window.setup_page.show_field(path)

    def about(self) -> None:
        text = tr(
            "KD Studio {version}\n\nA workbench for knowledge distillation.\nApache License 2.0.", version=__version__
        )
        QMessageBox.about(self.window, tr("About KD Studio"), text)

    def tour(self) -> None:
        """Starts the tour; without a project it goes over a sample that is only looked at."""
        from kdstudio.gui.welcome.tour import Tour

        window = self.window
        if self.current_tour is not None:
            return
        if window.project is None:
            window.projects.new_from("digits")
            if window.project is None:
                return
        window.body.setCurrentIndex(1)
        self.current_tour = Tour(window, window.theme, tour_steps(window))
        self.current_tour.ended.connect(self._tour_ended)

    def _tour_ended(self, whole: bool) -> None:
        self.current_tour = None
        self.window.settings.set("toured", True)


def tour_steps(window: MainWindow) -> list[Step]:
    """The five steps."""
    from kdstudio.gui.welcome.tour import Step

    def run_button() -> QWidget | None:
        bar = window.findChild(QToolBar, "toolbar")
        return bar.widgetForAction(window.actions_by_name["run"]) if isinstance(bar, QToolBar) else None

    show = window.show_page
    return [
        Step(
            tr("Experiments and runs"),
            tr(
                "A project holds experiments. Each is one file that says which teacher, which student and which data. "
                "Under each stand its runs, with their status and score."
            ),
            lambda: window.tree,
            partial(show, "setup"),
        ),
        Step(
            tr("Describe the experiment"),
            tr(
                "Everything that a run does is set here: data, teacher, student, the terms of the objective with their "
                "weights and temperature, and training. Rest the mouse on a setting to read what it does."
            ),
            lambda: window.setup_page,
            partial(show, "setup"),
        ),
        Step(
            tr("Run it"),
            tr(
                "Run saves the experiment and starts it in a process of its own. The first run trains the teacher; "
                "later ones find it. Hold pauses, Park frees the device, Stop ends and evaluates."
            ),
            run_button,
            partial(show, "setup"),
        ),
        Step(
            tr("Watch the student learn"),
            tr(
                "Losses as they are optimised, what teacher and student say of the same samples at any temperature, "
                "and how alike their layers are. The slider at the foot goes back in time."
            ),
            lambda: window.monitor,
            partial(show, "monitor"),
        ),
        Step(
            tr("Ship it"),
            tr(
                "The scorecard says what distillation gave: how much smaller, how much faster, how much of the "
                "teacher's accuracy is kept. Export writes the student and checks it in a fresh process."
            ),
            lambda: window.export,
            partial(show, "export"),
        ),
    ]
