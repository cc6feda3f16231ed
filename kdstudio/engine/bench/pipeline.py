"""What surrounds the step: kept answers against a loader and a teacher at each step, augmentation, filling, records."""

from __future__ import annotations

import mmap
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from kdstudio.engine.bench.bare import BareLoop, BareTeacher, PilImages, UsualLoop
from kdstudio.engine.bench.distil import SOFT, drop_from_memory, engine_loop, steps_of
from kdstudio.engine.bench.pairs import PAIRS, Pair
from kdstudio.engine.bench.turns import Turns
from kdstudio.engine.data import ArraySplit, Batches, preprocess_for
from kdstudio.engine.data.disk import DiskImages, as_tensor
from kdstudio.engine.meter import CAPACITY
from kdstudio.engine.recorder import Recorder
from kdstudio.project.figures import BenchResult, Figure, figure_of
from kdstudio.project.folder import init_run
from kdstudio.project.runs.metrics import MetricRecord
from kdstudio.project.spec import PixelData

TITLE = "Kept answers in a whole training, augmentation, and records"
#: Seconds of one turn, and rounds.
TURN_SECONDS, ROUNDS = 0.4, 9
QUICK_SECONDS, QUICK_ROUNDS = 0.05, 2
RECORDS = 20_000
PADDING = 4
CPU = torch.device("cpu")
#: What is aimed at, as shares of what libraries do: 1/3.3, 1/6 and 1/26.
END_TO_END, AUGMENTATION, FILL, RECORD = {"resnet": 1 / 3.3, "MLP": 1 / 6}, 1 / 26, 1.1, 5.0


