"""What distilling costs, in proportion to a bare loop that trains the student alone."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import torch

from kdstudio.engine.arithmetic import make_accelerator
from kdstudio.engine.bench.bare import BareLoop, BareTeacher
from kdstudio.engine.bench.loop import Loop
from kdstudio.engine.bench.pairs import PAIRS, Pair
from kdstudio.engine.bench.turns import Turns
from kdstudio.engine.cache import PlannedTeacher, TeacherCache
from kdstudio.engine.control import Control
from kdstudio.engine.data import DataBundle, preprocess_for
from kdstudio.engine.device import pick_device
from kdstudio.engine.networks import check_wiring
from kdstudio.engine.objective import DistillationModule, Objective
from kdstudio.engine.recorder import Recorder
from kdstudio.engine.teacher import Teacher
from kdstudio.engine.validate import Validation
from kdstudio.project.figures import BenchResult, Figure, figure_of
from kdstudio.project.folder import init_run
from kdstudio.project.spec import CacheSpec, Experiment

TITLE = "Distilling, in proportion to training the student alone"
#: Seconds of one turn, and rounds.
TURN_SECONDS, ROUNDS, EPOCH_ROUNDS = 0.3, 15, 2
QUICK_SECONDS, QUICK_ROUNDS = 0.05, 3
SOFT = [{"term": "hard", "weight": 0.5}, {"term": "soft", "weight": 0.5, "temperature": 4}]
#: What is aimed at, as a ratio to the floor.
STUDENT, ONLINE, CACHED, FEATURES, COLD, RELATIONS_OF_MLPS = 1.02, 1.02, 1.03, 1.08, 1.15, 3.0
AUTO = {"resnet": 0.50, "MLP": 0.40, "BERT": 0.36}


def measure(quick: bool) -> BenchResult:
    """Trains each pair in all variants, in turns."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads that wait for each other burn time that no step needs
    result = BenchResult()
    try:
        for pair in PAIRS[1:2] if quick else PAIRS:
            result.figures += Bench(pair, quick).figures()
    finally:
        torch.set_num_threads(threads)
    result.notes.append(
        f"{QUICK_ROUNDS if quick else ROUNDS} rounds in random order, one PyTorch thread, noise in the place of data. "
        "The floor: PyTorch by hand, fp32, the student alone, its inputs ready in memory. The engine's variants are "
        "whole steps with all that belongs to them: batches from uint8, normalisation, the teacher or its kept "
        "answers, all terms, learning rate, metrics written to the run folder. Processor time of the process (the "
        "clock's on a CUDA device); with the cache's files dropped from memory the clock's. Lowest and highest: the "
        "middle 90 % of resampled rounds."
    )
    return result


