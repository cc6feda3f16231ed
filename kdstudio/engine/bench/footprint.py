"""What distilling takes beside time: memory at its worst, the start of a run, and on a CUDA device its busy share."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import torch

from kdstudio.engine.bench.bare import BareLoop
from kdstudio.engine.bench.distil import SOFT, engine_loop
from kdstudio.engine.bench.pairs import PAIRS, Pair
from kdstudio.engine.bench.vocabulary import highest_memory
from kdstudio.engine.device import pick_device
from kdstudio.project.errors import KDStudioError
from kdstudio.project.figures import BenchResult, Figure, figure_of
from kdstudio.project.folder import Project, create_project
from kdstudio.project.runs.metrics import MetricFollower
from kdstudio.project.spec import Experiment

TITLE = "Memory of a training, and the start of a run"
STEPS, START_TURNS = 4, 5
BUSY_BATCH, BUSY_STEPS, IDLE_TARGET = 64, 200, 10.0
#: Variant -> terms beside hard labels (None: the bare loop), and whether the teacher's answers are kept.
VARIANTS: dict[str, tuple[str | None, str]] = {
    "floor": (None, "off"),
    "student alone": ("", "off"),
    "online": ("soft", "off"),
    "kept": ("soft", "on"),
    "hint, kept": ("hint", "on"),
}
#: What a person writes to take a first step: the same data and student.
BARE_START = """
import time
import torch
from sklearn.datasets import load_digits
digits = load_digits()
inputs, labels = torch.tensor(digits.data, dtype=torch.float32) / 16, torch.tensor(digits.target)
student = torch.nn.Sequential(torch.nn.Linear(64, 48), torch.nn.ReLU(), torch.nn.Linear(48, 10))
optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
torch.nn.functional.cross_entropy(student(inputs[:128]), labels[:128]).backward()
optimizer.step()
print(time.time())
"""


def measure(quick: bool) -> BenchResult:
    """Each variant in a process of its own, then runs as a person starts them."""
    result = BenchResult()
    for number, pair in enumerate(PAIRS):
        if not quick or number == 1:
            result.figures += _memory(number, pair)
    result.figures += _starts(1 if quick else START_TURNS)
    device = pick_device("auto")
    if device.type == "cuda":
        result.figures += _busy(device)
    result.notes.append(
        f"Memory: the most that a process has had, in {STEPS} steps, beyond what it has with all imported: data, "
        "both networks, optimizer, activations, and pages of the cache's files that were read. On a CUDA device it is "
        "that of the device. Each is measured once; from one time to the next a processor's figures differ by up to a "
        "sixth. The floor is a loop by hand without a teacher. Kept: filling the cache is in it, for "
        "which the teacher answers in batches of its own. Start: elapsed from the start of the process to the first "
        "step of the student in its records (digits, an MLP; the teacher is trained and its answers are kept); by "
        "hand: a script that imports PyTorch and scikit-learn and takes one step."
    )
    return result


def _memory(number: int, pair: Pair) -> Iterable[Figure]:
    found = {variant: float(_in_a_process(str(number), variant)) for variant in VARIANTS}
    for variant, value in found.items():
        yield Figure(f"{pair.name}: {variant}, memory at its worst", value, "MB")
        if variant != "floor":
            yield Figure(f"{pair.name}: {variant}, memory to the floor", value / found["floor"], "x")


def _in_a_process(*words: str) -> str:
    """The last line that this module says where nothing else has been: the most memory never goes down again."""
    done = subprocess.run([sys.executable, "-m", __name__, *words], capture_output=True, text=True)
    if done.returncode != 0:
        raise KDStudioError(f"'{' '.join(words)}' could not be measured", why=done.stderr.strip() or "no output")
    return done.stdout.strip().splitlines()[-1]


def most_memory(pair: Pair, variant: str) -> float:
    """MB that a few steps of a variant have at their worst beyond what was there before."""
    term, use = VARIANTS[variant]
    device = pick_device("auto")
    torch.set_num_threads(1)
    importlib.import_module("torch._dynamo")  # PyTorch's optimizers load its compiler, ours and evaluations do not
    before = psutil.Process().memory_info().rss
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        root, bundle = Path(scratch), pair.bundle()
        if term is None:
            spec = pair.experiment(SOFT, [], "fp32").train
            BareLoop(pair.networks(bundle, root)[1], bundle, spec, pair.batch, device).train(STEPS)
        else:
            more = [pair.terms[term]] if term in pair.terms else SOFT[1:] if term else []
            objective: list[dict[str, Any]] = [SOFT[0], *more]
            experiment = pair.experiment(objective, [], "fp32")
            engine_loop(pair, bundle, experiment, use, root, root / "run", stack, device).train(STEPS)
    most = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else highest_memory() - before
    return most / 1e6


def _starts(turns: int) -> Iterable[Figure]:
    """Seconds until the first step."""
    ours, bare = [], []
    with tempfile.TemporaryDirectory() as scratch:
        project = create_project(Path(scratch) / "project")
        experiment = Experiment.model_validate(
            {
                "name": "start",
                "data": {"source": "digits", "batch_size": 128},
                "teacher": {"model": "mlp", "widths": [256, 256], "train": {"epochs": 1}},
                "student": {"model": "mlp", "widths": [48]},
                "objective": SOFT,
                "train": {"epochs": 1},
                "baseline": False,
                "evaluate": {"latency": False},
            }
        )
        project.save(experiment)
        for turn in range(turns + 1):
            seconds = _first_step(project)
            began = time.time()
            said = subprocess.run([sys.executable, "-c", BARE_START], capture_output=True, text=True, check=True)
            if turn:  # the first one trains the teacher
                ours.append(seconds)
                bare.append(float(said.stdout) - began)
    yield figure_of("from the start of the process to the first step", ours, "s")
    yield figure_of("the same of a script by hand", bare, "s")


def _first_step(project: Project) -> float:
    """Starts a run; the seconds until its student's first step."""
    began = time.time()
    command = [sys.executable, "-m", "kdstudio", "run", str(project.path_of("start")), "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise KDStudioError("the start of a run could not be measured", why=done.stderr.strip())
    run = max(project.runs("start"), key=lambda run: run.path.name)
    steps = MetricFollower(run.metrics_path).read_all().series("student", "train", "loss")
    return float(steps.times[0]) - began


def _busy(device: torch.device) -> Iterable[Figure]:
    """The share of the time in which the device works, with kept answers."""
    from torch.profiler import ProfilerActivity, profile

    pair = PAIRS[0]
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        root, bundle = Path(scratch), pair.bundle()
        experiment = pair.experiment(SOFT, [], "auto")
        experiment.data.batch_size = BUSY_BATCH
        loop = engine_loop(pair, bundle, experiment, "on", root, root / "run", stack, device)
        loop.train(BUSY_STEPS)
        torch.cuda.synchronize()
        with profile(activities=[ProfilerActivity.CUDA]) as profiled:
            loop.train(BUSY_STEPS)
            torch.cuda.synchronize()
        spans = [
            (event.time_range.start, event.time_range.end)
            for event in profiled.events() or []
            if event.device_type == torch.autograd.DeviceType.CUDA
        ]
    name = f"resnet56 to resnet20, batch {BUSY_BATCH}: the device stands still, of the time"
    yield Figure(name, 100 * (1 - busy_share(spans)), "%", target=IDLE_TARGET)


def busy_share(spans: list[tuple[float, float]]) -> float:
    """The share of the time from the first span's begin to the last one's end in which at least one span runs."""
    covered, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        covered += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return covered / (reached - min(start for start, _ in spans)) if spans else 0.0


if __name__ == "__main__":
    print(most_memory(PAIRS[int(sys.argv[1])], sys.argv[2]))