def measure(quick: bool) -> BenchResult:
    """Measures the two pairs of pictures, then the records."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    seconds, rounds = (QUICK_SECONDS, QUICK_ROUNDS) if quick else (TURN_SECONDS, ROUNDS)
    result = BenchResult()
    try:
        for pair in PAIRS[1:2] if quick else PAIRS[:2]:
            result.figures += _end_to_end(pair, seconds, rounds)
            result.figures += [_from_disk(pair, seconds, rounds), _fill(pair, rounds)]
        result.figures.append(_augmentation(PAIRS[0], rounds))
        result.figures.append(_records())
    finally:
        torch.set_num_threads(threads)
    result.notes.append(
        f"{rounds} rounds in random order, one PyTorch thread, processor time of the process. The usual loop: "
        "torchvision's RandomCrop, RandomHorizontalFlip, ToTensor and Normalize image by image in a DataLoader of the "
        "same process, fp32, the teacher at each step. KD Studio: the same augmentation in one of its views, kept "
        "answers, precision auto, everything else as in a run; filling the cache is not in it, but on its own line."
    )
    return result


def _end_to_end(pair: Pair, seconds: float, rounds: int) -> Iterator[Figure]:
    kind = pair.name.split()[0].rstrip("0123456789")
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        root, bundle = Path(scratch), pair.bundle()
        experiment = pair.experiment(SOFT, ["crop", "flip"], "auto")
        ours = engine_loop(pair, bundle, experiment, "on", root, root / "run", stack, CPU)
        usual = UsualLoop(*pair.networks(bundle, root), bundle, experiment.train, pair.batch, PADDING)
        steps = steps_of(usual.train, seconds)
        turns = Turns({"ours": partial(ours.train, steps), "usual": partial(usual.train, steps)})
        turns.take(rounds)
        name = f"{pair.name}: a step, to the usual loader and online teacher"
        yield turns.ratio(name, "ours", ("usual",), END_TO_END[kind])
        samples = steps * pair.batch
        for word, name in (("usual", "usual loop"), ("ours", "KD Studio")):
            yield figure_of(f"{pair.name}: {name}", [samples / each for each in turns.processor[word]], "samples/s")


def _from_disk(pair: Pair, seconds: float, rounds: int) -> Figure:
    """A step with images that are read ahead from the disk, to one with images in memory."""
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        root, bundle = Path(scratch), pair.bundle()
        experiment = pair.experiment(SOFT, ["crop", "flip"], "fp32")
        file = root / "train.bin"
        bundle.train.images.numpy().tofile(file)
        mapped = np.memmap(file, np.uint8, "c", shape=tuple(bundle.train.images.shape))
        images = DiskImages([torch.from_numpy(mapped)])
        there = replace(bundle, train=ArraySplit(as_tensor(images), bundle.train.labels))
        loops = {
            name: engine_loop(pair, data, experiment, "on", root, root / name, stack, CPU)
            for name, data in (("memory", bundle), ("disk", there))
        }
        steps = steps_of(loops["memory"].train, seconds)

        def cold() -> None:
            mapped._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]  # what is mapped is not forgotten
            drop_from_memory([file])
            loops["disk"].train(steps)

        turns = Turns({"memory": partial(loops["memory"].train, steps), "disk": cold})
        turns.take(rounds)
        name = f"{pair.name}: a step with images read ahead from cold disk, to images in memory"
        found = turns.ratio(name, "disk", ("memory",), elapsed=True)
        loops["disk"].rest()
        return found


def _fill(pair: Pair, rounds: int) -> Figure:
    """Filling, to as many samples through the teacher alone."""
    ratios = []
    with tempfile.TemporaryDirectory() as scratch:
        root, bundle = Path(scratch), pair.bundle()
        experiment = pair.experiment(SOFT, [], "fp32")
        teacher_model, student = pair.networks(bundle, root)
        bare = BareTeacher(teacher_model, BareLoop(student, bundle, experiment.train, pair.batch, CPU))
        for number in range(min(rounds, 3)):
            with ExitStack() as stack:
                home = root / str(number)
                loop = engine_loop(pair, bundle, experiment, "on", home, home / "run", stack, CPU)
                begin = time.process_time()
                loop._ask_teachers()
                filling = time.process_time() - begin
            begin = time.process_time()
            bare.train(len(bundle.train) // pair.batch)
            ratios.append(filling / (time.process_time() - begin))
    return figure_of(f"{pair.name}: filling the cache, to a teacher pass", ratios, "x", FILL)


def _augmentation(pair: Pair, rounds: int) -> Figure:
    """Crop, flip and normalisation of batches in memory, to torchvision's of single images."""
    bundle = pair.bundle()
    experiment = pair.experiment(SOFT, ["crop", "flip"], "fp32")
    assert isinstance(experiment.data, PixelData)
    data: PixelData = experiment.data
    usual, preprocess = PilImages(bundle, PADDING), preprocess_for(bundle)
    batches = Batches(bundle.train, pair.batch, 0, "cpu", data)

    def one_by_one() -> None:
        for start in range(0, 8 * pair.batch, pair.batch):
            torch.stack([usual[index][0] for index in range(start, start + pair.batch)])

    def together() -> None:
        for batch in islice(batches.epoch(0), 8):
            preprocess(batch.images)

    turns = Turns({"one by one": one_by_one, "together": together})
    turns.take(rounds)
    name = "crop, flip and normalisation of 3 x 32 x 32 in memory, to torchvision's transforms"
    return turns.ratio(name, "together", ("one by one",), AUGMENTATION)


def _records() -> Figure:
    """Time of one record of a step, in the batches that the meter hands over, until it is in the file."""
    values: dict[str, float | None] = {
        "loss": 1.234,
        "accuracy": 0.5,
        "term.hard": 1.1,
        "term.soft": 1.3,
        "term.soft.weighted": 0.65,
        "lr": 0.1,
    }
    experiment = PAIRS[1].experiment(SOFT, [], "fp32")
    with tempfile.TemporaryDirectory() as scratch, Recorder(init_run(Path(scratch) / "run", experiment)) as recorder:
        begin = time.process_time()
        for start in range(0, RECORDS, CAPACITY):
            steps = range(start, min(RECORDS, start + CAPACITY))
            now = time.time()
            recorder.metrics(
                [MetricRecord(stage="student", split="train", step=s, epoch=0, time=now, values=values) for s in steps]
            )
        spent = time.process_time() - begin
    return Figure("one record of a step, flushed", 1e6 * spent / RECORDS, "us", target=RECORD)
