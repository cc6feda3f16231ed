"""A million metric records opened in the window, and how the window fares meanwhile."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from kdstudio.project.figures import BenchResult, figure_of
from kdstudio.project.folder import create_project
from kdstudio.project.runs.folder import RunFolder, write_bytes
from kdstudio.project.runs.metrics import MetricFollower, MetricRecord
from kdstudio.project.runs.state import RunState, encode_state

if TYPE_CHECKING:
    from kdstudio.gui.main_window import MainWindow

TITLE = "One million metric records opened"
TARGET_SECONDS = 1.5
WAIT_MILLISECONDS = 100.0
TICK_MILLISECONDS = 5
RECORDS, TIMES = 1_000_000, 5
QUICK_RECORDS, QUICK_TIMES = 20_000, 1
#: What the meter writes for an objective of two terms, beside the learning rate.
KEYS = ("loss", "accuracy", "term.hard", "term.soft", "term.hard.weighted", "term.soft.weighted")


def measure(quick: bool) -> BenchResult:
    """Opens a run with that many records in the main window and watches a timer in the window's thread.

    The worker reads in its thread, as always; the Monitor page is shown and draws what has been read so far.
    """
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from kdstudio.gui.app import make_application
    from kdstudio.gui.main_window import MainWindow
    from kdstudio.gui.settings import Settings

    records, times = (QUICK_RECORDS, QUICK_TIMES) if quick else (RECORDS, TIMES)
    opened, waits, processor, alone = [], [], [], []
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["KDSTUDIO_CONFIG"] = str(Path(scratch) / "config")
        project = create_project(Path(scratch) / "digits", "digits")
        run = project.create_run(project.load("soft-targets"))
        _write(run, records)
        settings = Settings()
        _application, theme = make_application(settings)
        window = MainWindow(settings, theme)
        window.show()
        window.open_project(project.root)
        window.show_page("monitor")
        for _ in range(times):
            _pump(0.5)
            seconds, wait, cpu = _open(window, run, records)
            opened.append(seconds)
            waits.append(wait)
            processor.append(cpu)
            window.control.show(None)
        window.close()
        for _ in range(times):
            begin = time.perf_counter()
            MetricFollower(run.metrics_path).read_all()
            alone.append(time.perf_counter() - begin)
        size = run.metrics_path.stat().st_size
    result = BenchResult()
    result.figures = [
        figure_of(f"{records:,} records opened in the window", opened, "s", TARGET_SECONDS),
        figure_of("longest wait of the window's thread meanwhile", waits, "ms", WAIT_MILLISECONDS),
        figure_of("CPU time of that, reading and drawing", processor, "s"),
        figure_of("read alone, without a window", alone, "s"),
    ]
    result.notes.append(
        f"Records as training writes them, {len(KEYS) + 1} values in each, {size / records:.0f} bytes; the file is in "
        f"the system's cache. The wait is the longest time between two ticks of a {TICK_MILLISECONDS} ms timer, until "
        "a second after all was read, the drawing of all curves included."
    )
    return result


def _pump(seconds: float) -> None:
    from PySide6.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    QTimer.singleShot(int(1000 * seconds), loop.quit)
    loop.exec()


def _open(window: MainWindow, run: RunFolder, records: int) -> tuple[float, float, float]:
    """Seconds until all is read, the longest wait in ms, and CPU seconds."""
    from PySide6.QtCore import QEventLoop, Qt, QTimer

    loop = QEventLoop()
    begin, processor = time.perf_counter(), time.process_time()
    last, longest, read = begin, 0.0, 0.0

    def tick() -> None:
        nonlocal last, longest
        now = time.perf_counter()
        longest, last = max(longest, now - last), now

    def loaded() -> None:
        nonlocal read
        read = time.perf_counter()
        QTimer.singleShot(1000, loop.quit)

    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.setInterval(TICK_MILLISECONDS)
    timer.timeout.connect(tick)
    timer.start()
    window.show_run(run)
    worker = window.control.worker
    assert worker is not None
    worker.loaded.connect(loaded)
    loop.exec()
    timer.stop()
    length = worker.length("student", "train", "loss")
    if length != records:
        raise SystemExit(f"{length} of {records} records were read")
    return read - begin, 1000 * longest, time.process_time() - processor


def _write(run: RunFolder, records: int) -> None:
    """A finished run of so many steps."""
    encoder = msgspec.json.Encoder()
    numbers = np.random.default_rng(0)
    block = 10_000
    with run.metrics_path.open("wb") as file:
        for start in range(0, records, block):
            steps = np.arange(start, min(start + block, records))
            noise = numbers.random((len(steps), len(KEYS)))
            table = (np.exp(-steps[:, None] / records) * (0.5 + noise)).astype(np.float32).tolist()
            lines = []
            for step, row in zip(steps.tolist(), table):
                values: dict[str, float | None] = {key: float(f"{value:.9g}") for key, value in zip(KEYS, row)}
                values["lr"] = 0.05 * (1 - step / records)
                record = MetricRecord(step=step, epoch=step // 400, stage="student", split="train", values=values)
                record.seq, record.time = step + 1, 1.7e9 + 0.0123 * step
                lines.append(encoder.encode(record))
            file.write(b"\n".join(lines) + b"\n")
    state = RunState(phase="finished", stage="student", step=records, total_steps=records, total_epochs=records // 400)
    write_bytes(run.state_path, encode_state(state))