class Bench:
    """All variants of one pair.

    Args:
        pair: The networks.
        quick: Few and short turns.
    """

    def __init__(self, pair: Pair, quick: bool) -> None:
        self.pair = pair
        self.quick = quick
        self.seconds, self.rounds = (QUICK_SECONDS, QUICK_ROUNDS) if quick else (TURN_SECONDS, ROUNDS)
        self.bundle: DataBundle = pair.bundle()
        self.device = pick_device("auto")

    def figures(self) -> list[Figure]:
        """The figures of the pair."""
        with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
            root = Path(scratch)
            spec = self.pair.experiment(SOFT, [], "fp32").train
            floor = BareLoop(self.pair.networks(self.bundle, root)[1], self.bundle, spec, self.pair.batch, self.device)
            teacher = BareTeacher(self.pair.networks(self.bundle, root)[0], floor)
            made = partial(self._loop, root=root, stack=stack)
            loops: dict[str, Any] = {
                "floor": floor,
                "teacher": teacher,
                "student": made("student", [{"term": "hard"}], "off", "fp32"),
                "online": made("online", SOFT, "off", "fp32"),
                "cached": made("cached", SOFT, "on", "fp32"),
                "auto": made("auto", SOFT, "on", "auto"),
            }
            for name, term in self.pair.terms.items():
                loops[name] = made(f"cached {name}", [{"term": "hard"}, term], "on", "fp32")
            steps = steps_of(floor.train, self.seconds)
            turns = Turns({name: partial(loop.train, steps) for name, loop in loops.items()}, self.device)
            turns.take(self.rounds)
            cold = partial(chill_and_train, loops["hint"], root, steps)
            chilled = Turns({"floor": turns.variants["floor"], "cold": cold}, self.device)
            chilled.take(self.rounds)
            count = len(loops["cached"].batches)
            epochs = Turns({name: partial(loops[name].train, count) for name in ("floor", "cached")}, self.device)
            epochs.take(1 if self.quick else EPOCH_ROUNDS)
            return [*self._ratios(turns, chilled, epochs, steps), *self._kept(root)]

    def _loop(
        self, name: str, objective: list[dict[str, Any]], use: str, precision: str, *, root: Path, stack: ExitStack
    ) -> Loop:
        experiment = self.pair.experiment(objective, [], precision)
        return engine_loop(self.pair, self.bundle, experiment, use, root, root / "runs" / name, stack, self.device)

    def _ratios(self, turns: Turns, chilled: Turns, epochs: Turns, steps: int) -> list[Figure]:
        pair, kind = self.pair.name, self.pair.name.split()[0].rstrip("0123456789").split("-")[0]
        found = [
            Figure(
                f"{pair}: the floor, one step",
                1000 * min((turns.clock if turns.cuda else turns.processor)["floor"]) / steps,
                "ms",
            ),
            turns.ratio(f"{pair}: the engine's step, student alone", "student", ("floor",), STUDENT),
            turns.ratio(f"{pair}: online, to teacher forward and floor", "online", ("floor", "teacher"), ONLINE),
            turns.ratio(f"{pair}: online, to the floor", "online", ("floor",)),
            turns.ratio(f"{pair}: soft targets, kept", "cached", ("floor",), CACHED),
        ]
        found.append(epochs.ratio(f"{pair}: soft targets, kept, a whole epoch", "cached", ("floor",), CACHED))
        for name in self.pair.terms:
            alone = kind == "MLP" and name == "RKD"
            target = RELATIONS_OF_MLPS if alone else FEATURES if kind != "MLP" else None
            found.append(turns.ratio(f"{pair}: {name}, kept", name, ("floor",), target))
        cold = COLD if kind != "MLP" else None
        found.append(chilled.ratio(f"{pair}: hint, kept, from cold disk", "cold", ("floor",), cold, elapsed=True))
        found.append(turns.ratio(f"{pair}: soft targets, kept, precision auto", "auto", ("floor",), AUTO[kind]))
        for variant, words in (("floor", "the floor"), ("online", "online"), ("auto", "kept, precision auto")):
            seconds = (turns.clock if turns.cuda else turns.processor)[variant]
            found.append(
                figure_of(f"{pair}: {words}", [steps * self.pair.batch / each for each in seconds], "samples/s")
            )
        return found

    def _kept(self, root: Path) -> list[Figure]:
        file = next(root.glob("cache/*/v0/logits.bin"))
        name = f"{self.pair.name}: logits kept, a sample"
        return [Figure(name, file.stat().st_size / len(self.bundle.train), "bytes", target=24)]


def engine_loop(
    pair: Pair,
    bundle: DataBundle,
    experiment: Experiment,
    use: str,
    root: Path,
    folder: Path,
    stack: ExitStack,
    device: torch.device,
) -> Loop:
    """A trainer of the engine with its recorder, on a pair.

    Args:
        pair, bundle: What is trained on what.
        experiment: The variant.
        use: Whether the teacher's answers are kept: `on` or `off`.
        root: The project, with the cache.
        folder: The run's.
        stack: Closes what is opened.
        device: Where it trains.
    """
    run = init_run(folder, experiment)
    teacher_model, student = (network.to(device) for network in pair.networks(bundle, root))
    preprocess = preprocess_for(bundle).to(device)
    shapes = check_wiring(experiment, teacher_model, student, bundle, preprocess)
    objective = Objective(experiment.objective, experiment.train.epochs, *shapes).to(device)
    teacher = Teacher(teacher_model, objective.layers("teacher"))
    stack.callback(teacher.close)
    cache = TeacherCache(root, CacheSpec(use=use), lambda done, total: None)
    stack.callback(cache.close)
    return Loop(
        recording=True,
        stage="student",
        module=DistillationModule(student, objective),
        teacher=teacher,
        bundle=bundle,
        data=experiment.data,
        preprocess=preprocess,
        spec=experiment.train,
        recorder=stack.enter_context(Recorder(run)),
        control=Control(run),
        checkpoints=run.checkpoints_dir,
        accelerator=make_accelerator(device, experiment.train, student, (pair.batch, *bundle.input_shape)),
        validation=Validation(bundle.validation, preprocess, device, None),
        cache=cache,
    )


def steps_of(train: Callable[[int], object], seconds: float) -> int:
    """How many steps take about so long."""
    train(2)
    begin = time.process_time()
    train(3)
    return max(1, round(3 * seconds / (time.process_time() - begin)))


def chill_and_train(loop: Loop, root: Path, steps: int) -> None:
    """Trains with the cache's files dropped from the system's memory."""
    planned = loop.teacher
    assert isinstance(planned, PlannedTeacher)
    assert planned.cached is not None
    planned.cached.close()
    drop_from_memory(root.glob("cache/*/*/*.bin"))
    loop._ask_teachers()
    loop.train(steps)


def drop_from_memory(files: Iterable[Path]) -> None:
    """Has the system forget what it keeps of some files."""
    for file in files:
        handle = os.open(file, os.O_RDONLY)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)
