"""The queue among the window's actions and on its Runs page."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kdstudio.gui.language import tr
from kdstudio.gui.runs.queue_keeper import QueueKeeper
from kdstudio.gui.runs.queue_view import QueueView
from kdstudio.gui.runs.ready import ready

if TYPE_CHECKING:
    from kdstudio.gui.main_window import MainWindow


class QueueActions(QueueKeeper):
    """Keeps the queue of the window's project."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.window = window
        self.spare = lambda: window.control.spare

    def handlers(self) -> dict[str, Callable[[], None]]:
        return {"enqueue": self.enqueue}

    def build(self) -> None:
        """Puts the queue on the Runs page; it tells of its errors in the window."""
        self.window.runs.add_below(QueueView(self.window.theme, self))
        self.failed.connect(self.window.tell_error)
        self.changed.connect(lambda *_: self.window.control.look())

    def enqueue(self) -> None:
        """Saves the open experiment and lets a run of it wait for its turn."""
        window = self.window
        if ready(window, beside=True) and window.setup_page.experiment is not None:
            run = self.add(window.setup_page.experiment)
            if run is not None:
                window.message.hide()
                window.strip.say(tr("{run} waits in the queue, on the page Runs", run=run.name), 6000)

    def pause_for_leaving(self) -> None:
        """Runs are parked or stopped: the next one must not start as soon as they are over."""
        if self.listed:
            self.change(lambda queue: queue.pause(True))
