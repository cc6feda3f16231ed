"""Opens the comparison of methods, and says on the Runs page that one is going."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QPushButton

from kdstudio.gui.language import tr
from kdstudio.gui.runs.ready import alone
from kdstudio.project.comparison import read_comparison

if TYPE_CHECKING:
    from kdstudio.gui.main_window import MainWindow
    from kdstudio.gui.runs.methods_dialog import MethodsDialog


class MethodsActions:
    """One dialog at a time; it stands beside the window."""

    def __init__(self, window: MainWindow) -> None:
        self.window = window
        self.dialog: MethodsDialog | None = None

    def open(self) -> None:
        """Shows the comparison of the open experiment."""
        from kdstudio.gui.runs.methods_dialog import MethodsDialog

        window, page = self.window, self.window.setup_page
        if window.project is None or page.path is None:
            return
        if self.dialog is not None:
            if self.dialog.path == page.path:
                self.dialog.raise_()
                self.dialog.activateWindow()
                return
            self.dialog.close()
        if not page.check() or page.experiment is None or page.experiment.teacher is None:
            window.show_page("setup")
            text = tr("A comparison takes its data, teacher, student and budget from the open experiment.")
            fix = tr("Add a teacher to it, or open another one, and see to the fields that are marked.")
            window.message.tell(tr("This experiment cannot be compared on."), text, fix)
            return
        window.message.hide()
        path = page.path
        self.dialog = MethodsDialog(
            window.theme,
            page.client,
            window.project,
            page.experiment,
            path,
            lambda: self._ready(path),
            window.control.spare,
            window,
        )
        self.dialog.destroyed.connect(self._gone)
        self.dialog.show()

    def _ready(self, path: Path) -> bool:
        """Saves what was changed in the experiment; asks first where a run is going."""
        page = self.window.setup_page
        if not alone(self.window, self.window.control.going):
            return False
        return page.path != path or not page.dirty or page.save()

    def _gone(self) -> None:
        self.dialog = None

    def close(self) -> None:
        """Closes the dialog; a comparison that is going goes on."""
        if self.dialog is not None:
            self.dialog.close()

    def tell(self, button: QPushButton) -> None:
        """Says on the button how far a comparison of the project is that is going."""
        project, words = self.window.project, tr("Compare methods...")
        tip = tr("Train the open experiment's student by many methods, and see which differ")
        if project is not None:
            for folder in sorted((project.root / "bench").glob("*/")):
                state = read_comparison(folder)
                if state is not None and state.going and state.total:
                    words = tr("Comparing methods: {done} of {total}", done=state.done, total=state.total)
                    tip = tr(
                        "A comparison on {experiment} is going; open that experiment to see it", experiment=folder.name
                    )
        button.setText(words)
        button.setToolTip(tip)
