"""Run folders made without the engine, for tests that only look."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from kdstudio.project.folder import Project
from kdstudio.project.runs.folder import RunFolder, write_bytes
from kdstudio.project.runs.snapshots import PROBES_FILE
from kdstudio.project.runs.state import RunState, encode_state

CLASSES = [str(digit) for digit in range(10)]


def network(accuracy: float, parameters: int) -> dict[str, Any]:
    """One network's entry of a scorecard."""
    measured = {
        "count": 100,
        "accuracy": accuracy,
        "nll": 0.2,
        "ece": 0.03,
        "reliability": [{"low": i / 15, "count": 6, "confidence": i / 15, "accuracy": i / 15} for i in range(15)],
        "per_class": [{"class": name, "count": 10, "accuracy": accuracy} for name in CLASSES],
        "confusion": (np.eye(10, dtype=int) * 10).tolist(),
        "worst": [0, 1],
        "fidelity": {"agreement": 0.97, "kl": 0.02, "confusion": np.eye(10, dtype=int).tolist(), "disagreeing": [0]},
    }
    speed = {"median": 1000.0 / parameters, "low": 900.0 / parameters, "high": 1100.0 / parameters}
    return {
        "model": "mlp",
        "parameters": parameters,
        "flops": 2 * parameters,
        "file_bytes": 4 * parameters,
        "test": measured,
        "validation": measured,
        "speed": {"latency_ms": speed, "throughput": dict.fromkeys(speed, 1000000000.0 / parameters), "batch": 64},
    }


def scorecard(accuracy: float = 0.94, seed: int = 0) -> dict[str, Any]:
    """A scorecard with teacher, student and baseline."""
    networks = {
        "student": network(accuracy, 2410),
        "teacher": network(0.95, 85002),
        "baseline": network(0.93, 2410),
    }
    return {
        "version": 1,
        "created": time.time(),
        "reported_split": "test",
        "classes": CLASSES,
        "seed": seed,
        "networks": networks,
        "headline": {
            "score": accuracy,
            "keeps": accuracy / 0.95,
            "smaller_by": 1 - 2410 / 85002,
            "faster_by": 0.6,
            "agreement": 0.97,
            "gain": accuracy - 0.93,
        },
        "environment": {"device": "cpu"},
    }


def finished_run(project: Project, name: str = "soft-targets", accuracy: float = 0.94, steps: int = 200) -> RunFolder:
    """A finished run with metrics, snapshots, a scorecard and a log."""
    run = project.create_run(project.load(name))
    now = time.time()
    state = RunState(
        phase="finished",
        stage="student",
        step=steps,
        total_steps=steps,
        epoch=10,
        total_epochs=10,
        created=now - 60,
        started=now - 60,
        ended=now,
        best=accuracy,
        device="CPU",
    )
    write_bytes(run.state_path, encode_state(state))
    lines = []
    for step in range(steps):
        values = {"loss": 2.0 / (step + 1), "accuracy": accuracy, "term.hard": 1.0, "term.hard.weighted": 0.1}
        record = {"step": step, "epoch": step // 20, "stage": "student", "time": now - 60 + step / 10, "split": "train"}
        lines.append(json.dumps({"seq": step, **record, "values": values}))
        if step % 20 == 19:
            values = {"loss": 1.0 / (step + 1), "accuracy": accuracy, "agreement": 0.9, "kl": 0.1}
            lines.append(json.dumps({"seq": step, **record, "split": "validation", "values": values}))
    run.metrics_path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_snapshots(run, 5, steps)
    run.scorecard_path.write_text(json.dumps(scorecard(accuracy)), encoding="utf-8")
    run.log_path.write_text("2026-01-01 00:00:00 INFO begun\n2026-01-01 00:00:01 WARNING odd\n", encoding="utf-8")
    return run


def write_snapshots(run: RunFolder, count: int, steps: int) -> None:
    """Probes and `count` snapshots in which the student comes to agree with the teacher."""
    random = np.random.default_rng(0)
    labels = np.arange(20) % 10
    teacher = (random.normal(size=(20, 10)) + 5 * np.eye(10)[labels]).astype(np.float32)
    probes = {
        "labels": labels[:8],
        "indices": np.arange(8),
        "pool_labels": labels,
        "images": random.integers(0, 255, (8, 8, 8, 1), dtype=np.uint8),
        "teacher_logits": teacher[:8],
        "pool_teacher_logits": teacher,
    }
    save_file(probes, run.snapshots_dir / PROBES_FILE, metadata={"classes": json.dumps(CLASSES)})
    for number in range(1, count + 1):
        share = number / count
        pool = (share * teacher + (1 - share) * random.normal(size=(20, 10))).astype(np.float16)
        meta = {
            "step": str(number * steps // count),
            "epoch": str(number),
            "stage": "student",
            "time": repr(time.time()),
            "teacher_layers": json.dumps(["hidden1", "fc"]),
            "student_layers": json.dumps(["hidden1", "fc"]),
            "pair_cka": json.dumps({}),
            "pair_error": json.dumps({}),
        }
        arrays = {
            "student_logits": pool[:8].astype(np.float32),
            "pool_student_logits": pool,
            "cka_map": np.full((2, 2), share, np.float32),
        }
        save_file(arrays, run.snapshots_dir / f"{number:06d}.safetensors", metadata=meta)


def interrupted_run(project: Project, name: str = "soft-targets") -> RunFolder:
    """A run whose process is gone."""
    run = finished_run(project, name)
    run.scorecard_path.unlink()
    state = RunState(phase="training", stage="student", step=120, total_steps=200, pid=2**22 - 1, process_start=1.0)
    write_bytes(run.state_path, encode_state(state))
    return run


def rows_of(path: Path) -> int:
    """Lines of a text file."""
    return len(path.read_text(encoding="utf-8").splitlines())
