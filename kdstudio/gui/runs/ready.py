"""Whether the open experiment can be run: it is right, it is saved, and the engine has found nothing wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdstudio.gui.dialogs.closing import ask_to_run_beside
from kdstudio.gui.language import tr
from kdstudio.project.runs.state import RunStatus

if TYPE_CHECKING:
    from kdstudio.gui.main_window import MainWindow
    from kdstudio.gui.setup.facts import Facts


def ready(window: MainWindow, beside: bool = False) -> bool:
    """Says why not, and shows the field. What the engine was asked and has not answered yet stops nobody.

    Args:
        window: The window.
        beside: Whether other runs may go: nothing is asked about them.
    """
    page = window.setup_page
    if window.project is None or page.path is None:
        return False
    right = page.check()
    told = _told(page.facts) if right else {}
    if right and not told and (not page.dirty or page.save()):
        return beside or alone(window, window.control.going)
    window.show_page("setup")
    wrong = told or page.context.problems
    if wrong:
        page.show_field(next(iter(wrong)))
    if told:
        text = next(iter(told.values()))[0]
        again = tr("Check again")
        what = tr("The run would fail.")
        window.experiments.tell_wrong(what, text, button=again, then=lambda: page.facts.look_again("data"))
    else:
        text = tr("A field has an error; it is marked on this page.")
        window.experiments.tell_wrong(tr("The experiment is not complete."), text)
    return False


def alone(window: MainWindow, shown: bool = False) -> bool:
    """Whether no other run of the project is going or held, or the person wants both.

    Args:
        window: The window.
        shown: Whether the shown run is going and counts, too; not when it is that one that is resumed.
    """
    control = window.control
    others = [run for run in control.active() if run != control.run]
    over = control.run is None or not (control.run.status().active or control.run.status() is RunStatus.CREATED)
    if control.run is not None and shown and not over:  # a run that was shown just now may be over already
        others.append(control.run)
    return not others or ask_to_run_beside(window, [run.name for run in others])


def _told(facts: Facts) -> dict[str, list[str]]:
    """What the engine found wrong with the experiment; that its process died says nothing about that."""
    errors = [fact.error for fact in facts.parts.values() if fact.error is not None]
    return {} if any(error.kind == "engine-died" for error in errors) else facts.problems()
