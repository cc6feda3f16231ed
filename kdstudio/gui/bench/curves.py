"""Thirty-two curves of a million points each, live: what a frame costs."""

from __future__ import annotations

import tempfile
import time
from array import array
from pathlib import Path

import numpy as np

from kdstudio.project.figures import BenchResult, figure_of
from kdstudio.project.runs.folder import RunFolder

TITLE = "32 curves of one million points, live"
CURVES, TARGET_MILLISECONDS = 32, 16.0
FRAMES, NEW_SAMPLES = 240, 4


def measure(quick: bool) -> BenchResult:
    """The losses panel's own plot. In each frame every curve gets new samples, all are drawn, and the CPU time of the
    process is taken; then the same while zoomed in and panning, where detail has to be read from the million.
    """
    from PySide6.QtCore import QEvent, QObject

    from kdstudio.gui.app import make_application
    from kdstudio.gui.monitor.curve import Curve
    from kdstudio.gui.monitor.plot import SeriesPlot
    from kdstudio.gui.settings import Settings
    from kdstudio.gui.worker import TrainingWorker

    points = 20_000 if quick else 1_000_000
    frames = 20 if quick else FRAMES
    with tempfile.TemporaryDirectory() as scratch:
        application, theme = make_application(Settings(Path(scratch) / "window.json"))
        worker = TrainingWorker(RunFolder(scratch), False)
        random = np.random.default_rng(0)
        keys = [f"term.t{number}" for number in range(CURVES)]
        at = 0

        def more(count: int) -> None:
            nonlocal at
            steps = np.arange(at, at + count)
            values = {
                key: array("d", (number * 0.1 + 2 * np.exp(-steps / points) + 0.05 * random.random(count)).tobytes())
                for number, key in enumerate(keys)
            }
            with worker.reading() as store:
                store.extend_columns(
                    "student", "train", array("q", steps.tobytes()), array("d", steps.astype(float).tobytes()), values
                )
            at += count

        more(points)
        plot = SeriesPlot(theme, "loss")
        plot.resize(900, 420)
        plot.show()
        plot.set_curves(
            [Curve("student", "train", key, key, lambda tokens: tokens.curve1, smooth=True) for key in keys]
        )
        painted: list[bool] = []

        class Paints(QObject):
            def eventFilter(self, watched: QObject, event: QEvent) -> bool:
                if event.type() is QEvent.Type.Paint:
                    painted.append(True)
                return False

        paints = Paints()
        plot.chart.viewport().installEventFilter(paints)
        begin = time.process_time()
        plot.update_from(worker)
        application.processEvents()
        first = time.process_time() - begin

        def frame() -> float:
            more(NEW_SAMPLES)
            begin = time.process_time()
            painted.clear()
            plot.update_from(worker)
            while not painted:
                application.processEvents()
            return 1000 * (time.process_time() - begin)

        whole = [frame() for _ in range(frames)][frames // 10 :]
        panned = []
        plot.chart.follows_x = False
        for number in range(frames):
            low = points * (0.2 + 0.5 * number / frames)
            plot.item.setXRange(low, low + points * 0.02, padding=0)
            panned.append(frame())
        plot.close()
    result = BenchResult()
    for name, values in (("all of it in view", whole), ("zoomed to 2 % and panning", panned)):
        result.figures.append(figure_of(f"CPU time of a frame, {name}", values, "ms", TARGET_MILLISECONDS))
    result.figures.append(figure_of("CPU time of reading all of it for the first time", [1000 * first], "ms"))
    result.notes.append(
        f"{CURVES} curves of {points:,} points, raw and smoothed, {NEW_SAMPLES} new samples each a frame."
    )
    return result
