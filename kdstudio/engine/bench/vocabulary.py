"""What losses on vocabulary-sized logits cost in chunks: memory and time of both passes, against plain."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable

import psutil
import torch
from torch import Tensor

from kdstudio.engine import losses
from kdstudio.engine.losses.chunked import BUDGET
from kdstudio.project.errors import KDStudioError
from kdstudio.project.figures import BenchResult, Figure, figure_of

TITLE = "Losses on a vocabulary, in chunks and plain"
WORDS, TEXTS, TOKENS, TURNS = 50_257, 8, 512, 3
QUICK_TOKENS, QUICK_TURNS = 64, 1
KINDS = ("plain", "in chunks")

Sides = tuple[Tensor, Tensor, Tensor]  # logits of student and teacher, targets
LOSSES: dict[str, dict[str, Callable[[Sides], Tensor]]] = {
    "soft targets": {
        "plain": lambda sides: losses.soft_target_loss(sides[0], sides[1], 2.0),
        "in chunks": lambda sides: losses.soft_target_loss_chunked(sides[0], sides[1], 2.0),
    },
    "generalised JSD": {
        "plain": lambda sides: losses.generalized_jsd_loss(sides[0], sides[1]),
        "in chunks": lambda sides: losses.generalized_jsd_loss_chunked(sides[0], sides[1]),
    },
    "hard targets": {
        "plain": lambda sides: losses.hard_target_loss(sides[0], sides[2]),
        "in chunks": lambda sides: losses.hard_target_loss_chunked(sides[0], sides[2]),
    },
}
#: Tensors of the logits' size that a plain loss holds at its worst, the logits among them: to see whether they fit.
MOST_TENSORS = {"soft targets": 7, "generalised JSD": 11, "hard targets": 5}


def measure(quick: bool) -> BenchResult:
    """Runs each loss plain and in chunks, in turns, each time in a process of its own."""
    positions = TEXTS * (QUICK_TOKENS if quick else TOKENS)
    size = positions * WORDS * 4
    result = BenchResult()
    for name in LOSSES:
        if psutil.virtual_memory().available < 1.2 * MOST_TENSORS[name] * size:
            result.notes.append(f"{name}: left out; it needs {1.2 * MOST_TENSORS[name] * size / 1e9:.1f} GB of memory.")
            continue
        found: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
        for _ in range(QUICK_TURNS if quick else TURNS):
            for kind in KINDS:
                found[kind].append(_in_a_process(name, kind, positions))
        result.figures += _figures(name, found)
    result.notes.append(
        f"{TEXTS} texts of {positions // TEXTS} tokens, {WORDS:,} words, float32: the logits of one network are "
        f"{size / 1e6:,.0f} MB, and so is their gradient, which no form can do without. Memory is what a forward and a "
        f"backward pass add at their worst to the logits of both networks. CPU time is that of the second pass, with "
        f"one PyTorch thread. Chunks have a budget of {BUDGET // 2**20} MiB, {losses.chunk_positions(WORDS)} positions."
    )
    return result


def _figures(name: str, found: dict[str, list[dict[str, float]]]) -> list[Figure]:
    figures = []
    for what, label, unit in (("memory", "memory added", "MB"), ("seconds", "CPU time", "s")):
        plain, chunked = ([turn[what] for turn in found[kind]] for kind in KINDS)
        figures += [figure_of(f"{name}: {label}, {kind}", side, unit) for kind, side in zip(KINDS, (plain, chunked))]
        shares = [100 * own / other for own, other in zip(chunked, plain)]
        figures.append(figure_of(f"{name}: {label}, in chunks as a share of plain", shares, "%"))
    return figures


def _in_a_process(name: str, kind: str, positions: int) -> dict[str, float]:
    """One form of a loss where nothing else has been: the highest memory of a process never goes down again."""
    command = [sys.executable, "-m", __name__, name, kind, str(positions)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise KDStudioError(f"'{name}' {kind} could not be measured", why=done.stderr.strip() or "no output")
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _passes(name: str, kind: str, positions: int) -> dict[str, float]:
    """Memory that two passes add at their worst, in MB, and the processor's seconds for the second."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(positions, WORDS, generator=generator) for _ in range(2))
    sides = student.requires_grad_(), teacher, torch.arange(positions) % WORDS
    before, begin = psutil.Process().memory_info().rss, 0.0
    for _ in range(2):
        student.grad = None
        begin = time.process_time()
        LOSSES[name][kind](sides).backward()
    return {"seconds": time.process_time() - begin, "memory": (highest_memory() - before) / 1e6}


def highest_memory() -> int:
    """The most bytes that this process has had in memory."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    print(json.dumps(_passes(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
