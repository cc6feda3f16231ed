"""How long it takes until the window can be seen: from the start of the process to the first paint."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from kdstudio.project.figures import BenchResult, figure_of
from kdstudio.project.folder import create_project

TITLE = "Start of the window"
TARGET_SECONDS = 1.0
TIMES, COLD_TIMES = 15, 5
ENGINE = ("torch", "torchvision", "timm", "transformers", "accelerate", "kdstudio.engine")
FLOORS = {"Python alone": "pass", "Python, Qt and pyqtgraph imported": "import PySide6.QtWidgets, pyqtgraph"}
WINDOW = "window painted, project open"


def measure(quick: bool) -> BenchResult:
    """Starts the window on the digits sample; beside it, in random order, what Python and Qt alone take."""
    times, cold_times = (2, 1) if quick else (TIMES, COLD_TIMES)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["KDSTUDIO_CONFIG"] = str(Path(scratch) / "config")
        project = create_project(Path(scratch) / "digits", "digits").root
        first = _start(project)  # fills the disk's cache, and tells which files a start reads
        jobs = [name for name in (WINDOW, *FLOORS) for _ in range(times)]
        random.Random(0).shuffle(jobs)
        warm: dict[str, list[float]] = {name: [] for name in jobs}
        starts = []
        for name in jobs:
            if name == WINDOW:
                starts.append(_start(project))
                warm[name].append(starts[-1]["seconds"])
            else:
                warm[name].append(_run(FLOORS[name]))
        cold = []
        for _ in range(cold_times):
            _forget(first["files"])
            cold.append(_start(project)["seconds"])
    result = BenchResult()
    result.figures = [
        figure_of(WINDOW, warm[WINDOW], "s", TARGET_SECONDS),
        figure_of(f"{WINDOW}, its files read from the disk", cold, "s"),
        figure_of("CPU time until then", [start["processor"] for start in starts], "s"),
        *(figure_of(name, warm[name], "s") for name in FLOORS),
        figure_of("the Monitor page is there too, made after the first paint", [s["whole"] for s in starts], "s"),
    ]
    loaded = sorted({name for start in [first, *starts] for name in start["loaded"]})
    result.notes.append(f"Imported by the window: {', '.join(loaded)}!" if loaded else f"No {', '.join(ENGINE)}.")
    return result


def _run(code: str) -> float:
    begin = time.monotonic()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.monotonic() - begin


def _start(project: Path) -> dict[str, Any]:
    """One start in a process of its own: `seconds` until the first paint, and what the child says."""
    begin = time.monotonic()  # one clock for all processes
    command = [sys.executable, "-m", "kdstudio.gui.bench.start", str(project)]
    done = subprocess.run(command, capture_output=True, text=True)
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        raise SystemExit(f"the window did not start: {done.stderr.strip() or done.stdout.strip()}") from None
    return {**answer, "seconds": answer["painted"] - begin, "whole": answer["whole"] - begin}


def _forget(files: list[str]) -> None:
    """Asks the system to drop these files from its cache; files that other programs use stay."""
    if hasattr(os, "posix_fadvise"):
        for name in files:
            with contextlib.suppress(OSError):
                handle = os.open(name, os.O_RDONLY)
                try:
                    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
                finally:
                    os.close(handle)


def _files() -> list[str]:
    """The files that this process has loaded."""
    names = {str(getattr(module, "__cached__", None) or getattr(module, "__file__", None)) for module in _modules()}
    with contextlib.suppress(OSError):
        maps = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
        names |= {line.split(maxsplit=5)[-1] for line in maps if "/" in line}
    return sorted(name for name in names if os.path.isfile(name))


def _modules() -> list[Any]:
    return [module for module in list(sys.modules.values()) if module is not None]


def _show(project: str) -> None:
    """The child: `kdstudio PROJECT`, with a window that says when it was painted and when its last page is there."""
    from PySide6.QtCore import QTimer
    from PySide6.QtGui import QPaintEvent

    from kdstudio.gui import main_window

    answer: dict[str, Any] = {}

    class Watched(main_window.MainWindow):
        def paintEvent(self, event: QPaintEvent) -> None:
            super().paintEvent(event)
            if not answer:
                answer["painted"] = 0.0
                QTimer.singleShot(0, self, self.painted)

        def painted(self) -> None:
            answer["painted"] = time.monotonic()
            answer["processor"] = time.process_time()

        def make_monitor(self) -> None:
            super().make_monitor()
            answer["whole"] = time.monotonic()
            answer["loaded"] = [name for name in ENGINE if name in sys.modules]
            answer["files"] = _files()
            print(json.dumps(answer), flush=True)
            self.close()

    main_window.MainWindow = Watched  # type: ignore[misc]
    from kdstudio.cli import main

    sys.exit(main([project]))


if __name__ == "__main__":
    _show(sys.argv[1])
