"""A million metric records opened by the window's worker, and how the window fares meanwhile."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from kdstudio.project.figures import BenchResult, figure_of
from kdstudio.project.runs.metrics import MetricFollower, MetricRecord

TITLE = "One million metric records opened"
TARGET_SECONDS = 1.5
FRAME_SECONDS = 0.1


def measure(quick: bool) -> BenchResult:
    """Writes the records, follows them in a thread of Qt's, and watches a timer in the window's thread."""
    from PySide6.QtCore import QEventLoop, QThread, QTimer
    from PySide6.QtWidgets import QApplication

    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    application = QApplication.instance() or QApplication(sys.argv[:1])
    count = 20_000 if quick else 1_000_000
    seconds: list[float] = []
    gaps: list[float] = []
    processor: list[float] = []
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "metrics.jsonl"
        _write(path, count)

        class Reader(QThread):
            def run(self) -> None:
                begin, own = time.perf_counter(), time.thread_time()
                follower = MetricFollower(path)
                # as the worker does it: a short bite, then the window's turn
                while follower.poll(max_seconds=0.008) or follower.behind():
                    time.sleep(0.001)
                self.seconds = time.perf_counter() - begin
                self.processor = time.thread_time() - own
                self.length = follower.store.length("student", "train", "loss")

        for _ in range(1 if quick else 5):
            loop, last, longest = QEventLoop(), [time.perf_counter()], [0.0]

            def tick(last: list[float] = last, longest: list[float] = longest) -> None:
                now = time.perf_counter()
                longest[0] = max(longest[0], now - last[0])
                last[0] = now

            timer = QTimer()
            timer.setInterval(5)
            timer.timeout.connect(tick)
            reader = Reader()
            reader.finished.connect(loop.quit)
            timer.start()
            reader.start()
            loop.exec()
            timer.stop()
            reader.wait()
            if reader.length != count:
                raise SystemExit(f"{reader.length} of {count} records were read")
            seconds.append(reader.seconds)
            processor.append(reader.processor)
            gaps.append(1000 * longest[0])
    del application
    result = BenchResult()
    result.figures.append(figure_of(f"{count:,} records opened", seconds, "s", TARGET_SECONDS))
    result.figures.append(figure_of("CPU time of that", processor, "s"))
    result.figures.append(figure_of("longest wait of the window's thread meanwhile", gaps, "ms", 1000 * FRAME_SECONDS))
    result.notes.append("Each record has 6 values (loss, accuracy, two terms weighted and not); 5 repetitions.")
    return result


def _write(path: Path, count: int) -> None:
    encoder = msgspec.json.Encoder()
    with path.open("wb") as file:
        lines = []
        for step in range(count):
            values: dict[str, float | None] = {
                "loss": 1.0 / (step + 1),
                "accuracy": 0.5,
                "term.hard": 0.25,
                "term.soft": 0.75,
                "term.hard.weighted": 0.025,
                "term.soft.weighted": 0.675,
            }
            record = MetricRecord(
                seq=step, step=step, epoch=step // 1000, stage="student", split="train", values=values
            )
            record.time = 1.7e9 + step
            lines.append(encoder.encode(record))
            if len(lines) == 10_000:
                file.write(b"\n".join(lines) + b"\n")
                lines = []
        if lines:
            file.write(b"\n".join(lines) + b"\n")
