"""The window beside a run that trains: frames, delay from step to screen, and what the window costs the training."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from kdstudio.project.figures import BenchResult, Figure, figure_of
from kdstudio.project.folder import Project, create_project
from kdstudio.project.runs.control import request
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.metrics import MetricFollower
from kdstudio.project.runs.state import RunStatus

TITLE = "The window beside a run that trains"
P99_MILLISECONDS, MAX_MILLISECONDS, DELAY_MILLISECONDS = 33.0, 100.0, 100.0
SPEED_LOSS_PERCENT = 3.0
TURNS, TURN_SECONDS = 4, 15.0
EXPERIMENT = """\
name: live
data: {source: digits, batch_size: 64}
teacher: {model: mlp, widths: [256, 256], train: {epochs: 2}}
student: {model: mlp, widths: [512, 512]}
objective:
  - {term: hard, weight: 0.1}
  - {term: soft, weight: 0.9, temperature: 4}
  - {term: hint, weight: 1.0, pairs: [{teacher: hidden1, student: hidden1}]}
train: {epochs: 100000, lr: 0.01}
"""


def measure(quick: bool) -> BenchResult:
    """One run trains all the time; the window is opened on it and closed again, in turns."""
    turns, seconds = (1, 3.0) if quick else (TURNS, TURN_SECONDS)
    frames: list[float] = []
    delays: list[float] = []
    ratios: list[float] = []
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["KDSTUDIO_CONFIG"] = str(Path(scratch) / "config")
        project = create_project(Path(scratch) / "live", "empty")
        (project.experiments_dir / "live.yaml").write_text(EXPERIMENT, encoding="utf-8")
        run = project.create_run(project.load("live"))
        engine = _train(run)
        try:
            for _ in range(turns):
                begin = time.time()
                time.sleep(seconds)
                middle = time.time()
                found = _watch(project, seconds)
                frames += found["frames"]
                delays += found["delays"]
                alone, beside = _steps(run, begin, middle), _steps(run, found["begin"], found["end"])
                ratios.append(100 * (1 - beside / alone))
        finally:
            request(run, "stop-now")
            engine.wait(60)
    result = BenchResult()
    for name, share in (("p50", 50), ("p95", 95), ("p99", 99)):
        target = P99_MILLISECONDS if name == "p99" else None
        result.figures.append(
            Figure(f"frame interval {name}", float(np.percentile(frames, share)), "ms", target=target)
        )
    result.figures.append(Figure("frame interval, longest", max(frames), "ms", target=MAX_MILLISECONDS))
    for name, share in (("p50", 50), ("p99", 99)):
        target = DELAY_MILLISECONDS if name == "p99" else None
        result.figures.append(
            Figure(f"step to screen {name}", float(np.percentile(delays, share)), "ms", target=target)
        )
    result.figures.append(figure_of("training slower with the window open", ratios, "%", SPEED_LOSS_PERCENT))
    result.notes.append(
        f"{turns} turns of {seconds:g} s with the window and without. A frame is a turn of the window's event loop, "
        "asked for every 16 ms; a delay is from the time in a step's record to the end of the paint that shows it."
    )
    return result


def _train(run: RunFolder) -> subprocess.Popen[bytes]:
    """Starts the engine as the window does: behind the window in priority, and with a core to spare."""
    engine = subprocess.Popen([sys.executable, "-m", "kdstudio", "run", str(run.path), "--quiet", "--threads", "spare"])
    if hasattr(os, "setpriority"):
        os.setpriority(os.PRIO_PROCESS, engine.pid, 10)
    end = time.monotonic() + 120
    while not (run.status() is RunStatus.TRAINING and run.state().stage == "student" and run.state().step > 200):
        if time.monotonic() > end or engine.poll() is not None:
            raise SystemExit("the run did not start")
        time.sleep(0.1)
    return engine


def _steps(run: RunFolder, begin: float, end: float) -> float:
    """Steps a second between two moments, from the times in the records."""
    times = MetricFollower(run.metrics_path).read_all().series("student", "train", "loss").times
    return float(((times >= begin) & (times < end)).sum()) / (end - begin)


def _watch(project: Project, seconds: float) -> dict:
    command = [sys.executable, "-m", "kdstudio.gui.bench.live", str(project.root), str(seconds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def _window(root: Path, seconds: float) -> None:
    """The child: opens the window on the run, watches it, prints what was found."""
    from PySide6.QtCore import QEvent, QObject, Qt, QTimer

    from kdstudio.gui.app import make_application
    from kdstudio.gui.garbage import GarbageCollector
    from kdstudio.gui.main_window import MainWindow
    from kdstudio.gui.settings import Settings

    application, theme = make_application(Settings())
    _garbage = GarbageCollector()  # as in the product
    window = MainWindow(Settings(), theme)
    window.show()
    window.open_project(root)
    window.show_page("monitor")
    frames: list[float] = []
    delays: list[float] = []
    last = [0.0]
    begin = [0.0]

    def tick() -> None:
        now = time.perf_counter()
        if last[0]:
            frames.append(1000 * (now - last[0]))
        last[0] = now

    class Paints(QObject):
        """The moment at which a plot has been painted: the newest record has then reached the screen."""

        shown = -1

        def eventFilter(self, watched: QObject, event: QEvent) -> bool:
            if event.type() is QEvent.Type.Paint:
                QTimer.singleShot(0, self, self.painted)
            return False

        def painted(self) -> None:
            worker = window.worker
            newest = worker.store().last if worker is not None else None
            if worker is None or newest is None or not begin[0] or newest.step <= self.shown:
                return
            with worker.reading() as store:
                series = store.series(
                    "student", "train", "loss", max(0, store.length("student", "train", "loss") - 600)
                )
            fresh = series.times[series.steps > self.shown] if self.shown >= 0 else series.times[-1:]
            now = time.time()
            delays.extend((1000 * (now - fresh)).tolist())
            self.shown = int(series.steps[-1])

    paints = Paints()
    window.monitor.losses.series.chart.viewport().installEventFilter(paints)
    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.setInterval(16)
    timer.timeout.connect(tick)

    def settle() -> None:
        begin[0] = time.time()
        timer.start()
        QTimer.singleShot(int(1000 * seconds), finish)

    def finish() -> None:
        print(json.dumps({"frames": frames, "delays": delays, "begin": begin[0], "end": time.time()}), flush=True)
        window.control.shut_down()
        os._exit(0)

    QTimer.singleShot(3000, settle)
    sys.exit(application.exec())


if __name__ == "__main__":
    _window(Path(sys.argv[1]), float(sys.argv[2]))
