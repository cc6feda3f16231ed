"""What a spec says of each epoch and step, as plain functions: the engine trains by them, the window draws them."""

from __future__ import annotations

import math

from kdstudio.project.spec import TermBase, TrainSpec


def weight_at(spec: TermBase, epoch: int, epochs: int) -> float | None:
    """The weight of a term in an epoch (counted from 0), or None where the term does not count.

    A schedule moves the weight by a factor from `start` in the term's first epoch to `end` in its last.
    """
    until = epochs if spec.until_epoch is None else min(spec.until_epoch, epochs)
    if not spec.from_epoch <= epoch < until:
        return None
    if spec.schedule is None:
        return spec.weight
    span = until - 1 - spec.from_epoch
    position = (epoch - spec.from_epoch) / span if span > 0 else 0.0
    if spec.schedule.kind == "cosine":
        position = (1 - math.cos(math.pi * position)) / 2
    return spec.weight * (spec.schedule.start + (spec.schedule.end - spec.schedule.start) * position)


def learning_rate(spec: TrainSpec, step: int, steps_per_epoch: int) -> float:
    """The rate of a step (counted from 0). A pure function, so a resumed run needs no schedule state."""
    total = spec.epochs * steps_per_epoch
    warmup = spec.warmup_epochs * steps_per_epoch
    if step < warmup:
        return spec.lr * (step + 1) / (warmup + 1)
    if spec.schedule == "constant":
        return spec.lr
    if spec.schedule == "multistep":
        epoch = step // steps_per_epoch
        return spec.lr * spec.gamma ** sum(epoch >= milestone for milestone in spec.milestones)
    position = (step - warmup) / max(1.0, total - warmup)
    return spec.lr * (1 + math.cos(math.pi * min(1.0, position))) / 2


def batches_of(samples: int, batch_size: int) -> int:
    """Batches (and so steps) of one epoch.

    The last batch is smaller where the size does not divide; a single left-over sample joins the batch before it,
    because batch normalisation cannot work on one sample.
    """
    count = math.ceil(samples / batch_size)
    return count - 1 if batch_size > 1 and count > 1 and samples % batch_size == 1 else count
