"""How long it takes until the window can be seen: from the start of the process to the first paint."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kdstudio.project.figures import BenchResult, figure_of
from kdstudio.project.folder import create_project

TITLE = "Start of the window"
TARGET_SECONDS = 1.0
ENGINE = ("torch", "torchvision", "timm", "transformers", "accelerate", "kdstudio.engine")


def measure(quick: bool) -> BenchResult:
    """Starts the window several times on the digits sample; beside it, what Python and Qt alone take."""
    times = 2 if quick else 9
    result = BenchResult()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["KDSTUDIO_CONFIG"] = str(Path(scratch) / "config")
        project = create_project(Path(scratch) / "digits", "digits").root
        starts = [_start(project) for _ in range(times + 1)][1:]  # the first one fills the disk's cache
    result.figures.append(figure_of("window painted, project open", starts, "s", TARGET_SECONDS))
    qt = "import PySide6.QtWidgets, pyqtgraph"
    for name, code in (("Python alone", "pass"), ("Python, Qt and pyqtgraph imported", qt)):
        result.figures.append(figure_of(name, [_run(code) for _ in range(times)], "s"))
    result.notes.append("None of torch, torchvision, timm, transformers, accelerate was imported (checked each time).")
    return result


def _run(code: str) -> float:
    begin = time.monotonic()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.monotonic() - begin


def _start(project: Path) -> float:
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "kdstudio.gui.bench.start", str(project)], check=True, capture_output=True, text=True
    )
    return float(done.stdout.split()[-1]) - begin


def _show(project: Path) -> None:
    """The child: opens the window as `kdstudio PROJECT` does and prints the moment of its first whole paint."""
    from PySide6.QtCore import QEvent, QObject, QTimer

    from kdstudio.gui.app import make_application
    from kdstudio.gui.main_window import MainWindow
    from kdstudio.gui.settings import Settings

    settings = Settings()
    application, theme = make_application(settings)
    window = MainWindow(settings, theme)

    class Watch(QObject):
        def eventFilter(self, watched: QObject, event: QEvent) -> bool:
            if watched is window and event.type() is QEvent.Type.Paint:
                window.removeEventFilter(self)
                QTimer.singleShot(0, self, self.painted)
            return False

        def painted(self) -> None:
            loaded = [name for name in ENGINE if name in sys.modules]
            if loaded:
                raise SystemExit(f"the window imported {', '.join(loaded)}")
            print(time.monotonic(), flush=True)
            os._exit(0)

    watch = Watch()
    window.show()
    window.open_project(project)
    window.installEventFilter(watch)
    sys.exit(application.exec())


if __name__ == "__main__":
    _show(Path(sys.argv[1]))
