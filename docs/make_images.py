"""Makes `docs/images`: every page and panel of the real window, live and empty, in both themes and two sizes.

    xvfb-run -a -s "-screen 0 1920x1080x24" python docs/make_images.py [--only dark-1280x720]

The window works on a copy of the digits sample in a scratch folder: it is opened, runs are started by Run and
watched, and each state is grabbed. Nothing is drawn by hand.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QDialog, QWidget

IMAGES = Path(__file__).parent / "images"
SIZES = ((1280, 720), (1920, 1080))
PATIENCE = 180.0


class Camera:
    """Drives one window and grabs it."""

    def __init__(self, folder: Path, project: Path, theme: str, size: tuple[int, int]) -> None:
        from kdstudio.gui.app import make_application
        from kdstudio.gui.garbage import GarbageCollector
        from kdstudio.gui.main_window import MainWindow
        from kdstudio.gui.settings import Settings

        settings = Settings()
        settings.set("theme", theme)
        self.folder = folder
        self.project = project
        folder.mkdir(parents=True, exist_ok=True)
        self.application, self.theme = make_application(settings)
        self.garbage = GarbageCollector(self.application)
        self.window = MainWindow(settings, self.theme)
        self.window.resize(*size)
        self.window.show()
        self.pump(0.5)

    def pump(self, seconds: float) -> None:
        """Lets the window live for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.application.processEvents()
            time.sleep(0.003)

    def until(self, condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise SystemExit("the window did not get there")
            self.pump(0.05)

    def grab(self, name: str, widget: QWidget | None = None) -> None:
        """Saves a picture; 256 colours are plenty and a third of the size."""
        self.pump(0.35)
        path = self.folder / f"{name}.png"
        (widget or self.window).grab().save(str(path))
        with Image.open(path) as picture:
            picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)

    def dialog(self, name: str, open_it: Callable[[], object]) -> None:
        """Opens a dialog, grabs it, closes it."""
        timer = QTimer()

        def look() -> None:
            found = QApplication.activeModalWidget()
            if isinstance(found, QDialog):
                timer.stop()
                self.grab(name, found)
                found.reject()

        timer.timeout.connect(look)
        timer.start(400)
        open_it()
        timer.stop()

    # -- what is seen ----------------------------------------------------------------------------------------

    def empty(self) -> None:
        """Before anything was done."""
        self.grab("welcome")
        self.dialog("new-project", self.window.actions_by_name["new"].trigger)
        self.window.open_project(self.project)
        for page in ("monitor", "runs", "export"):
            self.window.show_page(page)
            self.grab(f"{page}-empty")

    def setup(self, experiment: str) -> None:
        """The Setup page, section by section."""
        window = self.window
        window.open_experiment(window.project.path_of(experiment))
        window.show_page("setup")
        for row in range(window.setup_page.sections.count()):
            window.setup_page.sections.setCurrentRow(row)
            self.pump(0.3)
            self.pump(3.0 if self._section_name(row) in ("data", "teacher") else 0.8)  # the engine answers
            self.grab(f"setup-{row}-{self._section_name(row)}")
        from kdstudio.gui.setup.pairs_editor import PairsEditor

        window.setup_page.show_section("objective")
        self.pump(0.5)
        self.dialog("balance", window.setup_page.current_section().balance.shares.click)
        editor = next(editor for editor in window.setup_page.findChildren(PairsEditor) if editor.isVisible())
        self.dialog("pair-picker", editor.button.click)

    def _section_name(self, row: int) -> str:
        from kdstudio.gui.setup.sections import SECTIONS

        return SECTIONS[row].name

    def run(self, experiment: str) -> None:
        """A run by the Run action, to its end."""
        window = self.window
        window.open_experiment(window.project.path_of(experiment))
        window.actions_by_name["run"].trigger()
        self.until(lambda: window.control.status.value == "finished")
        self.pump(1.0)

    def live(self, experiment: str) -> None:
        """A run that takes longer, grabbed while it goes, and stopped."""
        from kdstudio.gui.dialogs.closing import ask_about_runs

        window = self.window
        path = self.project / "experiments" / "long.yaml"
        text = window.project.path_of(experiment).read_text(encoding="utf-8")
        path.write_text(
            text.replace(f"name: {experiment}", "name: long").replace("epochs: 120", "epochs: 20000"), encoding="utf-8"
        )
        window.open_experiment(path)
        window.actions_by_name["run"].trigger()
        self.until(lambda: window.control.state.stage == "student" and window.control.state.step > 1000)
        self.panels("live")
        self.dialog("closing", lambda: ask_about_runs(window, [window.control.run.name]))
        window.actions_by_name["stop"].trigger()
        self.until(lambda: window.control.status.value == "stopped")
        self.pump(1.0)

    def panels(self, state: str) -> None:
        """Every panel with every view, one after the other on top."""
        monitor = self.window.monitor
        self.window.show_page("monitor")
        self.grab(f"monitor-{state}")
        for panel in monitor.panels:
            monitor.docks[panel.name].raise_()
            self.pump(0.2)
            switch = getattr(getattr(panel, "switch", None), "switch", None)
            count = switch.count() if switch is not None else 1
            for index in range(count):
                if switch is not None:
                    switch.setCurrentIndex(index)
                self.grab(f"panel-{panel.name}{f'-{index}' if count > 1 else ''}-{state}")
            if switch is not None:
                switch.setCurrentIndex(0)
        for name in ("quality", "soft-targets"):
            monitor.docks[name].raise_()

    def finished(self) -> None:
        """All pages with finished runs, the help, and a message."""
        window = self.window
        self.panels("finished")
        model = window.runs.model
        from PySide6.QtCore import Qt

        for row in range(model.rowCount()):
            model.setData(model.index(row, 0), Qt.CheckState.Checked, Qt.ItemDataRole.CheckStateRole)
        self.pump(1.0)
        window.show_page("monitor")
        self.grab("monitor-compared")
        window.show_page("runs")
        self.grab("runs")
        model.clear_ticks()
        window.actions_by_name["methods"].trigger()
        self.pump(1.5)
        dialogs = [one for one in QApplication.topLevelWidgets() if isinstance(one, QDialog) and one.isVisible()]
        self.grab("methods", dialogs[0])
        dialogs[0].close()
        queue = window.queue.queue
        queue.pause(True)
        for _ in range(2):
            window.actions_by_name["enqueue"].trigger()
        self.pump(1.5)
        window.show_page("runs")
        self.grab("queue")
        for one in queue.listed():
            queue.remove(one.run.name)
        window.show_page("export")
        window.export.export("onnx")
        self.grab("export-busy")
        self.until(lambda: not window.export.busy)
        self.grab("export")
        for name in ("palette", "glossary"):
            self.dialog(name, window.actions_by_name[name].trigger)
        window.help.tour()
        for step in range(5):
            window.help.current_tour.go(step)
            self.grab(f"tour-{step + 1}")
        window.help.current_tour.skip.click()
        window.message.tell(
            "Interrupted at step 312.",
            "Its process was killed, as the system does when memory runs out.",
            "Resume goes on from the last checkpoint; nothing before it is lost.",
            "the last lines of the log",
            button="Resume",
        )
        self.grab("message")
        window.message.dismiss()

    def close(self) -> None:
        self.window.setup_page.close_experiment()
        self.window.close()
        self.window.deleteLater()
        self.pump(0.2)
        self.theme.shut_down()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="one folder, for example dark-1280x720")
    only = parser.parse_args().only
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["KDSTUDIO_CONFIG"] = str(Path(scratch) / "config")
        from kdstudio.project.folder import create_project

        for theme in ("dark", "light"):
            for size in SIZES:
                name = f"{theme}-{size[0]}x{size[1]}"
                if only and only != name:
                    continue
                shutil.rmtree(IMAGES / name, ignore_errors=True)
                project = create_project(Path(scratch) / name / "digits", "digits")
                camera = Camera(IMAGES / name, project.root, theme, size)
                camera.empty()
                camera.run("soft-targets")
                camera.live("hints")
                camera.run("hints")
                camera.setup("hints")
                camera.finished()
                camera.close()
                print(name, len(list((IMAGES / name).glob("*.png"))), "pictures", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
