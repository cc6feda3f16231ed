"""An hour of a long run in fast motion: whether the window's memory stays flat."""

from __future__ import annotations

import gc
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from safetensors.numpy import save_file

from kdstudio.project.figures import BenchResult, Figure
from kdstudio.project.folder import create_project
from kdstudio.project.runs.folder import RunFolder, write_bytes
from kdstudio.project.runs.snapshots import PROBES_FILE
from kdstudio.project.runs.state import RunState, encode_state, process_start

TITLE = "Memory of the window over an hour"
STEPS_A_SECOND, SNAPSHOT_SECONDS, SECONDS = 20, 4, 3600
PARTS = 12


def measure(quick: bool) -> BenchResult:
    """Writes an hour's metrics, states and snapshots as an engine would, in `PARTS` bursts, with the window open."""
    from kdstudio.gui.app import make_application
    from kdstudio.gui.garbage import GarbageCollector
    from kdstudio.gui.main_window import MainWindow
    from kdstudio.gui.settings import Settings

    seconds = 120 if quick else SECONDS
    sizes: list[float] = []
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["KDSTUDIO_CONFIG"] = str(Path(scratch) / "config")
        project = create_project(Path(scratch) / "digits", "digits")
        run = project.create_run(project.load("hints"))
        _begin(run)
        application, theme = make_application(Settings())
        garbage = GarbageCollector()
        window = MainWindow(Settings(), theme)
        window.show()
        window.open_project(project.root)
        window.show_run(run)
        window.show_page("monitor")

        def live(duration: float) -> None:
            end = time.monotonic() + duration
            while time.monotonic() < end:
                application.processEvents()
                time.sleep(0.002)

        live(1.0)
        for part in range(PARTS):
            _write(run, part * seconds // PARTS, (part + 1) * seconds // PARTS)
            live(0.5 if quick else 4.0)
            gc.collect()
            sizes.append(psutil.Process().memory_info().rss / 1e6)
        _state(run, STEPS_A_SECOND * SECONDS, "finished")  # or closing asks what becomes of the run
        window.close()
        garbage.stop()
    result = BenchResult()
    result.figures.append(Figure("after the first twelfth", sizes[0], "MB"))
    result.figures.append(Figure("at the end", sizes[-1], "MB"))
    half = PARTS // 2
    slope = float(np.polyfit(np.arange(half), sizes[half:], 1)[0]) * PARTS
    result.figures.append(Figure("growth an hour, from the second half", slope, "MB"))
    records = STEPS_A_SECOND * SECONDS
    result.notes.append(
        f"{records:,} records and {SECONDS // SNAPSHOT_SECONDS} snapshots stand for the hour. Every sample is kept so "
        f"that zooming shows it: {records * (2 + 8) * 8 / 1e6:.0f} MB of the growth are the samples themselves."
    )
    return result


def _begin(run: RunFolder) -> None:
    random = np.random.default_rng(0)
    labels = np.arange(256) % 10
    arrays: dict[str, np.ndarray] = {
        "labels": labels[:16],
        "indices": np.arange(16),
        "pool_labels": labels,
        "images": random.integers(0, 255, (16, 8, 8, 1), dtype=np.uint8),
        "teacher_logits": random.normal(size=(16, 10)).astype(np.float32),
        "pool_teacher_logits": random.normal(size=(256, 10)).astype(np.float32),
    }
    classes = json.dumps([str(number) for number in range(10)])
    save_file(arrays, run.snapshots_dir / PROBES_FILE, metadata={"classes": classes})
    _state(run, 0)


def _state(run: RunFolder, step: int, phase: str = "training") -> None:
    state = RunState(
        phase=phase,
        stage="student",
        step=step,
        total_steps=STEPS_A_SECOND * SECONDS,
        total_epochs=100,
        pid=os.getpid(),
        process_start=process_start(os.getpid()),
        heartbeat=time.time(),
    )
    write_bytes(run.state_path, encode_state(state), sync=False)


def _write(run: RunFolder, begin: int, end: int) -> None:
    """What an engine writes between two seconds of the hour."""
    random = np.random.default_rng(begin)
    terms = ("term.hard", "term.soft", "term.hint")
    keys = ["loss", "accuracy", *terms, *(f"{term}.weighted" for term in terms)]
    with run.metrics_path.open("a", encoding="utf-8") as file:
        for step in range(begin * STEPS_A_SECOND, end * STEPS_A_SECOND):
            values = dict(zip(keys, random.random(len(keys)).round(6).tolist()))
            record = {"seq": step, "step": step, "epoch": step // 720, "stage": "student", "split": "train"}
            file.write(json.dumps({**record, "time": 1.7e9 + step / STEPS_A_SECOND, "values": values}) + "\n")
    names = json.dumps(["hidden1", "hidden2", "fc"])
    for second in range(begin, end, SNAPSHOT_SECONDS):
        meta = {
            "step": str(second * STEPS_A_SECOND),
            "epoch": "0",
            "stage": "student",
            "time": repr(1.7e9 + second),
            "teacher_layers": names,
            "student_layers": names,
            "pair_cka": json.dumps({"hidden1 → hidden1": 0.5}),
            "pair_error": json.dumps({"hidden1 → hidden1": 0.5}),
        }
        arrays: dict[str, np.ndarray] = {
            "student_logits": random.normal(size=(16, 10)).astype(np.float32),
            "pool_student_logits": random.normal(size=(256, 10)).astype(np.float16),
            "cka_map": random.random((3, 3)).astype(np.float32),
        }
        save_file(arrays, run.snapshots_dir / f"{second // SNAPSHOT_SECONDS + 1:06d}.safetensors", metadata=meta)
    _state(run, end * STEPS_A_SECOND)
